//! `primcs policy` and `primcs config`: print and check, nothing is started.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use crate::policy;
use crate::settings::{self, DEFAULT_DRAIN, DEFAULT_LISTEN, Origin, ResultSettings, Settings};

use super::Failure;
use super::arguments::{ConfigCommand, PolicyCommand};
use super::host::{self, HostError};
use super::policy_check;
use super::policy_files;
use super::printed;

pub(super) fn policy(command: &PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Explain { name, policy } => {
            let policy = policy_files::load(policy.as_deref()).map_err(HostError::from)?;
            print(&policy::explain(&policy, name.as_deref())?)
        }
        PolicyCommand::Check { dir } => {
            let report = policy_check::check(dir)?;
            print(&report.text)?;
            report.outcome?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(super) fn config(command: &ConfigCommand) -> Result<ExitCode, Failure> {
    let root = nix::unistd::geteuid().is_root();
    match command {
        ConfigCommand::Show { origin, config } => show(*origin, config.as_deref(), root),
        ConfigCommand::Check { file } => {
            host::environment_settings()?;
            Settings::from_file(file.as_deref(), root, host::environment)
                .map_err(HostError::from)?;
            print("ok\n")
        }
        ConfigCommand::Default => print(DEFAULT_FILE),
    }
}

fn show(origin: bool, config: Option<&Path>, root: bool) -> Result<ExitCode, Failure> {
    let environment = host::environment_settings()?;
    let file = Settings::from_file(config, root, host::environment).map_err(HostError::from)?;
    let layers = [
        (Origin::Environment, environment.rows()),
        (Origin::File, file.rows()),
        (Origin::Default, defaults(root).rows()),
    ];
    let path = host::config_path(config, root).unwrap_or_default();
    let mut text = String::new();
    for (name, _) in Settings::default().rows() {
        let found = layers.iter().find_map(|(origin, rows)| {
            let (_, value) = rows.iter().find(|(row, _)| *row == name)?;
            Some((*origin, value.clone()?))
        });
        let line = match found {
            Some((Origin::File, value)) if origin => {
                format!("{name} = {value}  # file {}\n", path.display())
            }
            Some((from, value)) if origin => format!("{name} = {value}  # {from}\n"),
            Some((_, value)) => format!("{name} = {value}\n"),
            None => format!("# {name} is not set\n"),
        };
        text.push_str(&line);
    }
    print(&text)
}

fn defaults(root: bool) -> Settings {
    Settings {
        state_dir: settings::default_state_dir(root, host::environment),
        allow_soft_limits: Some(false),
        listen: Some(DEFAULT_LISTEN),
        allow_unauthenticated: Some(false),
        drain_s: Some(DEFAULT_DRAIN),
        allowed_hosts: Some(Vec::new()),
        allowed_origins: Some(Vec::new()),
        results: Some(ResultSettings {
            content_only_clients: Some(vec!["claude-code".to_owned()]),
        }),
        ..Settings::default()
    }
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    printed::print(text).map_err(Failure::Write)?;
    Ok(ExitCode::SUCCESS)
}

/// Every setting, commented out, with its default or an example.
pub(super) const DEFAULT_FILE: &str = r#"# primcs.toml. A flag wins over PRIMCS_* in the environment, that over this file.
# Unknown keys are errors. `primcs config check FILE` tries a file.

# Where the private copy of the system is kept (root: /var/lib/primcs).
#state_dir = "/var/lib/primcs"

# Folder whose files replace those of the built-in policy; root-owned.
#policy = "/etc/primcs/policy"

# Which Python runs the code; the newest python3.N of the system unless named.
#python = "/usr/bin/python3"

# Runs at once, at most; policy and memory may allow fewer.
#max_runs = 8

# Run although there is no cgroup to enforce limits with.
#allow_soft_limits = false

# The HTTP door.
#listen = "127.0.0.1:9000"

# Listen beyond loopback although everybody who reaches the port can run code.
#allow_unauthenticated = false

# Seconds for runs under way to end by themselves at SIGTERM; a second SIGTERM ends them at once.
#drain_s = 30

# File with a token (`openssl rand -hex 32`) that callers over HTTP must send as `Authorization: Bearer`.
# The service reads /etc/primcs/token by itself.
#token_file = "/etc/primcs/token"

# URL under which clients reach the server; its host and origin are then answered.
#public_url = "https://primcs.example.com/mcp"

# Further Host values to answer, and web origins whose pages may call.
#allowed_hosts = ["primcs.lan:9000"]
#allowed_origins = ["https://app.example.com"]

# Seconds for a call that names no timeout_s; the policy's default unless set.
#timeout_s = 60

# Most bytes of stdout and of stderr in a result, up to the policy's 1 MiB.
#max_output = 1048576

# Log filter.
#log = "info"

[results]
# Clients that drop images when structured content stands beside them. No effect yet: it takes
# effect when results have images.
#content_only_clients = ["claude-code"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_yet_says_so_above_it() {
        let (above, _) = DEFAULT_FILE.split_once("#content_only_clients").unwrap();
        assert!(above.ends_with("when results have images.\n") && above.contains("No effect yet"));
        assert!(Settings::parse("[results]\ncontent_only_clients = [\"x\"]").is_ok());
    }

    #[test]
    fn the_default_file_names_every_setting_and_parses_when_uncommented() {
        let uncommented: String = DEFAULT_FILE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if setting.contains(" = ") => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let settings = Settings::parse(&uncommented).unwrap();
        for (name, value) in settings.rows() {
            assert!(value.is_some(), "{name} is missing from the default file");
        }
    }
}
