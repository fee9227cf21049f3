//! From flags to a connected supervisor, in the order that security.md 5.5 asks for: arguments and
//! environment, split, drop, and only then files. All of it before there is a runtime.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::policy::Policy;
use crate::settings::{self, Settings, SettingsError};
use crate::wire::Welcome;

use super::doctor;
use super::log::{self, LogError, Usual};
use super::notes;
use super::policy_files::{self, PolicyFilesError};
use super::scope;
use super::start::{self, Split, StartError};
use super::supervisor_client::{self, ConnectError};

/// Split, unprivileged, and aware of its settings.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) settings: Settings,
    split: Split,
}

/// A supervisor that has said welcome.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) welcome: Welcome,
    pub(super) socket: OwnedFd,
    /// Kept so that its end is collected.
    pub(super) supervisor: Option<Child>,
}

/// Why the program cannot work.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "the environment variable {name} is no setting of PRIMCS; unset it or correct its name; \
         those that are read: {}",
        known.join(", ")
    )]
    UnknownVariable { name: String, known: Vec<&'static str> },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Policy(#[from] PolicyFilesError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// The environment as the settings read it.
pub(super) fn environment(name: &'static str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The settings that the environment holds. A misspelt one is refused like an unknown key of the
/// file: `PRIMCS_ALOWED_HOSTS` must not be a door that stays open without a word.
pub(super) fn environment_settings() -> Result<Settings, HostError> {
    let read = RefCell::new(vec!["PRIMCS_CONFIG"]);
    let settings = Settings::from_environment(|name| {
        read.borrow_mut().push(name);
        environment(name)
    })?;
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let known = read.into_inner();
    match unknown_variable(names, &known) {
        Some(name) => Err(HostError::UnknownVariable { name, known }),
        None => Ok(settings),
    }
}

fn unknown_variable(mut names: impl Iterator<Item = String>, known: &[&str]) -> Option<String> {
    // Those of the tests and of CI are not addressed to this program.
    let others = ["PRIMCS_TEST_", "PRIMCS_CI_"];
    names.find(|name| {
        name.starts_with("PRIMCS_")
            && !others.iter().any(|other| name.starts_with(other))
            && !known.iter().chain(&TEST_VARIABLES).any(|known| known == name)
    })
}

/// What builds with the feature `weaken` read besides.
#[cfg(feature = "weaken")]
const TEST_VARIABLES: [&str; 2] = ["PRIMCS_WEAKEN", "PRIMCS_PROVE"];
#[cfg(not(feature = "weaken"))]
const TEST_VARIABLES: [&str; 0] = [];

/// Which file is read.
pub(super) fn config_path(named: Option<&Path>, root: bool) -> Option<PathBuf> {
    let default = || settings::default_config_file(root, environment);
    named.map(Path::to_owned).or_else(default)
}

impl Host {
    /// Starts the supervisor and gives up privilege. `config` is the file the operator named.
    pub(super) fn split(
        flags: Settings,
        config: Option<&Path>,
        usual: Usual,
    ) -> Result<Self, HostError> {
        Self::begin(flags, config, usual, |given| {
            // The supervisor is born in it.
            scope::take();
            start::split(given, config, usual.wants_audit())
        })
    }

    /// The same to examine a host: the supervisor goes on without cgroups whatever the settings
    /// say, and `settings` keep what they say about that.
    pub(super) fn split_softly(
        flags: Settings,
        config: Option<&Path>,
        usual: Usual,
    ) -> Result<Self, HostError> {
        Self::begin(flags, config, usual, |given| {
            scope::take();
            let softly = Settings { allow_soft_limits: Some(true), ..given.clone() };
            start::split(&softly, config, usual.wants_audit())
        })
    }

    /// Connects to a supervisor that is a service of its own, and gives up privilege.
    pub(super) fn join(
        flags: Settings,
        config: Option<&Path>,
        supervisor: &Path,
    ) -> Result<Self, HostError> {
        Self::begin(flags, config, Usual::Events, |_| start::join(supervisor))
    }

    fn begin(
        flags: Settings,
        config: Option<&Path>,
        usual: Usual,
        split: impl FnOnce(&Settings) -> Result<Split, StartError>,
    ) -> Result<Self, HostError> {
        doctor::look_before();
        let given = flags.over(environment_settings()?).checked()?;
        let root = nix::unistd::geteuid().is_root();
        let split = split(&given)?;
        let settings = given.over(Settings::from_file(config, root, environment)?);
        log::start(settings.log.as_deref(), usual)?;
        Ok(Self { settings, split })
    }

    /// Reads the policy and waits for the supervisor's welcome.
    pub(super) fn connect(self) -> Result<Connected, HostError> {
        let Split { socket, supervisor } = self.split;
        let policy = policy_files::load(self.settings.policy.as_deref())?;
        let mut welcome = supervisor_client::connect(&socket, &policy.digest)
            .map_err(|error| with_next(with_refusal(error), &self.settings))?;
        if let (Some(why), Some(refusal)) = (&mut welcome.no_cgroups, scope::refusal()) {
            *why = format!("{why}; {refusal}");
        }
        if let Some(Ok(name)) = scope::asked() {
            tracing::info!(scope = name, "systemd has made a scope for this start");
        }
        for note in notes::in_few_lines(&welcome.notes) {
            tracing::info!(note, "about this host");
        }
        Ok(Connected { settings: self.settings, policy, welcome, socket, supervisor })
    }
}

/// What the supervisor misses is what systemd did not give us.
fn with_refusal(error: ConnectError) -> ConnectError {
    match (error, scope::refusal()) {
        (ConnectError::Unable(mut unable), Some(refusal)) if unable.check == "cgroup.limits" => {
            unable.problem = format!("{}; {refusal}", unable.problem);
            ConnectError::Unable(unable)
        }
        (error, _) => error,
    }
}

/// What to do about it depends on this host, and on what the operator has set.
fn with_next(error: ConnectError, settings: &Settings) -> ConnectError {
    let ConnectError::Unable(mut unable) = error else { return error };
    unable.next = doctor::next(&unable, settings);
    ConnectError::Unable(unable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_and_those_of_others_are_not() {
        let unknown = |name: &str| unknown_variable([name.to_owned()].into_iter(), &["PRIMCS_LOG"]);
        assert_eq!(unknown("PRIMCS_LOGS").as_deref(), Some("PRIMCS_LOGS"));
        for fine in ["PRIMCS_LOG", "PRIMCS_TEST_URL", "PRIMCS_CI_CACHE", "PATH", "PORT"] {
            assert_eq!(unknown(fine), None, "{fine}");
        }
    }
}
