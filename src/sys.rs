//! The only unsafe code: one kernel facility a file, owned descriptors in and out, no decisions.

pub mod socket;
