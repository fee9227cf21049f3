//! One test for each thing that a host can lack: its id, and the one thing to do.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::examine::{folder, here, is_root, plain_user_with, with, with_variables};
use super::support::aloud::not_tried;
use super::support::programs::{checkout, limits_are_hard};

/// What Docker's default profile does to clone, for the flags of new namespaces.
const NO_NEW_NAMESPACES: &str = "errno=56:1:0x7e020000";
const NO_UNSHARE: &str = "errno=272:1";
const NO_MOUNT: &str = "errno=165:1";
const NO_MOUNT_NAMESPACE: &str = "errno=272:1:0x20000";
/// A profile of `AppArmor` refuses mounts so.
const MOUNT_DENIED: &str = "errno=165:13";
const NO_HOST_NAME: &str = "errno=170:1";
const NO_CLONE3: &str = "errno=435:38";
const NO_LANDLOCK: &str = "errno=444:38";

/// What a Python of 3.8 would answer when it is asked what it is.
const OLD_PYTHON: &str = r#"#!/bin/sh
echo '{"real": "FOLDER/old", "version": "3.8.1", "minor": [3, 8], "implementation": "cpython",
"base_prefix": "FOLDER", "stdlib": "FOLDER/lib", "platstdlib": "FOLDER/lib"}' | tr -d '\n'
"#;

#[test]
fn where_nothing_is_missing_every_check_passes() {
    let found = here(&[]);
    let (status, verdict) = if limits_are_hard() { (0, "confined") } else { (3, "soft_limits") };
    assert_eq!(found.status, status, "{:#}", found.report);
    assert_eq!(found.report["verdict"], verdict);
    assert_eq!(found.report["failed"], serde_json::json!([]));
    for id in ["start.interpreter", "step.mount_proc", "wall.network", "wall.seccomp", "limit.disk"]
    {
        found.is(id, "ok");
    }
    for id in ["limit.wall", "limit.output", "limit.sockets", "run.probe"] {
        found.is(id, "ok");
        assert_eq!(found.check(id)["seen"], "", "{id}");
    }
    // A fact is never to be mended.
    assert!(found.check("host.kernel")["fix"].is_null());
    if limits_are_hard() {
        for id in ["limit.memory", "limit.pids", "limit.cpu", "cgroup.limits"] {
            found.is(id, "ok");
        }
        assert_eq!(found.check("limit.pids")["seen"], "1 refused");
    }
}

#[test]
fn a_plain_user_without_a_delegated_cgroup_is_told_that_primcs_refuses_and_what_gives_one() {
    if !is_root() {
        return;
    }
    let found = plain_user_with(&[], &[]);
    assert_eq!((found.status, &found.report["verdict"]), (3, &"soft_limits".into()));
    let fix = found.check("cgroup.limits")["fix"].as_str().expect("a fix").to_owned();
    let has = |path: &str| Path::new(path).is_dir();
    if has("/run/systemd/system") {
        // Where the user has a manager, and where not.
        let scope = fix.contains("systemd-run --user --scope -p Delegate=yes primcs serve");
        assert!(scope || fix.contains("loginctl enable-linger"), "{fix}");
    } else {
        assert!(fix.contains("as root"), "{fix}");
    }
    // It has every wall, and says what is weaker.
    for id in ["wall.user", "wall.network", "wall.landlock", "wall.capabilities", "limit.disk"] {
        found.is(id, "ok");
    }
    for id in ["cgroup.limits", "limit.memory", "limit.pids", "limit.cpu", "host.ids"] {
        found.is(id, "missing");
    }
}

#[test]
fn where_no_user_namespace_is_left_the_sysctl_is_named() {
    if !is_root() {
        return;
    }
    let words = ["user.max_user_namespaces", "it is 0"];
    with(&["no_user_namespaces"], &[]).fails_only_at("step.clone", &words);
    let plain = plain_user_with(&["no_user_namespaces"], &[]);
    plain.fails_only_at("step.user_namespace", &words);
    plain.is("host.user_namespaces", "missing");
}

