//! From rules to the kernel's filter programs, by seccompiler as it stands.
//!
//! A seccompiler program has two answers only, so a filter becomes several programs that the
//! kernel asks in turn: one lets every named call pass and gives everything else its error; then
//! one for each other error, which refuses exactly what is refused with that error. For no call
//! does more than one of them refuse, so it does not matter which the kernel asks first. Foreign
//! architectures are killed by each program's first instructions; x32 numbers fall to the rest.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::clause::{Argument, Clause, Test, Width};
use super::{Allow, Call, Decision, Errno, Filter};

/// What a program is for, and the number that a call has there.
pub(super) type Machine<'a> = (TargetArch, &'a dyn Fn(Call) -> Option<i64>);

const HERE: TargetArch =
    if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 };

/// One program for the kernel.
pub type Program = BpfProgram;

/// seccompiler refused a filter, which means it is too large.
#[derive(Debug, thiserror::Error)]
#[error("the system-call filter could not be compiled; shorten the policy's argument lists")]
pub struct CompileError(#[source] BackendError);

impl Filter {
    /// The programs, in the order they must be installed: the one that refuses `seccomp` itself
    /// comes last.
    pub fn compile(&self) -> Result<Vec<Program>, CompileError> {
        self.compile_for((HERE, &Call::number))
    }

    /// A call that the architecture does not have is in no program.
    pub(super) fn compile_for(&self, on: Machine<'_>) -> Result<Vec<Program>, CompileError> {
        let seccomp = Call::named("seccomp").map(|call| self.decide(call, &[0; 6]));
        let mut errnos: Vec<Option<Errno>> = self.errnos().into_iter().map(Some).collect();
        errnos.insert(0, None);
        errnos.sort_by_key(|errno| {
            seccomp == Some(Decision::Errno(errno.unwrap_or(self.otherwise.errno)))
        });
        let program = |errno: &Option<Errno>| match errno {
            None => self.passing(on),
            Some(errno) => self.refusing(*errno, on),
        };
        errnos.iter().map(program).collect::<Result<_, _>>().map_err(CompileError)
    }

    /// Errors that need a program of their own.
    fn errnos(&self) -> BTreeSet<Errno> {
        let allows = self.groups.iter().flat_map(|group| &group.allow);
        let denies = self.groups.iter().flat_map(|group| &group.deny);
        let denies = denies.map(|line| line.errno).filter(|errno| *errno != self.otherwise.errno);
        allows.filter_map(|line| line.otherwise).chain(denies).collect()
    }

    /// Lets every call pass that some rule names; the rest gets the error for the rest.
    fn passing(&self, (arch, number): Machine<'_>) -> Result<Program, BackendError> {
        let named = |call: &Call| {
            self.denies(*call).any(|line| line.errno != self.otherwise.errno)
                || self.allows(*call).next().is_some()
        };
        let numbers = Call::all().filter(named).filter_map(number);
        let rules = numbers.map(|number| (number, Vec::new())).collect();
        let mismatch = SeccompAction::Errno(self.otherwise.errno.number().into());
        program(rules, mismatch, SeccompAction::Allow, arch)
    }

    /// Refuses what is refused with this error, lets everything else pass.
    fn refusing(&self, errno: Errno, (arch, number): Machine<'_>) -> Result<Program, BackendError> {
        let mut rules = BTreeMap::new();
        for (call, number) in Call::all().filter_map(|call| Some((call, number(call)?))) {
            let lines: Vec<&Allow> =
                self.allows(call).filter(|line| line.otherwise == Some(errno)).collect();
            let denied =
                errno != self.otherwise.errno && self.denies(call).any(|line| line.errno == errno);
            if denied {
                rules.insert(number, Vec::new());
            } else if !lines.is_empty() {
                let terms: Result<Vec<_>, _> = refusals(&lines).iter().map(rule).collect();
                rules.insert(number, terms?);
            }
        }
        program(rules, SeccompAction::Allow, SeccompAction::Errno(errno.number().into()), arch)
    }
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    mismatch: SeccompAction,
    matched: SeccompAction,
    arch: TargetArch,
) -> Result<Program, BackendError> {
    SeccompFilter::new(rules, mismatch, matched, arch)?.try_into()
}

fn rule(term: &Term) -> Result<SeccompRule, BackendError> {
    let condition = |atom: &Atom| {
        let width = match atom.argument.width {
            Width::Low32 => SeccompCmpArgLen::Dword,
            Width::All64 => SeccompCmpArgLen::Qword,
        };
        let (operator, value) = match atom.is {
            Is::Equal(value) => (SeccompCmpOp::Eq, value),
            Is::Different(value) => (SeccompCmpOp::Ne, value),
            Is::Set(bit) => (SeccompCmpOp::MaskedEq(bit), bit),
            Is::Clear(bit) => (SeccompCmpOp::MaskedEq(bit), 0),
        };
        SeccompCondition::new(atom.argument.index, width, operator, value)
    };
    SeccompRule::new(term.iter().map(condition).collect::<Result<_, _>>()?)
}

/// What seccompiler can test about one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Atom {
    argument: Argument,
    is: Is,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    Equal(u64),
    Different(u64),
    Set(u64),
    Clear(u64),
}

