//! Who is asking. Made at the door, carried to queue, log and supervisor; nothing behind the door
//! invents one.
#![forbid(unsafe_code)]

use std::sync::Arc;

/// A caller whose runs are queued and counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Principal(Arc<str>);

impl Principal {
    /// Everybody who reaches a door without authentication is this one principal.
    pub(super) fn local() -> Self {
        Self(Arc::from("local"))
    }

    /// Everybody who has the one token.
    pub(super) fn bearer() -> Self {
        Self(Arc::from("token"))
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self(Arc::from(name))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }
}
