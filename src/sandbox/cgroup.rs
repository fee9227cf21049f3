//! Cgroups: one parent for an instance, one leaf a run and controller, limits written through
//! directory descriptors opened once and read back. Nothing here walks up the tree or enables a
//! controller outside what was found to be ours ([`Place`]).
//!
//! Layouts: `v2` (all controllers in the unified tree), `hybrid` (v1 controllers for limits, a
//! leaf in the bare unified tree for birth, kill and CPU accounting), `v1` (no unified tree).
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::eventfd::EventFd;
use nix::unistd::Pid;

use files::{
    give_entry, keyed, make_directory, not_set, read_file, read_number, remove_directory,
    write_file,
};

mod files;
mod layout;
mod limits;
mod place;

pub use layout::Layout;
pub use place::Place;

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

impl CgroupError {
    /// Whether this host has none to give, rather than one that does not work: only then may
    /// `--allow-soft-limits` go on without.
    #[must_use]
    pub fn means_there_are_none(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Access { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::NotSet { .. } => false,
        }
    }
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
    parents: Vec<(Controller, OwnedFd)>,
    place: Place,
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
    /// Makes the parent called `name` at `place`, with the file modes that let `spawner` clone into
    /// leaves below it.
    pub fn create(place: Place, name: &str, spawner: Option<u32>) -> Result<Self, CgroupError> {
        let mut parents = Vec::new();
        for (controller, root) in place.roots() {
            let parent = make_directory(root.as_fd(), name)?;
            if *controller == Controller::Unified {
                if place.layout() == Layout::V2 {
                    place::hand_on_controllers(parent.as_fd())?;
                }
                give_entry(parent.as_fd(), spawner)?;
            }
            parents.push((*controller, parent));
        }
        Ok(Self { parents, place })
    }

    /// What was found on this host.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.place.layout()
    }

    /// Removes the parent called `name` and all below it, killing what is in there.
    pub fn clear(&self, name: &str) -> Result<(), CgroupError> {
        self.place.clear(name)
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
            layout: self.layout(),
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
                        limits::set_unified(directory, limits)?;
                    }
                }
                Controller::Memory => {
                    self.memory = limits::set_memory_v1(directory, limits)?;
                    self.oom = Some(limits::watch_oom_v1(directory)?);
                }
                Controller::Cpu => limits::set_cpu_v1(directory, limits)?,
                Controller::Pids => limits::set_pids(directory, limits)?,
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

    /// Makes [`Leaf::oom_event`] wait for the next one.
    pub fn take_oom_event(&self) {
        if let Some(event) = &self.oom {
            // EAGAIN: taken already.
            let _ = event.read();
        }
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

    /// Periods in which CPU time was rationed, and those in which the ration was used up; v2 has
    /// neither where there is no limit.
    #[must_use]
    pub fn rationed(&self) -> (u64, u64) {
        let cpu = self.directory(Controller::Cpu).or_else(|| self.birth());
        let count = |key| cpu.and_then(|cpu| keyed(cpu, "cpu.stat", key).ok()).unwrap_or(0);
        (count("nr_periods"), count("nr_throttled"))
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
