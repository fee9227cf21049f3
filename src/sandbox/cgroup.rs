//! Cgroups: one parent for an instance, one leaf a run and controller, limits written through
//! directory descriptors opened once and read back. Nothing here walks up the tree or enables a
//! controller outside what was found to be ours.
//!
//! Layouts: `v2` (all controllers in the unified tree), `hybrid` (v1 controllers for limits, a
//! leaf in the bare unified tree for birth, kill and CPU accounting), `v1` (no unified tree).
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{OFlag, openat};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};

use super::weaken;

mod layout;

pub use layout::Layout;
use layout::detect;

/// What can go wrong; each refuses the run or the start.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No usable cgroup was found.
    #[error("no cgroup with memory, pids and cpu limits can be used here: {0}")]
    Unavailable(String),
    /// A file or directory could not be used.
    #[error("cgroup {name}")]
    Access {
        /// Name of the file or directory.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel holds another value than the one written.
    #[error("cgroup {name}: {wanted} was set, the kernel says {found}")]
    NotSet {
        /// Name of the file.
        name: String,
        /// What was written.
        wanted: String,
        /// What was read back.
        found: String,
    },
}

/// One hierarchy in which every run gets a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    /// The cgroup v2 tree, with or without controllers.
    Unified,
    /// cgroup v1 `memory`.
    Memory,
    /// cgroup v1 `cpu`.
    Cpu,
    /// cgroup v1 `pids`.
    Pids,
}

/// The limits of one leaf, as the policy has them.
#[derive(Debug, Clone, Copy)]
pub struct LeafLimits {
    /// `memory.max`, in bytes.
    pub memory: u64,
    /// `pids.max`, the init included.
    pub pids: u64,
    /// Microseconds of CPU time a period.
    pub cpu_quota: u64,
    /// Length of a period in microseconds.
    pub cpu_period: u64,
    /// Open files of one process: under v1 each may be a socket whose buffers escape the limit.
    pub open_files: u64,
}

/// The parent of all leaves of this instance.
#[derive(Debug)]
pub struct Cgroups {
    layout: Layout,
    parents: Vec<(Controller, OwnedFd)>,
}

/// The cgroups of one run.
#[derive(Debug)]
pub struct Leaf {
    layout: Layout,
    name: String,
    directories: Vec<(Controller, OwnedFd)>,
    memory: u64,
    oom: Option<EventFd>,
}

impl Cgroups {
    /// Makes (or finds) the parent called `name`, with the directory modes that let `spawner`
    /// clone into leaves below it.
    pub fn create(name: &str, spawner: Option<u32>) -> Result<Self, CgroupError> {
        let (layout, roots) = detect()?;
        let mut parents = Vec::new();
        for (controller, root) in roots {
            let root = open_root(&root)?;
            let parent = make_directory(root.as_fd(), name)?;
            if controller == Controller::Unified {
                if layout == Layout::V2 {
                    write_file(parent.as_fd(), "cgroup.subtree_control", "+memory +pids +cpu")?;
                    let enabled = read_file(parent.as_fd(), "cgroup.subtree_control")?;
                    if !["memory", "pids", "cpu"]
                        .iter()
                        .all(|c| enabled.split_whitespace().any(|e| e == *c))
                    {
                        return Err(not_set("cgroup.subtree_control", "memory pids cpu", &enabled));
                    }
                }
                give_entry(parent.as_fd(), spawner)?;
            }
            parents.push((controller, parent));
        }
        Ok(Self { layout, parents })
    }

    /// What was found on this host.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Moves a process of ours beside the runs, where it may clone into their leaves.
    pub fn place_spawner(&self, pid: Pid, spawner: Option<u32>) -> Result<(), CgroupError> {
        for (controller, parent) in &self.parents {
            if *controller == Controller::Unified {
                let leaf = make_directory(parent.as_fd(), "spawner")?;
                give_entry(leaf.as_fd(), spawner)?;
                write_file(leaf.as_fd(), "cgroup.procs", &pid.to_string())?;
            }
        }
        Ok(())
    }

