//! Which files the copy is made of: policy's choice, the interpreter, and the libraries both need.
//!
//! Trusts policy for names and the interpreter's answer for its own place; every file must lie in
//! an area that holds programs, and be readable for whoever runs will be.
#![forbid(unsafe_code)]

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::host::{self, relative};
use super::interpreter::Interpreter;
use super::sources::Fingerprint;
use super::{BaseError, Reader, elf, libraries};
use crate::policy::mounts::{Base, EtcContent, FileName, RootPath};

/// What lies at one absolute path of the copy. Directories follow from the paths.
#[derive(Debug)]
pub(super) enum Piece {
    /// A copy of `source`, as it was when it was judged.
    File { source: PathBuf, fingerprint: Fingerprint },
    /// Written by us.
    Text(String),
    /// A relative link.
    Link(PathBuf),
}

/// The whole copy.
pub(super) type Pieces = BTreeMap<PathBuf, Piece>;

/// What to copy, what that rests on, and what was left out.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to write.
    pub pieces: Pieces,
    /// Every path looked at.
    pub sources: BTreeSet<PathBuf>,
    /// For the log.
    pub skipped: Vec<String>,
    reader: Option<Reader>,
    areas: Vec<PathBuf>,
    loader: PathBuf,
    /// Where the loader looks without being told.
    library_directory: PathBuf,
}

/// Looks at the host and decides.
pub(super) fn make(
    policy: &Base,
    interpreter: &Interpreter,
    reader: Option<Reader>,
) -> Result<Plan, BaseError> {
    let mut plan = Plan::new(interpreter, reader)?;
    plan.add_interpreter(policy, interpreter)?;
    for name in policy.library.iter().flat_map(|group| &group.names) {
        let path = plan.library_directory.join(name.as_str());
        plan.place_or_skip(&path);
    }
    for name in policy.tool.iter().flat_map(|group| &group.names) {
        plan.add_tool(name, &policy.tool_path.directories);
    }
    for tree in &policy.tree {
        let path = Path::new(tree.path.as_str());
        match plan.resolve(path) {
            Ok(resolved) => {
                plan.add_tree(&resolved.real, &tree.skip);
                plan.add_links(resolved);
            }
            Err(why) => plan.skip(path, &why),
        }
    }
    plan.add_top_level_links();
    plan.add_etc(policy);
    Ok(plan)
}

impl Plan {
    fn new(interpreter: &Interpreter, reader: Option<Reader>) -> Result<Self, BaseError> {
        let python = &interpreter.real;
        let unusable = |why: &str| BaseError::interpreter(python, why);
        let prefix = &interpreter.base_prefix;
        if SHADOWED.iter().any(|area| prefix.starts_with(area)) {
            return Err(unusable("it lies in a directory that a run has of its own"));
        }
        let program = elf::inspect(python).map_err(BaseError::read(python))?;
        let Some(loader) = program.and_then(|program| program.loader) else {
            return Err(unusable("it is no dynamically linked program of this machine"));
        };
        let needed = libraries::needed_by(python, &loader, reader).map_err(|why| unusable(&why))?;
        let c_library = needed.iter().find(|path| libraries::is_c_library(path));
        let directory = c_library.and_then(|path| host::resolve(path.parent()?).ok());
        let directory = directory.ok_or_else(|| unusable("its loader names no C library"))?;
        Ok(Self {
            pieces: Pieces::new(),
            sources: BTreeSet::new(),
            skipped: Vec::new(),
            reader,
            areas: AREAS.iter().map(PathBuf::from).chain([prefix.clone()]).collect(),
            loader,
            library_directory: directory.real,
        })
    }

    fn add_interpreter(&mut self, policy: &Base, python: &Interpreter) -> Result<(), BaseError> {
        self.place(&python.real).map_err(|why| BaseError::interpreter(&python.real, why))?;
        let skip = policy.python.skip.iter().flat_map(|part| part.names.iter().cloned());
        let skip: Vec<_> = skip.chain(NEVER.map(str::to_owned)).collect();
        self.add_tree(&python.stdlib, &skip);
        if !python.platstdlib.starts_with(&python.stdlib) {
            self.add_tree(&python.platstdlib, &skip);
        }
        // Scripts that name it this way are meant for whichever Python a run has.
        let usual = PathBuf::from("/usr/bin/python3");
        if usual != python.real {
            let link = Piece::Link(relative(&usual, &python.real));
            self.pieces.insert(usual, link);
        }
        Ok(())
    }

    fn add_tool(&mut self, name: &FileName, directories: &[RootPath]) {
        for directory in directories {
            let path = Path::new(directory.as_str()).join(name.as_str());
            self.sources.insert(path.clone());
            if std::fs::metadata(&path).is_ok() {
                return self.place_or_skip(&path);
            }
        }
        self.skipped.push(format!("{}: not installed", name.as_str()));
    }

    /// Copies what lies below `directory` (free of links), but for names in `skip` at any depth.
    fn add_tree(&mut self, directory: &Path, skip: &[String]) {
        // Its time of change tells of new names in it.
        self.sources.insert(directory.to_owned());
        let entries =
            std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.skip(directory, &error.to_string()),
        };
        for entry in entries {
            let path = entry.path();
            // Neither index nor manifest can hold another name.
            let Ok(name) = entry.file_name().into_string() else {
                self.skip(&path, "its name is no UTF-8 text");
                continue;
            };
            if skip.iter().any(|pattern| matches(pattern, &name)) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add_tree(&path, skip);
            } else {
                self.place_or_skip(&path);
            }
        }
    }

    /// `/bin -> usr/bin` and its like, also where nothing was reached through them yet.
    fn add_top_level_links(&mut self) {
        for link in ["/bin", "/sbin", "/lib", "/lib64"].map(PathBuf::from) {
            let Ok(target) = host::resolve(&link).map(|resolved| resolved.real) else { continue };
            if target != link && self.pieces.keys().any(|path| path.starts_with(&target)) {
                let piece = Piece::Link(relative(&link, &target));
                self.pieces.insert(link, piece);
            }
        }
    }

    fn add_etc(&mut self, policy: &Base) {
        for file in &policy.etc {
            let path = Path::new("/etc").join(file.name.as_str());
            let piece = match &file.content {
                EtcContent::Text(text) => Some(Piece::Text(text.clone())),
                EtcContent::FirstOf(candidates) => candidates.iter().find_map(|candidate| {
                    let candidate = Path::new(candidate.as_str());
                    self.sources.insert(candidate.to_owned());
                    self.judge(&host::resolve(candidate).ok()?.real).ok()
                }),
            };
            match piece {
                Some(piece) => drop(self.pieces.insert(path, piece)),
                None => self.skip(&path, "the host has none of the files for it"),
            }
        }
    }

    fn skip(&mut self, path: &Path, why: &str) {
        self.skipped.push(format!("{}: {why}", path.display()));
    }
}

/// A name, in which one `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').map_or(pattern == name, |(start, end)| {
        name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end))
    })
}

/// Where systems keep programs and libraries; the interpreter's own prefix is added.
const AREAS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix/store"];
/// What the host's owner installed beside the standard library: his choice, not ours, and often
/// large. No policy file can add it.
const NEVER: [&str; 2] = ["site-packages", "dist-packages"];
/// A run has its own of these, and the host's are nobody's business there.
const SHADOWED: [&str; 9] =
    ["/etc", "/proc", "/sys", "/dev", "/run", "/tmp", "/var", "/workspace", "/venv"];

#[cfg(test)]
mod tests;
