//! Replacement policy files. No text makes the reader panic. What loads keeps the floor, which is
//! written down here a second time and by effect; the compiled filters, run by an interpreter of the
//! kernel's language, say for any call what the policy says; `explain` has words for all of it.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use primcs::policy::process::NamespaceKind;
use primcs::policy::seccomp::Call;
use primcs::policy::{Bytes, Decision, Filter, Policy, explain};
use primcs_fuzz::kernel::{self, Answer};
use primcs_fuzz::policy::Folder;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    folder: Folder<'a>,
    /// To be asked of `explain`.
    name: &'a str,
    /// To be asked of the filters.
    asked: [(u16, [u64; 6]); 4],
}

fuzz_target!(|input: Input<'_>| {
    let policy = match Policy::from_files(&input.folder.files()) {
        Ok(policy) => policy,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    explained(&policy, input.name);
    limited(&policy);
    unprivileged(&policy);
    let calls: Vec<Call> = Call::all().collect();
    for filter in [&policy.seccomp_run, &policy.seccomp_server] {
        for (call, arguments) in &input.asked {
            closed(filter, calls[usize::from(*call) % calls.len()], arguments);
        }
        for name in NEVER {
            let call = Call::named(name).expect("a call that the policy knows");
            closed(filter, call, &input.asked[0].1);
        }
        // Compiling takes most of the time, so not always.
        if input.asked[0].0 % 4 == 0 {
            compiled(filter, &input.asked, &calls);
        }
    }
});

/// The programs say what the filter says.
fn compiled(filter: &Filter, asked: &[(u16, [u64; 6])], calls: &[Call]) {
    let programs = match filter.compile() {
        Ok(programs) => programs,
        // Too long for the kernel's language is a refusal with words.
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    for (call, arguments) in asked {
        let call = calls[usize::from(*call) % calls.len()];
        let wanted = match filter.decide(call, arguments) {
            Decision::Allow => Answer::Allow,
            Decision::Errno(errno) => Answer::Errno(errno.number()),
        };
        // Some calls have no number on this architecture.
        let Some(number) = call.number() else { continue };
        let answer = kernel::ask(&programs, number, arguments);
        assert_eq!(answer, wanted, "{call} {arguments:x?}");
    }
}

fn explained(policy: &Policy, name: &str) {
    let whole = explain(policy, None).expect("the whole has words");
    assert!(whole.contains(&policy.digest));
    match explain(policy, Some(name)) {
        Ok(text) => assert!(text.len() > 1, "{name:?}"),
        // Blanks around it are not part of the name.
        Err(unknown) => assert!(name.contains(&unknown.name), "{name:?}: {unknown}"),
    }
    // Each answer takes a millisecond, so one of them.
    let never = NEVER[name.len() % NEVER.len()];
    assert!(explain(policy, Some(never)).is_ok(), "{never}");
}

/// No value that the kernel reads as "without limit".
fn limited(policy: &Policy) {
    let run = &policy.limits.run;
    assert_eq!(run.cgroup.memory_swap_max.value, Bytes(0));
    assert!((1..=32_768).contains(&run.cgroup.pids_max.value));
    assert!(run.cgroup.cpu_max.value.millicores() > 0);
    assert!(run.tmpfs.size.value > Bytes(0) && run.tmpfs.size.value <= run.cgroup.memory_max.value);
    assert!(run.tmpfs.nr_inodes.value > 0);
    assert!(!run.wall.value.is_zero() && run.wall.value <= run.wall.ceiling);
}

fn unprivileged(policy: &Policy) {
    let process = &policy.process;
    assert!(process.privilege.no_new_privs.value);
    assert!(process.privilege.capabilities.value.is_empty());
    assert!(process.identity.uid.value != 0 && process.identity.gid.value != 0);
    for kind in [
        NamespaceKind::User,
        NamespaceKind::Mount,
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
    ] {
        assert!(process.has_namespace(kind), "{kind:?}");
    }
    for entry in &policy.mounts.proc.show {
        let path = entry.path.as_str();
        for secret in ["kcore", "kmsg", "kallsyms", "sysrq-trigger", "keys", "1"] {
            assert_ne!(path, secret);
        }
    }
}

/// Of calls that are never allowed, not even with other arguments.
fn closed(filter: &Filter, call: Call, arguments: &[u64; 6]) {
    let allowed = |arguments: &[u64; 6]| filter.decide(call, arguments) == Decision::Allow;
    assert!(!NEVER.contains(&call.name()) || !allowed(arguments), "{call} {arguments:x?}");
    if call.name() == "clone" {
        for namespace in NAMESPACES {
            let mut with = *arguments;
            with[0] |= namespace;
            assert!(!allowed(&with), "clone {:#x}", with[0]);
        }
    }
    if call.name() == "socket" && allowed(arguments) {
        // The kernel looks at the lower half only: AF_UNIX, AF_INET, AF_INET6.
        assert!([1, 2, 10].contains(&(arguments[0] & 0xffff_ffff)), "socket {:#x}", arguments[0]);
    }
}

const NEVER: [&str; 20] = [
    "clone3",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "bpf",
    "ptrace",
    "keyctl",
    "userfaultfd",
    "seccomp",
    "io_uring_setup",
    "process_vm_writev",
    "open_by_handle_at",
    "kexec_load",
    "init_module",
    "perf_event_open",
    "capset",
    "reboot",
];

/// `CLONE_NEW*` of linux/sched.h.
const NAMESPACES: [u64; 8] = [
    0x80,
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];
