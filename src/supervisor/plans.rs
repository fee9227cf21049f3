//! From policy and host to the plans that every run of this supervisor follows. Pure: all decisions
//! about confinement are made here, before any process exists.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use super::base::Base;
use crate::policy::Policy;
use crate::policy::limits::Resource;
use crate::policy::mounts::MountFlag;
use crate::policy::process::LandlockRight;
use crate::policy::seccomp::{CompileError, Program};
use crate::sandbox::cgroup::LeafLimits;
use crate::sandbox::plan::{LandlockPlan, Rlimit, SandboxPlan, Writable};
use crate::sandbox::template::TemplatePlan;
use crate::sandbox::workspace::{SCRIPT, WorkspacePlan};
use crate::sandbox::{seccomp, weaken};
use crate::sys::mount::{NO_DEVICES, NO_EXEC, NO_SETUID, READ_ONLY};

/// Where a run finds the short program that runs its script.
const RUNNER: &str = "/primcs/run.py";

/// What is known of the host.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The private copy.
    pub base: &'a Base,
    /// Where the template is built.
    pub build_at: PathBuf,
    /// Interpreter inside a run.
    pub python: String,
    /// Its version.
    pub version: String,
    /// Of the kernel.
    pub landlock_abi: Option<u32>,
}

/// The root of all runs.
#[must_use]
pub fn template(policy: &Policy, facts: &Facts<'_>) -> TemplatePlan {
    let root = &policy.mounts.root;
    TemplatePlan {
        build_at: facts.build_at.clone(),
        base: facts.base.root.clone(),
        root_attributes: attributes(&root.tmpfs.flags),
        binds: shown(facts.base).map(|path| (path, attributes(&root.base.flags))).collect(),
        links: links(policy, facts.base),
        devices: root.device.iter().map(|device| device.name.as_str().to_owned()).collect(),
        mount_points: policy
            .mounts
            .run
            .directory
            .iter()
            .map(|directory| directory.target.as_str().to_owned())
            .collect(),
        files: vec![(RUNNER.to_owned(), include_str!("../python/run.py").to_owned())],
    }
}

/// Where a run sees the directories of the private copy.
fn shown(base: &Base) -> impl Iterator<Item = String> {
    base.directories.iter().map(|name| format!("/{}", name.to_string_lossy()))
}

/// Those of the policy, all below `/dev`, and those of the copy, whose layout is the host's.
fn links(policy: &Policy, base: &Base) -> Vec<(String, String)> {
    let of_policy =
        policy.mounts.root.link.iter().map(|link| (link.path.as_str().to_owned(), link.to.clone()));
    let of_copy = base.links.iter().map(|(name, target)| {
        (format!("/{}", name.to_string_lossy()), target.to_string_lossy().into_owned())
    });
    of_policy.chain(of_copy).collect()
}

/// The confinement of every run.
pub fn sandbox(policy: &Policy, facts: &Facts<'_>) -> Result<SandboxPlan, CompileError> {
    let process = &policy.process;
    let weakened = weaken::asked();
    let seccomp = filter(policy, &weakened)?.iter().map(seccomp::to_plain).collect();
    Ok(SandboxPlan {
        uid: process.identity.uid.value,
        gid: process.identity.gid.value,
        hostname: process.identity.hostname.value.clone(),
        directory: process.identity.directory.value.as_str().to_owned(),
        umask: process.identity.umask.value.0,
        rlimits: policy
            .limits
            .run
            .rlimit
            .iter()
            .map(|limit| Rlimit { name: limit.resource.to_string(), value: limit.value })
            .collect(),
        proc_visible: policy
            .mounts
            .proc
            .show
            .iter()
            .map(|entry| entry.path.as_str().to_owned())
            .filter(|path| !path.contains('/'))
            .collect(),
        tcp_rmem: policy.limits.run.sockets.tcp_rmem.value,
        proc_sys_leaves: policy.mounts.proc.sys_leaves().map(str::to_owned).collect(),
        writable: writable(policy),
        landlock: facts.landlock_abi.map(|abi| landlock(policy, facts.base, abi)),
        environment: process
            .environment
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect(),
        arguments: arguments(policy),
        seccomp,
        weakened,
    })
}

