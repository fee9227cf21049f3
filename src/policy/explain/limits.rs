//! `limits.toml` as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::Text;
use crate::policy::limits::{Limits, Resource};
use crate::policy::quantity::{Bytes, Limit, Quantity};

pub(super) fn explain(limits: &Limits) -> Text {
    let mut text = Text::default();
    text.heading(2, "Limits (limits)");
    text.heading(3, "Each run");
    let wall = &limits.run.wall;
    let value =
        format!("= {}, a call may ask for up to {}", wall.value.to_text(), wall.ceiling.to_text());
    text.item("`wall`", &value, &wall.reason);
    let cgroup = &limits.run.cgroup;
    limit(&mut text, "memory.max", &cgroup.memory_max);
    limit(&mut text, "memory.swap.max", &cgroup.memory_swap_max);
    limit(&mut text, "memory.oom.group", &cgroup.memory_oom_group);
    limit(&mut text, "pids.max", &cgroup.pids_max);
    limit(&mut text, "cpu.max", &cgroup.cpu_max);
    limit(&mut text, "tmpfs size", &limits.run.tmpfs.size);
    limit(&mut text, "tmpfs nr_inodes", &limits.run.tmpfs.nr_inodes);
    limit(&mut text, "sockets inet", &limits.run.sockets.inet);
    limit(&mut text, "sockets tcp_rmem", &limits.run.sockets.tcp_rmem);
    let output = &limits.run.output;
    limit(&mut text, "output written", &output.written);
    limit(&mut text, "output kept", &output.kept);
    limit(&mut text, "output text_characters", &output.text_characters);
    limit(&mut text, "output result", &output.result);
    for entry in &limits.run.rlimit {
        let value = match entry.resource {
            Resource::As
            | Resource::Data
            | Resource::Fsize
            | Resource::Memlock
            | Resource::Msgqueue
            | Resource::Stack => Bytes(entry.value).to_text(),
            Resource::Core
            | Resource::Cpu
            | Resource::Nice
            | Resource::Nofile
            | Resource::Nproc
            | Resource::Rtprio
            | Resource::Rttime
            | Resource::Sigpending => entry.value.to_text(),
        };
        text.item(&format!("`rlimit {}`", entry.resource), &format!("= {value}"), &entry.reason);
    }
    text.heading(3, "Each call");
    limit(&mut text, "code_characters", &limits.call.code_characters);
    limit(&mut text, "body", &limits.call.body);
    limit(&mut text, "queue", &limits.call.queue);
    text.heading(3, "All runs together");
    limit(&mut text, "runs_per_core", &limits.host.runs_per_core);
    limit(&mut text, "memory_share", &limits.host.memory_share);
    limit(&mut text, "copy_check", &limits.host.copy_check);
    text
}

fn limit<T: Quantity>(text: &mut Text, name: &str, limit: &Limit<T>) {
    text.item(&format!("`{name}`"), &format!("= {}", limit.value.to_text()), &limit.reason);
}
