//! `limits.toml` as text. Trusts the parsed value and adds only what happens beyond each limit.
#![forbid(unsafe_code)]

use super::text::{Entry, Item, Text};
use crate::policy::limits::{Limits, Resource, Rlimit};
use crate::policy::quantity::{Bytes, Limit, Quantity};

pub(super) fn explain(limits: &Limits) -> Text {
    let mut text = Text::default();
    text.heading(2, "Limits (limits)");
    text.heading(3, "Each run");
    let wall = &limits.run.wall;
    let (value, ceiling) = (wall.value.to_text(), wall.ceiling.to_text());
    let shown = format!("= {value}, a call may ask for up to {ceiling}");
    let entries =
        vec![Entry::wall("limits wall", value), Entry::wall("limits wall ceiling", ceiling)];
    let item = Item::new("`wall`", &shown, wall.reason.as_str(), entries);
    text.add(item.beyond("the supervisor ends the whole run, status timeout; more than the ceiling is lowered to it, and a hint says so"));
    let cgroup = &limits.run.cgroup;
    limit(
        &mut text,
        "memory.max",
        &cgroup.memory_max,
        "the whole run is ended, status out_of_memory; under cgroup v1 and hybrid a part of the value is set aside for socket buffers, and each result and `primcs doctor` show the figure in force",
    );
    limit(
        &mut text,
        "memory.swap.max",
        &cgroup.memory_swap_max,
        "no page of a run is written to swap",
    );
    limit(
        &mut text,
        "memory.oom.group",
        &cgroup.memory_oom_group,
        "cgroup v2 kills the whole run at once; under v1 and hybrid the kernel kills one process and the supervisor the rest",
    );
    limit(
        &mut text,
        "pids.max",
        &cgroup.pids_max,
        "fork and clone fail with EAGAIN, and a hint says so",
    );
    limit(
        &mut text,
        "cpu.max",
        &cgroup.cpu_max,
        "the kernel lets the run wait for its next period",
    );
    limit(&mut text, "tmpfs size", &limits.run.tmpfs.size, "writing fails with ENOSPC");
    limit(
        &mut text,
        "tmpfs nr_inodes",
        &limits.run.tmpfs.nr_inodes,
        "making a file fails with ENOSPC",
    );
    limit(&mut text, "sockets inet", &limits.run.sockets.inet, OUT_OF_MEMORY);
    limit(&mut text, "sockets tcp_rmem", &limits.run.sockets.tcp_rmem, "the sender has to wait");
    let output = &limits.run.output;
    limit(&mut text, "output written", &output.written, "the run is ended, status output_limit");
    limit(
        &mut text,
        "output kept",
        &output.kept,
        "the middle is left out, and `truncated` says so",
    );
    limit(
        &mut text,
        "output text_characters",
        &output.text_characters,
        "the middle is left out, and the text says so",
    );
    limit(&mut text, "output result", &output.result, "it is cut");
    rlimits(&mut text, &limits.run.rlimit);
    others(&mut text, limits);
    text
}

/// Of each process.
fn rlimits(text: &mut Text, rlimits: &[Rlimit]) {
    for entry in rlimits {
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
        let (name, shown) = (format!("rlimit {}", entry.resource), format!("= {value}"));
        let entries = vec![Entry::wall(format!("limits {name}"), value)];
        let item = Item::new(&format!("`{name}`"), &shown, entry.reason.as_str(), entries);
        text.add(item.beyond("the call that wants more fails; soft and hard are the same, so no process can raise it"));
    }
}

/// Of calls and of all runs together.
fn others(text: &mut Text, limits: &Limits) {
    text.heading(3, "Each call");
    limit(
        text,
        "call code_characters",
        &limits.call.code_characters,
        "the call is refused, and the answer names the limit",
    );
    limit(text, "call body", &limits.call.body, "HTTP status 413");
    limit(
        text,
        "call queue",
        &limits.call.queue,
        "the call is refused, status busy with retry_after_ms",
    );
    text.heading(3, "All runs together");
    let waits = "the call waits in the queue";
    limit(text, "host runs_per_core", &limits.host.runs_per_core, waits);
    limit(text, "host memory_share", &limits.host.memory_share, waits);
    limit(
        text,
        "host kernel_growth",
        &limits.host.kernel_growth,
        "the run that hoards record locks, if one does, is ended, status out_of_memory",
    );
    limit(
        text,
        "host copy_check",
        &limits.host.copy_check,
        "a copy that has changed ends admission with an alarm",
    );
}

const OUT_OF_MEMORY: &str = "the whole run is ended, status out_of_memory";

fn limit<T: Quantity>(text: &mut Text, name: &str, limit: &Limit<T>, beyond: &'static str) {
    let value = limit.value.to_text();
    let entries = vec![Entry::wall(format!("limits {name}"), value.as_str())];
    let shown = format!("= {value}");
    // The tables [call] and [host] only keep like things together.
    let name = name.strip_prefix("call ").or_else(|| name.strip_prefix("host ")).unwrap_or(name);
    text.add(
        Item::new(&format!("`{name}`"), &shown, limit.reason.as_str(), entries).beyond(beyond),
    );
}
