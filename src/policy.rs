//! What is allowed, and why: the typed form of `policy/*.toml`. Pure: text in, values out.
//!
//! Trusts nothing about the texts. A file loads only when every entry has a reason, every key is
//! known and [`floor`] finds nothing loosened; whoever holds a [`Policy`] may enforce it as it is.
//! The value that `explain` prints is the value that the sandbox enforces.
#![forbid(unsafe_code)]

#[cfg(feature = "server")]
pub mod explain;
pub mod floor;
pub mod limits;
#[cfg(feature = "server")]
pub mod lint;
pub mod mounts;
pub mod process;
pub mod quantity;
pub mod reason;
pub mod seccomp;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

#[cfg(feature = "server")]
pub use explain::explain;
pub use limits::Limits;
pub use mounts::Mounts;
pub use process::Process;
pub use quantity::{Bytes, CpuMax, Percent};
pub use reason::Reason;
pub use seccomp::{Decision, Filter, Program};

/// Everything that is enforced, parsed once at start.
#[derive(Debug, Clone)]
pub struct Policy {
    /// SHA-256, in hex, over names and texts of the files in force. Server and supervisor compare
    /// it on connect; it is in the log, in health and in every result.
    pub digest: String,
    /// What the code of a run may ask of the kernel.
    pub seccomp_run: Filter,
    /// What the server may ask of the kernel once it has started.
    pub seccomp_server: Filter,
    /// What a run sees of a file system.
    pub mounts: Mounts,
    /// How much of everything.
    pub limits: Limits,
    /// Namespaces, ids, capabilities, environment, Landlock.
    pub process: Process,
}

/// Why a set of policy files is not accepted. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A name that is none of ours: most often a typing error, and then the rules an operator
    /// believes in would not be in force.
    #[error("{name} is not a policy file; remove it or rename it to one of: {}", names())]
    UnknownFile {
        /// As given.
        name: String,
    },
    /// TOML that does not parse, an unknown key, a missing reason, a value out of its range.
    #[error(
        "{file} does not load; mend the line shown, or remove the file to use the embedded one"
    )]
    Parse {
        /// Which file.
        file: &'static str,
        /// Line, column and what is wrong there.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A system-call rule that names something unknown or contradicts another one.
    #[error(
        "{file} does not load; mend the rule named below, or remove the file to use the embedded one"
    )]
    Rule {
        /// Which file.
        file: &'static str,
        /// Which rule and why.
        #[source]
        source: seccomp::RuleError,
    },
    /// A file that loosens what no file may loosen.
    #[error("the policy is weaker than its floor")]
    Floor(#[from] floor::FloorError),
}

impl Policy {
    /// The policy this program was built with.
    pub fn embedded() -> Result<Self, PolicyError> {
        Self::from_files(&BTreeMap::new())
    }

    /// The embedded policy with whole files replaced: file name to its text. There is no merging
    /// inside a file, so what an operator reads in a file is all there is.
    pub fn from_files(replaced: &BTreeMap<String, String>) -> Result<Self, PolicyError> {
        if let Some(name) = replaced.keys().find(|name| !FILES.iter().any(|(own, _)| own == name)) {
            return Err(PolicyError::UnknownFile { name: name.clone() });
        }
        let texts =
            FILES.map(|(name, text)| (name, replaced.get(name).map_or(text, String::as_str)));
        let [limits, mounts, process, seccomp_run, seccomp_server] = texts;
        let policy = Self {
            digest: digest(&texts),
            limits: parse(limits)?,
            mounts: parse(mounts)?,
            process: parse(process)?,
            seccomp_run: filter(seccomp_run)?,
            seccomp_server: filter(seccomp_server)?,
        };
        floor::check(&policy)?;
        Ok(policy)
    }
}

/// Names of the files a policy consists of, in the order they are hashed.
#[must_use]
pub fn file_names() -> [&'static str; 5] {
    FILES.map(|(name, _)| name)
}

fn names() -> String {
    file_names().join(", ")
}

fn parse<T: DeserializeOwned>((file, text): (&'static str, &str)) -> Result<T, PolicyError> {
    toml::from_str(text).map_err(|source| PolicyError::Parse { file, source: Box::new(source) })
}

fn filter(source: (&'static str, &str)) -> Result<Filter, PolicyError> {
    let text: seccomp::FilterText = parse(source)?;
    Filter::try_from(text).map_err(|error| PolicyError::Rule { file: source.0, source: error })
}

/// Lengths are hashed too, so that no two sets of files share one string of bytes.
fn digest(texts: &[(&'static str, &str)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in texts {
        hash.update(format!("{name}\0{}\0", text.len()));
        hash.update(text);
    }
    hex(&hash.finalize())
}

/// A digest as text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    bytes.iter().flat_map(digits).flatten().collect()
}

const FILES: [(&str, &str); 5] = [
    ("limits.toml", include_str!("../policy/limits.toml")),
    ("mounts.toml", include_str!("../policy/mounts.toml")),
    ("process.toml", include_str!("../policy/process.toml")),
    ("seccomp-run.toml", include_str!("../policy/seccomp-run.toml")),
    ("seccomp-server.toml", include_str!("../policy/seccomp-server.toml")),
];

#[cfg(test)]
mod tests;
