//! What a program writes arrives: whole, in order, while it runs, and bounded.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "output/streaming.rs"]
mod streaming;

#[cfg(test)]
#[path = "output/bounds.rs"]
mod bounds;

#[cfg(test)]
#[path = "output/program.rs"]
mod program;
