//! What could leak, counted by the kernel: processes, descriptors, mounts, control groups, network
//! namespaces, sockets, files and memory.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::support::aloud::not_tried;
use super::support::processes::{Process, descendants, eventually, process, supervisor_of};
use super::support::programs::{Build, limits_are_hard, state_dir};

/// Once nothing runs any more, the kernel takes network namespaces apart in its own time.
const SETTLES: Duration = Duration::from_secs(30);
/// Connections of those that left are closed a moment later: after so long without a change, all are.
const STEADY: Duration = Duration::from_secs(1);

/// Three processes in this order: server, supervisor, nursery.
type Each = [u64; 3];

/// One look.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    /// Below the server.
    processes: u64,
    /// Of runs.
    control_groups: u64,
    /// In the state directory, but for the private copy.
    files: u64,
    /// Host, supervisor, nursery.
    mounts: Each,
    /// Of the whole host.
    sockets: u64,
    /// All that the kernel holds, whoever made them.
    kernel_network_namespaces: Option<u64>,
    guarded: Option<Guarded>,
}

/// What the kernel shows only root of processes that are not dumpable.
#[derive(Debug, Clone, Default)]
struct Guarded {
    /// In which a process of ours is, but for the host's.
    network_namespaces: u64,
    descriptors: Each,
    /// Proportional share in KiB.
    memory: Each,
}

impl Counts {
    pub(crate) const HEADER: &str = "processes,control_groups,network_namespaces,\
        kernel_network_namespaces,sockets,files,mounts_host,mounts_supervisor,mounts_nursery,\
        descriptors_server,descriptors_supervisor,descriptors_nursery,\
        memory_server_kib,memory_supervisor_kib,memory_nursery_kib";

    /// 0 for what is not shown, which `Counter::of` says aloud.
    fn fields(&self) -> Vec<u64> {
        let guarded = self.guarded.clone().unwrap_or_default();
        let mut fields = vec![
            self.processes,
            self.control_groups,
            guarded.network_namespaces,
            self.kernel_network_namespaces.unwrap_or(0),
            self.sockets,
            self.files,
        ];
        fields.extend([self.mounts, guarded.descriptors, guarded.memory].concat());
        fields
    }

    /// Whether no run is live or on its way out.
    fn is_quiet(&self) -> bool {
        // Supervisor and nursery; their network namespace is the host's.
        let networks = self.guarded.as_ref().map_or(0, |guarded| guarded.network_namespaces);
        self.processes == 2 && self.control_groups == 0 && networks == 0
    }

    fn descriptors(&self) -> Option<Each> {
        self.guarded.as_ref().map(|guarded| guarded.descriptors)
    }

    /// What has added up since `before` by more than it may.
    fn excess(&self, before: &Self, more_memory: Each) -> Vec<String> {
        let mut seen = vec![
            ("files".to_owned(), self.files, before.files, 0),
            // Others use this host too; one that is left by each run, or each tenth, shows all the same.
            ("sockets".to_owned(), self.sockets, before.sockets, OF_OTHERS),
        ];
        let networks = self.kernel_network_namespaces.zip(before.kernel_network_namespaces);
        if let Some((now, then)) = networks {
            seen.push(("network namespaces in the kernel".to_owned(), now, then, OF_OTHERS));
        }
        let guarded = self.guarded.as_ref().zip(before.guarded.as_ref());
        for (index, who) in ["server", "supervisor", "nursery"].into_iter().enumerate() {
            let (now, then) = (self.mounts[index], before.mounts[index]);
            let of = if index == 0 { "host" } else { who };
            seen.push((format!("mounts of the {of}"), now, then, 0));
            let Some((now, then)) = guarded else { continue };
            let descriptors = (now.descriptors[index], then.descriptors[index]);
            seen.push((
                format!("descriptors of the {who}"),
                descriptors.0,
                descriptors.1,
                SOME_DESCRIPTORS,
            ));
            let (now, then) = (now.memory[index], then.memory[index]);
            seen.push((format!("KiB of the {who}"), now, then, more_memory[index]));
        }
        let more = seen.into_iter().filter(|(_, now, then, may)| *now > then + may);
        more.map(|(what, now, then, _)| format!("{what}: {now} from {then}")).collect()
    }
}

/// Connections that the server has not yet seen close.
const SOME_DESCRIPTORS: u64 = 4;
const OF_OTHERS: u64 = 100;

/// What allocators may keep of a busier moment than the first one, in KiB.
pub(crate) const AFTER_FLOODS: Each = [16 * 1024, 1024, 512];
/// The same after runs that are all alike.
pub(crate) const AFTER_PRINTS: Each = [2 * 1024, 1024, 512];

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
    /// Whether this user is shown what is guarded.
    is_root: bool,
}

