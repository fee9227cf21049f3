//! The only unsafe code: one kernel facility a file, owned descriptors in and out, no decisions.

pub mod clone;
pub mod descriptors;
pub mod interface;
pub mod keyring;
pub mod landlock;
pub mod mount;
pub mod mountinfo;
pub mod securebits;
pub mod signals;
pub mod socket;
pub mod wait;
#[cfg(feature = "server")]
pub mod xattr;
