//! What somebody who has just started the server needs to know, in one screen.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::settings::Settings;
use crate::wire::Welcome;

/// As text, for stderr.
pub(super) fn text(
    address: SocketAddr,
    settings: &Settings,
    welcome: &Welcome,
    has_token: bool,
) -> String {
    let public_url = settings.public_url.as_deref();
    let own_url = format!("http://{}/mcp", to_paste(address));
    let url = public_url.unwrap_or(&own_url);
    let urls = match public_url {
        Some(public) => format!("{own_url}, for clients {public}"),
        None => own_url.clone(),
    };
    let who = if has_token {
        "whoever sends the token (Authorization: Bearer). They count as one caller"
    } else if address.ip().is_loopback() {
        "every program on this machine; nobody else. They count as one caller"
    } else {
        "EVERYBODY who reaches this port (in a container: its whole network) can run code; a token \
         in token_file ends that"
    };
    let rights = if welcome.rootless { "rootless" } else { "root supervisor" };
    let hard = if welcome.limits.hard { "hard limits" } else { "SOFT LIMITS, not enforced" };
    let landlock = welcome
        .landlock_abi
        .map_or_else(|| "no Landlock on this kernel".to_owned(), |abi| format!("Landlock {abi}"));
    let python = format!("Python {} ({})", welcome.interpreter.version, welcome.interpreter.path);
    let lines = [
        ("URL", urls),
        ("may connect", who.to_owned()),
        (
            "isolation",
            format!(
                "{}, {rights}, cgroups {}, {hard}, {landlock}",
                welcome.isolation, welcome.cgroup_layout
            ),
        ),
        ("interpreter", python),
        ("runs at once", welcome.max_runs.to_string()),
        ("policy", welcome.policy_digest.chars().take(16).collect()),
    ];
    let facts: Vec<_> = lines.iter().map(|(name, value)| format!("  {name:<13} {value}")).collect();
    let secret =
        if has_token { ", \"headers\": {\"Authorization\": \"Bearer TOKEN\"}" } else { "" };
    format!(
        "PRIMCS is ready.\n{}\nPaste into your MCP client:\n  {{\"mcpServers\": {{\"primcs\": \
         {{\"type\": \"http\", \"url\": \"{url}\"{secret}}}}}}}\nTry in another terminal:\n  {}\n",
        facts.join("\n"),
        command(&own_name(), settings, welcome.limits.hard),
    )
}

/// Listening everywhere is no address to call.
fn to_paste(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let ip = if address.ip().is_unspecified() { loopback } else { address.ip() };
    SocketAddr::new(ip, address.port())
}

/// One run in the same way as the server's: another terminal has neither its flags nor its
/// environment.
fn command(name: &str, settings: &Settings, hard: bool) -> String {
    let path = |flag: &str, path: Option<&Path>| {
        path.map(|path| format!(" {flag} {}", quoted(&path.to_string_lossy()))).unwrap_or_default()
    };
    let soft = if hard { "" } else { " --allow-soft-limits" };
    format!(
        "{} run{}{}{}{soft} -c 'print(2**100)'",
        quoted(name),
        path("--state-dir", settings.state_dir.as_deref()),
        path("--policy", settings.policy.as_deref()),
        path("--python", settings.python.as_deref()),
    )
}

/// As typed by whoever started us: straight from the build it is on no PATH.
fn own_name() -> String {
    std::env::args().next().unwrap_or_else(|| "primcs".to_owned())
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%,=".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_names_an_address_to_paste() {
        let pasted = |address: &str| to_paste(address.parse().unwrap()).to_string();
        assert_eq!(pasted("0.0.0.0:9000"), "127.0.0.1:9000");
        assert_eq!(pasted("[::]:9000"), "[::1]:9000");
        assert_eq!(pasted("192.0.2.1:9000"), "192.0.2.1:9000");
    }

    #[test]
    fn the_command_to_try_repeats_what_the_server_was_told() {
        let settings = Settings::default();
        assert_eq!(command("primcs", &settings, true), "primcs run -c 'print(2**100)'");
        let settings = Settings {
            state_dir: Some("/srv/my state".into()),
            python: Some("/opt/it's/python3".into()),
            ..settings
        };
        assert_eq!(
            command("target/release/primcs", &settings, false),
            "target/release/primcs run --state-dir '/srv/my state' \
             --python '/opt/it'\\''s/python3' --allow-soft-limits -c 'print(2**100)'"
        );
    }
}
