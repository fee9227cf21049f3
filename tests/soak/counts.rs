//! What could leak, counted by the kernel: processes, descriptors, mounts, control groups, network
//! namespaces, sockets, files and memory.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::support::processes::{Process, descendants, eventually, process};
use super::support::programs::{Build, state_dir};
use super::support::server::Server;

/// Once nothing runs any more, the kernel takes network namespaces apart in its own time.
const SETTLES: Duration = Duration::from_secs(30);

/// Three processes in this order: server, supervisor, nursery.
type Each = [u64; 3];

/// One look.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    /// Below the server.
    processes: u64,
    /// Of runs.
    control_groups: u64,
    /// In which a process of ours is, but for the host's.
    network_namespaces: u64,
    /// All that the kernel holds, whoever made them; 0 where it does not say.
    kernel_network_namespaces: u64,
    /// Of the whole host.
    sockets: u64,
    /// In the state directory, but for the private copy.
    files: u64,
    /// Host, supervisor, nursery.
    mounts: Each,
    descriptors: Each,
    /// Proportional share in KiB.
    memory: Each,
}

impl Counts {
    pub(crate) const HEADER: &str = "processes,control_groups,network_namespaces,\
        kernel_network_namespaces,sockets,files,mounts_host,mounts_supervisor,mounts_nursery,\
        descriptors_server,descriptors_supervisor,descriptors_nursery,\
        memory_server_kib,memory_supervisor_kib,memory_nursery_kib";

    fn fields(&self) -> Vec<u64> {
        let mut fields = vec![
            self.processes,
            self.control_groups,
            self.network_namespaces,
            self.kernel_network_namespaces,
            self.sockets,
            self.files,
        ];
        fields.extend([self.mounts, self.descriptors, self.memory].concat());
        fields
    }

    /// Whether no run is live or on its way out.
    fn is_quiet(&self) -> bool {
        // Supervisor and nursery; their network namespace is the host's.
        self.processes == 2 && self.control_groups == 0 && self.network_namespaces == 0
    }

    /// Fails when something has added up since `before`, which is quiet too.
    pub(crate) fn assert_no_more_than(&self, before: &Self) {
        assert_eq!(self.mounts, before.mounts, "mounts of host, supervisor, nursery");
        assert!(self.files <= before.files, "files: {} from {}", self.files, before.files);
        for (index, who) in ["server", "supervisor", "nursery"].into_iter().enumerate() {
            let (now, then) = (self.descriptors[index], before.descriptors[index]);
            assert!(now <= then + SOME_DESCRIPTORS, "descriptors of the {who}: {now} from {then}");
            let (now, then) = (self.memory[index], before.memory[index]);
            let most = then + MORE_MEMORY[index];
            assert!(now <= most, "memory of the {who}: {now} KiB from {then}");
        }
        // Others use this host too; one that is left by each run, or each tenth, shows all the same.
        let (now, then) = (self.kernel_network_namespaces, before.kernel_network_namespaces);
        assert!(now <= then + OF_OTHERS, "network namespaces in the kernel: {now} from {then}");
        let (now, then) = (self.sockets, before.sockets);
        assert!(now <= then + OF_OTHERS, "sockets: {now} from {then}");
    }
}

/// Connections that the server has not yet seen close.
const SOME_DESCRIPTORS: u64 = 4;
/// What allocators may keep of a busier moment than the first one, in KiB. One lost structure a run
/// is more than that after twenty thousand.
const MORE_MEMORY: Each = [16 * 1024, 1024, 512];
const OF_OTHERS: u64 = 100;

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.fields().iter().map(u64::to_string).collect();
        formatter.write_str(&fields.join(","))
    }
}

/// Who is looked at.
pub(crate) struct Counter {
    server: Process,
    supervisor: Process,
    nursery: Process,
    own_network: Option<PathBuf>,
    /// Directories in which those of runs lie.
    groups: BTreeSet<PathBuf>,
}

