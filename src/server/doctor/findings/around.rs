//! Checks of the host and of what a start needs, once it is known that they did not fail.
#![forbid(unsafe_code)]

use crate::server::notes;
use crate::wire::Welcome;

use super::super::amount::bytes;
use super::super::facts::Facts;
use super::{Outcome, Status};

/// How it stands with this check, and what was seen.
pub(super) fn look(id: &str, facts: &Facts, outcome: &Outcome) -> (Status, String) {
    let welcome = match outcome {
        Outcome::Started { welcome, .. } => Some(welcome),
        Outcome::Refused(_) => None,
    };
    let ok = |seen: String| (Status::Ok, seen);
    let unless =
        |missing: bool, seen: String| (if missing { Status::Missing } else { Status::Ok }, seen);
    match id {
        "host.kernel" => ok(facts.kernel.clone()),
        "host.lsm" => security_modules(facts),
        "host.container" => container(facts),
        "host.cgroups" if facts.cgroups.places.is_empty() => ok("none is mounted".to_owned()),
        "host.cgroups" => ok(facts.cgroups.places.join("; ")),
        "host.filter" => ok(if facts.filtered { "one" } else { "none" }.to_owned()),
        "host.user_namespaces" => user_namespaces(facts, welcome.is_some()),
        "host.capabilities" if facts.rootless => ok("a plain user needs none".to_owned()),
        "host.capabilities" if facts.lacks.is_empty() => {
            let without = ", without CAP_SYS_RESOURCE: limits are only lowered";
            ok(format!("all that are needed{}", if facts.may_raise { "" } else { without }))
        }
        "host.capabilities" => (Status::Missing, format!("without {}", facts.lacks.join(", "))),
        "host.open_files" => unless(facts.open_files < 4096, facts.open_files.to_string()),
        "host.memory" => ok(bytes(facts.memory)),
        "host.swap" if facts.swap == 0 => ok("none".to_owned()),
        "host.swap" => ok(bytes(facts.swap)),
        "host.core_dumps" => core_dumps(facts),
        "step.user_namespace" if !facts.rootless => ok("root needs none of its own".to_owned()),
        "host.ids" if facts.rootless => {
            (Status::Missing, format!("all runs have the id of user {}", facts.uid))
        }
        "host.landlock" => facts.landlock.map_or_else(
            || (Status::Missing, "this kernel has no Landlock".to_owned()),
            |abi| ok(format!("ABI {abi}")),
        ),
        "start.state_dir" => state_dir(facts),
        "start.interpreter" => welcome.map_or_else(
            || ok(String::new()),
            |welcome| {
                ok(format!(
                    "Python {} at {}",
                    welcome.interpreter.version, welcome.interpreter.path
                ))
            },
        ),
        "start.copy" => welcome.map_or_else(
            || ok(String::new()),
            |welcome| ok(notes::of_what_is_absent(&welcome.notes).join("; ")),
        ),
        "start.room" => welcome.map_or_else(
            || ok(String::new()),
            |welcome| ok(format!("{} runs at once", welcome.max_runs)),
        ),
        _ => match id.split_once('.') {
            Some(("cgroup", controller)) => cgroup(controller, facts, welcome.map(|one| &**one)),
            _ => ok(String::new()),
        },
    }
}

fn security_modules(facts: &Facts) -> (Status, String) {
    let profile = match facts.apparmor_profile.as_str() {
        "" => String::new(),
        profile => format!("; AppArmor profile of primcs: {profile}"),
    };
    if facts.lsm.is_empty() {
        let seen = format!("the list cannot be read: no securityfs is mounted{profile}");
        return (Status::NotChecked, seen);
    }
    (Status::Ok, format!("{}{profile}", facts.lsm))
}

fn container(facts: &Facts) -> (Status, String) {
    let unit = if facts.in_a_unit { ", started as a unit" } else { "" };
    let systemd = format!("{}systemd{unit}", if facts.systemd { "" } else { "no " });
    match facts.container.as_deref() {
        None => (Status::Ok, format!("no container seen, {systemd}")),
        Some(name) if facts.is_hosts_root && facts.is_privileged => {
            let seen = format!(
                "{name}, {systemd}, privileged: a hole in the supervisor is root on the host"
            );
            (Status::Missing, seen)
        }
        Some(name) => (Status::Ok, format!("{name}, {systemd}")),
    }
}

/// Whatever the switches say, where runs were confined there are some.
fn user_namespaces(facts: &Facts, has_started: bool) -> (Status, String) {
    let switches = [
        ("user.max_user_namespaces", facts.max_user_namespaces),
        ("kernel.unprivileged_userns_clone", facts.unprivileged_userns),
        ("kernel.apparmor_restrict_unprivileged_userns", facts.apparmor_restrict),
    ];
    let seen = switches.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    let closed = facts.max_user_namespaces == Some(0)
        || facts.unprivileged_userns == Some(0)
        // Root's, too: what makes the namespaces of runs has no right as root either.
        || facts.apparmor_restricts();
    let status = if closed && !has_started { Status::Missing } else { Status::Ok };
    (status, seen.collect::<Vec<_>>().join(", "))
}

fn core_dumps(facts: &Facts) -> (Status, String) {
    let limit = match facts.core {
        libc::RLIM_INFINITY => "no hard limit".to_owned(),
        limit => format!("hard limit {limit}"),
    };
    let named = match facts.core_pattern.chars().next() {
        Some('|') => "a program",
        Some('@') => "a socket",
        _ => "a file",
    };
    (Status::Ok, format!("core_pattern names {named}, {limit}"))
}

fn state_dir(facts: &Facts) -> (Status, String) {
    let Some((folder, kind, free)) = &facts.state else { return (Status::Ok, String::new()) };
    let seen = format!("{}, {kind}, {} free", folder.display(), bytes(*free));
    (if *free < LITTLE { Status::Missing } else { Status::Ok }, seen)
}

/// The private copy takes about half of it, and a new one is made beside the old.
const LITTLE: u64 = 256 << 20;

fn cgroup(controller: &str, facts: &Facts, welcome: Option<&Welcome>) -> (Status, String) {
    let is_there = facts.cgroups.controllers.iter().any(|one| one == controller);
    match welcome {
        Some(welcome) if welcome.limits.hard && controller == "limits" => {
            (Status::Ok, place(&welcome.cgroup_layout, facts))
        }
        Some(welcome) if welcome.limits.hard => (Status::Ok, welcome.cgroup_layout.clone()),
        Some(Welcome { no_cgroups: Some(why), .. }) if controller == "limits" => {
            (Status::Missing, why.clone())
        }
        _ if controller == "limits" => (Status::Ok, String::new()),
        None if is_there => (Status::Ok, String::new()),
        _ if is_there => (Status::Missing, "here, and not usable: see cgroup.limits".to_owned()),
        _ => (Status::Missing, "not here: neither mounted nor delegated".to_owned()),
    }
}

/// Which group limits are set below, and what was handed on to it.
fn place(layout: &str, facts: &Facts) -> String {
    let given = || facts.cgroups.controllers.join(", ");
    match (layout, &facts.group, &facts.scope) {
        ("v2", _, Some(Err(_))) => format!("{layout}, without a scope: systemd gave none"),
        ("v2", Some(group), Some(Ok(_))) => {
            format!("{layout}, in {group}, which systemd made for this start with {}", given())
        }
        ("v2", Some(group), None) => format!("{layout}, in {group}, delegated with {}", given()),
        _ => layout.to_owned(),
    }
}
