//! Which shared libraries a program needs, by its own dynamic loader's listing.
//!
//! The loader runs as the unprivileged reader and only lists (`--list`, the same in glibc and
//! musl); reading the dynamic section ourselves would mean to know every search rule of both.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Reader, foreign};

/// Every library `file` needs, itself and the loader's answer for the whole closure, or why not.
pub(super) fn needed_by(
    file: &Path,
    loader: &Path,
    reader: Option<Reader>,
) -> Result<Vec<PathBuf>, String> {
    let listing = foreign::ask(loader, &[Path::new("--list"), file], reader, PATIENCE)
        .map_err(|error| format!("{} cannot list its libraries: {error}", loader.display()))?;
    let mut libraries = parse(&listing)?;
    if !libraries.iter().any(|library| library == loader) {
        libraries.push(loader.to_owned());
    }
    Ok(libraries)
}

/// Lines are `NAME => PATH (0x…)`, `PATH (0x…)`, `NAME => not found`, or `statically linked`.
fn parse(listing: &str) -> Result<Vec<PathBuf>, String> {
    let mut libraries = Vec::new();
    for line in listing.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, found) = line.split_once(" => ").unwrap_or((line, line));
        if found.starts_with("not found") {
            return Err(format!("it needs {name}, which is not installed"));
        }
        // What has no path is the kernel's own (linux-vdso) or says "statically linked".
        let path = found.rsplit_once(" (0x").map_or(found, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

/// True for the C library itself: its directory is where a loader looks without configuration.
pub(super) fn is_c_library(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "libc.so.6" || name.starts_with("ld-musl-")
}

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_loaders_listings_are_understood() {
        let glibc = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/libc.so.6 (0x0000)\n\t/lib64/ld.so (0x1)\n";
        assert_eq!(parse(glibc).unwrap(), [Path::new("/lib/libc.so.6"), Path::new("/lib64/ld.so")]);
        let musl = "\t/lib/ld-musl-x86_64.so.1 (0x7f)\n\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f)\n";
        assert_eq!(parse(musl).unwrap().len(), 2);
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
        assert!(parse("\tlibtcl8.6.so => not found\n").unwrap_err().contains("libtcl8.6.so"));
    }
}
