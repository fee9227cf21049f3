//! A constant of the kernel: what each filter does with it, worked out from its value and the rules
//! on the argument that it can stand for. A constant whose value is not known here gets no answer.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{Text, deciding};
use crate::policy::Policy;
use crate::policy::explain::seccomp;
use crate::policy::seccomp::constants::constant;
use crate::policy::seccomp::{Call, Clause, Filter, Test};

/// An argument of a call, or the call as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    call: Call,
    argument: Option<String>,
}

pub(super) fn about(policy: &Policy, name: &str) -> Text {
    let mut text = Text::default();
    let (Some(value), places) = (value(name), places(policy, name)) else { return text };
    if places.is_empty() {
        return text;
    }
    text.heading(1, name);
    for (named, who) in seccomp::both(policy).into_iter().zip(["In a run", "In the server"]) {
        text.heading(2, who);
        for place in &places {
            text.paragraph(&format!(
                "`{}` {}.",
                place.call,
                said(named.filter, place, name, value)
            ));
        }
        text.paragraph("");
        let calls: BTreeSet<_> = places.iter().map(|place| place.call).collect();
        let mut lines = Text::default();
        for item in calls.into_iter().flat_map(|call| named.one_call(call)) {
            lines.add(item);
        }
        super::add_new(&mut text, lines);
    }
    if let Some(resource) = name.strip_prefix("RLIMIT_") {
        text.append(deciding(policy, &[&format!("limits rlimit {}", resource.to_lowercase())]));
    }
    text
}

/// Whether it begins like the constants of some rule.
pub(super) fn is_one(policy: &Policy, name: &str) -> bool {
    value(name).is_some() || !places(policy, name).is_empty()
}

/// The calls with rules on constants that begin like this one.
pub(super) fn calls(policy: &Policy, name: &str) -> BTreeSet<Call> {
    places(policy, name).into_iter().map(|place| place.call).collect()
}

/// What `filter` does with the constant in this place; exact for this argument, the conditions on
/// others are named.
fn said(filter: &Filter, place: &Place, name: &str, value: u64) -> String {
    let call = place.call;
    if let Some(deny) = filter.denies(call).next() {
        return format!("is refused with {}, whatever its arguments", deny.errno);
    }
    let mut refusal = filter.otherwise.errno;
    let (mut through, mut is_named) = (Vec::new(), false);
    for line in filter.allows(call) {
        is_named = true;
        let is_about = |clause: &&Clause| Some(clause.argument_name()) == place.argument.as_deref();
        let own: Vec<_> = line.when.iter().filter(is_about).collect();
        // The number of an option means something only at the level of its line.
        let is_elsewhere = place.argument.as_deref() == Some("optname")
            && !own.iter().any(|clause| is_mate(clause, name));
        if is_elsewhere || own.iter().any(|clause| answer(clause, name, value) == Answer::No) {
            refusal = line.otherwise.unwrap_or(refusal);
            continue;
        }
        let open = |clause: &&Clause| {
            !is_about(clause) || answer(clause, name, value) == Answer::WithOthers
        };
        let conditions = line.when.iter().filter(open).map(|clause| format!("`{clause}`"));
        through.push(conditions.collect::<Vec<_>>().join(" and "));
    }
    let argument = place.argument.as_deref().map_or_else(String::new, |own| format!(" as `{own}`"));
    if through.iter().any(String::is_empty) {
        return format!("lets `{name}` through{argument}");
    }
    if !through.is_empty() {
        return format!("lets `{name}` through{argument} when {}", through.join(", or when "));
    }
    if is_named {
        return format!("does not let `{name}` through{argument}; answer: {refusal}");
    }
    format!("is named by no rule and fails with {refusal}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    /// Not alone.
    WithOthers,
    No,
}

fn answer(clause: &Clause, name: &str, value: u64) -> Answer {
    let yes = |holds: bool| if holds { Answer::Yes } else { Answer::No };
    match &clause.test {
        Test::OneOf(values) if values.contains(&value) => Answer::Yes,
        Test::OneOf(_) if names(clause, name) => Answer::WithOthers,
        Test::OneOf(_) => Answer::No,
        Test::NoneOf(values) => yes(!values.contains(&value)),
        Test::HasNone(bits) => yes(value & bits == 0),
        Test::HasAll(bits) if value & bits == *bits => Answer::Yes,
        Test::HasAll(_) => Answer::WithOthers,
    }
}

fn places(policy: &Policy, name: &str) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for named in seccomp::both(policy) {
        for line in named.filter.groups.iter().flat_map(|group| &group.allow) {
            for clause in line.when.iter().filter(|clause| is_mate(clause, name)) {
                // Numbers of levels mean other things elsewhere: SOL_SOCKET is that of IPPROTO_ICMP.
                if clause.argument_name() == "level" && !names(clause, name) {
                    continue;
                }
                let argument = Some(clause.argument_name().to_owned());
                let place = |call: &Call| Place { call: *call, argument: argument.clone() };
                places.extend(line.calls.iter().map(place));
            }
        }
    }
    if !places.is_empty() {
        let others = OTHER_CALLS.iter().filter(|(beginning, _)| name.starts_with(beginning));
        let calls = others.flat_map(|(_, calls)| *calls).filter_map(|call| Call::named(call));
        places.extend(calls.map(|call| Place { call, argument: None }));
    }
    places
}

