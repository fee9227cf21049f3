//! Lets a test take named barriers away, to see that an attack then succeeds, or have a process die
//! at a named step. Without the feature `weaken`, which no release build has, this is all there is:
//! every barrier stands and nothing can be asked.
#![forbid(unsafe_code)]

#[cfg(feature = "weaken")]
mod asked_for;
#[cfg(feature = "weaken")]
mod faults;
#[cfg(feature = "weaken")]
pub use {
    asked_for::{asked, remove, stands},
    faults::{done, is_now, run_begins},
};

#[cfg(not(feature = "weaken"))]
pub use nothing::{asked, done, is_now, remove, run_begins, stands};

#[cfg(not(feature = "weaken"))]
mod nothing {
    /// Whether the barrier of this name stands: always.
    #[must_use]
    pub const fn stands(_barrier: &str) -> bool {
        true
    }

    /// What the environment asks to be taken away.
    #[must_use]
    pub const fn asked() -> Vec<String> {
        Vec::new()
    }

    /// Takes these barriers away in this process and those copied from it.
    pub const fn remove(_barriers: &[String]) {}

    /// Where a test can have this process die: nowhere.
    pub const fn done(_step: &str) {}

    /// Says to such a test which process this is.
    pub const fn is_now(_who: &str) {}

    /// Says to such a test that one more run begins.
    pub const fn run_begins() {}
}
