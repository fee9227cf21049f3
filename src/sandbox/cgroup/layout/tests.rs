//! The choice of layout and parent, over texts as hosts have them.
#![forbid(unsafe_code)]

use super::*;

const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
const V2: &str = "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
const PART_OF_V2: &str = "33 25 0:29 /pod/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
const ALL: &str = "cpuset cpu io memory pids\n";
const SERVICE: &str = "0::/system.slice/primcs.service\n";

/// Chooses as processes 7 and its parent 5, where a tree holds these files.
fn chosen(
    mounts: &str,
    own: &str,
    rootless: bool,
    files: &[(&str, &str)],
) -> Result<Found, String> {
    let us = ["7".to_owned(), "5".to_owned()];
    choose(&Here { mounts, own, us, rootless }, &|path| {
        let file = files.iter().find(|(name, _)| Path::new("/sys/fs/cgroup").join(name) == path);
        file.map_or_else(String::new, |(_, text)| (*text).to_owned())
    })
    .map_err(|error| error.to_string())
}

fn v2_at(root: &str, in_the_way: &[&str]) -> Found {
    Found {
        layout: Layout::V2,
        roots: vec![(Controller::Unified, PathBuf::from(root))],
        in_the_way: in_the_way.iter().map(|pid| (*pid).to_owned()).collect(),
    }
}

#[test]
fn v1_controllers_beside_a_bare_unified_tree_are_hybrid() {
    let found = chosen(HYBRID, "0::/\n", false, &[("unified/cgroup.controllers", "hugetlb\n")]);
    let found = found.unwrap();
    assert_eq!(found.layout, Layout::Hybrid);
    assert_eq!(found.roots.len(), 4);
    assert!(found.in_the_way.is_empty());
}

#[test]
fn a_host_without_a_memory_controller_is_refused() {
    let mounts =
        HYBRID.lines().filter(|line| !line.contains("memory")).collect::<Vec<_>>().join("\n");
    assert!(chosen(&mounts, "", false, &[]).unwrap_err().contains("no memory controller"));
}

#[test]
fn a_group_that_holds_only_us_is_the_parent_and_we_make_way() {
    let files = [
        ("cgroup.controllers", ALL),
        ("cgroup.subtree_control", ALL),
        ("system.slice/primcs.service/cgroup.controllers", ALL),
        ("system.slice/primcs.service/cgroup.procs", "5\n7\n"),
    ];
    for rootless in [false, true] {
        let expected = v2_at("/sys/fs/cgroup/system.slice/primcs.service", &["5", "7"]);
        assert_eq!(chosen(V2, SERVICE, rootless, &files), Ok(expected));
    }
}

#[test]
fn beside_other_processes_root_takes_the_top_and_a_plain_user_is_refused() {
    for stranger in ["1234", "0"] {
        let members = format!("{stranger}\n5\n7\n");
        let files = [
            ("cgroup.controllers", ALL),
            ("cgroup.subtree_control", ALL),
            ("system.slice/primcs.service/cgroup.controllers", ALL),
            ("system.slice/primcs.service/cgroup.procs", members.as_str()),
        ];
        assert_eq!(chosen(V2, SERVICE, false, &files), Ok(v2_at("/sys/fs/cgroup", &[])));
        let refusal = chosen(V2, SERVICE, true, &files).unwrap_err();
        assert!(refusal.contains("primcs.service holds processes of others"), "{refusal}");
    }
}

#[test]
fn a_controller_that_was_not_handed_down_is_named() {
    let files = [
        ("cgroup.controllers", ALL),
        ("cgroup.subtree_control", "memory pids\n"),
        ("system.slice/primcs.service/cgroup.controllers", "memory pids\n"),
        ("system.slice/primcs.service/cgroup.procs", "5\n7\n"),
    ];
    let refusal = chosen(V2, SERVICE, true, &files).unwrap_err();
    assert!(refusal.ends_with("primcs.service was not given cpu"), "{refusal}");
    let refusal = chosen(V2, SERVICE, false, &files).unwrap_err();
    assert!(refusal.ends_with("/sys/fs/cgroup does not hand on cpu"), "{refusal}");
}

#[test]
fn a_container_that_holds_only_us_is_the_parent_however_its_tree_is_mounted() {
    let files = [("cgroup.controllers", ALL), ("cgroup.procs", "7\n")];
    for (mounts, own) in [(V2, "0::/\n"), (PART_OF_V2, "0::/pod/x\n")] {
        assert_eq!(chosen(mounts, own, false, &files), Ok(v2_at("/sys/fs/cgroup", &["7"])));
    }
}

#[test]
fn a_group_outside_the_mounted_tree_is_never_reached() {
    let files = [("cgroup.controllers", ALL), ("../x/cgroup.controllers", ALL)];
    for (mounts, own) in [(V2, "0::/../x\n"), (PART_OF_V2, "0::/pod/y\n"), (V2, "")] {
        let refusal = chosen(mounts, own, true, &files).unwrap_err();
        assert!(refusal.contains("not below the mounted tree"), "{refusal}");
    }
}
