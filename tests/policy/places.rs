//! How many runs there are at once: by cores and by memory, each with a policy in which it is the
//! smaller one.
#![forbid(unsafe_code)]

use std::fs;

use super::support::mcp::run;
use super::support::programs::scratch;
use super::support::server::Server;

const LIMITS: &str = include_str!("../../policy/limits.toml");

/// The built-in limits with one place changed, in a folder for `--policy`.
fn server(name: &str, from: &str, to: &str) -> Server {
    assert_eq!(LIMITS.matches(from).count(), 1, "{from:?} stands once");
    let folder = scratch().join(name);
    // Left by an earlier time, or not there.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("limits.toml"), LIMITS.replace(from, to)).expect("a policy file");
    Server::start(&["--policy", folder.to_str().expect("UTF-8")])
}

/// The most programs that were there at the same time, of so many calls made at once.
fn most_at_once(server: &Server, calls: usize) -> usize {
    // The monotonic clock is one for all runs, so they can say themselves who was there when.
    let code = "import time\ncame = time.monotonic()\ntime.sleep(1)\nprint(came, time.monotonic())";
    let times: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..calls).map(|_| scope.spawn(|| run(server.address, code))).collect();
        let answers = all.into_iter().map(|call| call.join().expect("an answer").expect("ok"));
        let times = answers.map(|answer| {
            let (came, left) = answer.stdout().trim().split_once(' ').expect("two times");
            (came.parse().expect("seconds"), left.parse().expect("seconds"))
        });
        times.collect()
    });
    // The most are there when somebody has just come.
    let there = |now| times.iter().filter(|(came, left)| (*came..*left).contains(&now)).count();
    times.iter().map(|(came, _)| there(*came)).max().unwrap_or_default()
}

/// Kilobytes of memory of this host.
fn memory() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a line");
    total.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// proves: limits host `runs_per_core`
#[test]
fn runs_at_once_are_bounded_by_the_cores() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Three quarters of memory, a gibibyte each: that may be less on a host of many cores.
    let by_memory = usize::try_from(memory() * 3 / 4 / (1 << 20)).expect("a number");
    assert!(by_memory > 0, "this host has no memory for a run");
    let most = cores.min(by_memory);
    let from = "runs_per_core = { value = \"16\"";
    let server = server("policy-of-cores", from, "runs_per_core = { value = \"1\"");
    assert_eq!(most_at_once(&server, most + 2), most);
}

/// proves: limits host `memory_share`
#[test]
fn memory_caps_of_all_runs_fit_into_the_share_of_memory() {
    // Two and a half times this is the share, so two fit. It is a bound; nobody uses it.
    let each = memory() * 3 / 4 * 2 / 5;
    let server = server(
        "policy-of-memory",
        "\"memory.max\"       = { value = \"1GiB\"",
        &format!("\"memory.max\"       = {{ value = \"{each}KiB\""),
    );
    assert_eq!(most_at_once(&server, 5), 2);
}