    /// Makes the leaf of one run, sets its limits and reads them back.
    pub fn create_leaf(
        &self,
        name: &str,
        limits: &LeafLimits,
        spawner: Option<u32>,
    ) -> Result<Leaf, CgroupError> {
        let mut leaf = Leaf {
            layout: self.layout,
            name: name.to_owned(),
            directories: Vec::new(),
            memory: 0,
            oom: None,
        };
        for (controller, parent) in &self.parents {
            leaf.directories.push((*controller, make_directory(parent.as_fd(), name)?));
        }
        let result = leaf.set_limits(limits, spawner);
        if result.is_err() {
            // The cause is what matters; a leaf that stays behind is removed with its parent.
            let _ = self.remove_leaf(&leaf);
        }
        result.map(|()| leaf)
    }

    /// Removes the directories of a leaf; fails while a process is still in one.
    pub fn remove_leaf(&self, leaf: &Leaf) -> Result<(), CgroupError> {
        for (_, parent) in &self.parents {
            remove_directory(parent.as_fd(), &leaf.name)?;
        }
        Ok(())
    }

    /// Removes the parent called `name` and all below it, killing what is in there.
    pub fn clear(name: &str) -> Result<(), CgroupError> {
        let (_, roots) = detect()?;
        for (_, root) in roots {
            let root = open_root(&root)?;
            match open_directory(root.as_fd(), name) {
                Ok(parent) => {
                    for child in children(&parent)? {
                        let leaf =
                            open_directory(parent.as_fd(), &child).map_err(access(&child))?;
                        kill_members(&leaf);
                        drop(leaf);
                        remove_when_empty(parent.as_fd(), &child)?;
                    }
                    drop(parent);
                    remove_when_empty(root.as_fd(), name)?;
                }
                Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(access(name)(error)),
            }
        }
        Ok(())
    }
}

impl Leaf {
    fn set_limits(&mut self, limits: &LeafLimits, spawner: Option<u32>) -> Result<(), CgroupError> {
        self.memory = limits.memory;
        for (controller, directory) in &self.directories {
            let directory = directory.as_fd();
            match controller {
                Controller::Unified => {
                    give_entry(directory, spawner)?;
                    if self.layout == Layout::V2 {
                        set_unified_limits(directory, limits)?;
                    }
                }
                Controller::Memory => {
                    // TCP buffers are charged elsewhere under v1, and that limit overshoots by some
                    // 70 KB a socket; both come off what the program gets.
                    let program = limits
                        .memory
                        .checked_sub(V1_TCP_BUFFERS + limits.open_files * V1_SOCKET_OVERSHOOT)
                        .filter(|left| *left >= 32 << 20)
                        .ok_or_else(|| CgroupError::Unavailable(
                            "memory.max is too small beside the socket buffers that cgroup v1 leaves out; raise it or lower nofile".to_owned(),
                        ))?;
                    if weaken::stands("memory_max") {
                        set(directory, "memory.limit_in_bytes", &program.to_string())?;
                        limit_swap_v1(directory, program)?;
                    }
                    if weaken::stands("kmem_tcp") {
                        set(
                            directory,
                            "memory.kmem.tcp.limit_in_bytes",
                            &V1_TCP_BUFFERS.to_string(),
                        )?;
                    }
                    self.memory = program;
                    self.oom = Some(watch_oom_v1(directory)?);
                }
                Controller::Cpu => {
                    if weaken::stands("cpu_max") {
                        set(directory, "cpu.cfs_period_us", &limits.cpu_period.to_string())?;
                        set(directory, "cpu.cfs_quota_us", &limits.cpu_quota.to_string())?;
                    }
                }
                Controller::Pids => {
                    if weaken::stands("pids_max") {
                        set(directory, "pids.max", &limits.pids.to_string())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where `CLONE_INTO_CGROUP` puts the init at birth.
    #[must_use]
    pub fn birth(&self) -> Option<BorrowedFd<'_>> {
        self.directory(Controller::Unified)
    }

    /// Moves the init into the hierarchies it was not born into, and checks that it is in all.
    pub fn enter(&self, pid: Pid) -> Result<(), CgroupError> {
        for (controller, directory) in &self.directories {
            if *controller != Controller::Unified {
                write_file(directory.as_fd(), "cgroup.procs", &pid.to_string())?;
            }
            let name = format!("{}/cgroup.procs", self.name);
            let members = read_file(directory.as_fd(), "cgroup.procs")?;
            if !members.lines().any(|line| line == pid.to_string()) {
                return Err(not_set(&name, &pid.to_string(), &members));
            }
        }
        Ok(())
    }

    /// The memory that the program itself may use, after what v1 leaves uncharged.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// Becomes readable when the kernel ran out of memory for this leaf (v1; v2 kills by itself).
    #[must_use]
    pub fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        self.oom.as_ref().map(AsFd::as_fd)
    }

    /// Processes that the kernel killed for want of memory.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        match (self.layout, self.directory(Controller::Memory), self.directory(Controller::Unified))
        {
            (Layout::V2, _, Some(unified)) => keyed(unified, "memory.events", "oom_kill"),
            (_, Some(memory), _) => keyed(memory, "memory.oom_control", "oom_kill"),
            _ => Ok(0),
        }
    }

    /// New processes or threads that the kernel refused.
    pub fn pids_refused(&self) -> Result<u64, CgroupError> {
        match self.pids_directory() {
            Some(pids) => keyed(pids, "pids.events", "max"),
            None => Ok(0),
        }
    }

    /// Most processes and threads at once, the init included; absent on kernels without `pids.peak`.
    #[must_use]
    pub fn pids_peak(&self) -> Option<u64> {
        read_number(self.pids_directory()?, "pids.peak")
    }

    /// Highest memory charge.
    #[must_use]
    pub fn memory_peak(&self) -> Option<u64> {
        match (self.layout, self.directory(Controller::Memory)) {
            (_, Some(memory)) => read_number(memory, "memory.max_usage_in_bytes"),
            (Layout::V2, None) => read_number(self.directory(Controller::Unified)?, "memory.peak"),
            _ => None,
        }
    }

    /// CPU time of all processes, in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self) -> Option<u64> {
        let micros = keyed(self.directory(Controller::Unified)?, "cpu.stat", "usage_usec").ok()?;
        Some(micros / 1000)
    }

    /// Kills every process in the leaf at once, where the kernel can.
    pub fn kill(&self) -> Result<(), CgroupError> {
        match self.directory(Controller::Unified) {
            Some(unified) => write_file(unified, "cgroup.kill", "1"),
            None => Ok(()),
        }
    }

    fn pids_directory(&self) -> Option<BorrowedFd<'_>> {
        match self.layout {
            Layout::V2 => self.directory(Controller::Unified),
            Layout::Hybrid | Layout::V1 | Layout::None => self.directory(Controller::Pids),
        }
    }

