//! What is right only once all files are known: scripts have their interpreters, links lead
//! somewhere, and the top level looks like the host's. Trusts the plan; reads only links.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::super::host::{self, relative};
use super::{Piece, Planner};

impl Planner {
    pub(super) fn drop_scripts_without_interpreter(&mut self) {
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
    }

    /// Links are made on the way to files that then turn out not to be wanted.
    pub(super) fn drop_dangling_links(&mut self) {
        loop {
            let dangling = self.pieces.iter().filter(|(path, piece)| self.dangles(path, piece));
            let dangling: Vec<_> = dangling.map(|(path, _)| path.clone()).collect();
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
    pub(super) fn add_top_level_links(&mut self) {
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
}
