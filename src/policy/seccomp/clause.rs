//! One condition on one argument of a call: `flags has none of CLONE_NEWUSER | CLONE_NEWNS`.
//! Trusts nothing about the text; what it means here is what the compiled filter must do.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;

use super::calls::Call;
use super::constants::constant;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    text: String,
    /// What it looks at.
    pub argument: Argument,
    /// What it asks for.
    pub test: Test,
}

/// Which argument, and how much of it the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Argument {
    /// First is 0.
    pub index: u8,
    /// The kernel takes an `int` from the low half of the register; a filter that compared all 64
    /// bits could be passed with rubbish in the upper half.
    pub width: Width,
}

/// How much of a register the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// An `int`.
    Low32,
    /// A `long` or a pointer.
    All64,
}

/// What a condition asks of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is one of these values.
    OneOf(BTreeSet<u64>),
    /// It is none of them.
    NoneOf(BTreeSet<u64>),
    /// None of these bits is set.
    HasNone(u64),
    /// All of them are set.
    HasAll(u64),
}

impl Clause {
    /// Reads a condition that holds for each of these calls.
    pub(super) fn parse(calls: &[Call], text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(' ').ok_or_else(|| form(text))?;
        let argument = argument_of_all(calls, name)?;
        let condition = parse_test(rest).map_err(|problem| format!("in {text:?}: {problem}"))?;
        Ok(Self { text: text.to_owned(), argument, test: condition })
    }

    /// The kernel's name of the argument.
    #[must_use]
    pub fn argument_name(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// Whether the condition holds.
    #[must_use]
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let Some(value) = arguments.get(usize::from(self.argument.index)) else { return false };
        let value = self.argument.seen(*value);
        match &self.test {
            Test::OneOf(values) => values.contains(&value),
            Test::NoneOf(values) => !values.contains(&value),
            Test::HasNone(bits) => value & bits == 0,
            Test::HasAll(bits) => value & bits == *bits,
        }
    }
}

