//! How one file of the host gets into a plan: followed, judged, and with what it needs.
//!
//! The only place where a piece that holds bytes of the host is made, so the only place to look for
//! whether such bytes may be shown to a run.
#![forbid(unsafe_code)]

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::elf::{self, Program};
use super::super::host::{self, relative};
use super::super::libraries;
use super::super::sources::Fingerprint;
use super::{Piece, Planner, Scripts};

impl Planner {
    /// Follows `path` and records it and every link on the way as sources.
    pub(super) fn resolve(&mut self, path: &Path) -> Result<PathBuf, String> {
        self.sources.insert(path.to_owned(), true);
        let resolved = host::resolve(path).map_err(|error| error.to_string())?;
        if !self.is_program_area(&resolved.real) {
            return Err(format!(
                "it leads to {}, which is the host's own",
                resolved.real.display()
            ));
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
    pub(super) fn place(&mut self, path: &Path) -> Result<PathBuf, String> {
        let real = self.resolve(path)?;
        self.place_real(&real, Scripts::NeedInterpreter)?;
        Ok(real)
    }

    pub(super) fn place_real(&mut self, real: &Path, scripts: Scripts) -> Result<(), String> {
        if self.pieces.contains_key(real) {
            return Ok(());
        }
        let metadata = self.judge(real)?;
        let executable = metadata.mode() & 0o111 != 0;
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        if executable || name.contains(".so") {
            match elf::inspect(real).map_err(|error| error.to_string())? {
                Program::Elf { loader, dynamic: true } => self.add_needed(real, loader)?,
                Program::Script { interpreter, argument }
                    if scripts == Scripts::NeedInterpreter =>
                {
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
    pub(super) fn make_findable(&mut self, library: &Path, found: &Path) {
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

    pub(super) fn judge(&mut self, real: &Path) -> Result<Metadata, String> {
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

    fn is_program_area(&self, path: &Path) -> bool {
        self.areas.iter().any(|area| path.starts_with(area))
    }
}
