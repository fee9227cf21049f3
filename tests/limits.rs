//! A run cannot take more than its share, cannot outlive its answer, and cannot make others wait.
//!
//! Every bomb runs beside calls of another client; each gets the promised status; afterwards
//! nothing of it is left. `limits/without.rs` shows for each limit that it is the one that holds.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "limits/scene.rs"]
mod scene;

#[cfg(test)]
#[path = "limits/bombs.rs"]
mod bombs;

#[cfg(test)]
#[path = "limits/refusers.rs"]
mod refusers;

#[cfg(test)]
#[path = "limits/independent_reader.rs"]
mod independent_reader;

#[cfg(test)]
#[path = "limits/without.rs"]
mod without;