    fn directory(&self, wanted: Controller) -> Option<BorrowedFd<'_>> {
        self.directories
            .iter()
            .find(|(controller, _)| *controller == wanted)
            .map(|(_, directory)| directory.as_fd())
    }
}

/// What all TCP sockets of a run may buffer under v1.
const V1_TCP_BUFFERS: u64 = 16 << 20;
/// How far each socket may go beyond that.
const V1_SOCKET_OVERSHOOT: u64 = 70 * 1024;

fn set_unified_limits(directory: BorrowedFd<'_>, limits: &LeafLimits) -> Result<(), CgroupError> {
    if weaken::stands("memory_max") {
        set(directory, "memory.max", &limits.memory.to_string())?;
        set(directory, "memory.swap.max", "0")?;
        set(directory, "memory.oom.group", "1")?;
    }
    if weaken::stands("pids_max") {
        set(directory, "pids.max", &limits.pids.to_string())?;
    }
    if weaken::stands("cpu_max") {
        set(directory, "cpu.max", &format!("{} {}", limits.cpu_quota, limits.cpu_period))?;
    }
    Ok(())
}

/// Swap must stay out of reach: by the kernel's own counter, or because there is none.
fn limit_swap_v1(directory: BorrowedFd<'_>, bytes: u64) -> Result<(), CgroupError> {
    match set(directory, "memory.memsw.limit_in_bytes", &bytes.to_string()) {
        Err(CgroupError::Access { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let meminfo = std::fs::read_to_string("/proc/meminfo").map_err(|source| {
                CgroupError::Access { name: "/proc/meminfo".to_owned(), source }
            })?;
            let swap = meminfo.lines().find(|line| line.starts_with("SwapTotal:"));
            if swap.is_some_and(|line| line.split_whitespace().nth(1) == Some("0")) {
                return Ok(());
            }
            Err(CgroupError::Unavailable(
                "this kernel does not count swap under cgroup v1; boot with swapaccount=1, or turn swap off with swapoff -a".to_owned(),
            ))
        }
        other => other,
    }
}

fn watch_oom_v1(memory: BorrowedFd<'_>) -> Result<EventFd, CgroupError> {
    use std::os::fd::AsRawFd;
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(access("eventfd"))?;
    let control =
        openat(memory, "memory.oom_control", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(access("memory.oom_control"))?;
    let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
    write_file(memory, "cgroup.event_control", &line)?;
    Ok(event)
}

/// Cloning into a leaf needs write permission on `cgroup.procs` of the leaf and of the parent.
fn give_entry(directory: BorrowedFd<'_>, spawner: Option<u32>) -> Result<(), CgroupError> {
    let Some(spawner) = spawner else { return Ok(()) };
    nix::unistd::fchownat(
        directory,
        "cgroup.procs",
        Some(spawner.into()),
        None,
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )
    .map_err(access("cgroup.procs"))
}

fn set(directory: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), CgroupError> {
    write_file(directory, name, value)?;
    let found = read_file(directory, name)?;
    let found = found.trim();
    // The kernel rounds byte values down to whole pages.
    let rounded = match (found.parse::<u64>(), value.parse::<u64>()) {
        (Ok(found), Ok(wanted)) => {
            found <= wanted && wanted - found < 4096 && (found > 0 || wanted == 0)
        }
        _ => found == value,
    };
    if rounded { Ok(()) } else { Err(not_set(name, value, found)) }
}

fn keyed(directory: BorrowedFd<'_>, file: &str, key: &str) -> Result<u64, CgroupError> {
    let text = read_file(directory, file)?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| not_set(file, key, &text))
}

fn read_number(directory: BorrowedFd<'_>, file: &str) -> Option<u64> {
    read_file(directory, file).ok()?.trim().parse().ok()
}

fn read_file(directory: BorrowedFd<'_>, name: &str) -> Result<String, CgroupError> {
    let file = openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(access(name))?;
    let mut text = String::new();
    File::from(file)
        .read_to_string(&mut text)
        .map_err(|source| CgroupError::Access { name: name.to_owned(), source })?;
    Ok(text)
}

fn write_file(directory: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), CgroupError> {
    let file = openat(directory, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(access(name))?;
    File::from(file)
        .write_all(value.as_bytes())
        .map_err(|source| CgroupError::Access { name: name.to_owned(), source })
}

fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, CgroupError> {
    match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(error) => return Err(access(name)(error)),
    }
    open_directory(parent, name).map_err(access(name))
}

fn open_root(path: &PathBuf) -> Result<OwnedFd, CgroupError> {
    nix::fcntl::open(path, DIRECTORY, Mode::empty()).map_err(access(&path.display().to_string()))
}

fn open_directory(parent: BorrowedFd<'_>, name: &str) -> nix::Result<OwnedFd> {
    openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
}

fn remove_directory(parent: BorrowedFd<'_>, name: &str) -> Result<(), CgroupError> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(access(name)(error)),
    }
}