impl Counter {
    /// Of the server half with this pid, which has had a run and has none now.
    pub(crate) fn of(server: i32) -> Self {
        let supervisor = supervisor_of(server);
        let only = || descendants(supervisor.pid);
        assert!(eventually(SETTLES, || only().len() == 1), "not only the nursery: {:?}", only());
        let nursery = only().into_iter().next().expect("a nursery");
        let own = process(i32::try_from(std::process::id()).expect("a pid")).expect("we live");
        let spawner = nursery.cgroups().into_iter().find(|group| group.ends_with("spawner"));
        let instance = spawner.as_deref().and_then(|group| group.parent()?.file_name());
        let groups = instance.map(|name| instances(name.to_str().expect("UTF-8")));
        let groups = groups.unwrap_or_default();
        if limits_are_hard() {
            assert!(!groups.is_empty(), "control groups of this instance were not found");
        } else {
            not_tried("no control group of a run is left: with soft limits there are none");
        }
        let is_root = nix::unistd::geteuid().is_root();
        if !is_root {
            not_tried(
                "no descriptor, memory or network namespace is left: only root is shown them",
            );
        } else if kernel_network_namespaces().is_none() {
            not_tried("the kernel keeps no network namespace: its slabinfo does not count them");
        }
        Self {
            server: process(server).expect("the server lives"),
            own_network: own.namespace("net"),
            groups,
            is_root,
            supervisor,
            nursery,
        }
    }

    pub(crate) fn now(&self) -> Counts {
        let all = descendants(self.server.pid);
        let host = i32::try_from(std::process::id()).expect("a pid");
        Counts {
            processes: whole(all.len()),
            control_groups: self.groups.iter().map(|group| runs_in(group)).sum(),
            files: files(),
            mounts: [host, self.supervisor.pid, self.nursery.pid].map(mounts),
            sockets: sockets(),
            kernel_network_namespaces: self.is_root.then(kernel_network_namespaces).flatten(),
            guarded: self.is_root.then(|| self.guarded(&all)),
        }
    }

    fn guarded(&self, all: &BTreeSet<Process>) -> Guarded {
        let networks: BTreeSet<_> = all.iter().filter_map(|one| one.namespace("net")).collect();
        let own = self.own_network.as_ref();
        let each = [self.server.pid, self.supervisor.pid, self.nursery.pid];
        Guarded {
            network_namespaces: whole(networks.iter().filter(|one| Some(*one) != own).count()),
            descriptors: each.map(|pid| entries(&format!("/proc/{pid}/fd"))),
            memory: each.map(memory),
        }
    }

    /// When the last run is gone; fails when that does not come.
    pub(crate) fn when_quiet(&self) -> Counts {
        let (mut last, mut since) = (self.now(), Instant::now());
        let quiet = eventually(SETTLES, || {
            let now = self.now();
            if !now.is_quiet() || now.descriptors() != last.descriptors() {
                since = Instant::now();
            }
            last = now;
            since.elapsed() >= STEADY
        });
        assert!(quiet, "runs are left, or descriptors come and go:\n{}\n{last}", Counts::HEADER);
        assert!([&self.server, &self.supervisor, &self.nursery].iter().all(|one| one.lives()));
        last
    }

    /// Fails when something has added up since `before`, which is quiet too.
    pub(crate) fn assert_no_more_than(&self, before: &Counts, more_memory: Each) -> Counts {
        let mut after = self.when_quiet();
        let back = eventually(SETTLES, || {
            after = self.now();
            after.excess(before, more_memory).is_empty()
        });
        assert!(back, "added up: {:#?}", after.excess(before, more_memory));
        after
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).expect("a count")
}

/// Where groups of this instance lie, in every hierarchy.
fn instances(name: &str) -> BTreeSet<PathBuf> {
    let mounts = text("/proc/self/mountinfo");
    let points = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        after.starts_with("cgroup").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    });
    points.map(|point| point.join(name)).filter(|path| path.is_dir()).collect()
}

fn runs_in(group: &Path) -> u64 {
    let entries = fs::read_dir(group).expect("the group of a live instance").flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    whole(directories.filter(|entry| entry.file_name() != "spawner").count())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn entries(directory: &str) -> u64 {
    let found = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    whole(found.count())
}

fn mounts(pid: i32) -> u64 {
    whole(text(&format!("/proc/{pid}/mountinfo")).lines().count())
}

fn memory(pid: i32) -> u64 {
    let text = text(&format!("/proc/{pid}/smaps_rollup"));
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("Pss: of a process")
}

fn sockets() -> u64 {
    let text = text("/proc/net/sockstat");
    let line = text.lines().find_map(|line| line.strip_prefix("sockets: used "));
    line.and_then(|count| count.trim().parse().ok()).expect("sockets: used")
}

/// Absent where the kernel keeps them together with something else of their size.
fn kernel_network_namespaces() -> Option<u64> {
    let text = text("/proc/slabinfo");
    let line = text.lines().find_map(|line| line.strip_prefix("net_namespace "))?;
    Some(line.split_whitespace().next()?.parse().expect("a count"))
}

fn files() -> u64 {
    let state = state_dir(Build::Normal);
    let all = [state.clone(), state.join("base"), state.join("template")];
    all.iter().map(|directory| entries(directory.to_str().expect("UTF-8"))).sum()
}