/// How the program is started; the floor holds the two directories at their places.
fn arguments(policy: &Policy) -> Vec<String> {
    let script = format!("/workspace/{SCRIPT}");
    let result_bytes = policy.limits.run.output.result.value.0.to_string();
    ["/venv/bin/python", "-I", RUNNER, &script, &result_bytes].map(str::to_owned).to_vec()
}

/// The tmpfs of every run.
#[must_use]
pub fn workspace(policy: &Policy, facts: &Facts<'_>) -> WorkspacePlan {
    WorkspacePlan {
        size: policy.limits.run.tmpfs.size.value.0,
        inodes: policy.limits.run.tmpfs.nr_inodes.value,
        attributes: attributes(&policy.mounts.run.flags),
        writable: writable(policy),
        python: facts.python.clone(),
        version: facts.version.clone(),
    }
}

/// The cgroup of every run.
#[must_use]
pub fn leaf(policy: &Policy) -> LeafLimits {
    let cgroup = &policy.limits.run.cgroup;
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    LeafLimits {
        memory: cgroup.memory_max.value.0,
        // The init counts.
        pids: cgroup.pids_max.value + 1,
        cpu_quota: micros(cgroup.cpu_max.value.quota),
        cpu_period: micros(cgroup.cpu_max.value.period),
        // The floor asks for one; without it nothing of ours would be in force.
        open_files: policy.limits.rlimit(Resource::Nofile).unwrap_or(libc::RLIM_INFINITY),
    }
}

fn writable(policy: &Policy) -> Vec<Writable> {
    policy
        .mounts
        .run
        .directory
        .iter()
        .map(|directory| Writable {
            directory: directory.name.as_str().to_owned(),
            target: directory.target.as_str().to_owned(),
            mode: directory.mode,
        })
        .collect()
}

fn landlock(policy: &Policy, base: &Base, abi: u32) -> LandlockPlan {
    let policy = &policy.process.landlock;
    let of_base = LandlockRight::bits(&policy.base.rights, abi);
    let of_rules = policy.rule.iter().flat_map(|rule| {
        let bits = LandlockRight::bits(&rule.rights, abi);
        rule.paths.iter().map(move |path| (path.as_str().to_owned(), bits))
    });
    LandlockPlan {
        handled: LandlockRight::bits(&LandlockRight::ALL, abi),
        directories: shown(base).map(|path| (path, of_base)).chain(of_rules).collect(),
    }
}

fn attributes(flags: &[MountFlag]) -> u64 {
    flags.iter().fold(0, |all, flag| {
        all | match flag {
            MountFlag::Ro => READ_ONLY,
            MountFlag::Nosuid => NO_SETUID,
            MountFlag::Nodev => NO_DEVICES,
            MountFlag::Noexec => NO_EXEC,
        }
    })
}

#[cfg(not(feature = "weaken"))]
fn filter(policy: &Policy, _weakened: &[String]) -> Result<Vec<Program>, CompileError> {
    policy.seccomp_run.compile()
}

#[cfg(feature = "weaken")]
fn filter(policy: &Policy, weakened: &[String]) -> Result<Vec<Program>, CompileError> {
    let calls: Vec<_> = weakened.iter().filter_map(|name| name.strip_prefix("seccomp:")).collect();
    policy.seccomp_run.without(&calls).compile()
}

/// How many runs fit at once, perhaps none: the smaller of what cores and memory allow.
#[must_use]
pub fn most_runs(policy: &Policy, memory: u64, cores: u64) -> u32 {
    let host = &policy.limits.host;
    let share = memory.saturating_mul(host.memory_share.value.0) / 100;
    let by_memory = share / policy.limits.run.cgroup.memory_max.value.0.max(1);
    let by_cores = cores * host.runs_per_core.value;
    u32::try_from(by_memory.min(by_cores).min(256)).unwrap_or(256)
}

#[cfg(test)]
mod tests;
