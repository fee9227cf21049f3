//! After the machine went down while runs were under way.
#![forbid(unsafe_code)]

use std::fs;

use serde_json::json;

use super::remains::Idle;
use super::support::mcp::run;
use super::support::processes::{descendants, host_mounts};
use super::support::server::shared;
use super::unit::{SERVER, SOCKET, SUPERVISOR, becomes_ready, groups_below, is_active, supervisor};
use super::witness::{Counter, write_down};

#[test]
fn the_service_answers_by_itself() {
    becomes_ready();
    for unit in [SERVER, SUPERVISOR, SOCKET] {
        assert!(is_active(unit), "{unit}");
    }
    let ran = Counter::of_the_runs("cpu.stat", "usage_usec");
    assert_eq!(run(shared().address, "print('again')").expect("ok").stdout(), "again\n");
    ran.has_risen();
}

#[test]
fn nothing_of_the_runs_is_left() {
    Idle::look();
    let below = descendants(supervisor().pid);
    assert!(below.iter().all(|one| one.parent() == Some(supervisor().pid)), "{below:?}");
    for group in groups_below() {
        let populated = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        let name = group.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            populated.is_empty() || ["supervisor", "spawner"].contains(&name.as_str()),
            "{group:?}: {populated}"
        );
    }
    let state = fs::read_dir("/var/lib/primcs").expect("the state").flatten();
    let state: Vec<_> =
        state.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!host_mounts().iter().any(|line| line.contains(" - nsfs ")));
    write_down("/var/lib/primcs".as_ref(), "entries", json!(null), state);
}
