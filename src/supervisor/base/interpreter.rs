//! Which Python runs: the one named, else the newest of the system, else what `python3` on `PATH`
//! says it really is.
//!
//! Trusts the directories it looks in as much as the operator's own shell does, and what a program
//! answers only so far: an answer chooses files, and none of them is copied unless every user of
//! the host can read it (`plan.rs`).
#![forbid(unsafe_code)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{BaseError, Reader, foreign, host};

/// What an interpreter says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    implementation: String,
    minor: (u32, u32),
}

/// Asks one candidate after the other, or only the named one; also returns what was passed over and
/// why. It is asked anew at every start: what a shim starts may change while the shim stays the same.
pub(super) fn choose(
    named: Option<&Path>,
    search_path: &[PathBuf],
    reader: Option<Reader>,
) -> Result<(Interpreter, Vec<String>), BaseError> {
    let mut passed_over = Vec::new();
    if let Some(named) = named {
        return ask(named, reader).map(|interpreter| (interpreter, passed_over));
    }
    for path in candidates(search_path) {
        if std::fs::metadata(&path).is_err() {
            continue;
        }
        let refusal = match ask(&path, reader) {
            Ok(found) if below_a_home(&found.real) => BaseError::interpreter(
                &found.real,
                "it lies below a home directory, and such a one is used only when named",
            ),
            Ok(found) => return Ok((found, passed_over)),
            Err(error) => error,
        };
        passed_over
            .push(format!("interpreter passed over: {}", crate::causes::with_causes(&refusal)));
    }
    Err(BaseError::NoInterpreter)
}

/// Paths to try, best first.
fn candidates(search_path: &[PathBuf]) -> Vec<PathBuf> {
    // Relative entries mean another file to everybody.
    let on_path = search_path.iter().filter(|directory| directory.is_absolute());
    let on_path = on_path.map(|directory| directory.join("python3"));
    newest_first(&SYSTEM.map(Path::new)).into_iter().chain(on_path).collect()
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

/// Lets one candidate say what it is.
fn ask(path: &Path, reader: Option<Reader>) -> Result<Interpreter, BaseError> {
    if !path.is_absolute() {
        return Err(BaseError::NotAbsolute { path: path.to_owned() });
    }
    let failed = |source| BaseError::AskInterpreter { path: path.to_owned(), source };
    // A link in /usr/local/bin often leads into a home.
    let real = host::resolve(path).map_err(failed)?.real;
    if let Some((closed, mode)) = host::closed_part(&real, reader.is_some()).map_err(failed)? {
        let closed = closed.display();
        let why = format!(
            "runs are other users, and {closed} is closed to them (mode {mode:04o}; to open it: chmod o+rx {closed})"
        );
        return Err(BaseError::interpreter(path, why));
    }
    let kind = std::fs::metadata(&real).map_err(failed)?;
    if !kind.is_file() || kind.permissions().mode() & 0o111 == 0 {
        let why = "it is no file that may be executed (of a folder, name the program in it)";
        return Err(BaseError::interpreter(path, why));
    }
    let arguments = ["-I", "-S", "-B", "-c", QUESTION];
    let answer = foreign::ask(path, &arguments, reader, PATIENCE).map_err(failed)?;
    let line = answer.lines().last().unwrap_or_default();
    let Ok(interpreter) = serde_json::from_str::<Interpreter>(line) else {
        return Err(BaseError::interpreter(path, "it does not answer like a Python"));
    };
    let Interpreter { base_prefix, stdlib, platstdlib, version, .. } = &interpreter;
    let inside = |path: &Path| path.is_absolute() && path.starts_with(base_prefix);
    let is_whole = base_prefix.components().count() > 1 && inside(stdlib) && inside(platstdlib);
    if interpreter.implementation != "cpython" || !is_whole {
        return Err(BaseError::interpreter(path, "it is no whole CPython"));
    }
    if interpreter.minor < (3, OLDEST_MINOR) {
        let why = format!("it is Python {version}, and 3.10 or newer is needed");
        return Err(BaseError::interpreter(path, why));
    }
    Ok(interpreter)
}

fn below_a_home(path: &Path) -> bool {
    // A home of "/" (system users have it) says nothing about what lies below. The password data
    // base is not asked: its plug-ins may reach for the network.
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let own = own.filter(|home| home.is_absolute() && home.components().count() > 1);
    let homes = [Path::new("/home"), Path::new("/root")].into_iter().chain(own.as_deref());
    homes.into_iter().any(|home| path.starts_with(home))
}

const SYSTEM: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
const OLDEST_MINOR: u32 = 10;
/// A version manager's shim starts several programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const QUESTION: &str = "import json, os, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    'real': os.path.realpath(sys.executable),
    'version': '.'.join(map(str, sys.version_info[:3])),
    'minor': sys.version_info[:2],
    'implementation': sys.implementation.name,
    'base_prefix': os.path.realpath(sys.base_prefix),
    'stdlib': os.path.realpath(paths['stdlib']),
    'platstdlib': os.path.realpath(paths['platstdlib']),
}))";

#[cfg(test)]
mod tests;
