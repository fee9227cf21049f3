//! Which files the copy is made of: policy's choice, the interpreter, and the libraries both need.
//!
//! Trusts policy for names and the interpreter's answer for its own place; every file must lie in
//! an area that holds programs, and be readable for whoever runs will be.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::elf::{self, Program};
use super::host::{self, Readability, relative};
use super::interpreter::Interpreter;
use super::sources::Fingerprint;
use super::{BaseError, EtcContent, Reader, Wanted, libraries};

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
    wanted: &Wanted,
    interpreter: &Interpreter,
    reader: Option<Reader>,
) -> Result<Plan, BaseError> {
    let mut planner = Planner::new(interpreter, reader)?;
    planner.add_interpreter(wanted, interpreter)?;
    planner.add_libraries(&wanted.libraries);
    for tool in &wanted.tools {
        planner.add_tool(tool, &wanted.tool_directories);
    }
    for tree in &wanted.trees {
        match planner.resolve(&tree.path) {
            Ok(real) => planner.add_tree(&real, &tree.skip, Scripts::NeedInterpreter)?,
            Err(why) => planner.skip(&tree.path, &why),
        }
    }
    planner.drop_scripts_without_interpreter();
    planner.add_top_level_links();
    planner.add_etc(wanted);
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

    fn add_interpreter(&mut self, wanted: &Wanted, python: &Interpreter) -> Result<(), BaseError> {
        let unusable = |why| BaseError::Interpreter { path: python.real.clone(), why };
        self.place(&python.real).map_err(unusable)?;
        self.add_tree(&python.stdlib, &wanted.python_skip, Scripts::AreModules)?;
        if !python.platstdlib.starts_with(&python.stdlib) {
            self.add_tree(&python.platstdlib, &wanted.python_skip, Scripts::AreModules)?;
        }
        // Scripts that name it this way are meant for whichever Python a run has.
        let usual = PathBuf::from("/usr/bin/python3");
        let link = Piece::Link(relative(&usual, &python.real));
        if usual != python.real {
            self.pieces.insert(usual, link);
        }
        Ok(())
    }

    fn add_libraries(&mut self, names: &[String]) {
        for name in names {
            let path = self.library_directory.join(name);
            if let Err(why) = self.place(&path) {
                self.skip(&path, &why);
            }
        }
    }

    fn add_tool(&mut self, name: &str, directories: &[PathBuf]) {
        for directory in directories {
            let path = directory.join(name);
            self.sources.insert(path.clone(), true);
            if std::fs::metadata(&path).is_ok() {
                if let Err(why) = self.place(&path) {
                    self.skip(&path, &why);
                }
                return;
            }
        }
        self.skipped.push(format!("{name}: not installed"));
    }

    /// Copies what lies below `directory`, which must be free of links.
    fn add_tree(
        &mut self,
        directory: &Path,
        skip: &[String],
        scripts: Scripts,
    ) -> Result<(), BaseError> {
        let failed = |source| BaseError::Source { path: directory.to_owned(), source };
        // Its time of change tells of new names in it.
        self.sources.insert(directory.to_owned(), false);
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if skip.iter().any(|pattern| matches(pattern, &name.to_string_lossy())) {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            let outcome = if kind.is_dir() {
                self.add_tree(&path, skip, scripts)?;
                Ok(())
            } else if kind.is_symlink() {
                self.place(&path).map(drop)
            } else if kind.is_file() {
                self.place_real(&path, scripts)
            } else {
                Err("it is no file, directory or link".to_owned())
            };
            if let Err(why) = outcome {
                self.skip(&path, &why);
            }
        }
        Ok(())
    }

    /// Follows `path` and records it and every link on the way as sources.
    fn resolve(&mut self, path: &Path) -> Result<PathBuf, String> {
        self.sources.insert(path.to_owned(), true);
        let resolved = host::resolve(path).map_err(|error| error.to_string())?;
        if !self.is_program_area(&resolved.real) {
            return Err(format!("it leads to {}, which is the host's own", resolved.real.display()));
        }
        for link in resolved.links {
            let target = host::resolve(&link).map_err(|error| error.to_string())?.real;
            self.sources.insert(link.clone(), false);
            // Links in /etc/alternatives and the like are not copied: the one that leads to them
            // gets the last target at once.
            if self.is_program_area(&link) {
                let piece = Piece::Link(relative(&link, &target));
                self.pieces.insert(link, piece);
            }
        }
        Ok(resolved.real)
    }

    /// Adds the file at the end of `path`, the links before it, and what it needs.
    fn place(&mut self, path: &Path) -> Result<PathBuf, String> {
        let real = self.resolve(path)?;
        self.place_real(&real, Scripts::NeedInterpreter)?;
        Ok(real)
    }

    fn place_real(&mut self, real: &Path, scripts: Scripts) -> Result<(), String> {
        if self.pieces.contains_key(real) {
            return Ok(());
        }
        let metadata = self.judge(real)?;
        let executable = metadata.mode() & 0o111 != 0;
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        if executable || name.contains(".so") {
            match elf::inspect(real).map_err(|error| error.to_string())? {
                Program::Elf { loader, dynamic: true } => self.add_needed(real, loader)?,
                Program::Script { interpreter, argument } if scripts == Scripts::NeedInterpreter => {
                    self.scripts.push((real.to_owned(), interpreter, argument));
                }
                Program::Elf { dynamic: false, .. } | Program::Script { .. } | Program::Other => {}
            }
        }
        self.insert_file(real, &metadata, executable);
        Ok(())
    }

    fn add_needed(&mut self, real: &Path, loader: Option<PathBuf>) -> Result<(), String> {
        let loader = loader.unwrap_or_else(|| self.loader.clone());
        for library in libraries::needed_by(real, &loader, self.reader)? {
            let found = self.resolve(&library)?;
            // The listing is the whole closure: what a library needs is on it already.
            if !self.pieces.contains_key(&found) && found != real {
                let metadata = self.judge(&found)?;
                self.insert_file(&found, &metadata, metadata.mode() & 0o111 != 0);
            }
            self.make_findable(&library, &found);
        }
        Ok(())
    }

    /// The host's loader may know a directory from `/etc/ld.so.cache`, which a run does not have. A
    /// link where every loader looks finds the library there too.
    fn make_findable(&mut self, library: &Path, found: &Path) {
        let Some(name) = library.file_name() else { return };
        let usual = self.library_directory.join(name);
        let directory = library.parent().and_then(|directory| host::resolve(directory).ok());
        if directory.is_some_and(|directory| directory.real != self.library_directory)
            && std::fs::symlink_metadata(&usual).is_err()
        {
            let link = Piece::Link(relative(&usual, found));
            self.pieces.entry(usual).or_insert(link);
        }
    }

    fn judge(&mut self, real: &Path) -> Result<Metadata, String> {
        self.sources.insert(real.to_owned(), false);
        let metadata = std::fs::symlink_metadata(real).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no regular file".to_owned());
        }
        if !self.readability.allows(real, &metadata) {
            return Err("not every user may read it".to_owned());
        }
        Ok(metadata)
    }

    fn insert_file(&mut self, real: &Path, metadata: &Metadata, executable: bool) {
        let first = if metadata.nlink() > 1 {
            self.inodes.entry((metadata.dev(), metadata.ino())).or_insert(real.to_owned()).clone()
        } else {
            real.to_owned()
        };
        let piece = if first == real {
            let fingerprint = Fingerprint::of(metadata);
            Piece::File { source: real.to_owned(), fingerprint, executable }
        } else {
            Piece::Link(relative(real, &first))
        };
        self.pieces.insert(real.to_owned(), piece);
    }

    fn add_etc(&mut self, wanted: &Wanted) {
        for file in &wanted.etc {
            let path = Path::new("/etc").join(&file.name);
            match &file.content {
                EtcContent::Text(text) => {
                    self.pieces.insert(path, Piece::Text(text.clone()));
                }
                EtcContent::FirstOf(candidates) => {
                    let piece = candidates.iter().find_map(|candidate| self.bytes_of(candidate));
                    match piece {
                        Some(piece) => drop(self.pieces.insert(path, piece)),
                        None => self.skip(&path, "the host has none of the files for it"),
                    }
                }
            }
        }
    }

    fn bytes_of(&mut self, candidate: &Path) -> Option<Piece> {
        self.sources.insert(candidate.to_owned(), true);
        let source = host::resolve(candidate).ok()?.real;
        let fingerprint = Fingerprint::of(&self.judge(&source).ok()?);
        Some(Piece::File { source, fingerprint, executable: false })
    }

    fn drop_scripts_without_interpreter(&mut self) {
        for (script, interpreter, argument) in std::mem::take(&mut self.scripts) {
            let started = argument.filter(|_| interpreter.ends_with("env"));
            let started = started.map(|name| Path::new("/usr/bin").join(name));
            let is_here = |path: &Path| {
                host::resolve(path).is_ok_and(|found| self.pieces.contains_key(&found.real))
                    || self.pieces.contains_key(path)
            };
            if !is_here(&interpreter) || started.as_deref().is_some_and(|path| !is_here(path)) {
                self.pieces.remove(&script);
                let needs = started.unwrap_or(interpreter);
                self.skip(&script, &format!("it needs {}", needs.display()));
            }
        }
        loop {
            let dangling: Vec<_> =
                self.pieces.iter().filter(|(path, piece)| self.dangles(path, piece)).collect();
            let dangling: Vec<_> = dangling.into_iter().map(|(path, _)| path.clone()).collect();
            if dangling.is_empty() {
                return;
            }
            for link in dangling {
                self.pieces.remove(&link);
            }
        }
    }

    fn dangles(&self, path: &Path, piece: &Piece) -> bool {
        let Piece::Link(target) = piece else { return false };
        let mut end = path.parent().unwrap_or(path).to_owned();
        for part in target.components() {
            if part.as_os_str() == ".." {
                end.pop();
            } else {
                end.push(part);
            }
        }
        !self.pieces.contains_key(&end) && !self.has_below(&end)
    }

    fn has_below(&self, directory: &Path) -> bool {
        let mut after = self.pieces.range(directory.to_owned()..);
        after.next().is_some_and(|(path, _)| path.starts_with(directory))
    }

    /// `/bin -> usr/bin` and its like, also where nothing was reached through them yet.
    fn add_top_level_links(&mut self) {
        for name in ["/bin", "/sbin", "/lib", "/lib64"] {
            let link = PathBuf::from(name);
            self.sources.insert(link.clone(), false);
            if let Ok(target) = host::resolve(&link)
                && target.real != link
                && self.has_below(&target.real)
            {
                let piece = Piece::Link(relative(&link, &target.real));
                self.pieces.insert(link, piece);
            }
        }
    }

    fn is_program_area(&self, path: &Path) -> bool {
        self.areas.iter().any(|area| path.starts_with(area))
    }

    fn skip(&mut self, path: &Path, why: &str) {
        self.skipped.push(format!("{}: {why}", path.display()));
    }
}

/// A name, or a name's beginning before a `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// Where systems keep programs and libraries; the interpreter's own prefix is added.
const AREAS: [&str; 10] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/gnu/store",
];
/// A run has its own of these, and the host's are nobody's business there.
const SHADOWED: [&str; 9] =
    ["/etc", "/proc", "/sys", "/dev", "/run", "/tmp", "/var", "/workspace", "/venv"];

#[cfg(test)]
mod tests;