/// Atoms that hold together.
type Term = BTreeSet<Atom>;

/// When a call is refused: no line holds. A line fails when any of its clauses fails, so this is
/// a conjunction of alternatives, multiplied out into alternatives of conjunctions.
fn refusals(lines: &[&Allow]) -> Vec<Term> {
    lines.iter().fold(vec![Term::new()], |so_far, line| {
        let failures: Vec<Term> = line.when.iter().flat_map(failures).collect();
        let joined =
            so_far.iter().flat_map(|term| failures.iter().filter_map(|more| join(term, more)));
        without_redundant(joined.collect())
    })
}

/// The ways in which a clause fails.
fn failures(clause: &Clause) -> Vec<Term> {
    let atom = |is| Atom { argument: clause.argument, is };
    let each_bit =
        |bits: u64| (0..64).map(|index| 1 << index).filter(move |bit: &u64| bits & bit != 0);
    match &clause.test {
        Test::OneOf(values) => {
            vec![values.iter().map(|value| atom(Is::Different(*value))).collect()]
        }
        Test::NoneOf(values) => {
            values.iter().map(|value| Term::from([atom(Is::Equal(*value))])).collect()
        }
        Test::HasNone(bits) => {
            each_bit(*bits).map(|bit| Term::from([atom(Is::Set(bit))])).collect()
        }
        Test::HasAll(bits) => {
            each_bit(*bits).map(|bit| Term::from([atom(Is::Clear(bit))])).collect()
        }
    }
}

/// Both terms at once; nothing when they contradict each other.
fn join(one: &Term, other: &Term) -> Option<Term> {
    let mut joined: Term = one.union(other).copied().collect();
    for fixed in joined.clone() {
        let Is::Equal(value) = fixed.is else { continue };
        let agrees = |atom: &Atom| match atom.is {
            Is::Equal(other) => other == value,
            Is::Different(other) => other != value,
            Is::Set(bit) => value & bit == bit,
            Is::Clear(bit) => value & bit == 0,
        };
        if joined.iter().any(|atom| atom.argument == fixed.argument && !agrees(atom)) {
            return None;
        }
        // What the fixed value implies need not be tested again.
        joined.retain(|atom| atom.argument != fixed.argument || *atom == fixed);
    }
    Some(joined)
}

/// Drops terms that another term already covers.
fn without_redundant(terms: Vec<Term>) -> Vec<Term> {
    let distinct: BTreeSet<Term> = terms.into_iter().collect();
    let covered =
        |term: &&Term| distinct.iter().any(|other| other != *term && other.is_subset(term));
    distinct.iter().filter(|term| !covered(term)).cloned().collect()
}
