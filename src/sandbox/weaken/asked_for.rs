//! Which barriers are away. Compiled only with the feature `weaken`, which no release build has.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

pub(super) static REMOVED: OnceLock<Vec<String>> = OnceLock::new();

/// Whether the barrier of this name stands.
#[must_use]
pub fn stands(barrier: &str) -> bool {
    !REMOVED.get().is_some_and(|removed| removed.iter().any(|name| name == barrier))
}

/// What the environment asks to be taken away.
#[must_use]
pub fn asked() -> Vec<String> {
    let names = std::env::var("PRIMCS_WEAKEN").unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Takes these barriers away in this process and those copied from it.
pub fn remove(barriers: &[String]) {
    let _already_set = REMOVED.set(barriers.to_vec());
}
