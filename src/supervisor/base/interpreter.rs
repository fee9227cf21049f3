//! Which Python runs: the one named, else the newest of the system, else what `python3` on `PATH`
//! says it really is.
//!
//! Trusts the directories it looks in as much as the operator's own shell does, and what a program
//! answers only so far: an answer chooses files, and none of them is copied unless every user of
//! the host can read it (`plan.rs`).
#![forbid(unsafe_code)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::elf::{self, Program};
use super::{BaseError, Reader, foreign, host};

/// What an interpreter says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interpreter {
    /// Its binary, no link or script.
    pub real: PathBuf,
    /// As in `3.11.2`.
    pub version: String,
    /// Where the installation lies.
    pub base_prefix: PathBuf,
    /// The standard library, pure and native part.
    pub stdlib: PathBuf,
    /// See `stdlib`.
    pub platstdlib: PathBuf,
    /// The bundle its TLS library looks for, when it has one.
    pub certificates: Option<PathBuf>,
    implementation: String,
    minor: (u32, u32),
}

/// What was found, and from which candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// Every path that was considered, best first. When this list changes, so may the choice.
    pub candidates: Vec<PathBuf>,
    /// The candidate that was taken.
    pub taken: PathBuf,
    /// True for a script: what it starts may change while the script stays the same.
    pub ask_again: bool,
    /// The answer.
    pub interpreter: Interpreter,
}

/// Paths to try, best first.
pub(super) fn candidates(named: Option<&Path>, search_path: &[PathBuf]) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named.to_owned()];
    }
    let system = newest_first(&SYSTEM.map(Path::new));
    // Relative entries mean another file to everybody; the index holds text only.
    let is_usable = |directory: &&PathBuf| directory.is_absolute() && directory.to_str().is_some();
    let on_path = search_path.iter().filter(is_usable);
    system.into_iter().chain(on_path.map(|directory| directory.join("python3"))).collect()
}

/// Every `python3.N` in `directories`; of equal ones the first directory's.
fn newest_first(directories: &[&Path]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (rank, directory) in directories.iter().enumerate() {
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let minor = name.to_str().and_then(|name| name.strip_prefix("python3."));
            let minor = minor.and_then(|minor| minor.parse::<u32>().ok());
            if let Some(minor) = minor.filter(|minor| *minor >= OLDEST_MINOR) {
                found.push((std::cmp::Reverse(minor), rank, entry.path()));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, _, path)| path).collect()
}

/// Asks one candidate after the other; what was passed over and why goes to `skipped`.
pub(super) fn choose(
    named: Option<&Path>,
    search_path: &[PathBuf],
    reader: Option<Reader>,
    skipped: &mut Vec<String>,
) -> Result<Choice, BaseError> {
    let candidates = candidates(named, search_path);
    for taken in &candidates {
        if named.is_none() && std::fs::metadata(taken).is_err() {
            continue;
        }
        let answer = ask(taken, reader).and_then(|interpreter| {
            if named.is_none() && below_a_home(&interpreter.real) {
                return Err(BaseError::BelowHome { path: interpreter.real });
            }
            Ok(interpreter)
        });
        match answer {
            Ok(interpreter) => {
                let ask_again = !matches!(elf::inspect(taken), Ok(Program::Elf { .. }));
                let taken = taken.clone();
                return Ok(Choice { candidates, taken, ask_again, interpreter });
            }
            Err(error) if named.is_some() => return Err(error),
            Err(error) => skipped.push(format!("interpreter passed over: {}", chain(&error))),
        }
    }
    Err(BaseError::NoInterpreter)
}

/// Lets one candidate say what it is.
pub(super) fn ask(path: &Path, reader: Option<Reader>) -> Result<Interpreter, BaseError> {
    if !path.is_absolute() {
        return Err(BaseError::NotAbsolute { path: path.to_owned() });
    }
    if reader.is_some() {
        refuse_closed_directories(path)?;
        // A link in /usr/local/bin often leads into a home.
        let leads_to = host::resolve(path)
            .map_err(|source| BaseError::AskInterpreter { path: path.to_owned(), source })?;
        refuse_closed_directories(&leads_to.real)?;
    }
    let arguments = ["-I", "-S", "-B", "-c", QUESTION];
    let answer = foreign::ask(path, &arguments, reader, PATIENCE)
        .map_err(|source| BaseError::AskInterpreter { path: path.to_owned(), source })?;
    let line = answer.output.lines().last().unwrap_or_default();
    let interpreter: Interpreter = match serde_json::from_str(line) {
        Ok(interpreter) if answer.succeeded => interpreter,
        _ => return Err(BaseError::NotPython { path: path.to_owned() }),
    };
    let Interpreter { real, base_prefix, stdlib, platstdlib, version, .. } = &interpreter;
    if interpreter.implementation != "cpython" {
        return Err(BaseError::NotPython { path: path.to_owned() });
    }
    if interpreter.minor < (3, OLDEST_MINOR) {
        return Err(BaseError::TooOld { path: path.to_owned(), version: version.clone() });
    }
    let inside = |path: &Path| path.is_absolute() && path.starts_with(base_prefix);
    if base_prefix.components().count() < 2 || !inside(stdlib) || !inside(platstdlib) {
        return Err(BaseError::NotPython { path: path.to_owned() });
    }
    if reader.is_some() {
        refuse_closed_directories(real)?;
    }
    Ok(interpreter)
}

/// Names the first directory (or the file) that stands between `path` and everybody else.
fn refuse_closed_directories(path: &Path) -> Result<(), BaseError> {
    let mut ancestors: Vec<_> = path.ancestors().collect();
    ancestors.reverse();
    for part in ancestors {
        let metadata = std::fs::metadata(part)
            .map_err(|source| BaseError::AskInterpreter { path: path.to_owned(), source })?;
        let needed = if part == path { 0o005 } else { 0o001 };
        if metadata.mode() & needed != needed {
            let (path, closed) = (path.to_owned(), part.to_owned());
            return Err(BaseError::Unreadable { path, closed, mode: metadata.mode() & 0o7777 });
        }
    }
    Ok(())
}

fn below_a_home(path: &Path) -> bool {
    // A home of "/" (system users have it) says nothing about what lies below. The password data
    // base is not asked: its plug-ins may reach for the network.
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let own = own.filter(|home| home.is_absolute() && home.components().count() > 1);
    let homes = [Path::new("/home"), Path::new("/root")].into_iter().chain(own.as_deref());
    homes.into_iter().any(|home| path.starts_with(home))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

const SYSTEM: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
const OLDEST_MINOR: u32 = 10;
/// A version manager's shim starts several programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const QUESTION: &str = "import json, os, sys, sysconfig
paths = sysconfig.get_paths()
try:
    import ssl
    certificates = ssl.get_default_verify_paths().openssl_cafile
except ImportError:
    certificates = None
print(json.dumps({
    'real': os.path.realpath(sys.executable),
    'version': '.'.join(map(str, sys.version_info[:3])),
    'minor': sys.version_info[:2],
    'implementation': sys.implementation.name,
    'base_prefix': os.path.realpath(sys.base_prefix),
    'stdlib': os.path.realpath(paths['stdlib']),
    'platstdlib': os.path.realpath(paths['platstdlib']),
    'certificates': certificates,
}))";

#[cfg(test)]
mod tests;
