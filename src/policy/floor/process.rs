//! The floor of `process.toml`: every namespace, an ordinary id, no privilege in any form, and a
//! second wall that does not open what the first one closes.
#![forbid(unsafe_code)]

use super::{File, FloorError, is_below, is_kernel_view};
use crate::policy::mounts::{RootPath, RunMounts};
use crate::policy::process::{
    Identity, LandlockRight, LandlockRule, NamespaceKind, Privilege, Process, SERVER_THREADS,
    Securebit, Variable,
};

pub(super) fn check(process: &Process, writable: &RunMounts) -> Result<(), FloorError> {
    let file = File("process.toml");
    for kind in NAMESPACES {
        file.demand(
            &format!("namespace {kind:?}").to_lowercase(),
            process.has_namespace(kind),
            "is missing; put it back: no run shares it with the host",
        )?;
    }
    identity(file, &process.identity)?;
    directory(file, &process.identity, writable)?;
    privilege(file, &process.privilege)?;
    process.environment.iter().try_for_each(|entry| variable(file, entry))?;
    file.demand(
        "landlock.base",
        process.landlock.base.rights.iter().all(|right| READS.contains(right)),
        "lets the private copy be written; leave only execute, read_file and read_dir",
    )?;
    process.landlock.rule.iter().try_for_each(|entry| rule(file, entry))?;
    server_rules(file, &process.server.landlock.rule)
}

fn identity(file: File, identity: &Identity) -> Result<(), FloorError> {
    for (key, id) in [("identity.uid", identity.uid.value), ("identity.gid", identity.gid.value)] {
        let ordinary = (1..=65_533).contains(&id);
        file.demand(
            key,
            ordinary,
            "must be an ordinary id, from 1 to 65533: 0 is root, 65534 nobody's",
        )?;
    }
    file.demand(
        "identity.oom_score_adj",
        identity.oom_score_adj.value == 1000,
        "must be 1000: a run dies before anything of the host",
    )?;
    let name = identity.hostname.value.as_bytes();
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    file.demand(
        "identity.hostname",
        plain && (1..=63).contains(&name.len()),
        "must be 1 to 63 letters, digits and hyphens",
    )
}

fn directory(file: File, identity: &Identity, writable: &RunMounts) -> Result<(), FloorError> {
    let wanted = &identity.directory.value;
    file.demand(
        "identity.directory",
        writable.directory.iter().any(|directory| directory.target == *wanted),
        "must be the target of a run.directory of mounts.toml, or no run finds it",
    )
}

fn privilege(file: File, privilege: &Privilege) -> Result<(), FloorError> {
    file.demand(
        "privilege.capabilities",
        privilege.capabilities.value.is_empty(),
        "must be empty: no capability exists in a run",
    )?;
    file.demand("privilege.no_new_privs", privilege.no_new_privs.value, "must be true")?;
    file.demand(
        "privilege.new_session_keyring",
        privilege.new_session_keyring.value,
        "must be true",
    )?;
    file.demand(
        "privilege.securebits",
        SECUREBITS.iter().all(|bit| privilege.securebits.value.contains(bit)),
        "must hold noroot, no_setuid_fixup, keep_caps_locked and no_cap_ambient_raise",
    )
}

fn variable(file: File, variable: &Variable) -> Result<(), FloorError> {
    let key = format!("environment {:?}", variable.name);
    let plain = !variable.name.is_empty() && !variable.name.contains(['=', '\0']);
    file.demand(
        &key,
        plain && !variable.value.contains('\0'),
        "is not a variable: a name has no `=`, and neither name nor value has a NUL",
    )?;
    file.demand(&key, !variable.name.starts_with("LD_"), "steers the dynamic loader; remove it")
}

fn rule(file: File, rule: &LandlockRule) -> Result<(), FloorError> {
    let paths = rule.paths.iter().map(RootPath::as_str).collect::<Vec<_>>();
    let key = format!("landlock.rule {}", paths.join(" "));
    let grants = |rights: &[LandlockRight]| rule.rights.iter().any(|right| rights.contains(right));
    file.demand(
        &key,
        !grants(&[LandlockRight::MakeChar, LandlockRight::MakeBlock]),
        "lets device nodes be made; remove make_char and make_block",
    )?;
    let only_reads = rule.rights.iter().all(|right| READS.contains(right));
    file.demand(
        &key,
        only_reads || !paths.iter().any(|path| is_shared(path)),
        "lets something read-only be written; leave only execute, read_file and read_dir",
    )
}

/// The server keeps its own threads, to see that it is confined, and gets nothing of the host.
fn server_rules(file: File, rules: &[LandlockRule]) -> Result<(), FloorError> {
    let reads = [LandlockRight::ReadFile, LandlockRight::ReadDir];
    for rule in rules {
        let paths = rule.paths.iter().map(RootPath::as_str).collect::<Vec<_>>();
        let own = paths.iter().all(|path| is_below(path, SERVER_THREADS));
        file.demand(
            &format!("server.landlock.rule {}", paths.join(" ")),
            own && rule.rights.iter().all(|right| reads.contains(right)),
            "opens more to the server than its own threads; leave only read_file and read_dir on /proc/self/task",
        )?;
    }
    let keeps = |rule: &LandlockRule| {
        rule.paths.iter().any(|path| path.as_str() == SERVER_THREADS)
            && reads.iter().all(|right| rule.rights.contains(right))
    };
    file.demand(
        "server.landlock.rule",
        rules.iter().any(keeps),
        "must grant read_file and read_dir on /proc/self/task: the server reads there that it is confined",
    )
}

/// What belongs to all runs or to the kernel. `/` counts, since a rule holds for all below it.
fn is_shared(path: &str) -> bool {
    let read_only = ["/usr", "/etc", "/lib", "/lib64", "/opt", "/primcs"];
    path == "/" || is_kernel_view(path) || read_only.iter().any(|root| is_below(path, root))
}

const READS: [LandlockRight; 3] =
    [LandlockRight::Execute, LandlockRight::ReadFile, LandlockRight::ReadDir];

const NAMESPACES: [NamespaceKind; 7] = [
    NamespaceKind::User,
    NamespaceKind::Mount,
    NamespaceKind::Pid,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::Cgroup,
];

const SECUREBITS: [Securebit; 4] = [
    Securebit::Noroot,
    Securebit::NoSetuidFixup,
    Securebit::KeepCapsLocked,
    Securebit::NoCapAmbientRaise,
];
