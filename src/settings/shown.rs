//! Settings as `primcs config show` prints them.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use super::Settings;

/// Where the value in force came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// A `PRIMCS_*` variable, or `PORT`.
    Environment,
    /// The configuration file.
    File,
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

impl Settings {
    /// Name and value of every setting, as `config show` prints them; `None` where nobody said.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, Option<String>)> {
        let path =
            |value: &Option<PathBuf>| value.as_ref().map(|path| quoted(&path.to_string_lossy()));
        let names = |value: &Option<Vec<String>>| {
            value.as_ref().map(|names| {
                format!(
                    "[{}]",
                    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
                )
            })
        };
        vec![
            ("state_dir", path(&self.state_dir)),
            ("policy", path(&self.policy)),
            ("python", path(&self.python)),
            ("max_runs", self.max_runs.map(|value| value.to_string())),
            ("allow_soft_limits", self.allow_soft_limits.map(|value| value.to_string())),
            ("listen", self.listen.map(|value| quoted(&value.to_string()))),
            ("allow_unauthenticated", self.allow_unauthenticated.map(|value| value.to_string())),
            ("drain_s", self.drain_s.map(|value| value.to_string())),
            ("token_file", path(&self.token_file)),
            ("public_url", self.public_url.as_deref().map(quoted)),
            ("allowed_hosts", names(&self.allowed_hosts)),
            ("allowed_origins", names(&self.allowed_origins)),
            ("timeout_s", self.timeout_s.map(|value| value.to_string())),
            ("max_output", self.max_output.map(|value| value.to_string())),
            ("log", self.log.as_deref().map(quoted)),
            (
                "results.content_only_clients",
                names(&self.results.clone().unwrap_or_default().content_only_clients),
            ),
        ]
    }
}

/// As TOML reads it back. JSON writes DEL and the controls above it as they are; TOML refuses DEL.
fn quoted(text: &str) -> String {
    let escaped = |letter: char| {
        if letter.is_control() {
            format!("\\u{:04x}", u32::from(letter))
        } else {
            letter.to_string()
        }
    };
    serde_json::Value::from(text).to_string().chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzz/.
    #[test]
    fn settings_with_control_characters_are_shown_so_that_they_can_be_read_back() {
        let settings =
            Settings { log: Some("\u{7f}\u{85}\u{9b}\n\"".to_owned()), ..Default::default() };
        let shown = settings.rows().into_iter().find_map(|(name, value)| Some((name, value?)));
        let (name, value) = shown.unwrap();
        assert!(!value.chars().any(char::is_control), "{value:?}");
        let again = Settings::parse(&format!("{name} = {value}")).unwrap();
        assert_eq!(again.log, settings.log);
    }
}
