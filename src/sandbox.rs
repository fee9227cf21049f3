//! From a plan to a confined process: one file a mechanism, and [`confine`] calls them in order.
#![forbid(unsafe_code)]

pub mod capabilities;
pub mod cgroup;
pub mod confine;
pub mod landlock;
pub mod mounts;
pub mod plan;
pub mod report;
pub mod rlimits;
pub mod seccomp;
pub mod template;
pub mod weaken;
pub mod workspace;
