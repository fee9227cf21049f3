//! Plain data holding every decision about how runs of one supervisor are confined. It is made
//! once, from the policy, handed to the spawner before any code arrives, and executed by
//! [`super::confine`].
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// What is the same for every run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// User id inside a run.
    pub uid: u32,
    /// Group id inside a run.
    pub gid: u32,
    /// Host name inside a run.
    pub hostname: String,
    /// Where the program starts.
    pub directory: String,
    /// File mode creation mask.
    pub umask: u32,
    /// Kernel name and value of each resource limit.
    pub rlimits: Vec<Rlimit>,
    /// Top-level entries of `/proc` that stay visible; every other one is masked.
    pub proc_visible: Vec<String>,
    /// Most bytes that may wait in one TCP socket.
    pub tcp_rmem: u64,
    /// Files below `/proc/sys` of which a run sees a copy; nothing else of it is there.
    pub proc_sys_leaves: Vec<String>,
    /// Directories of the run's tmpfs, and where each is mounted.
    pub writable: Vec<Writable>,
    /// The second wall; absent when the kernel has no Landlock.
    pub landlock: Option<LandlockPlan>,
    /// Environment of the program.
    pub environment: Vec<(String, String)>,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Seccomp programs in the order in which they are installed.
    pub seccomp: Vec<Vec<BpfInstruction>>,
    /// Barriers that a test takes away; always empty without the feature `weaken`.
    pub weakened: Vec<String>,
}

/// One resource limit, soft and hard alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimit {
    /// As in getrlimit(2), without the prefix and in lower case.
    pub name: String,
    /// Number or bytes.
    pub value: u64,
}

/// One writable directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Writable {
    /// Its name in the run's tmpfs.
    pub directory: String,
    /// Where the run sees it.
    pub target: String,
    /// Permission bits.
    pub mode: u32,
}

/// What Landlock refuses, and where it does not. Bits are `LANDLOCK_ACCESS_FS_*`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// Refused wherever no grant says otherwise.
    pub handled: u64,
    /// Directory inside the run, and the rights beneath it.
    pub directories: Vec<(String, u64)>,
}

/// One instruction of a seccomp program: code, jump if true, jump if false, operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BpfInstruction(pub u16, pub u8, pub u8, pub u32);
