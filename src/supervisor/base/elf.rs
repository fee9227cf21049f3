//! Whether a file is a program that a dynamic loader completes, and which loader it names.
//!
//! Trusts nothing: the bytes are the host's, every offset is checked, and the answer decides only
//! what is run *as an unprivileged user* to learn more.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

/// Native code that may need shared libraries (`PT_DYNAMIC`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dynamic {
    /// `PT_INTERP`: programs name their loader, libraries do not.
    pub loader: Option<PathBuf>,
}

/// None for whatever is not native or needs nothing: a script, a static program, a text.
pub(super) fn inspect(path: &Path) -> io::Result<Option<Dynamic>> {
    Ok(dynamic(&std::fs::read(path)?))
}

fn dynamic(file: &[u8]) -> Option<Dynamic> {
    if !file.starts_with(ELF_64_LITTLE) || number(file, 18, 2)? != X86_64 {
        return None;
    }
    let (table, size, count) = (number(file, 32, 8)?, number(file, 54, 2)?, number(file, 56, 2)?);
    let segment = |kind| {
        let mut places = (0..count).map_while(|index| table.checked_add(index.checked_mul(size)?));
        places.find(|at| number(file, *at, 4) == Some(kind))
    };
    segment(PT_DYNAMIC)?;
    let name = segment(PT_INTERP).and_then(|at| number(file, at.checked_add(8)?, 8));
    let name = name.and_then(|at| file.get(at..)?.split(|byte| *byte == 0).next());
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    Some(Dynamic { loader: name.filter(|name| name.starts_with('/')).map(PathBuf::from) })
}

/// Little-endian, `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    let value = field.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    usize::try_from(value).ok()
}

const ELF_64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
/// The policy's calls are those of this machine, and so are the programs of a run.
const X86_64: usize = 62;
const PT_DYNAMIC: usize = 2;
const PT_INTERP: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lying_header_names_nothing() {
        for lie in [0xff, 0x00, 0x03] {
            let mut file = vec![lie; 96];
            file[..6].copy_from_slice(ELF_64_LITTLE);
            file[18..20].copy_from_slice(&[62, 0]);
            assert_eq!(dynamic(&file), None, "{lie}");
        }
        assert_eq!(dynamic(b"#!/bin/sh\n"), None);
        assert_eq!(dynamic(ELF_64_LITTLE), None);
    }

    #[test]
    fn a_loader_is_named_where_there_is_one() {
        let own = inspect(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(own.loader.is_some_and(|loader| loader.exists()));
    }
}
