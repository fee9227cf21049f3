//! Why this host cannot confine runs, and which of `primcs doctor`'s checks that is. What mends it
//! stands in the server's table; only what the table cannot know is said here.
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
use crate::wire::{FailedStep, Unable};

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
    #[error(
        "core_pattern begins with @: the memory of a run that crashes would go to a socket of the host"
    )]
    CoreSocket,
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
    MountNamespace(#[source] Errno),
    #[error("cannot make the mounts of our own namespace private")]
    PrivateMounts(#[source] Errno),
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
    #[error("the nursery cannot be confined")]
    Nursery(#[source] StepFailure),
}

impl StartupError {
    /// What the server is told instead of a welcome.
    #[must_use]
    pub fn unable(&self, rootless: bool) -> Unable {
        Unable {
            check: self.check().to_owned(),
            problem: crate::causes::with_causes(self),
            next: self.next(),
            step: self.step(),
            probe: None,
            rootless,
        }
    }

    /// Id of the check that failed, as `primcs doctor` has it.
    const fn check(&self) -> &'static str {
        match self {
            Self::Arguments(_) => "start.one_package",
            Self::Settings(_) => "start.settings",
            Self::PolicyFolder(_) | Self::Policy(_) | Self::Filter(_) => "start.policy",
            Self::ReadProc { .. } => "host.proc",
            Self::CoreLimit(_) | Self::CorePattern | Self::CoreSocket => "host.core_dumps",
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
            Self::MountNamespace(_) | Self::PrivateMounts(_) => "step.mount_namespace",
            Self::Instance(_) => "start.instance",
            Self::Cgroup(_) => "cgroup.limits",
            Self::TooManyRuns { .. } | Self::NoRoom => "start.room",
            Self::Landlock(_) => "host.landlock",
            Self::Nursery(_) => "step.nursery",
        }
    }

    /// What the kernel refused, where it said so.
    fn step(&self) -> Option<FailedStep> {
        if let Self::Nursery(StepFailure { step, errno }) = self {
            return Some(FailedStep { step: step.clone(), errno: *errno });
        }
        let cause = self.source()?;
        let errno = cause.downcast_ref::<Errno>().map(|errno| io::Error::from(*errno));
        let errno = errno.as_ref().or_else(|| cause.downcast_ref())?.raw_os_error()?;
        Some(FailedStep { step: self.check().to_owned(), errno })
    }

    /// What to do, where more is known than the check that failed; the server knows the rest.
    #[expect(clippy::wildcard_enum_match_arm, reason = "for most the table is enough")]
    fn next(&self) -> Option<String> {
        Some(match self {
            Self::Settings(SettingsError::Trust(error))
            | Self::PolicyFolder(error)
            | Self::StateDir(error)
            | Self::Base(BaseError::State(error)) => error.next(),
            Self::TooManyRuns { most, .. } => {
                format!("use --max-runs {most} or fewer")
            }
            Self::Instance(InstanceError::Lock { directory, .. }) => {
                format!("let this user alone write to {}", directory.display())
            }
            Self::NoStateDir => "set HOME, or name a directory with --state-dir".to_owned(),
            Self::CoreSocket => "sysctl -w kernel.core_pattern=core".to_owned(),
            Self::Base(BaseError::NotAbsolute { .. }) | Self::WorkingDirectory { .. } => {
                "name it from / on".to_owned()
            }
            _ => return None,
        })
    }
}
