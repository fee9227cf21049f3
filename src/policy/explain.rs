//! The policy as plain text. It prints the value that is enforced, never a second copy of it.
#![forbid(unsafe_code)]

use super::Policy;

/// Explains.
#[must_use]
pub fn explain(policy: &Policy, _name: Option<&str>) -> String {
    policy.digest.clone()
}
