//! Runs under way, all that the kernel knows of them, and that nothing of it is there afterwards.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::support::mcp::{Call, Era, Stream};
use super::support::processes::{
    Process, all, assert_gone, descendants, eventually, host_mounts, sysv_segments,
};
use super::support::server::shared;
use super::unit;
use super::witness::{PATIENCE, is_gone};

const KINDS: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// The host while no run is live.
#[derive(Debug)]
pub(crate) struct Idle {
    processes: BTreeSet<Process>,
    mounts: BTreeSet<String>,
    groups: Vec<PathBuf>,
    segments: usize,
}

/// What the kernel keeps for some runs.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) processes: BTreeSet<Process>,
    namespaces: BTreeSet<PathBuf>,
    pub(crate) groups: BTreeSet<PathBuf>,
}

impl Idle {
    /// Waits until all earlier runs are gone.
    pub(crate) fn look() -> Self {
        unit::becomes_ready();
        let supervisor = unit::supervisor();
        let live = || descendants(supervisor.pid);
        // An init always has its program below it; the nursery has nothing.
        let idle = || live().iter().all(|one| descendants(one.pid).is_empty());
        assert!(eventually(PATIENCE, idle), "runs are live before the test: {:?}", live());
        Self {
            processes: live(),
            mounts: host_mounts(),
            groups: unit::groups_below(),
            segments: sysv_segments(),
        }
    }

    /// Of runs that are live now.
    pub(crate) fn runs(&self) -> Seen {
        let now = descendants(unit::supervisor().pid);
        let processes: BTreeSet<_> = now.difference(&self.processes).cloned().collect();
        assert!(processes.len() > 1, "an init and a program: {processes:?}");
        let namespaces = namespaces_of(&processes);
        let hosts = namespaces_of(&all().into_iter().filter(|one| one.pid == 1).collect());
        let groups = processes.iter().flat_map(Process::cgroups).collect();
        Seen { namespaces: namespaces.difference(&hosts).cloned().collect(), processes, groups }
    }

    /// For another supervisor than before, whose groups may have other names.
    pub(crate) fn groups_are_as_many_as(&self, other: &Self) -> bool {
        self.groups.len() == other.groups.len() && self.processes.len() == other.processes.len()
    }

    /// Neither of these runs nor of any other, with the same supervisor as before.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self, seen: &Seen) {
        seen.is_gone();
        let now = || descendants(unit::supervisor().pid);
        assert!(eventually(PATIENCE, || now() == self.processes), "below it: {:?}", now());
        let groups = || unit::groups_below();
        assert!(eventually(PATIENCE, || groups() == self.groups), "groups: {:?}", groups());
        assert_eq!(host_mounts(), self.mounts, "mounts of the host");
        assert_eq!(sysv_segments(), self.segments, "System V segments of the host");
    }
}

impl Seen {
    /// Each of its processes, control groups and namespaces.
    #[track_caller]
    pub(crate) fn is_gone(&self) {
        assert_gone(&self.processes, PATIENCE);
        for group in &self.groups {
            is_gone(group);
        }
        // One that began later got a number that was free again: of the run it could only be in groups
        // that are gone.
        let of_then = |one: &Process| !one.is_younger_than(&self.processes);
        let used = || namespaces_of(&all().into_iter().filter(of_then).collect());
        let left = || used().intersection(&self.namespaces).cloned().collect::<Vec<_>>();
        assert!(eventually(PATIENCE, || left().is_empty()), "namespaces: {:?}", left());
        // A namespace can also be held by a mount of it.
        let mounts = host_mounts();
        assert!(!mounts.iter().any(|line| line.contains(" - nsfs ")), "{mounts:?}");
    }
}

fn namespaces_of(processes: &BTreeSet<Process>) -> BTreeSet<PathBuf> {
    processes
        .iter()
        .flat_map(|one| KINDS.into_iter().filter_map(|kind| one.namespace(kind)))
        .collect()
}

/// Starts `code`, which prints `under way` when it is.
pub(crate) fn start(code: &str) -> Stream {
    let call = Call::new(code).timeout(600).with_progress();
    let mut stream = call.stream(shared().address, Era::Modern);
    stream.wait_for("under way");
    stream
}

/// The group of this one process in the unified tree.
pub(crate) fn group_of_the_run(seen: &Seen) -> PathBuf {
    // The init and the program share one; that of the program is it in any case.
    let last = seen.processes.iter().next_back().expect("a process");
    last.cgroups().into_iter().next().expect("a control group")
}

/// One line of a file of the kernel.
pub(crate) fn line(path: &PathBuf) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
        .trim()
        .to_owned()
}
