//! `mounts.toml`: what a run sees of a file system, and what of the host is copied for it.
//! Trusts nothing about the text: paths are absolute and plain, flags are known words.
#![forbid(unsafe_code)]

mod path;

use serde::Deserialize;

use super::reason::Reason;

pub use path::{FileName, RelativePath, RootPath};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mounts {
    /// The private copy: which pieces of the host are copied once and shown to every run.
    pub base: Base,
    /// The root of a run.
    pub root: Root,
    /// The run's own tmpfs: every writable place.
    pub run: RunMounts,
    /// What `/proc` shows.
    pub proc: ProcView,
}

/// What the private copy is made of. The libraries that tools and interpreter need are added by
/// asking the loader; they are not listed here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Programs, looked up in `tool_path`; absent ones are skipped and logged.
    pub tool: Vec<ToolGroup>,
    /// Host directories in which tools are looked for, first match wins; each keeps its path.
    pub tool_path: ToolPath,
    /// Whole directories; absent ones are skipped and logged.
    pub tree: Vec<Tree>,
    /// Shared libraries that programs load by name at run time, which the loader does not list.
    pub library: Vec<LibraryGroup>,
    /// The interpreter's standard library.
    pub python: PythonTree,
    /// `/etc`, which is ours: nothing of the host's but what is named here.
    pub etc: Vec<EtcFile>,
}

/// Programs that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolGroup {
    /// Plain file names.
    pub names: Vec<FileName>,
    /// What code uses them for.
    pub reason: Reason,
}

/// Where tools come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolPath {
    /// Directories of the host.
    pub directories: Vec<RootPath>,
    /// Why these.
    pub reason: Reason,
}

/// A directory of the host, copied whole to the same path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Where it lies, on the host and in the run.
    pub path: RootPath,
    /// Names below it that are left out, wherever they occur: a name, or a name ending in `*`.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Who needs it.
    pub reason: Reason,
}

/// Libraries opened by name while running.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryGroup {
    /// Their sonames.
    pub names: Vec<FileName>,
    /// Who opens them.
    pub reason: Reason,
}

/// How much of the standard library is copied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonTree {
    /// Names that are left out of the standard library, wherever they occur.
    pub skip: Vec<SkippedPart>,
    /// What is copied.
    pub reason: Reason,
}

/// Parts of the standard library that are left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedPart {
    /// File or directory names; a trailing `*` matches any ending.
    pub names: Vec<String>,
    /// Why nothing misses them.
    pub reason: Reason,
}

/// One file below `/etc`: exactly one of `text` and `from`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, try_from = "EtcText")]
pub struct EtcFile {
    /// Path below `/etc`.
    pub name: RelativePath,
    /// Where its bytes come from.
    pub content: EtcContent,
    /// Who reads it.
    pub reason: Reason,
}

/// Where the bytes of a file in `/etc` come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcContent {
    /// Written by us, as it stands here.
    Text(String),
    /// Copied from the first of these host files that exists; skipped and logged when none does.
    FirstOf(Vec<RootPath>),
}

/// The root of a run: a tmpfs with nothing in it but these.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// `/` itself: a tmpfs of our own, holding only mount points, links and device nodes.
    pub tmpfs: RootMount,
    /// How each directory at the top of the private copy is shown at the same path.
    pub base: RootMount,
    /// Symbolic links below `/dev`; those at the top of the root are the copy's.
    pub link: Vec<Link>,
    /// Device nodes, each a bind of the host's node of the same name.
    pub device: Vec<Device>,
}

/// One kind of mount of the template root.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootMount {
    /// How it is mounted.
    pub flags: Vec<MountFlag>,
    /// Why it is there.
    pub reason: Reason,
}

/// Mount flags, by the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountFlag {
    /// Nothing below it can be changed.
    Ro,
    /// Set-user-id bits and file capabilities mean nothing.
    Nosuid,
    /// Device nodes cannot be opened.
    Nodev,
    /// Nothing below it can be executed.
    Noexec,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it lies in the run.
    pub path: RootPath,
    /// What it says.
    pub to: String,
    /// Who follows it.
    pub reason: Reason,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name below `/dev`, on the host and in the run.
    pub name: FileName,
    /// Who opens it.
    pub reason: Reason,
}

/// The run's own tmpfs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunMounts {
    /// Flags of every directory attached from it.
    pub flags: Vec<MountFlag>,
    /// Its directories and where they are attached.
    pub directory: Vec<RunDirectory>,
    /// Why there is one for all.
    pub reason: Reason,
}

/// One directory of the run's tmpfs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDirectory {
    /// Its name in the tmpfs; the script goes into `workspace`, the interpreter's link into `venv`.
    pub name: FileName,
    /// Where the run sees it.
    pub target: RootPath,
    /// Permission bits, in octal.
    #[serde(deserialize_with = "super::process::octal")]
    pub mode: u32,
    /// What it is for.
    pub reason: Reason,
}

/// What `/proc` shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcView {
    /// How it is mounted: with all flags, the floor sees to it.
    pub flags: Vec<MountFlag>,
    /// Top-level entries that stay visible; every other one that is not a process is covered.
    pub show: Vec<ProcEntry>,
    /// Why the rest is covered.
    pub reason: Reason,
}

impl ProcView {
    /// The leaves of `/proc/sys` that stay visible, as paths below it.
    pub fn sys_leaves(&self) -> impl Iterator<Item = &str> {
        self.show.iter().filter_map(|entry| entry.path.as_str().strip_prefix("sys/"))
    }
}

/// A visible entry of `/proc`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcEntry {
    /// A top-level name, or one leaf below `sys/`.
    pub path: RelativePath,
    /// Who reads it.
    pub reason: Reason,
}

impl TryFrom<EtcText> for EtcFile {
    type Error = &'static str;

    fn try_from(file: EtcText) -> Result<Self, Self::Error> {
        let content = match (file.text, file.from) {
            (Some(text), None) => EtcContent::Text(text),
            (None, Some(paths)) if !paths.is_empty() => EtcContent::FirstOf(paths),
            _ => return Err("a file in /etc has either a text or a non-empty list `from`"),
        };
        Ok(Self { name: file.name, content, reason: file.reason })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EtcText {
    name: RelativePath,
    text: Option<String>,
    from: Option<Vec<RootPath>>,
    reason: Reason,
}
