//! How many runs there are at once: by cores and by memory, each with a policy in which it is the
//! smaller one.
#![forbid(unsafe_code)]

use std::fs;

use super::support::places::assert_places;
use super::support::policies::with_changed;
use super::support::server::Server;

/// With the built-in limits, but for one place.
fn server(name: &str, from: &str, to: &str) -> Server {
    let folder = with_changed(name, "limits.toml", &[(from, to)]);
    Server::start(&["--policy", folder.to_str().expect("UTF-8")])
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
    assert_places(&server, most);
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
    assert_places(&server, 2);
}
