//! The supervisor's own arguments. It is started by the server or by a unit, not by people, so
//! there is no help, and anything unknown is refused.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

/// What the supervisor is told at start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Where the private copy is kept.
    pub state_dir: Option<PathBuf>,
    /// Replacement policy files.
    pub policy: Option<PathBuf>,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// The interpreter that the operator named.
    pub python: Option<PathBuf>,
    /// Runs at once.
    pub max_runs: Option<u32>,
    /// Run without cgroups where there are none.
    pub allow_soft_limits: bool,
    /// Write an audit record for each run.
    pub audit: bool,
}

/// What is wrong with the arguments.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not one of ours.
    #[error("unknown argument {0:?}")]
    Unknown(String),
    /// The last argument needs a value.
    #[error("{0} needs a value")]
    NoValue(String),
    /// No number; which numbers are possible, the settings say.
    #[error("--max-runs takes a number")]
    MaxRuns,
}

impl Arguments {
    /// Reads all arguments after the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| ArgumentError::NoValue(name.clone()));
            match name.as_str() {
                "--state-dir" => parsed.state_dir = Some(value()?.into()),
                "--policy" => parsed.policy = Some(value()?.into()),
                "--config" => parsed.config = Some(value()?.into()),
                "--python" => parsed.python = Some(value()?.into()),
                "--max-runs" => {
                    let number = value()?.to_str().and_then(|text| text.parse().ok());
                    parsed.max_runs = Some(number.ok_or(ArgumentError::MaxRuns)?);
                }
                "--allow-soft-limits" => parsed.allow_soft_limits = true,
                "--audit" => parsed.audit = true,
                _ => return Err(ArgumentError::Unknown(name)),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, ArgumentError> {
        Arguments::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn every_argument_is_read() {
        let parsed =
            parse(&["--state-dir", "/s", "--max-runs", "3", "--allow-soft-limits", "--audit"])
                .unwrap();
        assert_eq!(parsed.state_dir, Some("/s".into()));
        assert_eq!(parsed.max_runs, Some(3));
        assert!(parsed.allow_soft_limits && parsed.audit);
    }

    #[test]
    fn anything_unknown_or_incomplete_is_refused() {
        assert_eq!(parse(&["--verbose"]), Err(ArgumentError::Unknown("--verbose".to_owned())));
        assert_eq!(parse(&["--policy"]), Err(ArgumentError::NoValue("--policy".to_owned())));
        assert_eq!(parse(&["--max-runs", "none"]), Err(ArgumentError::MaxRuns));
    }
}
