//! Lets a test take named barriers away, to see that an attack then succeeds. Without the feature
//! `weaken`, which no release build has, nothing can be taken away and this is all compiled out.
#![forbid(unsafe_code)]

#[cfg(feature = "weaken")]
mod faults;
#[cfg(feature = "weaken")]
pub use faults::{done, is_now, run_begins};

#[cfg(feature = "weaken")]
static REMOVED: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();

/// Whether the barrier of this name stands.
#[cfg(feature = "weaken")]
#[must_use]
pub fn stands(barrier: &str) -> bool {
    !REMOVED.get().is_some_and(|removed| removed.iter().any(|name| name == barrier))
}

/// Whether the barrier of this name stands: always.
#[cfg(not(feature = "weaken"))]
#[must_use]
pub const fn stands(_barrier: &str) -> bool {
    true
}

/// What the environment asks to be taken away.
#[must_use]
pub fn asked() -> Vec<String> {
    #[cfg(feature = "weaken")]
    if let Ok(names) = std::env::var("PRIMCS_WEAKEN") {
        return names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    Vec::new()
}

/// Takes these barriers away in this process and those copied from it.
pub fn remove(barriers: &[String]) {
    #[cfg(feature = "weaken")]
    let _already_set = REMOVED.set(barriers.to_vec());
    #[cfg(not(feature = "weaken"))]
    let _ = barriers;
}

/// Where a test can have this process die: nowhere.
#[cfg(not(feature = "weaken"))]
pub const fn done(_step: &str) {}

/// Says to such a test which process this is.
#[cfg(not(feature = "weaken"))]
pub const fn is_now(_who: &str) {}

/// Says to such a test that one more run begins.
#[cfg(not(feature = "weaken"))]
pub const fn run_begins() {}
