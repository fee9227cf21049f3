//! What this host is, read from the kernel and changed nowhere. Facts explain why a step failed;
//! none of them decides whether runs are confined, which is found out by confining one.
#![forbid(unsafe_code)]

mod cgroups;
mod container;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{self, FsType, statfs};

use crate::server::scope::{self, ScopeError};
use crate::settings::Settings;
use crate::sys::landlock;

/// What only the process that was started can tell, before it gives up its privilege.
#[derive(Debug, Clone)]
pub(super) struct Before {
    uid: u32,
    lacks: Vec<Capability>,
    may_raise: bool,
    /// Has what a container has only with `--privileged`.
    is_privileged: bool,
    core: u64,
    open_files: u64,
}

/// All that is known of the host.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
pub(super) struct Facts {
    pub(super) rootless: bool,
    pub(super) uid: u32,
    pub(super) lacks: Vec<String>,
    /// Has `CAP_SYS_RESOURCE`.
    pub(super) may_raise: bool,
    pub(super) core: u64,
    pub(super) open_files: u64,
    pub(super) kernel: String,
    pub(super) lsm: String,
    /// A filter stands around this process already.
    pub(super) filtered: bool,
    pub(super) unprivileged_userns: Option<u64>,
    pub(super) max_user_namespaces: Option<u64>,
    pub(super) apparmor_restrict: Option<u64>,
    /// The `AppArmor` profile around this process, as the kernel writes it; empty where there is none.
    pub(super) apparmor_profile: String,
    /// Its engine, in a container.
    pub(super) container: Option<String>,
    /// A container whose root is root of the host.
    pub(super) is_hosts_root: bool,
    pub(super) is_privileged: bool,
    /// The ids of this user namespace reach as far as those of runs.
    pub(super) has_ids_of_runs: bool,
    pub(super) systemd: bool,
    /// Started by systemd itself, as a part of a unit.
    pub(super) in_a_unit: bool,
    pub(super) user_manager: bool,
    pub(super) core_pattern: String,
    pub(super) memory: u64,
    pub(super) swap: u64,
    pub(super) landlock: Option<u32>,
    pub(super) cgroups: cgroups::Seen,
    /// Where this start is in the unified tree, if there is one.
    pub(super) group: Option<String>,
    /// What came of asking systemd for a scope: its name, or what to do about the refusal.
    pub(super) scope: Option<Result<String, String>>,
    /// The state directory or what there is of it, its file system, and the bytes free there.
    pub(super) state: Option<(PathBuf, String, u64)>,
    /// The settings let runs go without hard limits.
    pub(super) allows_soft_limits: bool,
    /// The folder of policy files that the settings name.
    pub(super) policy: Option<PathBuf>,
}

/// What root needs to confine runs.
const NEEDED: [Capability; 7] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_KILL,
];

impl Before {
    pub(super) const fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Asks the kernel, the first time; opens no file.
    pub(super) fn look() -> &'static Self {
        static FOUND: OnceLock<Before> = OnceLock::new();
        FOUND.get_or_init(Self::ask)
    }

    fn ask() -> Self {
        let hard = |resource| getrlimit(resource).map_or(0, |(_, hard)| hard);
        let held = caps::read(None, CapSet::Effective).unwrap_or_default();
        let lacks = NEEDED.into_iter().filter(|one| !held.contains(one)).collect();
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            lacks,
            may_raise: held.contains(&Capability::CAP_SYS_RESOURCE),
            is_privileged: [Capability::CAP_SYS_MODULE, Capability::CAP_SYS_RAWIO]
                .iter()
                .all(|one| held.contains(one)),
            core: hard(Resource::RLIMIT_CORE),
            open_files: hard(Resource::RLIMIT_NOFILE),
        }
    }
}

