//! Which files the copy is made of: policy's choice, the interpreter, and the libraries both need.
//!
//! Trusts policy for names and the interpreter's answer for its own place; every file must lie in
//! an area that holds programs, and be readable for whoever runs will be.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::elf::{self, Program};
use super::host::{self, Readability, relative};
use super::interpreter::Interpreter;
use super::sources::Fingerprint;
use super::{BaseError, Reader, libraries};
use crate::policy::mounts::{Base, EtcContent, FileName, RootPath};

/// What lies at one absolute path of the copy. Directories follow from the paths.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A copy of `source`, as it was when it was judged.
    File { source: PathBuf, fingerprint: Fingerprint, executable: bool },
    /// Written by us.
    Text(String),
    /// A relative link.
    Link(PathBuf),
}

/// The whole copy.
pub(super) type Pieces = BTreeMap<PathBuf, Piece>;

/// The plan, what it rests on, and what was left out.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to write.
    pub pieces: Pieces,
    /// Every path looked at; true when a link there was followed.
    pub sources: BTreeMap<PathBuf, bool>,
    /// For the log.
    pub skipped: Vec<String>,
}

/// Looks at the host and decides.
pub(super) fn make(
    policy: &Base,
    interpreter: &Interpreter,
    reader: Option<Reader>,
) -> Result<Plan, BaseError> {
    let mut planner = Planner::new(interpreter, reader)?;
    planner.add_interpreter(policy, interpreter)?;
    for name in policy.library.iter().flat_map(|group| &group.names) {
        planner.add_library(name);
    }
    for name in policy.tool.iter().flat_map(|group| &group.names) {
        planner.add_tool(name, &policy.tool_path.directories);
    }
    for tree in &policy.tree {
        let path = Path::new(tree.path.as_str());
        match planner.resolve(path) {
            Ok(real) => planner.add_tree(&real, &tree.skip, Scripts::NeedInterpreter),
            Err(why) => planner.skip(path, &why),
        }
    }
    planner.drop_scripts_without_interpreter();
    planner.drop_dangling_links();
    planner.add_top_level_links();
    planner.add_etc(policy);
    planner.add_certificates_link(interpreter);
    Ok(Plan { pieces: planner.pieces, sources: planner.sources, skipped: planner.skipped })
}

struct Planner {
    reader: Option<Reader>,
    readability: Readability,
    areas: Vec<PathBuf>,
    loader: PathBuf,
    /// Where the loader looks without being told.
    library_directory: PathBuf,
    /// The first path of a file with several names.
    inodes: HashMap<(u64, u64), PathBuf>,
    scripts: Vec<(PathBuf, PathBuf, Option<String>)>,
    pieces: Pieces,
    sources: BTreeMap<PathBuf, bool>,
    skipped: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scripts {
    NeedInterpreter,
    /// Modules with a first line of their own; they are imported, not run.
    AreModules,
}

impl Planner {
    fn new(interpreter: &Interpreter, reader: Option<Reader>) -> Result<Self, BaseError> {
        let unusable = |why: &str| BaseError::Interpreter {
            path: interpreter.real.clone(),
            why: why.to_owned(),
        };
        let prefix = &interpreter.base_prefix;
        if SHADOWED.iter().any(|area| prefix.starts_with(area)) {
            return Err(unusable("it lies in a directory that a run has of its own"));
        }
        let program = elf::inspect(&interpreter.real)
            .map_err(|source| BaseError::Source { path: interpreter.real.clone(), source })?;
        let Program::Elf { loader: Some(loader), .. } = program else {
            return Err(unusable("it is no dynamically linked program of this machine"));
        };
        let needed = libraries::needed_by(&interpreter.real, &loader, reader)
            .map_err(|why| unusable(&why))?;
        let c_library = needed.iter().find(|path| libraries::is_c_library(path));
        let c_library = c_library.ok_or_else(|| unusable("its loader names no C library"))?;
        let resolved = c_library.parent().map(host::resolve);
        let Some(Ok(directory)) = resolved else {
            return Err(unusable("its C library cannot be found"));
        };
        let areas = AREAS.iter().map(PathBuf::from).chain([prefix.clone()]).collect();
        Ok(Self {
            reader,
            readability: Readability::new(reader.is_some()),
            areas,
            loader,
            library_directory: directory.real,
            inodes: HashMap::new(),
            scripts: Vec::new(),
            pieces: Pieces::new(),
            sources: BTreeMap::new(),
            skipped: Vec::new(),
        })
    }