/// A killed process leaves its cgroup a moment after the kill; this is only for what an earlier,
/// dead instance left behind.
fn remove_when_empty(parent: BorrowedFd<'_>, name: &str) -> Result<(), CgroupError> {
    let mut result = remove_directory(parent, name);
    for _ in 0..200 {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        result = remove_directory(parent, name);
    }
    result
}

fn kill_members(leaf: &OwnedFd) {
    if write_file(leaf.as_fd(), "cgroup.kill", "1").is_ok() {
        return;
    }
    let members = read_file(leaf.as_fd(), "cgroup.procs").unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        // Gone already is as good.
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

fn children(parent: &OwnedFd) -> Result<Vec<String>, CgroupError> {
    let mut directory = nix::dir::Dir::openat(parent, ".", DIRECTORY, Mode::empty())
        .map_err(access("directory"))?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry.map_err(access("directory"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type() == Some(nix::dir::Type::Directory) && name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

fn access(name: &str) -> impl FnOnce(nix::errno::Errno) -> CgroupError {
    let name = name.to_owned();
    move |error| CgroupError::Access { name, source: error.into() }
}

fn not_set(name: &str, wanted: &str, found: &str) -> CgroupError {
    CgroupError::NotSet {
        name: name.to_owned(),
        wanted: wanted.to_owned(),
        found: found.trim().to_owned(),
    }
}
