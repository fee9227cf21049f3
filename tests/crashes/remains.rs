//! What a death left behind, by the kernel's own account. The test program adopts orphans, so that
//! nothing of ours can leave the tree of processes below it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::support::processes::{Process, all, descendants, eventually, host_mounts, process};
use super::support::server::Server;

/// "At once", on two cores under load.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(2);

/// One test at a time: what is left over is looked for in all that this program has started.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static ADOPT: Once = Once::new();
    ADOPT.call_once(|| nix::sys::prctl::set_child_subreaper(true).expect("adopting orphans"));
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).expect("a pid")
}

/// Everything of ours that lives and does not belong to one of these servers.
fn strays(live: &[&Server]) -> BTreeSet<Process> {
    let mut found = descendants(own_pid());
    for server in live {
        let guard = process(server.pid()).and_then(|one| one.parent()).unwrap_or(0);
        found.retain(|one| one.pid != guard);
        for one in descendants(guard) {
            found.remove(&one);
        }
    }
    // The shells around the servers, and what they wait with; those of runs are in other namespaces.
    let own = process(own_pid()).and_then(|one| one.namespace("pid"));
    let is_guard = |one: &Process| {
        ["sh", "sleep"].contains(&one.name().as_str()) && one.namespace("pid") == own
    };
    found.retain(|one| one.lives() && !is_guard(one));
    found
}

/// Adopted and dead. What `std` waits for itself are the shells around the servers.
fn bury() {
    for one in descendants(own_pid()) {
        if one.parent() == Some(own_pid()) && !one.lives() && one.name() != "sh" {
            // Gone meanwhile is as good.
            let _ = waitpid(Pid::from_raw(one.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// What there is of one server and its runs at some moment.
#[derive(Debug)]
pub(crate) struct Scene {
    processes: BTreeSet<Process>,
    mounts: BTreeSet<String>,
    networks: BTreeSet<PathBuf>,
    leaves: BTreeSet<PathBuf>,
}

impl Scene {
    /// Of a whole server, which is about to end.
    pub(crate) fn of(server: &Server) -> Self {
        let mut processes = descendants(server.pid());
        processes.extend(process(server.pid()));
        Self::with(processes)
    }

    /// Of one run, by its init.
    pub(crate) fn of_run(init: &Process) -> Self {
        let mut processes = descendants(init.pid);
        processes.insert(init.clone());
        Self::with(processes)
    }

    fn with(processes: BTreeSet<Process>) -> Self {
        let own = process(own_pid()).and_then(|one| one.namespace("net"));
        let networks = processes.iter().filter_map(|one| one.namespace("net"));
        Self {
            networks: networks.filter(|one| Some(one) != own.as_ref()).collect(),
            leaves: processes.iter().flat_map(Process::cgroups).filter(|at| is_leaf(at)).collect(),
            mounts: host_mounts(),
            processes,
        }
    }

    /// Fails unless all of it is gone at once; says how long it took.
    pub(crate) fn assert_gone(&self, what: &str, live: &[&Server], whole_server: bool) -> Duration {
        let began = Instant::now();
        let left = || -> Vec<String> {
            let mut left: Vec<_> = self.processes.iter().filter(|one| one.lives()).collect();
            let strays = strays(live);
            if whole_server {
                left.extend(&strays);
            }
            left.iter().map(|one| format!("{} {}", one.pid, one.name())).collect()
        };
        let gone = eventually(AT_ONCE, || left().is_empty());
        assert!(gone, "{what}: still alive after {AT_ONCE:?}: {:?}", left());
        let took = began.elapsed();
        let held = || -> BTreeSet<PathBuf> {
            let now: BTreeSet<_> = all().iter().filter_map(|one| one.namespace("net")).collect();
            self.networks.intersection(&now).cloned().collect()
        };
        assert!(
            eventually(AT_ONCE, || held().is_empty()),
            "{what}: network namespaces left: {:?}",
            held()
        );
        let members = || self.leaves.iter().filter(|leaf| !members_of(leaf).is_empty()).count();
        assert!(eventually(AT_ONCE, || members() == 0), "{what}: members in {:?}", self.leaves);
        assert_eq!(host_mounts(), self.mounts, "{what}: mounts of the host");
        bury();
        took
    }

    /// Fails unless no directory of a run is left, which is for whoever starts next to see to.
    pub(crate) fn assert_removed(&self, what: &str) {
        let left = || -> Vec<_> { self.leaves.iter().filter(|leaf| leaf.exists()).collect() };
        assert!(eventually(AT_ONCE, || left().is_empty()), "{what}: not removed: {:?}", left());
    }

    /// How many groups of runs were seen.
    pub(crate) fn groups(&self) -> usize {
        self.leaves.len()
    }

    /// How many processes were seen.
    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }
}

fn members_of(leaf: &Path) -> String {
    fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default()
}

/// The group of one run carries its id.
fn is_leaf(group: &Path) -> bool {
    let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A server beside the one that dies, with a run under way that must not notice.
pub(crate) struct Neighbour {
    pub(crate) server: Server,
    stream: super::support::mcp::Stream,
    processes: BTreeSet<Process>,
}

impl Neighbour {
    pub(crate) fn start() -> Self {
        use super::support::mcp::{Call, Era};
        let server = Server::start(&[]);
        let code = "
            import os, time
            print('under way', flush=True)
            while not os.path.exists('/workspace/output/never'):
                time.sleep(0.01)
        ";
        let call = Call::new(code).timeout(600).with_progress();
        let mut stream = call.stream(server.address, Era::Modern);
        stream.wait_for("under way");
        // The supervisor, its nursery, and the init and program of this run.
        let only_these = eventually(AT_ONCE, || descendants(server.pid()).len() == 4);
        assert!(only_these, "{:?}", descendants(server.pid()));
        let processes = descendants(server.pid());
        Self { server, stream, processes }
    }

    /// Fails when anything of it is gone.
    pub(crate) fn assert_unharmed(&self, what: &str) {
        let lost: Vec<_> = self.processes.iter().filter(|one| !one.lives()).collect();
        assert!(lost.is_empty(), "{what}: the neighbour lost {lost:?}");
        let answer = super::support::mcp::run(self.server.address, "print('here')");
        assert_eq!(answer.expect("ok").stdout(), "here\n", "{what}");
    }

    /// Ends it; its run must have been there until now.
    pub(crate) fn end(self) {
        let leaves: BTreeSet<_> = self.processes.iter().flat_map(Process::cgroups).collect();
        assert!(leaves.iter().all(|leaf| leaf.exists()), "its groups: {leaves:?}");
        self.server.signal(nix::sys::signal::Signal::SIGINT);
        assert_eq!(self.stream.answer().status(), "killed");
    }
}

/// Fails when a process of ours lives although no server of ours does.
pub(crate) fn assert_no_strays(what: &str) {
    let gone = eventually(AT_ONCE, || strays(&[]).is_empty());
    let left: Vec<_> = strays(&[]).iter().map(Process::name).collect();
    assert!(gone, "{what}: still alive: {left:?}");
    bury();
}
