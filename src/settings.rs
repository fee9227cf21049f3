//! Settings: what an operator may choose, from four places. Flag wins over `PRIMCS_*` environment,
//! environment over file, file over default; an unknown key is an error.
//!
//! Both halves read this, each on its own side of the line: no runtime, no argument parser, no
//! decision about privilege. A file is read by `trusted` alone.
#![forbid(unsafe_code)]

#[cfg(feature = "server")]
mod environment;
#[cfg(feature = "server")]
mod shown;

#[cfg(feature = "server")]
pub use environment::{DEFAULT_DRAIN, DEFAULT_LISTEN};
#[cfg(feature = "server")]
pub use shown::Origin;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::trusted::{self, TrustError};

/// One layer of settings; what is absent is left to the layer below.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the private copy of the system lives.
    pub state_dir: Option<PathBuf>,
    /// Folder whose files replace those of the built-in policy.
    pub policy: Option<PathBuf>,
    /// Which Python runs the code.
    pub python: Option<PathBuf>,
    /// Runs at once, at most; policy and memory may allow fewer.
    pub max_runs: Option<u32>,
    /// Run without cgroups; every result then says that limits are not hard.
    pub allow_soft_limits: Option<bool>,
    /// Address of the HTTP door.
    pub listen: Option<SocketAddr>,
    /// Listen beyond loopback although anyone who reaches the port can run code.
    pub allow_unauthenticated: Option<bool>,
    /// How long runs under way may go on after SIGTERM, in seconds.
    pub drain_s: Option<u64>,
    /// File with the token that callers over HTTP must send.
    pub token_file: Option<PathBuf>,
    /// URL under which clients reach the server, when it is not the address listened on.
    pub public_url: Option<String>,
    /// Further `Host` values that are answered.
    pub allowed_hosts: Option<Vec<String>>,
    /// Web origins whose pages may call.
    pub allowed_origins: Option<Vec<String>>,
    /// Wall clock of a call that names none, in seconds.
    pub timeout_s: Option<u64>,
    /// Most bytes of each stream in a result; lowers the 1 MiB of the contract, never raises it.
    pub max_output: Option<usize>,
    /// Log filter, such as `info` or `primcs=debug`.
    pub log: Option<String>,
    /// How answers are shaped.
    pub results: Option<ResultSettings>,
}

/// The `[results]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSettings {
    /// Clients that drop images when structured content stands beside them.
    pub content_only_clients: Option<Vec<String>>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML, an unknown key or a value of the wrong kind.
    #[error("the configuration cannot be used: {0}")]
    Malformed(String),
    /// The same, of a file that is known.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<SettingsError>,
    },
    /// Somebody else may have written the file, or it cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// From a flag, the environment or the file alike.
    #[error("{asked} runs at once cannot be asked for; it is a number from 1 to {MOST_RUNS}")]
    MaxRuns {
        /// What was asked for.
        asked: u32,
    },
    /// An environment variable holds something else than it should.
    #[error("{name}={value} cannot be used: it must be {want}")]
    Environment {
        /// Of the variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        want: &'static str,
    },
}

/// Runs at once, at most, whatever the host: each needs ids of its own.
pub const MOST_RUNS: u32 = 256;