#[test]
fn where_parts_of_proc_are_masked_the_containers_option_is_named() {
    if !is_root() {
        return;
    }
    for (engine, option) in [
        ("container=docker", "--security-opt systempaths=unconfined"),
        ("container=podman", "--security-opt 'unmask=/proc/*'"),
    ] {
        let found = plain_user_with(&[engine, "cover=/proc/timer_list"], &[]);
        found.fails_only_at("step.mount_proc", &[option]);
        found.is("step.overlay", "ok");
        found.is("step.clone", "not_checked");
    }
    let outside = plain_user_with(&["cover=/proc/timer_list"], &[]);
    outside.fails_only_at("step.mount_proc", &["/proc/self/mountinfo"]);
    let pod = ["text=/etc/hosts:# Kubernetes-managed hosts file.", "container=podman"];
    let pod = plain_user_with(&[&pod[..], &["cover=/proc/timer_list"]].concat(), &[]);
    pod.fails_only_at("step.mount_proc", &["procMount: Unmasked"]);
}

#[test]
fn in_a_container_whose_filter_refuses_namespaces_the_filter_is_named() {
    if !is_root() {
        return;
    }
    let filter = [NO_UNSHARE, NO_MOUNT, NO_NEW_NAMESPACES, NO_CLONE3];
    let words = ["--security-opt seccomp=", "packaging/container/seccomp.json"];
    let inside = ["container=docker"];
    plain_user_with(&inside, &filter).fails_only_at("step.user_namespace", &words);
    with(&[&inside[..], &filter].concat(), &[]).fails_only_at("step.mount_namespace", &words);
    let only_clone = with(&[inside[0], NO_CLONE3], &[]);
    only_clone.fails_only_at("step.clone", &words);
    assert_eq!(only_clone.check("host.filter")["seen"], "one");
    // Elsewhere it is that of a unit, or of whatever else has started primcs.
    let words = ["SystemCallFilter=", "RestrictNamespaces=", "pivot_root"];
    plain_user_with(&[], &filter).fails_only_at("step.user_namespace", &words);
}

/// As on Ubuntu: the namespace is made, and what needs a right in it fails. The supervisor of a plain
/// user first needs one for its map of ids; should that be let through, for its mounts. Root's
/// nursery has no right either, so that the init of a run is the first to miss some.
#[test]
fn where_apparmor_takes_the_rights_out_of_user_namespaces_its_profile_is_named() {
    if !is_root() {
        return;
    }
    let sysctl =
        "folder=/proc/sys/kernel:core_pattern=core,apparmor_restrict_unprivileged_userns=1";
    // `0 1987654321 1`, and nothing else that a start with a finished copy writes.
    let no_map = "write=14:1";
    plain_user_with(&[], &[]).is("start.copy", "ok");
    let words = ["AppArmor profile of PRIMCS", "sh /usr/share/primcs/apparmor/load"];
    for (refused, id) in [
        (no_map, "step.user_namespace"),
        (NO_MOUNT_NAMESPACE, "step.mount_namespace"),
        (MOUNT_DENIED, "step.mount_namespace"),
    ] {
        let found = plain_user_with(&[sysctl], &[refused]);
        found.fails_only_at(id, &words);
        found.is("host.user_namespaces", "missing");
    }
    let map = plain_user_with(&[sysctl], &[no_map]);
    let said = map.report["failure"].as_str().expect("text");
    assert!(said.contains("cannot map ids in a user namespace (/proc/self/uid_map)"), "{said}");
    let root = with(&[sysctl, NO_HOST_NAME], &[]);
    root.fails_only_at("step.clone", &words);
    root.is("step.nursery", "ok");
    root.is_mended_by("host.user_namespaces", "missing", &words);
}

#[test]
fn where_cgroups_are_read_only_all_else_is_examined_and_the_way_to_write_is_named() {
    if !is_root() {
        return;
    }
    let found = with(&["read_only=/sys/fs/cgroup"], &[]);
    assert_eq!(found.status, 3, "{:#}", found.report);
    found.is_mended_by("cgroup.limits", "missing", &["remount,rw", "--allow-soft-limits"]);
    found.is("limit.memory", "missing");
    found.is("wall.network", "ok");
    let places = found.check("host.cgroups")["seen"].as_str().expect("text");
    assert!(places.contains("at /sys/fs/cgroup") && places.contains(", read-only"), "{places}");
    for (engine, option) in [
        ("container=docker", "--security-opt writable-cgroups=true"),
        ("container=podman", "--security-opt unmask=/sys/fs/cgroup"),
    ] {
        let found = with(&[engine, "read_only=/sys/fs/cgroup"], &[]);
        found.is_mended_by("cgroup.limits", "missing", &[option, "--allow-soft-limits"]);
    }
}

