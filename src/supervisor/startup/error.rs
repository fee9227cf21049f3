//! Why this host cannot confine runs, and for each reason one thing to do about it. Whoever reads it
//! may be running `primcs doctor`, so that is never the advice.
#![forbid(unsafe_code)]

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::policy::PolicyError;
use crate::policy::seccomp::CompileError;
use crate::sandbox::cgroup::CgroupError;
use crate::sandbox::report::StepFailure;
use crate::settings::SettingsError;
use crate::supervisor::arguments::ArgumentError;
use crate::supervisor::base::BaseError;
use crate::supervisor::identities::Overlap;
use crate::supervisor::instance::InstanceError;
use crate::trusted::TrustError;
use crate::wire::FailedStep;

/// Why not.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is its message")]
pub enum StartupError {
    #[error("wrong arguments")]
    Arguments(#[source] ArgumentError),
    #[error("the configuration does not load")]
    Settings(#[source] SettingsError),
    #[error("the policy cannot be trusted")]
    PolicyFolder(#[source] TrustError),
    #[error("the policy does not load")]
    Policy(#[source] PolicyError),
    #[error("the system-call filter does not compile")]
    Filter(#[source] CompileError),
    #[error("neither XDG_STATE_HOME nor HOME is an absolute path, so there is no state directory")]
    NoStateDir,
    #[error("{} is relative, and the working directory is gone", path.display())]
    WorkingDirectory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the state directory cannot be used")]
    StateDir(#[source] TrustError),
    #[error("cannot read {path}")]
    ReadProc {
        path: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the limit of core dumps")]
    CoreLimit(#[source] Errno),
    #[error("a core dump of a run would start a handler as the host's root")]
    CorePattern,
    #[error(transparent)]
    Overlap(#[from] Overlap),
    #[error("the private copy of interpreter, libraries and tools cannot be made")]
    Base(#[source] BaseError),
    #[error("cannot start the check of the private copy")]
    Check(#[source] io::Error),
    #[error("the private copy does not verify")]
    Damaged,
    #[error("cannot make a user namespace")]
    UserNamespace(#[source] Errno),
    #[error("cannot map ids in a user namespace ({file})")]
    IdMap {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a mount namespace")]
    MountNamespace {
        rootless: bool,
        #[source]
        source: Errno,
    },
    #[error("cannot make the mounts of our own namespace private")]
    PrivateMounts {
        rootless: bool,
        #[source]
        source: Errno,
    },
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("runs would have no hard limits on memory, processes and CPU")]
    Cgroup(#[source] CgroupError),
    #[error(
        "{asked} runs at once were asked for, but this host's memory and the policy allow {most}"
    )]
    TooManyRuns { asked: u32, most: u32 },
    #[error(
        "one run may take more memory than the policy lets all runs of this host take together"
    )]
    NoRoom,
    #[error("cannot ask the kernel for Landlock")]
    Landlock(#[source] io::Error),
    #[error("the spawner cannot be confined")]
    Nursery {
        rootless: bool,
        #[source]
        failure: StepFailure,
    },
}

impl StartupError {
    /// Id of the check that failed, as `primcs doctor` has it.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Arguments(_) => "start.one_package",
            Self::Settings(_) => "start.settings",
            Self::PolicyFolder(_) | Self::Policy(_) | Self::Filter(_) => "start.policy",
            Self::ReadProc { .. } => "host.proc",
            Self::CoreLimit(_) | Self::CorePattern => "host.core_dumps",
            Self::NoStateDir
            | Self::WorkingDirectory { .. }
            | Self::StateDir(_)
            | Self::Base(BaseError::State(_)) => "start.state_dir",
            Self::Overlap(_) => "host.ids",
            Self::Base(
                BaseError::NoInterpreter
                | BaseError::NotAbsolute { .. }
                | BaseError::AskInterpreter { .. }
                | BaseError::Interpreter { .. },
            ) => "start.interpreter",
            Self::Base(_) | Self::Check(_) | Self::Damaged => "start.copy",
            Self::UserNamespace(_) | Self::IdMap { .. } => "step.user_namespace",
            Self::MountNamespace { .. } | Self::PrivateMounts { .. } => "step.mount_namespace",
            Self::Instance(_) => "start.instance",
            Self::Cgroup(_) => "cgroup.limits",
            Self::TooManyRuns { .. } | Self::NoRoom => "start.room",
            Self::Landlock(_) => "host.landlock",
            Self::Nursery { .. } => "step.spawner",
        }
    }

    /// What the kernel refused, where it said so.
    #[must_use]
    pub fn step(&self) -> Option<FailedStep> {
        if let Self::Nursery { failure: StepFailure { step, errno }, .. } = self {
            return Some(FailedStep { step: step.clone(), errno: *errno });
        }
        let cause = self.source()?;
        let errno = cause.downcast_ref::<Errno>().map(|errno| io::Error::from(*errno));
        let errno = errno.as_ref().or_else(|| cause.downcast_ref())?.raw_os_error()?;
        Some(FailedStep { step: self.check().to_owned(), errno })
    }

    /// One thing for the operator to do.
    #[must_use]
    pub fn next(&self) -> String {
        let fixed = match self {
            Self::Settings(SettingsError::Trust(error))
            | Self::PolicyFolder(error)
            | Self::StateDir(error)
            | Self::Base(BaseError::State(error)) => return error.next(),
            Self::TooManyRuns { most, .. } => {
                return format!(
                    "use --max-runs {most} or fewer, or lower memory.max in limits.toml"
                );
            }
            Self::NoRoom => {
                return "lower memory.max or raise memory_share in limits.toml".to_owned();
            }
            Self::Instance(InstanceError::Lock { directory, .. }) => {
                return format!("let this user alone write to {}", directory.display());
            }
            Self::UserNamespace(errno) => user_namespace(*errno),
            Self::MountNamespace { rootless, source }
            | Self::PrivateMounts { rootless, source } => privilege(*rootless, *source),
            Self::Nursery { rootless: true, failure }
                if failure.errno == libc::EPERM && failure.step.contains("/proc") =>
            {
                "let nothing cover parts of the host's /proc; start a container with --security-opt \
                 systempaths=unconfined"
            }
            Self::Nursery { rootless, failure } => {
                privilege(*rootless, Errno::from_raw(failure.errno))
            }
            Self::Arguments(_) => "start `primcs`, which starts this program",
            Self::Settings(_) => "mend that setting; `primcs config default` prints all there are",
            Self::Policy(_) | Self::Filter(_) => {
                "mend that line in the folder of --policy, or start without it"
            }
            Self::NoStateDir => "set HOME, or name a directory with --state-dir",
            Self::WorkingDirectory { .. } => "name it from / on",
            Self::ReadProc { .. } => {
                "mount the whole proc file system at /proc, without masks over its files"
            }
            Self::CoreLimit(_) => "let the system-call filter around primcs allow prlimit64",
            Self::CorePattern => {
                "raise the hard limit that this program was started with: LimitCORE=1 in the unit, \
                 `ulimit -Hc 1` in a shell"
            }
            Self::Overlap(_) => "remove or move that range",
            Self::Base(_) => {
                "do what the message says; name another interpreter with --python, or another state \
                 directory with --state-dir"
            }
            Self::Check(_) => "let this user start more processes (ulimit -u, pids.max)",
            Self::Damaged => {
                "the disk or somebody changed it; delete the folder `base` in the state directory \
                 and start again"
            }
            Self::IdMap { .. } => USER_NAMESPACES,
            Self::Instance(InstanceError::TooMany) => "stop a supervisor that is not needed",
            Self::Cgroup(_) => {
                "start it alone in a cgroup of its own: as a systemd service with Delegate=yes, or \
                 by `systemd-run --scope -p Delegate=yes primcs ...` (as a plain user with --user); \
                 or accept runs without hard limits with --allow-soft-limits"
            }
            Self::Landlock(_) => {
                "let the system-call filter around primcs allow landlock_create_ruleset, or answer \
                 it with ENOSYS"
            }
        };
        fixed.to_owned()
    }
}

const USER_NAMESPACES: &str = "let plain users make user namespaces: \
    sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), \
    kernel.unprivileged_userns_clone=1 (Debian); inside another sandbox its filter must allow \
    unshare; or run primcs as root";

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "errno has no end; the last arm is for all others"
)]
fn user_namespace(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC | Errno::EUSERS => {
            "raise user.max_user_namespaces (sysctl); at 0 there are none, and more than 32 do not \
             nest"
        }
        Errno::EINVAL | Errno::ENOSYS => "use a kernel with CONFIG_USER_NS, or run primcs as root",
        _ => USER_NAMESPACES,
    }
}

/// What a refused step of building namespaces and mounts lacks.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "errno has no end; the last arm is for all others"
)]
fn privilege(rootless: bool, errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM | Errno::EACCES if rootless => USER_NAMESPACES,
        Errno::EPERM | Errno::EACCES => {
            "give root its capabilities here, CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID and CAP_SETPCAP \
             above all, and let neither a system-call filter nor AppArmor or SELinux refuse unshare, \
             mount and pivot_root"
        }
        Errno::ENOSPC | Errno::EUSERS => {
            "raise user.max_mnt_namespaces, user.max_pid_namespaces and user.max_user_namespaces \
             (sysctl), and fs.mount-max"
        }
        Errno::ENOSYS => {
            "use a kernel that knows this call (Linux 5.14 or newer), and let the system-call filter \
             around primcs allow it"
        }
        Errno::ENODEV => "load the file systems that runs are made of: modprobe overlay",
        Errno::ENOMEM | Errno::EAGAIN => "give this host more memory or processes, and start again",
        _ => "look for the reason in the kernel's log (dmesg) and mend that",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nursery(rootless: bool, errno: i32) -> StartupError {
        let failure = StepFailure { step: "unshare mount namespace".to_owned(), errno };
        StartupError::Nursery { rootless, failure }
    }

    #[test]
    fn a_refused_step_names_what_is_missing_and_never_the_program_that_printed_it() {
        for (error, names) in [
            (nursery(false, libc::EPERM), "CAP_SYS_ADMIN"),
            (nursery(true, libc::EPERM), "kernel.apparmor_restrict_unprivileged_userns"),
            (nursery(false, libc::ENODEV), "modprobe overlay"),
            (nursery(false, libc::ENOSPC), "user.max_mnt_namespaces"),
            (StartupError::UserNamespace(Errno::ENOSPC), "user.max_user_namespaces"),
            (StartupError::UserNamespace(Errno::EPERM), "kernel.unprivileged_userns_clone"),
            (
                StartupError::MountNamespace { rootless: false, source: Errno::EPERM },
                "CAP_SYS_ADMIN",
            ),
            (StartupError::NoStateDir, "--state-dir"),
            (StartupError::Settings(SettingsError::MaxRuns { asked: 0 }), "config default"),
        ] {
            let next = error.next();
            assert!(next.contains(names), "{error}: {next}");
            assert!(!next.contains("doctor") && !next.contains("README"), "{error}: {next}");
        }
    }
}
