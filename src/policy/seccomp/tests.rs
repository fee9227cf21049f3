//! The compiled programs against the rules: every call, every value that matters.

use super::clause::Test;
use super::*;
use crate::policy::Policy;
use std::collections::BTreeSet;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL: u32 = 0x8000_0000;
const X86_64: u32 = 0xc000_003e;
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

fn agree(filter: &Filter) {
    let programs = filter.compile().unwrap();
    let mut tried = 0;
    for call in Call::all() {
        for arguments in argument_sets(filter, call) {
            let expected = expected(filter.decide(call, &arguments));
            let answer = answer(&programs, X86_64, call.number(), &arguments);
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
        for call in Call::all() {
            assert_eq!(answer(&programs, I386, call.number(), &[0; 6]), KILL, "{call}");
            let x32 = answer(&programs, X86_64, X32 | call.number(), &[0; 6]);
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
                    interpret(program, X86_64, named(name).number(), &arguments),
                    ALLOW,
                    "{name}"
                );
            }
        }
        assert_ne!(interpret(last, X86_64, named("seccomp").number(), &[0; 6]), ALLOW);
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
