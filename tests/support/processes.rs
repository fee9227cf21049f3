//! What the host's /proc says about processes, control groups and mounts. Reads only; the kernel is
//! the one witness that neither program can talk into anything.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    started: u64,
}

impl Process {
    /// Whether it began after all of these.
    pub(crate) fn is_younger_than(&self, others: &BTreeSet<Self>) -> bool {
        others.iter().all(|other| self.started > other.started)
    }
}

#[derive(Debug)]
struct Stat {
    parent: i32,
    state: char,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets included.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The process with this pid, if it lives.
pub(crate) fn process(pid: i32) -> Option<Process> {
    stat(pid).map(|stat| Process { pid, started: stat.started })
}

impl Process {
    /// A zombie is dead: who reaps it is the business of whatever is above the test.
    pub(crate) fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Real user id as the host sees it.
    pub(crate) fn uid(&self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// The process above it.
    pub(crate) fn parent(&self) -> Option<i32> {
        stat(self.pid).filter(|stat| stat.started == self.started).map(|stat| stat.parent)
    }

    /// The namespace of this kind that it is in, as in `net:[4026531840]`.
    pub(crate) fn namespace(&self, kind: &str) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).ok()
    }

    /// Name as the kernel keeps it (15 bytes).
    pub(crate) fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid))
            .map_or_else(|_| "gone".to_owned(), |name| name.trim_end().to_owned())
    }

    /// Directories of the control groups it is in, but for roots of hierarchies.
    pub(crate) fn cgroups(&self) -> BTreeSet<PathBuf> {
        let Ok(text) = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)) else {
            return BTreeSet::new();
        };
        text.lines().filter_map(cgroup_directory).collect()
    }
}

/// From a line of /proc/PID/cgroup to the directory, by the mounts that are there.
fn cgroup_directory(line: &str) -> Option<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    if path == "/" {
        return None;
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
        let wanted = if controllers.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup"
                && controllers.split(',').all(|one| options.split(',').any(|o| o == one))
        };
        let point = before.split(' ').nth(4)?;
        wanted.then(|| PathBuf::from(format!("{point}{path}")))
    })
}

/// All processes of the host.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Everything below `root`, itself left out. A run's orphans are adopted by the run's own init, so
/// nothing of a run ever leaves this tree.
pub(crate) fn descendants(root: i32) -> BTreeSet<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        if let Some(stat) = stat(process.pid) {
            children.entry(stat.parent).or_default().push(process);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            open.push(child.pid);
            found.insert(child);
        }
    }
    found
}

/// The supervisor that this server has started.
pub(crate) fn supervisor_of(server: i32) -> Process {
    descendants(server)
        .into_iter()
        .find(|process| process.name().starts_with("primcs-supervis"))
        .expect("the server has no supervisor below it")
}

/// Asks again and again until `holds` or the time is over.
pub(crate) fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Fails with the names of those that still live when the time is over.
pub(crate) fn assert_gone<'a>(
    processes: impl IntoIterator<Item = &'a Process> + Clone,
    within: Duration,
) {
    let gone = eventually(within, || !processes.clone().into_iter().any(Process::lives));
    let left: Vec<_> = processes
        .into_iter()
        .filter(|process| process.lives())
        .map(|process| format!("{} {} uid {:?}", process.pid, process.name(), process.uid()))
        .collect();
    assert!(gone, "still alive after {within:?}: {left:?}");
}

/// Mounts that the host sees, but for the text that changes by itself.
pub(crate) fn host_mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    text.lines().map(str::to_owned).collect()
}

/// Names of System V and POSIX objects that a run could have left in the host's namespaces.
pub(crate) fn sysv_segments() -> usize {
    fs::read_to_string("/proc/sysvipc/shm").map_or(0, |text| text.lines().count())
}
