//! Which state directories are refused.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::super::tests::Scratch;
use super::*;

fn refusal(state_dir: &Path) -> String {
    let refused = Store::open(state_dir).unwrap_err();
    let BaseError::State(error) = refused else { panic!("another refusal: {refused}") };
    format!("{error}; {}", error.next())
}

#[test]
fn a_state_directory_that_others_could_change_is_refused_with_the_mend() {
    let scratch = Scratch::new();
    let state = scratch.0.join("state");
    drop(Store::open(&state).unwrap());
    std::fs::set_permissions(&state, Permissions::from_mode(0o775)).unwrap();
    assert!(refusal(&state).contains("chmod go-w"), "{}", refusal(&state));
    // Sticky or not: a parent of the folder that is not root's /tmp is no place for it.
    std::fs::set_permissions(state.join("base"), Permissions::from_mode(0o1777)).unwrap();
    std::fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    assert!(refusal(&state).contains("chmod go-w"), "{}", refusal(&state));
    std::fs::set_permissions(state.join("base"), Permissions::from_mode(0o755)).unwrap();
    let link = scratch.0.join("link");
    symlink(&state, &link).unwrap();
    assert!(refusal(&link).contains("symbolic link"), "{}", refusal(&link));
    if nix::unistd::geteuid().is_root() {
        chown(&state, Some(12345), None).unwrap();
        assert!(refusal(&state).contains("belongs to user 12345"), "{}", refusal(&state));
    }
}

#[test]
fn what_a_crash_left_half_made_is_removed() {
    let scratch = Scratch::new();
    let store = Store::open(&scratch.0).unwrap();
    let left = store.begin().unwrap();
    std::fs::write(left.join("half"), "").unwrap();
    store.prune(Path::new("none")).unwrap();
    assert!(!left.exists());
}
