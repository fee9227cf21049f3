//! `limits.toml`: how much of everything. Kernel names as keys. Trusts nothing about the text.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::quantity::{Bytes, CpuMax, Limit, Percent, Quantity, RequestableLimit};
use super::reason::Reason;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// What holds for each run.
    pub run: RunLimits,
    /// What holds for what a client sends.
    pub call: CallLimits,
    /// What all runs together may take of the host.
    pub host: HostLimits,
}

/// What holds for each run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLimits {
    /// From the moment the program may start; measured on the monotonic clock.
    pub wall: RequestableLimit<Duration>,
    /// All processes of the run together.
    pub cgroup: CgroupLimits,
    /// Each process of the run.
    pub rlimit: Vec<Rlimit>,
    /// The one tmpfs behind everything writable.
    pub tmpfs: TmpfsLimits,
    /// Network sockets.
    pub sockets: SocketLimits,
    /// What the run writes and what is kept of it.
    pub output: OutputLimits,
}

/// Written to, and read back from, the run's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupLimits {
    /// Memory of all processes, page cache and tmpfs included.
    #[serde(rename = "memory.max")]
    pub memory_max: Limit<Bytes>,
    /// Always 0: the floor sees to it.
    #[serde(rename = "memory.swap.max")]
    pub memory_swap_max: Limit<Bytes>,
    /// 1: out of memory ends the whole run, not one process of it.
    #[serde(rename = "memory.oom.group")]
    pub memory_oom_group: Limit<u64>,
    /// Processes and threads of the program. The supervisor adds one for the init.
    #[serde(rename = "pids.max")]
    pub pids_max: Limit<u64>,
    /// CPU time a period.
    #[serde(rename = "cpu.max")]
    pub cpu_max: Limit<CpuMax>,
}

/// One rlimit, soft and hard the same; only ever lowered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// Which.
    pub resource: Resource,
    /// Bytes, or a count, as setrlimit(2) takes it.
    #[serde(deserialize_with = "rlimit_value")]
    pub value: u64,
    /// Why this value.
    pub reason: Reason,
}

/// The rlimits a policy can set, by the kernel's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the kernel's own names; setrlimit(2) says what they mean")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}").to_lowercase();
        write!(formatter, "{name}")
    }
}

/// Mount options of the run's tmpfs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TmpfsLimits {
    /// All bytes in it.
    pub size: Limit<Bytes>,
    /// All files, directories and links in it.
    pub nr_inodes: Limit<u64>,
}

/// Sockets hold kernel memory, some of it charged to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketLimits {
    /// TCP and UDP sockets of all processes together.
    pub inet: Limit<u64>,
    /// Largest value of the network namespace's `net.ipv4.tcp_rmem`.
    pub tcp_rmem: Limit<u64>,
}

/// What the run writes and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputLimits {
    /// Over both streams; beyond it the run ends with `output_limit`.
    pub written: Limit<Bytes>,
    /// Of each stream, head and tail, in the structured result.
    pub kept: Limit<Bytes>,
    /// Characters of the readable text block.
    pub text_characters: Limit<u64>,
    /// The text of a last bare expression.
    pub result: Limit<Bytes>,
}

/// What holds for what a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallLimits {
    /// Length of `code`.
    pub code_characters: Limit<u64>,
    /// Length of one HTTP request's body.
    pub body: Limit<Bytes>,
    /// Calls that wait for a place.
    pub queue: Limit<u64>,
}

/// What all runs together may take of the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLimits {
    /// Runs at once for each core.
    pub runs_per_core: Limit<u64>,
    /// Share of RAM that the memory caps of all runs at once may add up to.
    pub memory_share: Limit<Percent>,
    /// How much the kernel's unreclaimable memory may grow while runs live, before the run that
    /// hoards record locks is looked for.
    pub kernel_growth: Limit<Bytes>,
    /// Time between two checks of the private copy while serving.
    pub copy_check: Limit<Duration>,
}

impl Limits {
    /// The value of one rlimit, when the policy sets it.
    #[must_use]
    pub fn rlimit(&self, resource: Resource) -> Option<u64> {
        self.run.rlimit.iter().find(|entry| entry.resource == resource).map(|entry| entry.value)
    }
}

/// Rlimits are counts or sizes, so both forms are accepted.
fn rlimit_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    u64::from_text(&text)
        .or_else(|_| Bytes::from_text(&text).map(|bytes| bytes.0))
        .map_err(serde::de::Error::custom)
}
