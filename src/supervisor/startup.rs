//! Everything between `exec` and the first message, in order. What cannot be set up is a refusal
//! that says what to do; nothing here falls back to something weaker on its own.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};

use super::arguments::{ArgumentError, Arguments};
use super::base::{self, Base, BaseError, BaseRequest, Reader};
use super::host::Host;
use super::identities::{self, READER, RunIds, SPAWNER};
use super::instance::{Instance, InstanceError};
use super::integrity;
use super::nursery::Setup;
use super::plans::{self, Facts};
use super::settings_file::{self, TrustError};
use crate::policy::{Policy, PolicyError};
use crate::sandbox::cgroup::{CgroupError, Cgroups, Place};
use crate::sandbox::report::StepFailure;
use crate::sandbox::weaken;
use crate::settings::{self, Settings, SettingsError};
use crate::sys::{landlock, wait};
use crate::wire::{InterpreterInfo, Welcome};

/// A host on which runs can be confined.
#[derive(Debug)]
pub struct Ready {
    /// What runs use.
    pub host: Host,
    /// What the server is told.
    pub welcome: Welcome,
    /// Ids of runs.
    pub ids: RunIds,
    /// Parent cgroup of all runs.
    pub cgroup: String,
    /// Held while we live: our number, and the private copy.
    pub held: (Instance, Base),
}

