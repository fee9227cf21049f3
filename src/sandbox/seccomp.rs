//! The system-call filter: programs compiled by the supervisor, installed in order.
#![forbid(unsafe_code)]

use std::io;

use seccompiler::{BpfProgram, sock_filter};

use super::plan::BpfInstruction;
use super::report::{InStep, StepFailure};
use super::weaken;

/// A compiled program as plain data.
#[must_use]
pub fn to_plain(program: &BpfProgram) -> Vec<BpfInstruction> {
    program.iter().map(|one| BpfInstruction(one.code, one.jt, one.jf, one.k)).collect()
}

/// Plain data as programs that the kernel takes; done once by the spawner.
#[must_use]
pub fn from_plain(programs: &[Vec<BpfInstruction>]) -> Vec<BpfProgram> {
    programs
        .iter()
        .map(|program| {
            program
                .iter()
                .map(|&BpfInstruction(code, jt, jf, k)| sock_filter { code, jt, jf, k })
                .collect()
        })
        .collect()
}

/// Installs all programs on this thread. From here on only what the policy allows is possible.
pub fn install(programs: &[BpfProgram]) -> Result<(), StepFailure> {
    if !weaken::stands("seccomp") {
        return Ok(());
    }
    for program in programs {
        seccompiler::apply_filter(program).map_err(cause).in_step("seccomp")?;
    }
    Ok(())
}

fn cause(error: seccompiler::Error) -> io::Error {
    match error {
        seccompiler::Error::Prctl(cause) | seccompiler::Error::Seccomp(cause) => cause,
        other @ (seccompiler::Error::Backend(_)
        | seccompiler::Error::EmptyFilter
        | seccompiler::Error::ThreadSync(_)) => io::Error::other(other.to_string()),
    }
}
