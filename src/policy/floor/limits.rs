//! The floor of `limits.toml`: no limit is switched off, and none is set to a value that the
//! kernel reads as "without limit".
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{File, FloorError};
use crate::policy::Bytes;
use crate::policy::limits::{Limits, Resource};

pub(super) fn check(limits: &Limits) -> Result<(), FloorError> {
    let file = File("limits.toml");
    let cgroup = &limits.run.cgroup;
    let memory = cgroup.memory_max.value;
    file.demand(
        "run.cgroup \"memory.swap.max\"",
        cgroup.memory_swap_max.value == Bytes(0),
        "must be \"0\": swap turns a memory limit into load on the host's disk",
    )?;
    file.demand(
        "run.cgroup \"memory.oom.group\"",
        cgroup.memory_oom_group.value == 1,
        "must be \"1\": out of memory ends the whole run",
    )?;
    file.demand(
        "run.cgroup \"memory.max\"",
        memory >= Bytes(64 << 20),
        "must be at least \"64MiB\": an interpreter does not start below it",
    )?;
    file.demand(
        "run.cgroup \"pids.max\"",
        (1..=32_768).contains(&cgroup.pids_max.value),
        "must lie between \"1\" and \"32768\"",
    )?;
    file.demand(
        "run.tmpfs size",
        (Bytes(1 << 20)..=memory).contains(&limits.run.tmpfs.size.value),
        "must lie between \"1MiB\" and memory.max: it is memory, and 0 would mean without limit",
    )?;
    file.demand(
        "run.tmpfs nr_inodes",
        (256..=16_777_216).contains(&limits.run.tmpfs.nr_inodes.value),
        "must lie between \"256\" and \"16777216\"; 0 would mean without limit",
    )?;
    file.demand(
        "run.sockets inet",
        (1..=16_384).contains(&limits.run.sockets.inet.value),
        "must lie between \"1\" and \"16384\": each may hold kernel memory that nobody is charged for",
    )?;
    file.demand(
        "run.sockets tcp_rmem",
        (4096..=1 << 20).contains(&limits.run.sockets.tcp_rmem.value),
        "must lie between \"4096\" and \"1048576\" bytes",
    )?;
    file.demand(
        "host kernel_growth",
        (Bytes(16 << 20)..=Bytes(4 << 30)).contains(&limits.host.kernel_growth.value),
        "must lie between \"16MiB\" and \"4GiB\": less is every host's own ebb and flow, more is nobody's to lose",
    )?;
    file.demand(
        "run wall",
        !limits.run.wall.value.is_zero(),
        "must not be 0; write \"1s\" or more",
    )?;
    file.demand(
        "call body",
        limits.call.body.value >= Bytes(limits.call.code_characters.value),
        "must not be below code_characters, or no code of that length gets through",
    )?;
    file.demand(
        "host runs_per_core",
        limits.host.runs_per_core.value >= 1,
        "must be at least \"1\", or nothing ever runs",
    )?;
    rlimits(file, limits)
}

fn rlimits(file: File, limits: &Limits) -> Result<(), FloorError> {
    let mut seen = BTreeSet::new();
    for entry in &limits.run.rlimit {
        let key = format!("run.rlimit {}", entry.resource);
        file.demand(&key, seen.insert(entry.resource), "stands twice; keep one")?;
    }
    file.demand(
        "run.rlimit core",
        limits.rlimit(Resource::Core) == Some(1),
        "must be \"1\": with 0 the kernel starts a piped core handler as the host's root, above 1 it writes dumps",
    )?;
    for (resource, most) in HIGHEST_RLIMITS {
        file.demand(
            &format!("run.rlimit {resource}"),
            limits.rlimit(resource).is_some_and(|value| value <= most),
            &format!("must be set, to at most \"{most}\""),
        )?;
    }
    Ok(())
}

const HIGHEST_RLIMITS: [(Resource, u64); 6] = [
    (Resource::Nofile, 65_536),
    (Resource::Nproc, 65_536),
    (Resource::Memlock, 64 << 20),
    (Resource::Msgqueue, 0),
    (Resource::Nice, 20),
    (Resource::Rtprio, 0),
];