/// From each place that settings come from; `ExecStartPre=` of the unit depends on it.
#[test]
fn soft_limits_that_the_operator_has_allowed_are_a_warning_and_no_failure() {
    if !is_root() {
        return;
    }
    let file = folder("doctor-soft-limits").join("primcs.toml");
    fs::write(&file, "allow_soft_limits = true\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    let variable = ("PRIMCS_ALLOW_SOFT_LIMITS", "true");
    for (arguments, variables) in
        [(&["--allow-soft-limits"][..], &[][..]), (&["--config", file], &[]), (&[], &[variable])]
    {
        let found = with_variables(&["read_only=/sys/fs/cgroup"], arguments, variables);
        assert_eq!((found.status, &found.report["exit_status"]), (0, &0.into()), "{arguments:?}");
        assert_eq!(found.report["verdict"], "soft_limits");
        assert_eq!(found.report["ready"], true);
        found.is_mended_by("cgroup.limits", "missing", &["remount,rw"]);
        let fix = found.check("cgroup.limits")["fix"].as_str().expect("a fix").to_owned();
        assert!(!fix.contains("--allow-soft-limits"), "{fix}");
    }
    // What is said nearer by wins: here it is not allowed, whatever the file says.
    let no = [("PRIMCS_ALLOW_SOFT_LIMITS", "false")];
    let refused = with_variables(&["read_only=/sys/fs/cgroup"], &["--config", file], &no);
    assert_eq!((refused.status, &refused.report["exit_status"]), (3, &3.into()));
}

#[test]
fn where_a_controller_is_absent_it_is_named() {
    if !is_root() {
        return;
    }
    for controller in ["memory", "pids"] {
        let mounted = format!("/sys/fs/cgroup/{controller}");
        if !Path::new(&mounted).join("cgroup.procs").exists() {
            not_tried("this host has no cgroup v1 controller to take away");
            return;
        }
        let found = with(&[&format!("umount={mounted}")], &[]);
        assert_eq!(found.status, 3, "{:#}", found.report);
        let id = format!("cgroup.{controller}");
        found.is_mended_by(&id, "missing", &[controller]);
        assert!(found.check(&id)["seen"].as_str().expect("text").starts_with("not here"));
        found.is_mended_by("cgroup.limits", "missing", &["mount -t cgroup"]);
        found.is("wall.network", "ok");
    }
}

#[test]
fn a_kernel_without_landlock_is_weaker_and_still_serves() {
    if !is_root() {
        return;
    }
    let found = with(&[NO_LANDLOCK], &[]);
    assert_eq!((found.status, &found.report["verdict"]), (0, &"confined".into()));
    found.is_mended_by("host.landlock", "missing", &["CONFIG_SECURITY_LANDLOCK", "lsm="]);
    found.is("wall.landlock", "missing");
}

#[test]
fn a_missing_interpreter_is_named_whether_asked_for_or_looked_for() {
    let folder = folder("doctor-odd-pythons");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
    let named = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let program = |name: &str, mode: u32, text: &str| {
        fs::write(folder.join(name), text).expect("a program");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let old = OLD_PYTHON.replace("FOLDER", folder.to_str().expect("UTF-8"));
    program("closed", 0o644, "#!/bin/sh\n");
    program("chatty", 0o755, "#!/bin/sh\necho hello\n");
    program("failing", 0o755, "#!/bin/sh\nexit 3\n");
    program("old", 0o755, &old);
    std::os::unix::fs::symlink("/no/such/python", folder.join("dangling")).expect("a link");
    for (name, seen) in [
        ("/no/such/python", "No such file"),
        (&named("dangling"), "No such file"),
        (&named(""), "of a folder, name the program in it"),
        (&named("closed"), "no file that may be executed"),
        ("/dev/null", "no file that may be executed"),
        (&named("chatty"), "does not answer like a Python"),
        (&named("failing"), "exit status: 3"),
        (&named("old"), "it is Python 3.8.1, and 3.10 or newer is needed"),
    ] {
        let found = here(&["--python", name]);
        found.fails_only_at("start.interpreter", &["with --python, or name none"]);
        let failure = found.report["failure"].as_str().expect("text");
        assert!(failure.contains(name) && failure.contains(seen), "{failure}");
    }
    here(&["--python", "python3"]).fails_only_at("start.interpreter", &["name it from / on"]);
    if is_root() {
        let none = with(&["folder=/usr/bin:", "folder=/usr/local/bin:"], &[]);
        none.fails_only_at("start.interpreter", &["install Python 3.10 or newer"]);
        none.is("start.state_dir", "ok");
        none.is("start.copy", "not_checked");
    }
}

#[test]
fn a_state_directory_that_others_may_write_is_named_with_the_command_that_closes_it() {
    let open = folder("doctor-open-state");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("its mode");
    let path = open.to_str().expect("UTF-8");
    let found = here(&["--state-dir", path]);
    found.fails_only_at("start.state_dir", &["chmod go-w", path]);
}

#[test]
fn a_full_disk_is_named_with_its_room() {
    if !is_root() {
        return;
    }
    let small = folder("doctor-small-state");
    let path = small.to_str().expect("UTF-8");
    let found = with(&[&format!("tmpfs={path}:4m")], &["--state-dir", path]);
    found.fails_only_at("start.copy", &["free space", "--state-dir"]);
    found.is("start.state_dir", "missing");
    assert!(found.check("start.state_dir")["seen"].as_str().expect("text").contains("4 MiB free"));
}

#[test]
fn a_core_handler_that_would_run_as_the_hosts_root_is_named_with_the_limit_to_raise() {
    if !is_root() {
        return;
    }
    let pattern = "text=/proc/sys/kernel/core_pattern:|/usr/lib/handler %P";
    for (started, words) in [
        (&[][..], "ulimit -Hc 1"),
        (&["unit"][..], "LimitCORE=1"),
        (&["container=docker"][..], "--ulimit core=1:1"),
    ] {
        let found = with(&[started, &[pattern, "core=0"]].concat(), &[]);
        found.fails_only_at("host.core_dumps", &[words]);
    }
    // A limit of 1 is enough.
    let enough = with(&[pattern, "core=1"], &[]);
    enough.is("host.core_dumps", "ok");
    enough.is("limit.core", "ok");
}

#[test]
fn a_socket_that_would_get_the_memory_of_crashed_runs_is_named_whatever_the_limit() {
    if !is_root() {
        return;
    }
    let pattern = "text=/proc/sys/kernel/core_pattern:@/run/coredump.socket";
    for limit in ["core=0", "core=1"] {
        let found = with(&[pattern, limit], &[]);
        found.fails_only_at("host.core_dumps", &["sysctl -w kernel.core_pattern=core"]);
        assert!(found.report["failure"].as_str().expect("text").contains("a socket of the host"));
    }
}

#[test]
fn the_file_of_a_policy_that_cannot_be_used_is_named_with_its_folder() {
    let policy = folder("doctor-wrong-policy");
    fs::write(policy.join("limits.toml"), "no = \"limits\"\n").expect("a file");
    let policy = policy.to_str().expect("UTF-8");
    let found = here(&["--policy", policy]);
    found.fails_only_at("start.policy", &[policy, "primcs policy check"]);
    assert!(found.report["failure"].as_str().expect("text").contains("limits.toml"));
}

#[test]
fn a_policy_that_does_not_load_is_named() {
    let found = here(&["--policy", "/no/such/policy"]);
    found.fails_only_at("start.policy", &["exists", "may read it"]);
}

/// The probe tries only what every policy within the floor forbids.
#[test]
fn a_policy_that_is_stricter_than_ours_still_passes() {
    let policy = folder("doctor-strict-policy");
    let changes: [(&str, &[(&str, &str)]); 2] = [
        (
            "limits.toml",
            &[
                ("value = \"1GiB\"", "value = \"256MiB\""),
                (
                    "value = \"512MiB\", reason = \"workspace",
                    "value = \"64MiB\", reason = \"workspace",
                ),
                ("value = \"128\"", "value = \"16\""),
                ("resource = \"fsize\"", "resource = \"data\""),
            ],
        ),
        (
            "seccomp-run.toml",
            &[
                ("AF_UNIX | AF_INET | AF_INET6", "AF_UNIX"),
                ("[\"mknod\", \"mknodat\"]", "[\"mknod\"]"),
            ],
        ),
    ];
    for (file, changes) in changes {
        let mut text = fs::read_to_string(checkout().join("policy").join(file)).expect("a policy");
        for (from, to) in changes {
            assert!(text.contains(from), "{file} has no {from:?} any more");
            text = text.replacen(from, to, 1);
        }
        fs::write(policy.join(file), text).expect("a file");
    }
    let found = here(&["--policy", policy.to_str().expect("UTF-8")]);
    assert_eq!(found.report["failed"], serde_json::json!([]), "{:#}", found.report);
    assert_eq!(found.check("limit.sockets")["seen"], "this policy lets a run make none");
    assert_eq!(found.status, if limits_are_hard() { 0 } else { 3 });
}
