//! What the targets share. Each target states promises; a panic is a broken one.
#![forbid(unsafe_code)]

pub mod kernel;
pub mod policy;
