//! x

pub mod base;