impl Settings {
    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let parsed: Result<Self, _> = toml::from_str(text);
        parsed.map_err(|error| SettingsError::Malformed(error.to_string()))?.checked()
    }

    /// Reads the named file, which must exist, or the usual one, which need not. Both halves call
    /// this, so that they read and refuse the same.
    pub fn from_file(
        named: Option<&Path>,
        root: bool,
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let Some(path) = config_file(named, default_config_file(root, get)) else {
            return Ok(Self::default());
        };
        let text = trusted::read(&path)?;
        Self::parse(&text).map_err(|source| SettingsError::File { path, source: Box::new(source) })
    }

    /// Refuses values that no host could give, whichever layer they came from.
    pub fn checked(self) -> Result<Self, SettingsError> {
        match self.max_runs {
            Some(asked) if !(1..=MOST_RUNS).contains(&asked) => {
                Err(SettingsError::MaxRuns { asked })
            }
            Some(_) | None => Ok(self),
        }
    }

    /// What this layer says, and below it what `lower` says.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let results = self.results.unwrap_or_default();
        let lower_results = lower.results.unwrap_or_default();
        Self {
            state_dir: self.state_dir.or(lower.state_dir),
            policy: self.policy.or(lower.policy),
            python: self.python.or(lower.python),
            max_runs: self.max_runs.or(lower.max_runs),
            allow_soft_limits: self.allow_soft_limits.or(lower.allow_soft_limits),
            listen: self.listen.or(lower.listen),
            allow_unauthenticated: self.allow_unauthenticated.or(lower.allow_unauthenticated),
            drain_s: self.drain_s.or(lower.drain_s),
            token_file: self.token_file.or(lower.token_file),
            public_url: self.public_url.or(lower.public_url),
            allowed_hosts: self.allowed_hosts.or(lower.allowed_hosts),
            allowed_origins: self.allowed_origins.or(lower.allowed_origins),
            timeout_s: self.timeout_s.or(lower.timeout_s),
            max_output: self.max_output.or(lower.max_output),
            log: self.log.or(lower.log),
            results: Some(ResultSettings {
                content_only_clients: results
                    .content_only_clients
                    .or(lower_results.content_only_clients),
            }),
        }
    }
}

/// The configuration file in force when none is named: `/etc/primcs/primcs.toml` for root, the
/// user's own otherwise. It need not exist.
#[must_use]
pub fn default_config_file(
    root: bool,
    get: impl Fn(&'static str) -> Option<OsString>,
) -> Option<PathBuf> {
    if root {
        return Some(PathBuf::from("/etc/primcs/primcs.toml"));
    }
    Some(base(&get, "XDG_CONFIG_HOME", ".config")?.join("primcs/primcs.toml"))
}

/// The state directory when none is named: `/var/lib/primcs` for root, the user's own otherwise.
#[must_use]
pub fn default_state_dir(
    root: bool,
    get: impl Fn(&'static str) -> Option<OsString>,
) -> Option<PathBuf> {
    if root {
        return Some(PathBuf::from("/var/lib/primcs"));
    }
    Some(base(&get, "XDG_STATE_HOME", ".local/state")?.join("primcs"))
}

fn config_file(named: Option<&Path>, usual: Option<PathBuf>) -> Option<PathBuf> {
    // What cannot be looked at is read all the same, and then says why not.
    let is_there = |path: &PathBuf| path.try_exists().unwrap_or(true);
    named.map(Path::to_owned).or_else(|| usual.filter(is_there))
}

fn base(
    get: &impl Fn(&'static str) -> Option<OsString>,
    variable: &'static str,
    below_home: &str,
) -> Option<PathBuf> {
    // The XDG specification says that a relative path is to be ignored.
    let absolute = |name| get(name).map(PathBuf::from).filter(|path| Path::is_absolute(path));
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = Settings::parse("max_rums = 3").unwrap_err().to_string();
        assert!(error.contains("max_rums"), "{error}");
    }

    #[test]
    fn the_usual_configuration_is_read_where_it_is_and_a_named_one_always() {
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let missing = Path::new("/nonexistent/primcs.toml");
        assert_eq!(config_file(None, Some(there.clone())), Some(there.clone()));
        assert_eq!(config_file(None, Some(missing.to_owned())), None);
        assert_eq!(config_file(Some(missing), Some(there)), Some(missing.to_owned()));
    }

    #[test]
    fn a_state_directory_needs_a_home_and_never_a_relative_path() {
        let environment = |xdg: Option<&'static str>, home: Option<&'static str>| {
            default_state_dir(false, |name| match name {
                "XDG_STATE_HOME" => xdg.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            })
        };
        assert_eq!(environment(Some("/x"), Some("/h")), Some("/x/primcs".into()));
        assert_eq!(environment(Some("x"), Some("/h")), Some("/h/.local/state/primcs".into()));
        assert_eq!(environment(Some("x"), None), None);
        assert_eq!(environment(None, Some("")), None);
    }

    #[test]
    fn a_higher_layer_wins_and_a_lower_one_fills_in() {
        let flags = Settings { max_runs: Some(1), ..Settings::default() };
        let file = Settings::parse("max_runs = 9\npython = \"/usr/bin/python3\"").unwrap();
        let both = flags.over(file);
        assert_eq!(both.max_runs, Some(1));
        assert_eq!(both.python.as_deref(), Some(Path::new("/usr/bin/python3")));
    }
}