impl Facts {
    /// Reads what is left. Of the settings, that is what advice depends on; `state_dir` is the one in
    /// force.
    pub(super) fn look(before: &Before, settings: &Settings, state_dir: Option<&Path>) -> Self {
        let number = |path: &str| text(path).trim().parse().ok();
        let status = text("/proc/self/status");
        let meminfo = text("/proc/meminfo");
        let kilobytes =
            |name| field(&meminfo, name).and_then(|value| value.split(' ').next()?.parse().ok());
        let runtime = format!("/run/user/{}/systemd", before.uid);
        Self {
            rootless: before.uid != 0,
            uid: before.uid,
            lacks: before.lacks.iter().map(ToString::to_string).collect(),
            may_raise: before.may_raise,
            core: before.core,
            open_files: before.open_files,
            kernel: format!(
                "{} {}",
                text("/proc/sys/kernel/osrelease").trim(),
                std::env::consts::ARCH
            ),
            lsm: text("/sys/kernel/security/lsm").trim().to_owned(),
            filtered: field(&status, "Seccomp").is_some_and(|mode| mode != "0"),
            unprivileged_userns: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            apparmor_profile: apparmor_profile(),
            container: container::engine(),
            is_hosts_root: before.is_root() && container::is_first_user_namespace(),
            is_privileged: before.is_privileged,
            has_ids_of_runs: reaches(&text("/proc/self/uid_map"), FIRST_ID),
            systemd: Path::new("/run/systemd/system").is_dir(),
            in_a_unit: scope::is_a_unit(),
            user_manager: Path::new(&runtime).is_dir(),
            core_pattern: text("/proc/sys/kernel/core_pattern").trim().to_owned(),
            memory: kilobytes("MemTotal").unwrap_or(0) * 1024,
            swap: kilobytes("SwapTotal").unwrap_or(0) * 1024,
            landlock: landlock::abi().ok().flatten(),
            cgroups: cgroups::look(),
            group: group(),
            scope: scope::asked().map(|asked| asked.as_ref().cloned().map_err(ScopeError::next)),
            state: state_dir.and_then(room),
            allows_soft_limits: settings.allow_soft_limits == Some(true),
            policy: settings.policy.clone(),
        }
    }

    /// A supervisor that runs as a service has other rights than who asks it: those of this process,
    /// which has perhaps none, then say nothing.
    pub(super) fn be_of_supervisor(&mut self, rootless: bool) {
        if self.rootless != rootless {
            self.rootless = rootless;
            self.lacks.clear();
        }
    }

    /// Ubuntu: the user namespaces of whoever has no profile come without rights.
    pub(super) fn apparmor_restricts(&self) -> bool {
        let has_none = ["", "unconfined"].contains(&self.apparmor_profile.as_str())
            || self.apparmor_profile.contains("unprivileged_userns");
        self.apparmor_restrict.is_some_and(|value| value != 0) && has_none
    }

    /// The name of the `AppArmor` profile that refuses what it does not allow, where one is around
    /// this process.
    pub(super) fn enforced_profile(&self) -> Option<&str> {
        self.apparmor_profile.strip_suffix(" (enforce)")
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of a line `Name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim())
}

/// Of its own folder since Linux 5.8; the older file belongs to whichever module comes first.
fn apparmor_profile() -> String {
    let own = text("/proc/self/attr/apparmor/current");
    let shared = || {
        let is_apparmor = text("/sys/module/apparmor/parameters/enabled").starts_with('Y');
        if is_apparmor { text("/proc/self/attr/current") } else { String::new() }
    };
    let found = if own.is_empty() { shared() } else { own };
    found.trim_matches(['\0', '\n', ' ']).to_owned()
}

/// The supervisor moves itself and us into a leaf, which is not what was delegated.
fn group() -> Option<String> {
    let own = text("/proc/self/cgroup");
    let group = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = group.strip_suffix("/supervisor").unwrap_or(group);
    Some(if group.is_empty() { "/" } else { group }.to_owned())
}

/// Where ids of runs begin (docs/design.md).
const FIRST_ID: u64 = 2_000_000_000;

/// Whether this map has the id.
fn reaches(map: &str, id: u64) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers.as_slice(), [first, _, count] if (*first..first + count).contains(&id))
    })
}

/// The nearest folder that is there, and the room in it.
fn room(state_dir: &Path) -> Option<(PathBuf, String, u64)> {
    let folder = state_dir.ancestors().find(|folder| folder.is_dir())?;
    let found = statfs(folder).ok()?;
    let block = u64::try_from(found.block_size()).unwrap_or(0);
    let kind = name(found.filesystem_type());
    Some((folder.to_owned(), kind, found.blocks_available() * block))
}

fn name(kind: FsType) -> String {
    let names = [
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::NFS_SUPER_MAGIC, "nfs"),
    ];
    let known = names.into_iter().find(|(magic, _)| *magic == kind);
    known.map_or_else(|| format!("type {:#x}", kind.0), |(_, name)| name.to_owned())
}