/// Why not.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is its message")]
pub enum StartupError {
    #[error("wrong arguments")]
    Arguments(#[source] ArgumentError),
    #[error("a file that decides what runs may do cannot be trusted")]
    Trust(#[source] TrustError),
    #[error("the configuration does not load")]
    Settings(#[source] SettingsError),
    #[error("the policy does not load")]
    Policy(#[source] PolicyError),
    #[error("the system-call filter does not compile")]
    Filter(#[source] crate::policy::seccomp::CompileError),
    #[error("cannot {step}")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Overlap(#[from] identities::Overlap),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("runs would have no hard limits on memory, processes and CPU")]
    Cgroup(#[source] CgroupError),
    #[error("the private copy of interpreter, libraries and tools cannot be made")]
    Base(#[source] BaseError),
    #[error("the private copy does not verify")]
    Damaged,
    #[error(
        "{asked} runs at once were asked for, but this host's memory and the policy allow {most}"
    )]
    TooManyRuns { asked: u32, most: u32 },
    #[error("a core dump of a run would start a handler as the host's root")]
    CorePattern,
    #[error("the spawner cannot be confined: {0}")]
    Nursery(#[source] StepFailure),
}

impl StartupError {
    /// One thing for the operator to do.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Arguments(_) => "start `primcs`, which starts this program".to_owned(),
            Self::Trust(_) => trust_advice(!nix::unistd::geteuid().is_root()),
            Self::Settings(_) | Self::Policy(_) | Self::Filter(_) => "mend the file; `primcs config check` and `primcs policy check` say where".to_owned(),
            Self::Step { step, .. } if step.contains("user namespace") => {
                "allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or run primcs as root".to_owned()
            }
            Self::Step { .. } => "run primcs as root on the host, or with the container flags in the README".to_owned(),
            Self::Overlap(_) => "remove or move that range".to_owned(),
            Self::Instance(_) => "stop a supervisor that is not needed, or make the folder writable".to_owned(),
            Self::Cgroup(_) => "start it alone in a cgroup of its own: as a systemd service with Delegate=yes, or by `systemd-run --scope -p Delegate=yes primcs ...` (as a plain user with --user); or accept runs without hard limits with --allow-soft-limits".to_owned(),
            Self::Base(_) => "do what the message says; name another interpreter with --python, or another state directory with --state-dir".to_owned(),
            Self::Damaged => "the disk or somebody changed it; delete the folder `base` in the state directory and start again".to_owned(),
            Self::TooManyRuns { most, .. } => format!("use --max-runs {most} or fewer, or lower memory.max in limits.toml"),
            Self::CorePattern => "raise the hard limit that this program was started with: LimitCORE=1 in the unit, `ulimit -Hc 1` in a shell".to_owned(),
            Self::Nursery(_) => "`primcs doctor` tries each step and says what this one needs".to_owned(),
        }
    }
}

/// Whom a file must belong to so that it is believed.
fn trust_advice(rootless: bool) -> String {
    let (owner, chown) = if rootless { ("you (or root)", "") } else { ("root", "chown root, ") };
    format!(
        "make the file and every folder above it owned by {owner} and writable by nobody else \
         ({chown}chmod go-w)"
    )
}

/// Makes the host ready.
pub fn ready(arguments: Vec<OsString>) -> Result<Ready, StartupError> {
    let arguments = Arguments::parse(arguments).map_err(StartupError::Arguments)?;
    let rootless = !nix::unistd::geteuid().is_root();
    let settings = settings_in_force(&arguments)?;
    let policy = policy(settings.policy.as_deref())?;
    weaken::remove(&weaken::asked());
    refuse_core_handler()?;
    let state = settings.state_dir.clone().unwrap_or_else(|| default_state(rootless));
    make_state(&state, rootless)?;
    if !rootless {
        identities::refuse_overlap()?;
    }
    let base = prepare_base(&settings, &policy, &state, rootless)?;
    enter_own_namespaces(rootless)?;
    let instance = Instance::take(rootless, &state)?;

    let spawner = (!rootless).then_some(SPAWNER);
    let soft = settings.allow_soft_limits.unwrap_or(false);
    let cgroups = cgroups(&instance, rootless, soft)?;
    let max_runs = max_runs(&settings, &policy)?;
    let facts = Facts {
        base: &base,
        build_at: state.join("template"),
        python: base.python.to_string_lossy().into_owned(),
        version: base.version.clone(),
        landlock_abi: landlock::abi().map_err(in_step("ask for Landlock"))?,
    };
    let setup = Setup {
        template: plans::template(&policy, &facts),
        sandbox: plans::sandbox(&policy, &facts).map_err(StartupError::Filter)?,
        become_id: spawner,
        oom_score_adj: policy.process.identity.oom_score_adj.value,
    };
    let (leaf, workspace) = (plans::leaf(&policy), plans::workspace(&policy, &facts));
    let (landlock_abi, interpreter) = (
        facts.landlock_abi,
        InterpreterInfo { path: facts.python.clone(), version: facts.version.clone() },
    );
    let timeout_ceiling = policy.limits.run.wall.ceiling;
    let host =
        Host::start(policy, cgroups, leaf, workspace, setup).map_err(StartupError::Nursery)?;
    let welcome = Welcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_digest: host.policy().digest.clone(),
        isolation: "strict".to_owned(),
        rootless,
        cgroup_layout: host.layout().name().to_owned(),
        limits: measured_limits(&host)?,
        timeout_ceiling_ms: milliseconds(timeout_ceiling),
        max_runs,
        interpreter,
        landlock_abi,
        notes: notes(&base, landlock_abi, &host),
    };
    let ids = if rootless {
        RunIds::shared(max_runs)
    } else {
        RunIds::of_instance(instance.number(), max_runs)
    };
    let cgroup = instance.cgroup_name();
    Ok(Ready { host, welcome, ids, cgroup, held: (instance, base) })
}

/// Arguments win over the file; the server has already put flags over environment.
fn settings_in_force(arguments: &Arguments) -> Result<Settings, StartupError> {
    let given = Settings {
        state_dir: arguments.state_dir.clone(),
        policy: arguments.policy.clone(),
        python: arguments.python.clone(),
        max_runs: arguments.max_runs,
        allow_soft_limits: arguments.allow_soft_limits.then_some(true),
        ..Settings::default()
    };
    let root = nix::unistd::geteuid().is_root();
    let usual = settings::default_config_file(root, std::env::var_os);
    let Some(file) = config_file(arguments.config.as_deref(), usual) else { return Ok(given) };
    let text = settings_file::read(&file).map_err(StartupError::Trust)?;
    Ok(given.over(Settings::parse(&text).map_err(StartupError::Settings)?))
}

/// The named file, which must exist, or the usual one, which need not. The server reads the same.
fn config_file(named: Option<&Path>, usual: Option<PathBuf>) -> Option<PathBuf> {
    // What cannot be looked at is read all the same, and then says why not.
    let is_there = |path: &PathBuf| path.try_exists().unwrap_or(true);
    named.map(Path::to_owned).or_else(|| usual.filter(is_there))
}

fn policy(folder: Option<&Path>) -> Result<Policy, StartupError> {
    match folder {
        None => Policy::embedded(),
        Some(folder) => {
            Policy::from_files(&settings_file::read_folder(folder).map_err(StartupError::Trust)?)
        }
    }
    .map_err(StartupError::Policy)
}

/// With a hard limit of 0 the kernel starts a piped core handler as the host's root for every crash
/// in a run, and a limit that is 0 cannot become 1 again.
fn refuse_core_handler() -> Result<(), StartupError> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern")
        .map_err(in_step("read core_pattern"))?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)
        .map_err(|error| in_step("read RLIMIT_CORE")(error.into()))?;
    if pattern.starts_with('|') && hard == 0 { Err(StartupError::CorePattern) } else { Ok(()) }
}

fn default_state(rootless: bool) -> PathBuf {
    if !rootless {
        return "/var/lib/primcs".into();
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(|| "/tmp".into())
        .join("primcs")
}

fn make_state(state: &Path, rootless: bool) -> Result<(), StartupError> {
    use std::os::unix::fs::DirBuilderExt;
    let mode = if rootless { 0o700 } else { 0o755 };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(state.join("template"))
        .map_err(in_step("make the state directory"))
}

fn prepare_base(
    settings: &Settings,
    policy: &Policy,
    state: &Path,
    rootless: bool,
) -> Result<Base, StartupError> {
    let search_path: Vec<_> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let request = BaseRequest {
        state_dir: state,
        python: settings.python.as_deref(),
        search_path: &search_path,
        policy: &policy.mounts.base,
        reader: (!rootless).then_some(Reader { uid: READER, gid: READER }),
    };
    let base = base::prepare(&request).map_err(StartupError::Base)?;
    if base.is_new || verifies(&base)? {
        return Ok(base);
    }
    super::log(format_args!(
        "the private copy in {} is damaged; making it again",
        base.directory.display()
    ));
    let base = base::replace(&request, base).map_err(StartupError::Base)?;
    if verifies(&base)? { Ok(base) } else { Err(StartupError::Damaged) }
}

fn verifies(base: &Base) -> Result<bool, StartupError> {
    let failed = in_step("verify the private copy");
    let check = integrity::start_check(base).map_err(&failed)?;
    let exit = wait::any_child(true).map_err(&failed)?;
    Ok(exit.is_some_and(|exit| exit.pid == check && integrity::is_whole(&exit)))
}

/// From here on no mount of ours is ever seen on the host. Rootless, this is also where the
/// privilege comes from: over our own namespaces, and nothing else.
fn enter_own_namespaces(rootless: bool) -> Result<(), StartupError> {
    if rootless {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(|error| in_step("make a user namespace")(error.into()))?;
        let write = |file: &str, text: String| {
            std::fs::write(file, text).map_err(in_step("map ids in a user namespace"))
        };
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| in_step("make a mount namespace")(error.into()))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|error| in_step("make mounts private")(error.into()))
}

/// Removes what dead instances left, then makes ours.
fn cgroups(
    instance: &Instance,
    rootless: bool,
    soft: bool,
) -> Result<Option<Cgroups>, StartupError> {
    let name = instance.cgroup_name();
    let make = |place: Place| {
        for left in place.groups()? {
            if let Some(_dead) = instance.take_dead(&left) {
                place.clear(&left)?;
            }
        }
        place.clear(&name)?;
        Cgroups::create(place, &name, (!rootless).then_some(SPAWNER))
    };
    match Place::take(rootless).and_then(make) {
        Ok(cgroups) => Ok(Some(cgroups)),
        Err(_) if soft => Ok(None),
        Err(error) => Err(StartupError::Cgroup(error)),
    }
}

/// The sum of all memory caps stays within the policy's share of this host's memory.
fn max_runs(settings: &Settings, policy: &Policy) -> Result<u32, StartupError> {
    let meminfo =
        std::fs::read_to_string("/proc/meminfo").map_err(in_step("read /proc/meminfo"))?;
    let kilobytes: u64 = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = plans::most_runs(policy, kilobytes * 1024, u64::try_from(cores).unwrap_or(1));
    match settings.max_runs {
        Some(asked) if asked > most => Err(StartupError::TooManyRuns { asked, most }),
        Some(asked) => Ok(asked),
        None => Ok(most),
    }
}

/// Limits as the kernel takes them, from a leaf that is made for this and removed.
fn measured_limits(host: &Host) -> Result<crate::wire::LimitsInForce, StartupError> {
    let leaf = host.create_leaf("trial").map_err(StartupError::Cgroup)?;
    let limits = host.limits_in_force(leaf.as_ref(), host.policy().limits.run.wall.value);
    if let Some(leaf) = leaf {
        host.discard(&leaf);
    }
    Ok(limits)
}

fn notes(base: &Base, landlock_abi: Option<u32>, host: &Host) -> Vec<String> {
    let mut notes: Vec<_> =
        base.skipped.iter().map(|skipped| format!("not in runs: {skipped}")).collect();
    if landlock_abi.is_none() {
        notes
            .push("this kernel has no Landlock: runs lack the second wall around files".to_owned());
    }
    if host.layout() == crate::sandbox::cgroup::Layout::None {
        notes.push(
            "--allow-soft-limits: memory, processes and CPU of a run are not limited by the kernel"
                .to_owned(),
        );
    }
    let removed = weaken::asked();
    if !removed.is_empty() {
        notes.push(format!("BARRIERS REMOVED FOR A TEST: {}", removed.join(", ")));
    }
    notes
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn in_step(step: &'static str) -> impl Fn(io::Error) -> StartupError {
    move |source| StartupError::Step { step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_is_told_to_chown_to_root() {
        assert!(trust_advice(false).contains("owned by root and"));
        assert!(trust_advice(false).contains("chown root"));
        assert!(trust_advice(true).contains("owned by you (or root)"));
        assert!(!trust_advice(true).contains("chown"));
    }

    #[test]
    fn the_usual_configuration_is_read_where_it_is_and_a_named_one_always() {
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let missing = Path::new("/nonexistent/primcs.toml");
        assert_eq!(config_file(None, Some(there.clone())), Some(there.clone()));
        assert_eq!(config_file(None, Some(missing.to_owned())), None);
        assert_eq!(config_file(Some(missing), Some(there)), Some(missing.to_owned()));
    }
}
