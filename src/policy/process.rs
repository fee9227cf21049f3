//! `process.toml`: namespaces, ids, capabilities, environment and Landlock of the program of a
//! run, and what the server gives up for itself. Trusts nothing about the text.
#![forbid(unsafe_code)]

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::mounts::RootPath;
use super::reason::Reason;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Namespaces of its own that a run gets.
    pub namespace: Vec<Namespace>,
    /// Who the program is.
    pub identity: Identity,
    /// What it may never do again.
    pub privilege: Privilege,
    /// Its whole environment; nothing of the host's comes through.
    pub environment: Vec<Variable>,
    /// The second wall around files, where the kernel has it.
    pub landlock: RunLandlock,
    /// The server's own confinement.
    pub server: ServerProcess,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Which.
    pub kind: NamespaceKind,
    /// What it keeps apart.
    pub reason: Reason,
}

/// The kinds of namespace a run is put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the kernel's own names; namespaces(7) says what they mean")]
pub enum NamespaceKind {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
}

/// Who the program is, seen from inside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// User and group id.
    pub uid: Setting<u32>,
    /// See `uid`.
    pub gid: Setting<u32>,
    /// Host name of the uts namespace.
    pub hostname: Setting<String>,
    /// Working directory, one of those that a run can write.
    pub directory: Setting<RootPath>,
    /// File mode creation mask, in octal.
    pub umask: Setting<Octal>,
    /// How willing the kernel is to kill the run rather than something of the host.
    pub oom_score_adj: Setting<i32>,
}

/// What the program may never do again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privilege {
    /// Capabilities left in any of the five sets: none, the floor sees to it.
    pub capabilities: Setting<Vec<String>>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: Setting<bool>,
    /// Securebits set and locked.
    pub securebits: Setting<Vec<Securebit>>,
    /// A session keyring of its own.
    pub new_session_keyring: Setting<bool>,
}

/// Bits of `PR_SET_SECUREBITS`, all of them set and locked; the floor sees to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kernel's own names; capabilities(7) says what they mean")]
pub enum Securebit {
    Noroot,
    NoSetuidFixup,
    KeepCapsLocked,
    NoCapAmbientRaise,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Who reads it.
    pub reason: Reason,
}

/// Landlock rules of a run: what is not granted here is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLandlock {
    /// What is granted beneath every directory of the private copy, wherever its interpreter lies.
    pub base: LandlockBase,
    /// What else is granted.
    pub rule: Vec<LandlockRule>,
    /// Why there is a second wall.
    pub reason: Reason,
}

/// Rights beneath the directories of the private copy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockBase {
    /// What is granted there.
    pub rights: Vec<LandlockRight>,
    /// Why.
    pub reason: Reason,
}

/// Landlock rules of the server: what is not granted here is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    /// What is granted. Every right of [`LandlockRight`] is handled, so what no rule grants is refused.
    pub rule: Vec<LandlockRule>,
    /// Why there is a second wall.
    pub reason: Reason,
}

/// Rights beneath some paths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockRule {
    /// Directories, or single files.
    pub paths: Vec<RootPath>,
    /// What is granted there.
    pub rights: Vec<LandlockRight>,
    /// Why.
    pub reason: Reason,
}

/// Landlock's file rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kernel's own names; landlock(7) says what they mean")]
pub enum LandlockRight {
    Execute,
    WriteFile,
    ReadFile,
    ReadDir,
    RemoveDir,
    RemoveFile,
    MakeChar,
    MakeDir,
    MakeReg,
    MakeSock,
    MakeFifo,
    MakeBlock,
    MakeSym,
    Refer,
    Truncate,
    IoctlDev,
}

impl LandlockRight {
    /// Every right, in the order of the kernel's bits.
    pub const ALL: [Self; 16] = [
        Self::Execute,
        Self::WriteFile,
        Self::ReadFile,
        Self::ReadDir,
        Self::RemoveDir,
        Self::RemoveFile,
        Self::MakeChar,
        Self::MakeDir,
        Self::MakeReg,
        Self::MakeSock,
        Self::MakeFifo,
        Self::MakeBlock,
        Self::MakeSym,
        Self::Refer,
        Self::Truncate,
        Self::IoctlDev,
    ];

    /// `LANDLOCK_ACCESS_FS_*`.
    #[must_use]
    pub fn bit(self) -> u64 {
        let index = Self::ALL.iter().position(|right| *right == self).unwrap_or_default();
        1 << index
    }

    /// First Landlock ABI that knows the right; an older kernel refuses a ruleset that names it.
    #[must_use]
    pub fn since_abi(self) -> u32 {
        match self {
            Self::Refer => 2,
            Self::Truncate => 3,
            Self::IoctlDev => 5,
            Self::Execute
            | Self::WriteFile
            | Self::ReadFile
            | Self::ReadDir
            | Self::RemoveDir
            | Self::RemoveFile
            | Self::MakeChar
            | Self::MakeDir
            | Self::MakeReg
            | Self::MakeSock
            | Self::MakeFifo
            | Self::MakeBlock
            | Self::MakeSym => 1,
        }
    }

    /// The bits of some rights that a kernel of this ABI knows.
    #[must_use]
    pub fn bits(rights: &[Self], abi: u32) -> u64 {
        rights
            .iter()
            .filter(|right| right.since_abi() <= abi)
            .fold(0, |all, right| all | right.bit())
    }
}

/// Where the server reads back that each of its threads is confined.
pub const SERVER_THREADS: &str = "/proc/self/task";

/// The server's own confinement, after start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerProcess {
    /// Files it may still open.
    pub landlock: Landlock,
}

/// A value with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting<T> {
    /// What is set.
    pub value: T,
    /// Why.
    pub reason: Reason,
}

/// A number written in octal, such as `0077`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Octal(#[serde(deserialize_with = "octal")] pub u32);

impl fmt::Display for Octal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

impl Process {
    /// Whether a run gets this namespace.
    #[must_use]
    pub fn has_namespace(&self, kind: NamespaceKind) -> bool {
        self.namespace.iter().any(|namespace| namespace.kind == kind)
    }
}

/// TOML's own octal (`0o77`) cannot be told from decimal once parsed, so modes are text.
pub(super) fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o1777 => Ok(mode),
        _ => Err(D::Error::custom(format!(
            "{text:?} is not a mode; write it in octal, like \"0700\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landlock_rights_have_the_kernels_bits() {
        assert_eq!(LandlockRight::Execute.bit(), 1);
        assert_eq!(LandlockRight::Refer.bit(), 1 << 13);
        assert_eq!(LandlockRight::IoctlDev.bit(), 1 << 15);
        let rights = [LandlockRight::ReadFile, LandlockRight::Truncate];
        assert_eq!(
            LandlockRight::bits(&rights, 2),
            1 << 2,
            "a right the kernel does not know is left out"
        );
        assert_eq!(LandlockRight::bits(&LandlockRight::ALL, 1), (1 << 13) - 1);
    }
}