    fn add_interpreter(&mut self, policy: &Base, python: &Interpreter) -> Result<(), BaseError> {
        let unusable = |why| BaseError::Interpreter { path: python.real.clone(), why };
        self.place(&python.real).map_err(unusable)?;
        let skip = policy.python.skip.iter().flat_map(|part| part.names.iter().cloned());
        let skip: Vec<_> = skip.chain(NEVER.map(str::to_owned)).collect();
        self.add_tree(&python.stdlib, &skip, Scripts::AreModules);
        if !python.platstdlib.starts_with(&python.stdlib) {
            self.add_tree(&python.platstdlib, &skip, Scripts::AreModules);
        }
        let is_wanted = !skip.iter().any(|pattern| matches(pattern, "os.py"));
        if is_wanted && !self.pieces.contains_key(&python.stdlib.join("os.py")) {
            let stdlib = python.stdlib.display();
            return Err(unusable(format!(
                "not every user may read its standard library, {stdlib}"
            )));
        }
        // Scripts that name it this way are meant for whichever Python a run has.
        let usual = PathBuf::from("/usr/bin/python3");
        let link = Piece::Link(relative(&usual, &python.real));
        if usual != python.real {
            self.pieces.insert(usual, link);
        }
        Ok(())
    }

    fn add_library(&mut self, name: &FileName) {
        let path = self.library_directory.join(name.as_str());
        if let Err(why) = self.place(&path) {
            self.skip(&path, &why);
        }
    }

    fn add_tool(&mut self, name: &FileName, directories: &[RootPath]) {
        for directory in directories {
            let path = Path::new(directory.as_str()).join(name.as_str());
            self.sources.insert(path.clone(), true);
            if std::fs::metadata(&path).is_ok() {
                if let Err(why) = self.place(&path) {
                    self.skip(&path, &why);
                }
                return;
            }
        }
        self.skipped.push(format!("{}: not installed", name.as_str()));
    }

    /// Copies what lies below `directory`, which must be free of links.
    fn add_tree(&mut self, directory: &Path, skip: &[String], scripts: Scripts) {
        // Its time of change tells of new names in it.
        self.sources.insert(directory.to_owned(), false);
        let entries =
            std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.skip(directory, &error.to_string()),
        };
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            if skip.iter().any(|pattern| matches(pattern, &name.to_string_lossy())) {
                continue;
            }
            let outcome = match entry.file_type() {
                // Neither index nor manifest can hold it.
                _ if name.to_str().is_none() => Err("its name is no UTF-8 text".to_owned()),
                Err(error) => Err(error.to_string()),
                Ok(kind) if kind.is_dir() => {
                    // Of the standard library, policy names parts; elsewhere, names at any depth.
                    let below = if scripts == Scripts::AreModules { &[] } else { skip };
                    self.add_tree(&path, below, scripts);
                    Ok(())
                }
                Ok(kind) if kind.is_symlink() && path.is_dir() => self.resolve(&path).map(drop),
                Ok(kind) if kind.is_symlink() => self.place(&path).map(drop),
                Ok(_) => self.place_real(&path, scripts),
            };
            if let Err(why) = outcome {
                self.skip(&path, &why);
            }
        }
    }

    fn add_etc(&mut self, policy: &Base) {
        for file in &policy.etc {
            let path = Path::new("/etc").join(file.name.as_str());
            match &file.content {
                EtcContent::Text(text) => {
                    self.pieces.insert(path, Piece::Text(text.clone()));
                }
                EtcContent::FirstOf(candidates) => {
                    let piece = candidates
                        .iter()
                        .find_map(|candidate| self.bytes_of(Path::new(candidate.as_str())));
                    match piece {
                        Some(piece) => drop(self.pieces.insert(path, piece)),
                        None => self.skip(&path, "the host has none of the files for it"),
                    }
                }
            }
        }
    }

    /// The one bundle in `/etc`, at the place where this interpreter's OpenSSL was built to look.
    fn add_certificates_link(&mut self, interpreter: &Interpreter) {
        let bundle = Path::new(BUNDLE);
        let Some(looked_for) = interpreter.certificates.as_deref() else { return };
        let is_usual = looked_for.is_absolute()
            && looked_for.ends_with("cert.pem")
            && looked_for.components().all(|part| part != Component::ParentDir);
        let is_taken = looked_for.ancestors().any(|part| self.pieces.contains_key(part));
        if is_usual && !is_taken && self.pieces.contains_key(bundle) {
            let link = Piece::Link(relative(looked_for, bundle));
            self.pieces.insert(looked_for.to_owned(), link);
        }
    }

    fn bytes_of(&mut self, candidate: &Path) -> Option<Piece> {
        self.sources.insert(candidate.to_owned(), true);
        let source = host::resolve(candidate).ok()?.real;
        let fingerprint = Fingerprint::of(&self.judge(&source).ok()?);
        Some(Piece::File { source, fingerprint, executable: false })
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
const AREAS: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
];
/// What the host's owner installed beside the standard library: his choice, not ours, and often
/// large. No policy file can add it.
const NEVER: [&str; 2] = ["site-packages", "dist-packages"];
/// Where policy puts the certificates.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A run has its own of these, and the host's are nobody's business there.
const SHADOWED: [&str; 9] =
    ["/etc", "/proc", "/sys", "/dev", "/run", "/tmp", "/var", "/workspace", "/venv"];

mod place;
#[cfg(test)]
mod tests;
mod tidy;
