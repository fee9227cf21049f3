//! What kind of program a file is: an ELF file (and the loader it names), a script, or neither.
//!
//! Trusts nothing: the bytes are the host's, every offset is checked, and the answer decides only
//! what is run *as an unprivileged user* to learn more.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How a file would be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Native code for this machine.
    Elf {
        /// `PT_INTERP`: programs that need shared libraries name their loader.
        loader: Option<PathBuf>,
        /// `PT_DYNAMIC`: it may need shared libraries.
        dynamic: bool,
    },
    /// A text whose first line names the programs that read it (`/usr/bin/env` and what it starts).
    Script {
        /// The path after `#!`.
        interpreter: PathBuf,
        /// The first word after it.
        argument: Option<String>,
    },
    /// Neither, or made for another machine.
    Other,
}

/// Reads the first bytes of `path`.
pub(super) fn inspect(path: &Path) -> io::Result<Program> {
    let file = File::open(path)?;
    let mut head = [0u8; HEAD];
    let length = read_up_to(&file, &mut head, 0)?;
    let head = head.get(..length).unwrap_or_default();
    if head.starts_with(b"#!") {
        return Ok(script(head));
    }
    if !head.starts_with(ELF_64_LITTLE) || half(head, 18) != Some(machine()) {
        return Ok(Program::Other);
    }
    segments(&file, head)
}

/// The number this machine has in an ELF header.
fn machine() -> u64 {
    match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        // No number is equal to this, so nothing counts as native and the start fails by name.
        _ => u64::MAX,
    }
}

fn segments(file: &File, head: &[u8]) -> io::Result<Program> {
    let (mut loader, mut dynamic) = (None, false);
    let table = number(head, 32, 8).unwrap_or(u64::MAX);
    let size = half(head, 54).unwrap_or_default();
    let count = half(head, 56).unwrap_or_default();
    for index in 0..count.min(MOST_SEGMENTS) {
        let mut segment = [0u8; 56];
        let offset = table.saturating_add(index.saturating_mul(size));
        if read_up_to(file, &mut segment, offset)? < segment.len() {
            break;
        }
        match number(&segment, 0, 4) {
            Some(PT_DYNAMIC) => dynamic = true,
            Some(PT_INTERP) => {
                let mut name = [0u8; 256];
                let offset = number(&segment, 8, 8).unwrap_or(u64::MAX);
                let length = read_up_to(file, &mut name, offset)?;
                let name = name.get(..length).unwrap_or_default().split(|byte| *byte == 0).next();
                let name = name.and_then(|name| std::str::from_utf8(name).ok());
                loader = name.filter(|name| name.starts_with('/')).map(PathBuf::from);
            }
            _ => {}
        }
    }
    Ok(Program::Elf { loader, dynamic })
}

fn script(head: &[u8]) -> Program {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_start_matches("#!").split_whitespace();
    match words.next() {
        Some(interpreter) if interpreter.starts_with('/') => Program::Script {
            interpreter: PathBuf::from(interpreter),
            argument: words.next().map(str::to_owned),
        },
        _ => Program::Other,
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at, 2)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An offset beyond what a file can have: the header lies.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

const ELF_64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const HEAD: usize = 512;
const MOST_SEGMENTS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_interpreter_and_a_lying_header_names_nothing() {
        let env = script(b"#! /usr/bin/env python3\nprint()");
        let interpreter = PathBuf::from("/usr/bin/env");
        assert_eq!(env, Program::Script { interpreter, argument: Some("python3".into()) });
        assert_eq!(script(b"#!sh\n"), Program::Other);
        let path = std::env::temp_dir().join(format!("primcs-elf-{}", std::process::id()));
        let mut lie = vec![0xffu8; 64];
        lie[..6].copy_from_slice(ELF_64_LITTLE);
        lie[18..20].copy_from_slice(&u16::try_from(machine()).unwrap().to_le_bytes());
        std::fs::write(&path, &lie).unwrap();
        assert_eq!(inspect(&path).unwrap(), Program::Elf { loader: None, dynamic: false });
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn this_very_program_is_native() {
        let program = inspect(&std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(program, Program::Elf { .. }), "{program:?}");
    }
}
