//! Steps and hosts, and what mends them.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

fn failed(step: &str, errno: i32) -> FailedStep {
    FailedStep { step: step.to_owned(), errno }
}

#[test]
fn each_kind_of_step_belongs_to_a_check_of_the_table() {
    for (step, id) in [
        ("mount template /proc", "step.mount_proc"),
        ("mount /proc", "step.mount_proc"),
        ("cover /proc/kcore", "step.mount_proc"),
        ("mount overlay of private copy", "step.overlay"),
        ("bind /dev/null", "step.devices"),
        ("bind /usr", "step.mounts"),
        ("mount template root", "step.mounts"),
        ("unshare mount namespace", "step.mount_namespace"),
        ("clone3", "step.clone"),
        ("write uid_map", "step.id_map"),
        ("landlock_restrict_self", "step.landlock"),
        ("open /usr for landlock", "step.landlock"),
        ("prctl PR_SET_SECUREBITS", "step.capabilities"),
        ("seccomp", "step.seccomp"),
        ("execve /venv/bin/python", "step.program"),
        ("unshare cgroup namespace", "step.clone"),
        ("cgroup memory.max", "cgroup.limits"),
        ("step.user_namespace", "step.user_namespace"),
        ("start nursery", "step.nursery"),
    ] {
        assert_eq!(check_of(step), Some(id), "{step}");
        assert!(checks::find(id).is_some(), "{id}");
    }
}

/// Read from the sources, as tests/crashes/named.rs does, so that a new step is sorted in.
#[test]
fn every_step_of_the_privileged_half_belongs_to_a_check() {
    let mut text = String::new();
    for room in ["src/sandbox", "src/supervisor"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut text);
    }
    let before = [
        "in_step(\"",
        "in_step(&format!(\"",
        "let step = format!(\"",
        "let step = || format!(\"",
        "wait_for_success(\"",
        "step: \"",
        "let step = \"",
    ];
    let names: BTreeSet<_> = before
        .iter()
        .flat_map(|before| text.split(before).skip(1))
        .filter_map(|rest| rest.split('"').next())
        // What depends on the host stands between braces.
        .map(|name| name.replace("{file}", "uid_map"))
        .map(|name| name.split(['{', '}']).collect::<Vec<_>>().join(""))
        .collect();
    assert!(names.len() > 60, "names of steps are written otherwise now: {names:?}");
    let unknown: Vec<_> = names.iter().filter(|name| check_of(name).is_none()).collect();
    assert!(unknown.is_empty(), "no check of the table has {unknown:?}");
    let gone = NURSERY.iter().filter(|step| !text.contains(&format!("\"{step}\"")));
    assert_eq!(gone.collect::<Vec<_>>(), [&""; 0]);
}

fn sources(below: &Path, text: &mut String) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            // However the lines are broken.
            let source = fs::read_to_string(path).unwrap();
            let words: Vec<_> = source.split_whitespace().collect();
            text.push_str(&words.join(" ").replace("( ", "("));
        }
    }
}

#[test]
fn the_switch_that_refuses_is_the_one_to_turn() {
    let facts = |change: &dyn Fn(&mut Facts)| {
        let mut facts = Facts { rootless: true, ..Facts::default() };
        change(&mut facts);
        facts
    };
    let eperm = failed("clone3", libc::EPERM);
    for (facts, names) in [
        (facts(&|f| f.unprivileged_userns = Some(0)), "kernel.unprivileged_userns_clone=1"),
        (facts(&|f| f.max_user_namespaces = Some(0)), "user.max_user_namespaces"),
        (facts(&|f| f.apparmor_restrict = Some(1)), "sh /usr/share/primcs/apparmor/load"),
        (facts(&|f| f.filtered = true), "SystemCallFilter="),
        (facts(&|f| f.lsm = "selinux".to_owned()), "SELinux"),
        (facts(&|_| {}), "as root"),
    ] {
        let fix = fix("step.clone", &eperm, &facts).unwrap();
        assert!(fix.contains(names), "{fix}");
    }
    let full = failed("clone3", libc::ENOSPC);
    let none = facts(&|f| f.max_user_namespaces = Some(0));
    assert!(fix("step.clone", &full, &none).unwrap().contains("it is 0"));
    assert!(fix("step.clone", &full, &facts(&|_| {})).unwrap().contains("32"));
    let root = facts(&|f| (f.rootless, f.lacks) = (false, vec!["CAP_SYS_ADMIN".to_owned()]));
    let mount = failed("unshare mount namespace", libc::EPERM);
    assert!(fix("step.mount_namespace", &mount, &root).unwrap().contains("CAP_SYS_ADMIN"));
}