impl Argument {
    /// The part of a register that the kernel looks at.
    pub(super) fn seen(self, value: u64) -> u64 {
        match self.width {
            Width::Low32 => value & u64::from(u32::MAX),
            Width::All64 => value,
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn parse_test(text: &str) -> Result<Test, String> {
    if let Some(rest) = text.strip_prefix("has none of ") {
        return bits(rest).map(Test::HasNone);
    }
    if let Some(rest) = text.strip_prefix("has all of ") {
        return bits(rest).map(Test::HasAll);
    }
    if let Some(rest) = text.strip_prefix("not in ") {
        return values(rest).map(Test::NoneOf);
    }
    if let Some(rest) = text.strip_prefix("in ") {
        let Some((base, optional)) = rest.split_once(" with any of ") else {
            return values(rest).map(Test::OneOf);
        };
        return with_any_of(values(base)?, values(optional)?).map(Test::OneOf);
    }
    if let Some(rest) = text.strip_prefix("== ") {
        return value(rest).map(|value| Test::OneOf(BTreeSet::from([value])));
    }
    if let Some(rest) = text.strip_prefix("!= ") {
        return value(rest).map(|value| Test::NoneOf(BTreeSet::from([value])));
    }
    Err(form(text))
}

/// Every base value with every choice of optional bits. The values are listed one by one because
/// the compiler of the filters can test for "not this value" but not for "not this masked value".
fn with_any_of(bases: BTreeSet<u64>, optional: BTreeSet<u64>) -> Result<BTreeSet<u64>, String> {
    if optional.len() > 4 {
        return Err("at most four optional bits; write the values out".to_owned());
    }
    Ok(optional.into_iter().fold(bases, |all, bit| {
        let more: Vec<u64> = all.iter().map(|value| value | bit).collect();
        all.into_iter().chain(more).collect()
    }))
}

fn bits(text: &str) -> Result<u64, String> {
    let bits = values(text)?.into_iter().fold(0, |all, bit| all | bit);
    if bits == 0 { Err("no bit is named".to_owned()) } else { Ok(bits) }
}

fn values(text: &str) -> Result<BTreeSet<u64>, String> {
    text.split('|').map(|name| value(name.trim())).collect()
}

fn value(name: &str) -> Result<u64, String> {
    // The one number that says what it is: "myself", where a pid is expected.
    if name == "0" {
        return Ok(0);
    }
    constant(name).ok_or_else(|| format!("{name:?} is not a constant this policy knows"))
}

fn form(text: &str) -> String {
    format!(
        "{text:?} is not a condition; write `argument == A`, `argument != A`, `argument in A | B`, \
         `argument in A | B with any of C | D`, `argument not in A | B`, `argument has none of A | B` \
         or `argument has all of A | B`"
    )
}

fn argument_of_all(calls: &[Call], name: &str) -> Result<Argument, String> {
    let mut found = None;
    for call in calls {
        let argument = argument(call.name(), name).ok_or_else(|| {
            format!(
                "{call} has no argument {name:?} that a condition may name; it has: {}",
                argument_names(call.name())
            )
        })?;
        if found.is_some_and(|earlier| earlier != argument) {
            return Err(format!(
                "{name:?} is not the same argument in all calls of the line; split the line"
            ));
        }
        found = Some(argument);
    }
    found.ok_or_else(|| form(name))
}

fn argument(call: &str, name: &str) -> Option<Argument> {
    let find = |(own_call, own_name, ..): &&(&str, &str, u8, Width)| {
        *own_call == call && *own_name == name
    };
    ARGUMENTS
        .iter()
        .find(find)
        .map(|(_, _, index, width)| Argument { index: *index, width: *width })
}

fn argument_names(call: &str) -> String {
    let names: Vec<&str> =
        ARGUMENTS.iter().filter(|(own, ..)| *own == call).map(|(_, name, ..)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Arguments that conditions may name. Pointers other than "is it NULL" are useless to a filter:
/// the program can change what they point to after the check.
const ARGUMENTS: &[(&str, &str, u8, Width)] = &[
    ("arch_prctl", "code", 0, Width::Low32),
    ("clone", "flags", 0, Width::Low32),
    ("fadvise64", "advice", 3, Width::Low32),
    ("fcntl", "cmd", 1, Width::Low32),
    ("ioctl", "request", 1, Width::Low32),
    ("ioprio_set", "which", 0, Width::Low32),
    ("ioprio_set", "who", 1, Width::Low32),
    ("madvise", "advice", 2, Width::Low32),
    ("memfd_create", "flags", 1, Width::Low32),
    ("mmap", "prot", 2, Width::All64),
    ("mmap", "flags", 3, Width::All64),
    ("mprotect", "prot", 2, Width::All64),
    ("open", "flags", 1, Width::Low32),
    ("openat", "flags", 2, Width::Low32),
    ("personality", "persona", 0, Width::Low32),
    ("prctl", "option", 0, Width::Low32),
    ("preadv2", "flags", 5, Width::Low32),
    ("prlimit64", "pid", 0, Width::Low32),
    ("prlimit64", "resource", 1, Width::Low32),
    ("prlimit64", "new_limit", 2, Width::All64),
    ("pwritev2", "flags", 5, Width::Low32),
    ("sched_setaffinity", "pid", 0, Width::Low32),
    ("sched_setattr", "pid", 0, Width::Low32),
    ("sched_setparam", "pid", 0, Width::Low32),
    ("sched_setscheduler", "pid", 0, Width::Low32),
    ("sendmmsg", "flags", 3, Width::Low32),
    ("sendmsg", "flags", 2, Width::Low32),
    ("sendto", "flags", 3, Width::Low32),
    ("sendto", "dest_addr", 4, Width::All64),
    ("setpriority", "which", 0, Width::Low32),
    ("setpriority", "who", 1, Width::Low32),
    ("setrlimit", "resource", 0, Width::Low32),
    ("setsockopt", "level", 1, Width::Low32),
    ("setsockopt", "optname", 2, Width::Low32),
    ("socket", "domain", 0, Width::Low32),
    ("socket", "type", 1, Width::Low32),
    ("socket", "protocol", 2, Width::Low32),
    ("socketpair", "domain", 0, Width::Low32),
];
