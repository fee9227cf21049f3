//! Folders for `--policy`, in which one file of the built-in policy is changed.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use super::programs::{checkout, empty_folder};

/// A folder of this name with `file` of the policy, each place of it that stands first in a pair
/// changed to what stands second.
pub(crate) fn with_changed(name: &str, file: &str, places: &[(&str, &str)]) -> PathBuf {
    let built_in = checkout().join("policy").join(file);
    let mut text = fs::read_to_string(&built_in)
        .unwrap_or_else(|error| panic!("{}: {error}", built_in.display()));
    for (from, to) in places {
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {file}");
        text = text.replace(from, to);
    }
    let folder = empty_folder(name);
    fs::write(folder.join(file), text).expect("a policy file");
    folder
}
