//! The layer of settings that `PRIMCS_*` variables make. Only the server half reads it; what the
//! supervisor needs of it comes as arguments.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Settings, SettingsError};

/// Where the HTTP door stands unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);

const DEFAULT_PORT: u16 = 9000;

/// How long runs under way may go on after SIGTERM unless told otherwise, in seconds.
pub const DEFAULT_DRAIN: u64 = 30;

impl Settings {
    /// Reads `PRIMCS_*` and `PORT`; `get` is the environment, so that tests need not change it.
    pub fn from_environment(
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let path = |name| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let port: Option<u16> = parsed(&get, "PORT", "a port number")?;
        let listen = parsed(&get, "PRIMCS_LISTEN", "an address and port such as 127.0.0.1:9000")?;
        let settings = Self {
            state_dir: path("PRIMCS_STATE_DIR"),
            policy: path("PRIMCS_POLICY"),
            python: path("PRIMCS_PYTHON"),
            max_runs: parsed(&get, "PRIMCS_MAX_RUNS", "a number")?,
            allow_soft_limits: parsed(&get, "PRIMCS_ALLOW_SOFT_LIMITS", "true or false")?,
            listen: listen.or(port.map(|port| SocketAddr::new(DEFAULT_LISTEN.ip(), port))),
            allow_unauthenticated: parsed(&get, "PRIMCS_ALLOW_UNAUTHENTICATED", "true or false")?,
            drain_s: parsed(&get, "PRIMCS_DRAIN", "whole seconds")?,
            token_file: path("PRIMCS_TOKEN_FILE"),
            public_url: parsed(&get, "PRIMCS_PUBLIC_URL", "a URL")?,
            allowed_hosts: list(&get, "PRIMCS_ALLOWED_HOSTS")?,
            allowed_origins: list(&get, "PRIMCS_ALLOWED_ORIGINS")?,
            timeout_s: parsed(&get, "PRIMCS_TIMEOUT", "whole seconds")?,
            max_output: parsed(&get, "PRIMCS_MAX_OUTPUT", "a number of bytes")?,
            log: parsed(&get, "PRIMCS_LOG", "a log filter such as info")?,
            results: None,
        };
        settings.checked()
    }
}

fn parsed<T: std::str::FromStr>(
    get: &impl Fn(&'static str) -> Option<OsString>,
    name: &'static str,
    want: &'static str,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy().into_owned();
    match value.parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(_) => Err(SettingsError::Environment { name, value, want }),
    }
}

fn list(
    get: &impl Fn(&'static str) -> Option<OsString>,
    name: &'static str,
) -> Result<Option<Vec<String>>, SettingsError> {
    let value: Option<String> = parsed(get, name, "names separated by commas")?;
    Ok(value.map(|value| value.split(',').map(|name| name.trim().to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::MOST_RUNS;
    use super::*;

    #[test]
    fn a_number_of_runs_that_no_host_could_give_is_refused_from_every_layer() {
        for asked in [0, MOST_RUNS + 1] {
            let flags = Settings { max_runs: Some(asked), ..Settings::default() };
            let get = |name| (name == "PRIMCS_MAX_RUNS").then(|| asked.to_string().into());
            for refused in [
                flags.checked(),
                Settings::parse(&format!("max_runs = {asked}")),
                Settings::from_environment(get),
            ] {
                let error = refused.unwrap_err().to_string();
                assert!(error.contains("from 1 to 256"), "{error}");
            }
        }
        assert_eq!(Settings::parse("max_runs = 256").unwrap().max_runs, Some(MOST_RUNS));
    }

    #[test]
    fn the_port_of_the_first_primcs_still_moves_the_door() {
        let get = |name| (name == "PORT").then(|| OsString::from("8123"));
        let listen = Settings::from_environment(get).unwrap().listen.unwrap();
        assert_eq!(listen, "127.0.0.1:8123".parse().unwrap());
    }

    #[test]
    fn a_variable_that_is_no_number_is_refused_by_name() {
        let get = |name| (name == "PRIMCS_MAX_RUNS").then(|| OsString::from("many"));
        let error = Settings::from_environment(get).unwrap_err().to_string();
        assert!(error.contains("PRIMCS_MAX_RUNS"), "{error}");
    }
}
