//! What container engines are given: the filter of system calls below which primcs can work.
//! That the image runs with it, and not without, is tried by `tests/container/image`.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics to fail"
)]

use std::collections::BTreeSet;
use std::path::Path;

use primcs::policy::Policy;
use primcs::policy::seccomp::Filter;
use serde_json::{Value, json};

/// Calls that confining a run takes, beyond what runs and server may ask for, and why. Each is taken
/// out there, and then primcs refuses to start or says which wall is missing.
const CONFINING: [(&str, &[&str]); 6] = [
    ("an unprivileged process makes runs in namespaces and a cgroup of their own", &["clone3"]),
    ("the supervisor takes a user and a mount namespace of its own", &["unshare", "sethostname"]),
    (
        "the root of a run is built from nothing; inside of a user namespace this needs no right \
         over the host's mounts",
        &[
            "fsconfig",
            "fsmount",
            "fsopen",
            "mount",
            "mount_setattr",
            "move_mount",
            "pivot_root",
            "umount2",
        ],
    ),
    ("every process of primcs gives its capabilities and groups up", &["capset", "setgroups"]),
    ("filters of system calls, tighter than this one", &["seccomp"]),
    (
        "the second wall around files",
        &["landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self"],
    ),
];

/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: u32 = 1;

/// What `reason` names is what the policy allows; which arguments, primcs' own filters say.
fn allowed(filter: &Filter) -> BTreeSet<&'static str> {
    let lines = filter.groups.iter().flat_map(|group| &group.allow);
    lines.flat_map(|line| &line.calls).map(|call| call.name()).collect()
}

fn profile() -> Value {
    let policy = Policy::embedded().expect("the built-in policy");
    let mut asked = allowed(&policy.seccomp_run);
    asked.extend(allowed(&policy.seccomp_server));
    let allow = |names: Value, comment: &str| json!({"names": names, "action": "SCMP_ACT_ALLOW", "comment": comment});
    let mut calls = vec![allow(
        json!(asked),
        "what runs and server may ask for: policy/seccomp-run.toml and seccomp-server.toml, which \
         primcs enforces itself, arguments included",
    )];
    for (why, names) in CONFINING {
        assert!(names.iter().all(|name| !asked.contains(name)), "{names:?}: the policy has it");
        calls.push(allow(json!(names), why));
    }
    let mut keyring = allow(json!(["keyctl"]), "a run gets a session keyring of its own");
    keyring["args"] = json!([{"index": 0, "value": JOIN_SESSION_KEYRING, "op": "SCMP_CMP_EQ"}]);
    calls.push(keyring);
    json!({
        // Everything else fails as if the kernel did not know it.
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        // No 32-bit calls.
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": calls,
    })
}

/// With `PRIMCS_WRITE_PROFILE=1`, as `make policy` sets it, this writes the file.
#[test]
fn the_profile_for_engines_is_the_policy_and_what_confining_takes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/container/seccomp.json");
    let wanted = format!("{:#}\n", profile());
    if std::env::var_os("PRIMCS_WRITE_PROFILE").is_some() {
        std::fs::write(&path, &wanted).expect("the profile is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "packaging/container/seccomp.json is not what policy/ and this file say; run: make policy"
    );
}
