//! `primcs doctor` says what holds on this host, and on one that lacks something it names that and the
//! one thing to do. Each lack is real, or injected where this host cannot lack it; each missing wall
//! is really missing, in programs built with the feature `weaken`, and refuses the start.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "doctor/examine.rs"]
mod examine;

#[cfg(test)]
#[path = "doctor/lacks.rs"]
mod lacks;

#[cfg(test)]
#[path = "doctor/walls.rs"]
mod walls;

#[cfg(test)]
#[path = "doctor/words.rs"]
mod words;