/// Ubuntu: the namespace is made, and whatever needs a right in it fails later. Root's nursery has no
/// right either when it makes the namespaces of runs; only root's own first step is another matter.
#[test]
fn a_namespace_that_came_without_rights_is_told_by_whatever_fails_in_it() {
    let ubuntu = |rootless| Facts {
        rootless,
        apparmor_restrict: Some(1),
        apparmor_profile: "unconfined".to_owned(),
        lsm: "capability,apparmor".to_owned(),
        ..Facts::default()
    };
    for (step, errno, id) in [
        ("/proc/self/uid_map", libc::EPERM, "step.id_map"),
        ("/proc/self/uid_map", libc::EACCES, "step.user_namespace"),
        ("setresuid", libc::EPERM, "step.id_map"),
        ("mount template root", libc::EACCES, "step.mounts"),
        ("mount /proc", libc::EPERM, "step.mount_proc"),
        ("sethostname", libc::EPERM, "step.clone"),
        ("bring lo up", libc::EPERM, "step.network"),
        ("move_mount tmpfs", libc::EPERM, "step.tmpfs"),
        ("drop bounding set", libc::EPERM, "step.capabilities"),
    ] {
        for rootless in [true, false] {
            let fix = fix(id, &failed(step, errno), &ubuntu(rootless)).unwrap();
            assert!(fix.starts_with("load the AppArmor profile"), "{step}: {fix}");
        }
    }
    let own = failed("unshare mount namespace", libc::EPERM);
    assert!(
        fix("step.mount_namespace", &own, &ubuntu(true)).unwrap().contains("profile of PRIMCS")
    );
    assert!(!fix("step.mount_namespace", &own, &ubuntu(false)).unwrap().contains("of PRIMCS"));
    // With the profile it is something else.
    let named = Facts { apparmor_profile: "primcs (unconfined)".to_owned(), ..ubuntu(true) };
    assert!(!fix("step.clone", &own, &named).unwrap().contains("of PRIMCS"));
}

#[test]
fn a_container_is_mended_in_the_words_of_its_engine() {
    let inside = |engine: &str| Facts { container: Some(engine.to_owned()), ..Facts::default() };
    let proc = failed("mount /proc", libc::EPERM);
    for (engine, words) in [
        ("Docker", "--security-opt systempaths=unconfined"),
        ("Podman", "--security-opt 'unmask=/proc/*'"),
        ("Kubernetes", "procMount: Unmasked"),
        ("lxc", "(Docker's words for it)"),
    ] {
        let fix = fix("step.mount_proc", &proc, &inside(engine)).unwrap();
        assert!(fix.contains(words), "{engine}: {fix}");
    }
    assert_eq!(fix("step.mount_proc", &proc, &Facts::default()), None);
    // The filter says EPERM, the usual AppArmor profile of Docker EACCES, and both are there.
    let both = Facts {
        filtered: true,
        apparmor_profile: "docker-default (enforce)".to_owned(),
        ..inside("Docker")
    };
    for (errno, words) in [(libc::EPERM, "seccomp.json"), (libc::EACCES, "apparmor=unconfined")] {
        let fix = fix("step.mounts", &failed("mount template root", errno), &both).unwrap();
        assert!(fix.contains(words), "{fix}");
    }
    for (engine, words) in [
        ("Docker", "writable-cgroups=true"),
        ("Podman", "unmask=/sys/fs/cgroup"),
        ("Kubernetes", "cgroup_writable"),
    ] {
        for rootless in [true, false] {
            let fix = for_cgroups("x (os error 30)", &Facts { rootless, ..inside(engine) });
            assert!(fix.contains(words), "{engine}: {fix}");
        }
    }
}

#[test]
fn a_plain_user_is_told_the_command_that_gives_hard_limits() {
    let mut facts = Facts { rootless: true, ..Facts::default() };
    assert!(for_cgroups("", &facts).contains("as root"));
    facts.systemd = true;
    assert!(for_cgroups("", &facts).contains("enable-linger"));
    facts.user_manager = true;
    assert!(for_cgroups("", &facts).starts_with("systemd-run --user --scope"));
    let without_cpu = for_cgroups("/u/user@7.service/x was not given cpu", &facts);
    assert!(without_cpu.contains("user@.service.d"), "{without_cpu}");
    assert!(without_cpu.contains("\\nDelegate=cpu memory pids\\n"), "{without_cpu}");
    facts.scope = Some(Err("loginctl enable-linger 7".to_owned()));
    assert!(for_cgroups("", &facts).starts_with("loginctl enable-linger 7; or accept"));
    facts.scope = None;
    facts.rootless = false;
    assert!(for_cgroups("", &facts).starts_with("systemd-run --scope"));
    assert!(for_cgroups("x (os error 30)", &facts).contains("remount,rw"));
}

/// Who has installed the package has never typed `--policy`.
#[test]
fn the_folder_of_the_policy_in_force_is_named() {
    let facts = Facts { policy: Some("/etc/primcs/policy".into()), ..Facts::default() };
    let fix = |id| for_this_start(id, &facts).unwrap_or_default();
    assert!(fix("start.policy").contains("primcs policy check /etc/primcs/policy"));
    assert!(fix("start.room").contains("/etc/primcs/policy/limits.toml"));
    assert!(!fix("start.policy").contains("--policy") && !fix("start.room").contains("--policy"));
    assert_eq!(for_this_start("start.policy", &Facts::default()), None);
}

#[test]
fn a_server_that_joined_a_service_advises_by_the_rights_of_its_supervisor() {
    let lacks = vec!["CAP_SYS_ADMIN".to_owned()];
    let mut facts = Facts { rootless: true, lacks, ..Facts::default() };
    let step = failed("mount template root", libc::EPERM);
    let before = fix("step.mounts", &step, &facts);
    assert_eq!(before.as_deref(), Some("run primcs as root"));
    facts.be_of_supervisor(false);
    let after = fix("step.mounts", &step, &facts);
    assert_eq!(after.as_deref(), Some("let root make namespaces and mounts here"));
}
