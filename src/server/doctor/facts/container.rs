//! Whether this is a container, and whether one that could be the host itself. Marks are left behind
//! when an image becomes a machine, so a mark counts only where some namespace is not the host's.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

/// The name of its engine.
pub(super) fn engine() -> Option<String> {
    let told = || std::env::var("container").ok().map(named);
    let found = kubernetes().or_else(told).or_else(marked)?;
    has_own_namespace().then_some(found)
}

/// The kubelet writes this file for each pod that is not on the network of its node.
fn kubernetes() -> Option<String> {
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    hosts.starts_with("# Kubernetes-managed").then(|| "Kubernetes".to_owned())
}

fn marked() -> Option<String> {
    let marks = [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")];
    let mark = marks.into_iter().find(|(path, _)| Path::new(path).exists());
    mark.map(|(_, name)| name.to_owned())
}

/// What engines call themselves in the environment.
fn named(name: String) -> String {
    match name.as_str() {
        "docker" => "Docker".to_owned(),
        "podman" => "Podman".to_owned(),
        _ => name,
    }
}

/// The first namespaces of a machine have numbers that never change.
fn has_own_namespace() -> bool {
    FIRST.into_iter().any(|(kind, first)| {
        fs::read_link(format!("/proc/self/ns/{kind}"))
            .is_ok_and(|found| found.to_string_lossy() != format!("{kind}:[{first}]"))
    })
}

/// Whether root here is root of the machine.
pub(super) fn is_first_user_namespace() -> bool {
    let own = fs::read_link("/proc/self/ns/user");
    own.is_ok_and(|found| found.to_string_lossy() == format!("user:[{FIRST_USER}]"))
}

const FIRST: [(&str, u32); 4] =
    [("pid", 0xefff_fffc), ("ipc", 0xefff_ffff), ("uts", 0xefff_fffe), ("cgroup", 0xefff_fffb)];
const FIRST_USER: u32 = 0xefff_fffd;
