//! Resource limits: only ever lowered, soft and hard alike, read back.
#![forbid(unsafe_code)]

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::plan::Rlimit;
use super::report::{InStep, StepFailure};
use super::weaken;

/// Sets every limit of the plan. One that is above what this process inherited stays at the
/// inherited value, which is stricter.
pub fn lower(limits: &[Rlimit]) -> Result<(), StepFailure> {
    for limit in limits {
        if !weaken::stands("rlimits") || (limit.name == "core" && !weaken::stands("rlimit_core")) {
            continue;
        }
        let step = || format!("setrlimit {}", limit.name);
        let resource = resource(&limit.name)
            .ok_or_else(|| StepFailure { step: step(), errno: libc::EINVAL })?;
        let (_, inherited) = getrlimit(resource).in_step(&step())?;
        let value = limit.value.min(inherited);
        setrlimit(resource, value, value).in_step(&step())?;
        if getrlimit(resource).in_step(&step())? != (value, value) {
            return Err(StepFailure { step: step(), errno: libc::EPERM });
        }
    }
    Ok(())
}

/// What a limit of the plan comes to for whoever inherits from this process.
#[must_use]
pub fn reachable(limit: &Rlimit) -> u64 {
    let inherited = resource(&limit.name).and_then(|resource| getrlimit(resource).ok());
    inherited.map_or(limit.value, |(_, hard)| limit.value.min(hard))
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}
