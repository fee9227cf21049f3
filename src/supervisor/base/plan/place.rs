//! How one file of the host gets into a plan: followed, judged, and with what it needs.
//!
//! The only place where a piece that holds bytes of the host is made, so the only place to look for
//! whether such bytes may be shown to a run.
#![forbid(unsafe_code)]

use std::path::Path;

use super::super::elf::{self, Dynamic};
use super::super::host::{self, Resolved, relative};
use super::super::libraries;
use super::super::sources::Fingerprint;
use super::{Piece, Plan};

impl Plan {
    /// Follows `path`, which becomes a source: whatever it leads to one day changes the key.
    pub(super) fn resolve(&mut self, path: &Path) -> Result<Resolved, String> {
        self.sources.insert(path.to_owned());
        let resolved = host::resolve(path).map_err(|error| error.to_string())?;
        if self.is_program_area(&resolved.real) {
            Ok(resolved)
        } else {
            Err(format!("it leads to {}, which is the host's own", resolved.real.display()))
        }
    }

    pub(super) fn place_or_skip(&mut self, path: &Path) {
        if let Err(why) = self.place(path) {
            self.skip(path, &why);
        }
    }

    /// Adds the file at the end of `path`, what it needs, and the links that lead to it.
    pub(super) fn place(&mut self, path: &Path) -> Result<(), String> {
        let resolved = self.resolve(path)?;
        let real = &resolved.real;
        if !self.pieces.contains_key(real) {
            let piece = self.judge(real)?;
            let name = real.file_name().unwrap_or_default().to_string_lossy();
            let Piece::File { fingerprint, .. } = &piece else { return Ok(()) };
            if fingerprint.mode_of_copy() == 0o755 || name.contains(".so") {
                let program = elf::inspect(real).map_err(|error| error.to_string())?;
                program.map_or(Ok(()), |program| self.add_needed(real, program))?;
            }
            self.pieces.insert(real.clone(), piece);
        }
        self.add_links(resolved);
        Ok(())
    }

    fn add_needed(&mut self, real: &Path, program: Dynamic) -> Result<(), String> {
        let loader = program.loader.unwrap_or_else(|| self.loader.clone());
        for library in libraries::needed_by(real, &loader, self.reader)? {
            let resolved = self.resolve(&library)?;
            // The listing is the whole closure: what a library needs is on it already.
            if !self.pieces.contains_key(&resolved.real) && resolved.real != real {
                let piece = self.judge(&resolved.real)?;
                self.pieces.insert(resolved.real.clone(), piece);
            }
            self.make_findable(&library, &resolved.real);
            self.add_links(resolved);
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

    /// Links in `/etc/alternatives` and the like are not copied: the one that leads to them gets the
    /// last target at once.
    pub(super) fn add_links(&mut self, resolved: Resolved) {
        for link in resolved.links {
            if self.is_program_area(&link)
                && let Ok(target) = host::resolve(&link)
            {
                let piece = Piece::Link(relative(&link, &target.real));
                self.pieces.insert(link, piece);
            }
        }
    }

    /// The file itself (free of links), when every run may read it.
    pub(super) fn judge(&mut self, real: &Path) -> Result<Piece, String> {
        self.sources.insert(real.to_owned());
        let metadata = std::fs::symlink_metadata(real).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no regular file".to_owned());
        }
        match host::closed_part(real, self.reader.is_some()) {
            Ok(None) => {}
            Ok(Some(_)) => return Err("not every user may read it".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        Ok(Piece::File { source: real.to_owned(), fingerprint: Fingerprint::of(&metadata) })
    }

    fn is_program_area(&self, path: &Path) -> bool {
        self.areas.iter().any(|area| path.starts_with(area))
    }
}