impl Counter {
    pub(crate) fn of(server: &Server) -> Self {
        let supervisor = server.supervisor();
        let only = || descendants(supervisor.pid);
        assert!(eventually(SETTLES, || only().len() == 1), "not only the nursery: {:?}", only());
        let nursery = only().into_iter().next().expect("a nursery");
        let own = process(i32::try_from(std::process::id()).expect("a pid")).expect("we live");
        let spawner = nursery.cgroups().into_iter().find(|group| group.ends_with("spawner"));
        let instance = spawner.as_deref().and_then(|group| group.parent()?.file_name());
        let groups = instance.map(|name| instances(name.to_str().expect("UTF-8")));
        Self {
            server: process(server.pid()).expect("the server lives"),
            own_network: own.namespace("net"),
            groups: groups.unwrap_or_default(),
            supervisor,
            nursery,
        }
    }

    pub(crate) fn now(&self, server: &Server) -> Counts {
        let all = descendants(server.pid());
        let networks: BTreeSet<_> = all.iter().filter_map(|one| one.namespace("net")).collect();
        let each = |count: fn(i32) -> u64| {
            [self.server.pid, self.supervisor.pid, self.nursery.pid].map(count)
        };
        let host = i32::try_from(std::process::id()).expect("a pid");
        Counts {
            processes: whole(all.len()),
            control_groups: self.groups.iter().map(runs_in).sum(),
            network_namespaces: whole(
                networks.iter().filter(|one| Some(*one) != self.own_network.as_ref()).count(),
            ),
            kernel_network_namespaces: kernel_network_namespaces(),
            sockets: sockets(),
            files: files(),
            mounts: [host, self.supervisor.pid, self.nursery.pid].map(mounts),
            descriptors: each(descriptors),
            memory: each(memory),
        }
    }

    /// When the last run is gone; fails when that does not come.
    pub(crate) fn when_quiet(&self, server: &Server) -> Counts {
        let quiet = eventually(SETTLES, || self.now(server).is_quiet());
        assert!(quiet, "runs are left: {}\n{}", Counts::HEADER, self.now(server));
        assert!([&self.server, &self.supervisor, &self.nursery].iter().all(|one| one.lives()));
        // Connections of those that left are closed a moment later, namespaces much later.
        let mut last = self.now(server);
        eventually(SETTLES, || {
            std::thread::sleep(Duration::from_millis(500));
            let (now, before) = (self.now(server), last.clone());
            last = now.clone();
            let steady = |counts: &Counts| {
                (counts.descriptors, counts.kernel_network_namespaces, counts.sockets)
            };
            steady(&now) == steady(&before)
        });
        last
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).expect("a count")
}

/// Where groups of this instance lie, in every hierarchy.
fn instances(name: &str) -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let points = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    });
    points.map(|point| point.join(name)).filter(|path| path.is_dir()).collect()
}

fn runs_in(group: &PathBuf) -> u64 {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    whole(directories.filter(|entry| entry.file_name() != "spawner").count())
}

fn descriptors(pid: i32) -> u64 {
    whole(fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count))
}

fn mounts(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    whole(text.lines().count())
}

fn memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn sockets() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").expect("sockstat");
    let line = text.lines().find_map(|line| line.strip_prefix("sockets: used "));
    line.and_then(|count| count.trim().parse().ok()).expect("sockets: used")
}

fn kernel_network_namespaces() -> u64 {
    // Root's to read.
    let Ok(text) = fs::read_to_string("/proc/slabinfo") else { return 0 };
    let line = text.lines().find_map(|line| line.strip_prefix("net_namespace "));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn files() -> u64 {
    let mut found = 0;
    let state = state_dir(Build::Normal);
    for directory in [state.clone(), state.join("base"), state.join("template")] {
        found += whole(fs::read_dir(directory).map_or(0, Iterator::count));
    }
    found
}
