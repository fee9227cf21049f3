//! Everything between `exec` and the first message, in order. What cannot be set up is a refusal
//! that says what to do; nothing here falls back to something weaker on its own.
#![forbid(unsafe_code)]

mod error;
mod probe_plan;
mod room;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};

use super::arguments::Arguments;
use super::audit::Audit;
use super::base::{self, Base, BaseRequest, Reader};
use super::host::Host;
use super::identities::{self, READER, RunIds, SPAWNER};
use super::instance::Instance;
use super::integrity;
use super::nursery::Setup;
use super::plans::{self, Facts};
use crate::causes::with_causes;
use crate::policy::Policy;
use crate::sandbox::cgroup::{CgroupError, Cgroups, Place};
use crate::sandbox::weaken;
use crate::settings::{self, Settings};
use crate::sys::{landlock, wait};
use crate::trusted;
use crate::wire::{InterpreterInfo, Welcome};
pub use error::StartupError;
pub use probe_plan::ProbePlan;

/// A host on which runs can be confined.
#[derive(Debug)]
pub struct Ready {
    /// What runs use.
    pub host: Host,
    /// What the server is told.
    pub welcome: Welcome,
    /// Ids of runs.
    pub ids: RunIds,
    /// Has its first record.
    pub audit: Audit,
    /// Parent cgroup of all runs.
    pub cgroup: String,
    /// Held while we live: our number, and the private copy.
    pub held: (Instance, Base),
}

/// Makes the host ready.
pub fn ready(arguments: Vec<OsString>) -> Result<Ready, StartupError> {
    let arguments = Arguments::parse(arguments).map_err(StartupError::Arguments)?;
    // Within the namespaces of our own we would be called 0.
    let user = Some(nix::unistd::geteuid()).filter(|user| !user.is_root());
    let rootless = user.is_some();
    let settings = settings_in_force(&arguments)?;
    let policy = policy(settings.policy.as_deref())?;
    weaken::remove(&weaken::asked());
    refuse_core_handler()?;
    let state = make_state(&settings, rootless)?;
    if !rootless {
        identities::refuse_overlap()?;
    }
    let base = prepare_base(&settings, &policy, &state, rootless)?;
    enter_own_namespaces(rootless)?;
    let instance = Instance::take(user, &state)?;
    weaken::done("take instance number");

    let spawner = (!rootless).then_some(SPAWNER);
    let soft = settings.allow_soft_limits.unwrap_or(false);
    let (cgroups, no_cgroups) = match cgroups(&instance, rootless) {
        Ok(cgroups) => (Some(cgroups), None),
        Err(error) if soft && error.means_there_are_none() => (None, Some(with_causes(&error))),
        Err(error) => return Err(StartupError::Cgroup(error)),
    };
    weaken::done("make cgroups");
    let max_runs = room::max_runs(&settings, &policy)?;
    let facts = Facts {
        base: &base,
        build_at: state.join("template"),
        python: base.python.to_string_lossy().into_owned(),
        version: base.version.clone(),
        landlock_abi: landlock::abi().map_err(StartupError::Landlock)?,
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
    let probe = probe_plan::probe_plan(&policy, &setup.sandbox, &leaf, &workspace, rootless);
    let host = Host::start(policy, cgroups, leaf, workspace, probe, setup)
        .map_err(StartupError::Nursery)?;
    let welcome = Welcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_digest: host.policy().digest.clone(),
        isolation: "strict".to_owned(),
        rootless,
        cgroup_layout: host.layout().name().to_owned(),
        no_cgroups,
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
    let audit = Audit::open(arguments.audit, instance.number(), &host.policy().digest);
    Ok(Ready { host, welcome, ids, audit, cgroup, held: (instance, base) })
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
    let file = Settings::from_file(arguments.config.as_deref(), root, std::env::var_os);
    file.and_then(|file| given.over(file).checked()).map_err(StartupError::Settings)
}

fn policy(folder: Option<&Path>) -> Result<Policy, StartupError> {
    let replaced =
        folder.map(trusted::read_folder).transpose().map_err(StartupError::PolicyFolder)?;
    Policy::from_files(&replaced.unwrap_or_default()).map_err(StartupError::Policy)
}

/// With a hard limit of 0 the kernel starts a piped core handler as the host's root for every crash
/// in a run, and a limit that is 0 cannot become 1 again. Where the pattern begins with `@`, Linux 6.16
/// and newer send the memory of what crashed to that socket whatever the limit; older ones write a
/// file of that name, which is refused all the same, as such a host waits for a newer kernel.
fn refuse_core_handler() -> Result<(), StartupError> {
    let pattern = read_proc("/proc/sys/kernel/core_pattern")?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).map_err(StartupError::CoreLimit)?;
    match pattern.chars().next() {
        Some('@') => Err(StartupError::CoreSocket),
        Some('|') if hard == 0 => Err(StartupError::CorePattern),
        _ => Ok(()),
    }
}

/// Judges the state directory, and only then makes what is missing of it.
fn make_state(settings: &Settings, rootless: bool) -> Result<PathBuf, StartupError> {
    let usual = || settings::default_state_dir(!rootless, std::env::var_os);
    let named = settings.state_dir.clone().or_else(usual).ok_or(StartupError::NoStateDir)?;
    let state = std::path::absolute(&named)
        .map_err(|source| StartupError::WorkingDirectory { path: named, source })?;
    let mode = if rootless { 0o700 } else { 0o755 };
    trusted::make_folder(&state.join("template"), mode).map_err(StartupError::StateDir)?;
    Ok(state)
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
    let check = integrity::start_check(base).map_err(StartupError::Check)?;
    let exit = wait::any_child(true).map_err(StartupError::Check)?;
    Ok(exit.is_some_and(|exit| exit.pid == check && integrity::is_whole(&exit)))
}

/// From here on no mount of ours is ever seen on the host. Rootless, this is also where the
/// privilege comes from: over our own namespaces, and nothing else.
fn enter_own_namespaces(rootless: bool) -> Result<(), StartupError> {
    if rootless {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(StartupError::UserNamespace)?;
        let write = |file: &'static str, text: String| {
            std::fs::write(file, text).map_err(|source| StartupError::IdMap { file, source })
        };
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(StartupError::MountNamespace)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(StartupError::PrivateMounts)
}

/// Removes what dead instances left, then makes ours.
fn cgroups(instance: &Instance, rootless: bool) -> Result<Cgroups, CgroupError> {
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
    Place::take(rootless).and_then(make)
}

/// Limits as the kernel takes them, from a leaf that is made for this and removed.
fn measured_limits(host: &Host) -> Result<crate::wire::LimitsInForce, StartupError> {
    let leaf = host.create_leaf("trial", false).map_err(StartupError::Cgroup)?;
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

fn read_proc(path: &'static str) -> Result<String, StartupError> {
    std::fs::read_to_string(path).map_err(|source| StartupError::ReadProc { path, source })
}