/// Whether a condition names constants that begin like this one.
fn is_mate(clause: &Clause, name: &str) -> bool {
    let beginning = beginning(name);
    beginning.is_some_and(|own| constants_of(clause).any(|mate| mate.starts_with(own)))
}

fn names(clause: &Clause, name: &str) -> bool {
    constants_of(clause).any(|own| own == name)
}

fn constants_of(clause: &Clause) -> impl Iterator<Item = String> {
    let text = clause.to_string();
    let words: Vec<_> = text.split([' ', '|']).map(str::to_owned).collect();
    words.into_iter().filter(|word| word.starts_with(|letter: char| letter.is_ascii_uppercase()))
}

/// `AF_` of `AF_UNIX`, `TIOC` of `TIOCSTI`.
fn beginning(name: &str) -> Option<&str> {
    match name.find('_') {
        Some(at) => name.get(..=at).filter(|_| at > 0),
        None => name.get(..4),
    }
}

fn value(name: &str) -> Option<u64> {
    let named = || MORE.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    constant(name).or_else(named)
}

/// Calls that take such constants and that no condition can look into.
const OTHER_CALLS: [(&str, &[&str]); 3] = [
    ("CLONE_", &["clone3", "unshare", "setns"]),
    ("MADV_", &["process_madvise"]),
    ("PR_SET_SECCOMP", &["seccomp"]),
];

macro_rules! constants {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), libc::$name as u64),)*]
    };
}

/// What reviewers ask for and no rule needs to name.
#[rustfmt::skip]
const MORE: &[(&str, u64)] = constants![
    AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_CAN, AF_TIPC, AF_XDP, AF_KEY, AF_RDS,
    AF_UNSPEC, AF_LOCAL, SOCK_RAW, SOCK_SEQPACKET, SOCK_RDM, SOCK_DCCP, IPPROTO_ICMP,
    IPPROTO_ICMPV6, IPPROTO_RAW, IPPROTO_SCTP, IPPROTO_MPTCP, CLONE_FS, CLONE_FILES, CLONE_PARENT,
    CLONE_PTRACE, CLONE_VFORK, CLONE_PIDFD, MAP_ANONYMOUS, MAP_PRIVATE, MAP_FIXED, MAP_LOCKED,
    PROT_READ, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_WILLNEED, PR_SET_KEEPCAPS,
    PR_CAPBSET_DROP, PR_SET_TSC, TIOCSCTTY, TIOCCONS, TIOCNOTTY, F_SETOWN,
    F_SETLK, F_SETLKW, F_OFD_SETLK, F_ADD_SEALS, F_SETPIPE_SZ, F_GETLEASE, F_DUPFD,
    SO_BINDTODEVICE, SO_MARK, SO_PRIORITY, SO_RCVBUFFORCE, SO_SNDBUFFORCE, TCP_REPAIR, TCP_FASTOPEN,
    TCP_CONGESTION, IP_HDRINCL, IP_TRANSPARENT, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_FASTOPEN, MSG_OOB,
    PRIO_PGRP, PRIO_USER, POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED,
    MFD_CLOEXEC, MFD_ALLOW_SEALING, RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE,
    RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RTPRIO,
    RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK,
];
