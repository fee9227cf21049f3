//! The compiled programs against the rules: every call, every value that matters.

use super::clause::Test;
use super::*;
use crate::policy::Policy;
use seccompiler::TargetArch;
use std::collections::BTreeSet;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL: u32 = 0x8000_0000;
const X86_64: u32 = 0xc000_003e;
const AARCH64: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
const X32: i64 = 0x4000_0000;

/// What the kernel would do with all programs installed: the most severe answer wins.
fn answer(programs: &[Program], arch: u32, number: i64, arguments: &[u64; 6]) -> u32 {
    let answers = programs.iter().map(|program| interpret(program, arch, number, arguments));
    let answers: Vec<u32> = answers.collect();
    let refusing: Vec<u32> = answers.iter().copied().filter(|answer| *answer != ALLOW).collect();
    if refusing.contains(&KILL) {
        return KILL;
    }
    assert!(
        refusing.len() <= 1,
        "two programs refuse call {number} with {arguments:x?}: {refusing:x?}"
    );
    refusing.first().copied().unwrap_or(ALLOW)
}

/// The classic BPF instructions that seccompiler emits, as the kernel runs them on `seccomp_data`.
fn interpret(program: &Program, arch: u32, number: i64, arguments: &[u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
    data.extend_from_slice(&arch.to_le_bytes());
    data.extend_from_slice(&[0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => {
                let offset = usize::try_from(step.k).unwrap();
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x54 => accumulator &= step.k,
            0x05 => at += usize::try_from(step.k).unwrap(),
            0x15 => at += jump(accumulator == step.k),
            0x25 => at += jump(accumulator > step.k),
            0x35 => at += jump(accumulator >= step.k),
            0x06 => return step.k,
            other => panic!("seccompiler emitted instruction {other:#x}"),
        }
    }
}

fn expected(decision: Decision) -> u32 {
    match decision {
        Decision::Allow => ALLOW,
        Decision::Errno(errno) => ERRNO | u32::from(errno.number()),
    }
}

/// For each argument that a rule of this call looks at: every value and bit the rules name, their
/// neighbours, and the same with rubbish in the upper half. All combinations are tried.
fn argument_sets(filter: &Filter, call: Call) -> Vec<[u64; 6]> {
    let mut sets = vec![[0; 6]];
    for index in 0..6 {
        let mut values = BTreeSet::new();
        for clause in filter.allows(call).flat_map(|line| &line.when) {
            if usize::from(clause.argument.index) != index {
                continue;
            }
            match &clause.test {
                Test::OneOf(named) | Test::NoneOf(named) => values.extend(named.iter().copied()),
                Test::HasNone(bits) | Test::HasAll(bits) => {
                    let each = (0..64).map(|bit| 1_u64 << bit).filter(|bit| bits & bit != 0);
                    values.extend(each.clone());
                    values.extend(each.map(|bit| bits & !bit));
                    values.extend([*bits, !*bits]);
                }
            }
        }
        if values.is_empty() {
            continue;
        }
        let near: Vec<u64> = values
            .iter()
            .flat_map(|value| [value.wrapping_sub(1), value.wrapping_add(1)])
            .collect();
        values.extend(near.into_iter().chain([0, u64::MAX, u64::from(u32::MAX), 1 << 31]));
        let high: Vec<u64> = values.iter().map(|value| value ^ (0xdead_beef << 32)).collect();
        values.extend(high);
        sets = sets
            .iter()
            .flat_map(|set| {
                values.iter().map(|value| with_argument(*set, index, *value)).collect::<Vec<_>>()
            })
            .collect();
    }
    // Arguments no rule looks at make no difference.
    sets.push([u64::MAX; 6]);
    sets
}

fn with_argument(mut set: [u64; 6], index: usize, value: u64) -> [u64; 6] {
    set[index] = value;
    set
}

const HERE: u32 = if cfg!(target_arch = "aarch64") { AARCH64 } else { X86_64 };

fn number(call: Call) -> i64 {
    call.number().unwrap()
}

fn calls() -> impl Iterator<Item = Call> {
    Call::all().filter(|call| call.number().is_some())
}

fn agree(filter: &Filter) {
    agree_on(filter, &filter.compile().unwrap(), HERE, &|call| call.number());
}

fn agree_on(
    filter: &Filter,
    programs: &[Program],
    arch: u32,
    numbers: &dyn Fn(Call) -> Option<i64>,
) {
    let mut tried = 0;
    for call in Call::all() {
        let Some(number) = numbers(call) else { continue };
        for arguments in argument_sets(filter, call) {
            let expected = expected(filter.decide(call, &arguments));
            let answer = answer(programs, arch, number, &arguments);
            assert_eq!(
                answer, expected,
                "{call} {arguments:x?}: {answer:#x} instead of {expected:#x}"
            );
            tried += 1;
        }
    }
    assert!(tried > 1000, "only {tried} cases");
}

fn embedded() -> Policy {
    Policy::embedded().unwrap_or_else(|error| panic!("{error}"))
}

fn filter(rules: &str) -> Result<Filter, RuleError> {
    let head = "[otherwise]\nerrno = \"ENOSYS\"\nreason = \"r\"\n[[group]]\nname = \"g\"\nreason = \"r\"\n";
    let text: FilterText = toml::from_str(&format!("{head}{rules}")).unwrap();
    Filter::try_from(text)
}

fn named(name: &str) -> Call {
    Call::named(name).unwrap()
}

#[test]
fn the_programs_of_a_run_do_what_the_rules_say() {
    agree(&embedded().seccomp_run);
}

#[test]
fn the_programs_of_the_server_do_what_the_rules_say() {
    agree(&embedded().seccomp_server);
}

/// proves: seccomp-run architecture; seccomp-run x32
#[test]
fn foreign_architectures_are_killed_and_x32_numbers_do_not_exist() {
    let policy = embedded();
    for filter in [&policy.seccomp_run, &policy.seccomp_server] {
        let programs = filter.compile().unwrap();
        for call in calls() {
            assert_eq!(answer(&programs, I386, number(call), &[0; 6]), KILL, "{call}");
            let x32 = answer(&programs, HERE, X32 | number(call), &[0; 6]);
            assert_eq!(x32, expected(Decision::Errno(filter.otherwise.errno)), "{call}");
        }
    }
}

#[test]
fn only_the_last_program_refuses_its_own_installation() {
    let policy = embedded();
    for filter in [&policy.seccomp_run, &policy.seccomp_server] {
        let programs = filter.compile().unwrap();
        let (last, earlier) = programs.split_last().unwrap();
        for name in ["seccomp", "prctl"] {
            let arguments =
                with_argument([0; 6], 0, constants::constant("PR_SET_NO_NEW_PRIVS").unwrap());
            for program in earlier {
                assert_eq!(
                    interpret(program, HERE, number(named(name)), &arguments),
                    ALLOW,
                    "{name}"
                );
            }
        }
        assert_ne!(interpret(last, HERE, number(named("seccomp")), &[0; 6]), ALLOW);
    }
}

#[test]
fn every_program_fits_the_kernels_limit() {
    let policy = embedded();
    for filter in [&policy.seccomp_run, &policy.seccomp_server] {
        assert!(filter.compile().unwrap().iter().all(|program| program.len() < 4096));
    }
}

#[test]
fn conditions_on_one_call_add_up() {
    let rules = r#"allow = [
        { call = "setsockopt", when = ["level == SOL_SOCKET", "optname in SO_LINGER | SO_SNDBUF"], else = "EPERM", reason = "r" },
        { call = "setsockopt", when = ["level == IPPROTO_TCP", "optname == TCP_NODELAY"], else = "EPERM", reason = "r" },
        { call = "prlimit64", when = ["pid == 0", "resource != RLIMIT_CORE"], else = "EPERM", reason = "r" },
        { call = "prlimit64", when = ["new_limit == NULL"], else = "EPERM", reason = "r" },
        { call = "ioctl", when = ["request != TIOCSTI"], else = "EPERM", reason = "r" },
        { call = "ioctl", when = ["request == TCGETS"], else = "EPERM", reason = "r" },
        { call = "mmap", when = ["flags has none of MAP_HUGETLB"], else = "EPERM", reason = "r" },
        { call = "mmap", when = ["flags != MAP_HUGETLB"], else = "EPERM", reason = "r" },
        { call = "clone", when = ["flags has all of CLONE_VM | CLONE_THREAD", "flags has none of CLONE_NEWUSER"], else = "0", reason = "r" },
    ]"#;
    let filter = filter(rules).unwrap();
    agree(&filter);
    let level = |name| constants::constant(name).unwrap();
    let tcp_linger = [0, level("IPPROTO_TCP"), level("SO_LINGER"), 0, 0, 0];
    assert_ne!(filter.decide(named("setsockopt"), &tcp_linger), Decision::Allow);
}

#[test]
fn an_int_is_compared_as_the_kernel_sees_it() {
    let rules = r#"allow = [{ call = "prctl", when = ["option == PR_SET_NAME"], else = "EPERM", reason = "r" }]"#;
    let filter = filter(rules).unwrap();
    let name = constants::constant("PR_SET_NAME").unwrap();
    assert_eq!(filter.decide(named("prctl"), &[name | (7 << 32), 0, 0, 0, 0, 0]), Decision::Allow);
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let wrong = [
        (r#"allow = [{ call = "opn", reason = "r" }]"#, "no system call"),
        (
            r#"allow = [{ call = "read", reason = "r" }, { call = "read", reason = "r" }]"#,
            "allowed twice",
        ),
        (r#"allow = [{ call = ["read", "read"], reason = "r" }]"#, "twice in one line"),
        (r#"allow = [{ call = [], reason = "r" }]"#, "is empty"),
        (
            "allow = [{ call = \"read\", reason = \"r\" }]\ndeny = [{ call = \"read\", errno = \"EPERM\", reason = \"r\" }]",
            "allowed and denied",
        ),
        (
            r#"deny = [{ call = "read", errno = "EPERM", reason = "r" }, { call = "read", errno = "EPERM", reason = "r" }]"#,
            "denied twice",
        ),
        (
            r#"deny = [{ call = "read", errno = "EWHAT", reason = "r" }]"#,
            "no error this policy uses",
        ),
        (
            r#"allow = [{ call = "prctl", when = ["option == PR_SET_NAME"], reason = "r" }]"#,
            "belong together",
        ),
        (r#"allow = [{ call = "prctl", else = "EPERM", reason = "r" }]"#, "belong together"),
        (
            r#"allow = [{ call = "prctl", when = ["option == PR_SET_NAMES"], else = "EPERM", reason = "r" }]"#,
            "not a constant",
        ),
        (
            r#"allow = [{ call = "prctl", when = ["opt == PR_SET_NAME"], else = "EPERM", reason = "r" }]"#,
            "it has: option",
        ),
        (
            r#"allow = [{ call = "prctl", when = ["option = PR_SET_NAME"], else = "EPERM", reason = "r" }]"#,
            "not a condition",
        ),
        (
            r#"allow = [{ call = "clone", when = ["flags has none of NULL"], else = "EPERM", reason = "r" }]"#,
            "no bit is named",
        ),
        (
            r#"allow = [{ call = ["sendto", "sendmsg"], when = ["flags has none of MSG_ZEROCOPY"], else = "EPERM", reason = "r" }]"#,
            "split the line",
        ),
    ];
    for (rules, problem) in wrong {
        let error = filter(rules).unwrap_err().to_string();
        assert!(error.contains(problem), "{error:?} does not say {problem:?}");
    }
}

#[cfg(feature = "weaken")]
#[test]
fn a_weakened_filter_allows_the_named_calls_and_changes_no_other() {
    let filter = embedded().seccomp_run;
    let weakened = filter.without(&["mount", "clone", "socket"]);
    agree(&weakened);
    for call in Call::all() {
        let freed = ["mount", "clone", "socket"].contains(&call.name());
        let before = filter.decide(call, &[u64::MAX; 6]);
        let after = weakened.decide(call, &[u64::MAX; 6]);
        assert_eq!(after, if freed { Decision::Allow } else { before }, "{call}");
    }
}

/// Checked by `make check-aarch64`, never run: that the rules mean there what they mean here.
#[test]
fn on_aarch64_the_programs_do_what_the_rules_say() {
    let numbers = |call: Call| on_aarch64(call.name());
    let policy = embedded();
    for filter in [&policy.seccomp_run, &policy.seccomp_server] {
        let programs = filter.compile_for((TargetArch::aarch64, &numbers)).unwrap();
        agree_on(filter, &programs, AARCH64, &numbers);
        for call in calls() {
            assert_eq!(answer(&programs, X86_64, number(call), &[0; 6]), KILL, "{call}");
        }
        // What a rule allows under an old name works under the newer one.
        for (old, new) in REPLACED {
            if filter.decide(named(old), &[0; 6]) == Decision::Allow {
                assert_eq!(filter.decide(named(new), &[0; 6]), Decision::Allow, "{old}: {new}");
            }
        }
    }
}

#[test]
fn each_call_has_a_number_on_aarch64_or_belongs_to_x86_alone() {
    let only_x86: Vec<_> = Call::all().filter(|call| on_aarch64(call.name()).is_none()).collect();
    let only_x86: BTreeSet<_> = only_x86.iter().map(|call| call.name()).collect();
    let replaced: BTreeSet<_> = REPLACED.iter().map(|(old, _)| *old).collect();
    let listed: BTreeSet<_> = replaced.iter().copied().chain(OF_THE_PROCESSOR).collect();
    assert_eq!(only_x86, listed);
    let known = Call::all().filter(|call| on_aarch64(call.name()).is_some()).count();
    assert_eq!(known, NUMBERS_ON_AARCH64.split_whitespace().count() / 2);
    if cfg!(target_arch = "aarch64") {
        for call in Call::all() {
            assert_eq!(call.number(), on_aarch64(call.name()), "{call}");
        }
    }
}

fn on_aarch64(name: &str) -> Option<i64> {
    let words: Vec<_> = NUMBERS_ON_AARCH64.split_whitespace().collect();
    let found = words.chunks(2).find(|pair| pair[0] == name)?;
    Some(found[1].parse().unwrap())
}

/// Calls that aarch64 never had, and what programs use there.
const REPLACED: [(&str, &str); 35] = [
    ("open", "openat"),
    ("stat", "newfstatat"),
    ("lstat", "newfstatat"),
    ("poll", "ppoll"),
    ("access", "faccessat"),
    ("pipe", "pipe2"),
    ("select", "pselect6"),
    ("dup2", "dup3"),
    ("pause", "ppoll"),
    ("alarm", "setitimer"),
    ("fork", "clone"),
    ("vfork", "clone"),
    ("getdents", "getdents64"),
    ("rename", "renameat"),
    ("mkdir", "mkdirat"),
    ("rmdir", "unlinkat"),
    ("creat", "openat"),
    ("link", "linkat"),
    ("unlink", "unlinkat"),
    ("symlink", "symlinkat"),
    ("readlink", "readlinkat"),
    ("chmod", "fchmodat"),
    ("chown", "fchownat"),
    ("lchown", "fchownat"),
    ("getpgrp", "getpgid"),
    ("utime", "utimensat"),
    ("mknod", "mknodat"),
    ("time", "clock_gettime"),
    ("epoll_create", "epoll_create1"),
    ("epoll_wait", "epoll_pwait"),
    ("utimes", "utimensat"),
    ("inotify_init", "inotify_init1"),
    ("futimesat", "utimensat"),
    ("signalfd", "signalfd4"),
    ("eventfd", "eventfd2"),
];

/// Calls about an x86 processor, and some that no kernel has served for long.
const OF_THE_PROCESSOR: [&str; 12] = [
    "uselib",
    "ustat",
    "sysfs",
    "modify_ldt",
    "_sysctl",
    "arch_prctl",
    "iopl",
    "ioperm",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
];

/// From libc's table, which is equal to the kernel's (asm-generic/unistd.h of 6.12).
const NUMBERS_ON_AARCH64: &str = "
    read 63 write 64 close 57 fstat 80 lseek 62 mmap 222 mprotect 226 munmap 215 brk 214
    rt_sigaction 134 rt_sigprocmask 135 rt_sigreturn 139 ioctl 29 pread64 67 pwrite64 68 readv 65
    writev 66 sched_yield 124 mremap 216 msync 227 mincore 232 madvise 233 shmget 194 shmat 196
    shmctl 195 dup 23 nanosleep 101 getitimer 102 setitimer 103 getpid 172 sendfile 71 socket 198
    connect 203 accept 202 sendto 206 recvfrom 207 sendmsg 211 recvmsg 212 shutdown 210 bind 200
    listen 201 getsockname 204 getpeername 205 socketpair 199 setsockopt 208 getsockopt 209
    clone 220 execve 221 exit 93 wait4 260 kill 129 uname 160 semget 190 semop 193 semctl 191
    shmdt 197 msgget 186 msgsnd 189 msgrcv 188 msgctl 187 fcntl 25 flock 32 fsync 82 fdatasync 83
    truncate 45 ftruncate 46 getcwd 17 chdir 49 fchdir 50 fchmod 52 fchown 55 umask 166
    gettimeofday 169 getrlimit 163 getrusage 165 sysinfo 179 times 153 ptrace 117 getuid 174
    syslog 116 getgid 176 setuid 146 setgid 144 geteuid 175 getegid 177 setpgid 154 getppid 173
    setsid 157 setreuid 145 setregid 143 getgroups 158 setgroups 159 setresuid 147 getresuid 148
    setresgid 149 getresgid 150 getpgid 155 setfsuid 151 setfsgid 152 getsid 156 capget 90
    capset 91 rt_sigpending 136 rt_sigtimedwait 137 rt_sigqueueinfo 138 rt_sigsuspend 133
    sigaltstack 132 personality 92 statfs 43 fstatfs 44 getpriority 141 setpriority 140
    sched_setparam 118 sched_getparam 121 sched_setscheduler 119 sched_getscheduler 120
    sched_get_priority_max 125 sched_get_priority_min 126 sched_rr_get_interval 127 mlock 228
    munlock 229 mlockall 230 munlockall 231 vhangup 58 pivot_root 41 prctl 167 adjtimex 171
    setrlimit 164 chroot 51 sync 81 acct 89 settimeofday 170 mount 40 umount2 39 swapon 224
    swapoff 225 reboot 142 sethostname 161 setdomainname 162 init_module 105 delete_module 106
    quotactl 60 nfsservctl 42 gettid 178 readahead 213 setxattr 5 lsetxattr 6 fsetxattr 7
    getxattr 8 lgetxattr 9 fgetxattr 10 listxattr 11 llistxattr 12 flistxattr 13 removexattr 14
    lremovexattr 15 fremovexattr 16 tkill 130 futex 98 sched_setaffinity 122 sched_getaffinity 123
    io_setup 0 io_destroy 1 io_getevents 4 io_submit 2 io_cancel 3 lookup_dcookie 18
    remap_file_pages 234 getdents64 61 set_tid_address 96 restart_syscall 128 semtimedop 192
    fadvise64 223 timer_create 107 timer_settime 110 timer_gettime 108 timer_getoverrun 109
    timer_delete 111 clock_settime 112 clock_gettime 113 clock_getres 114 clock_nanosleep 115
    exit_group 94 epoll_ctl 21 tgkill 131 mbind 235 set_mempolicy 237 get_mempolicy 236
    mq_open 180 mq_unlink 181 mq_timedsend 182 mq_timedreceive 183 mq_notify 184 mq_getsetattr 185
    kexec_load 104 waitid 95 add_key 217 request_key 218 keyctl 219 ioprio_set 30 ioprio_get 31
    inotify_add_watch 27 inotify_rm_watch 28 migrate_pages 238 openat 56 mkdirat 34 mknodat 33
    fchownat 54 newfstatat 79 unlinkat 35 renameat 38 linkat 37 symlinkat 36 readlinkat 78
    fchmodat 53 faccessat 48 pselect6 72 ppoll 73 unshare 97 set_robust_list 99
    get_robust_list 100 splice 76 tee 77 sync_file_range 84 vmsplice 75 move_pages 239
    utimensat 88 epoll_pwait 22 timerfd_create 85 fallocate 47 timerfd_settime 86
    timerfd_gettime 87 accept4 242 signalfd4 74 eventfd2 19 epoll_create1 20 dup3 24 pipe2 59
    inotify_init1 26 preadv 69 pwritev 70 rt_tgsigqueueinfo 240 perf_event_open 241 recvmmsg 243
    fanotify_init 262 fanotify_mark 263 prlimit64 261 name_to_handle_at 264 open_by_handle_at 265
    clock_adjtime 266 syncfs 267 sendmmsg 269 setns 268 getcpu 168 process_vm_readv 270
    process_vm_writev 271 kcmp 272 finit_module 273 sched_setattr 274 sched_getattr 275
    renameat2 276 seccomp 277 getrandom 278 memfd_create 279 kexec_file_load 294 bpf 280
    execveat 281 userfaultfd 282 membarrier 283 mlock2 284 copy_file_range 285 preadv2 286
    pwritev2 287 pkey_mprotect 288 pkey_alloc 289 pkey_free 290 statx 291 rseq 293
    pidfd_send_signal 424 io_uring_setup 425 io_uring_enter 426 io_uring_register 427
    open_tree 428 move_mount 429 fsopen 430 fsconfig 431 fsmount 432 fspick 433 pidfd_open 434
    clone3 435 close_range 436 openat2 437 pidfd_getfd 438 faccessat2 439 process_madvise 440
    epoll_pwait2 441 mount_setattr 442 quotactl_fd 443 landlock_create_ruleset 444
    landlock_add_rule 445 landlock_restrict_self 446 memfd_secret 447 process_mrelease 448
    futex_waitv 449 set_mempolicy_home_node 450 mseal 462 fchmodat2 452
";
