//! The host's file system as a plan sees it: where a path really leads, and who may read what is
//! there.
//!
//! Trusts the system's own directories to be root's. What it answers may be old a moment later;
//! `copy.rs` therefore opens without following links and compares the fingerprint.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Without any link in it.
    pub real: PathBuf,
    /// Where the links lie that were followed, each without a link before its last part.
    pub links: Vec<PathBuf>,
}

/// Follows `path` part by part and remembers every link, so that the copy can have them too.
pub(super) fn resolve(path: &Path) -> io::Result<Resolved> {
    let mut resolved = Resolved { real: PathBuf::from("/"), links: Vec::new() };
    let mut rest: Vec<OsString> = reversed(path);
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.real.pop();
            continue;
        }
        let next = resolved.real.join(&part);
        if !std::fs::symlink_metadata(&next)?.is_symlink() {
            resolved.real = next;
            continue;
        }
        let target = std::fs::read_link(&next)?;
        if target.is_absolute() {
            resolved.real = PathBuf::from("/");
        }
        rest.extend(reversed(&target));
        resolved.links.push(next);
        if resolved.links.len() > MOST_LINKS {
            return Err(nix::errno::Errno::ELOOP.into());
        }
    }
    Ok(resolved)
}

/// `target` as a link at `link` must name it to work under any root.
pub(super) fn relative(link: &Path, target: &Path) -> PathBuf {
    let from: Vec<_> = link.parent().unwrap_or(link).components().collect();
    let to: Vec<_> = target.components().collect();
    let common = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
    let up = from.iter().skip(common).map(|_| Component::ParentDir);
    up.chain(to.iter().skip(common).copied()).collect()
}

/// The first part of `path` (free of links) that whoever runs will be may not pass or read, with its
/// mode. The copy is readable by every run, so nothing may enter it that root alone could read; when
/// rootless (not `by_everybody`) it is our own right that counts.
pub(super) fn closed_part(path: &Path, by_everybody: bool) -> io::Result<Option<(PathBuf, u32)>> {
    let mut parts: Vec<_> = path.ancestors().collect();
    parts.reverse();
    for part in parts {
        let mode = std::fs::symlink_metadata(part)?.mode() & 0o7777;
        let needed = if part == path { 0o004 } else { 0o001 };
        if by_everybody && mode & needed == 0 {
            return Ok(Some((part.to_owned(), mode)));
        }
    }
    access(path, AccessFlags::R_OK)?;
    Ok(None)
}

fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}

/// As the kernel's own bound.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_relative_to_where_they_lie() {
        let name = |link: &str, target: &str| relative(Path::new(link), Path::new(target));
        assert_eq!(name("/lib", "/usr/lib"), Path::new("usr/lib"));
        assert_eq!(name("/usr/bin/awk", "/usr/bin/mawk"), Path::new("mawk"));
        assert_eq!(name("/usr/lib64/ld.so", "/usr/lib/x/ld.so"), Path::new("../lib/x/ld.so"));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let path = std::env::temp_dir().join(format!("primcs-loop-{}", std::process::id()));
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = resolve(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }
}
