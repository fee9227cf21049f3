//! What somebody who has just started the server needs to know, in one screen.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use crate::wire::Welcome;

/// As text, for stderr.
pub(super) fn text(address: SocketAddr, public_url: Option<&str>, welcome: &Welcome) -> String {
    let own_url = format!("http://{address}/mcp");
    let url = public_url.unwrap_or(&own_url);
    let urls = match public_url {
        Some(public) => format!("{own_url}, for clients {public}"),
        None => own_url.clone(),
    };
    let who = if address.ip().is_loopback() {
        "every program on this machine; nobody else. They count as one caller"
    } else {
        "EVERYBODY who reaches this port can run code. They count as one caller"
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
    let soft = if welcome.limits.hard { "" } else { " --allow-soft-limits" };
    let facts: Vec<_> = lines.iter().map(|(name, value)| format!("  {name:<13} {value}")).collect();
    format!(
        "PRIMCS is ready.\n{}\nPaste into your MCP client:\n  {{\"mcpServers\": {{\"primcs\": \
         {{\"type\": \"http\", \"url\": \"{url}\"}}}}}}\nTry in another terminal:\n  {} run{soft} -c \
         'print(2**100)'\n",
        facts.join("\n"),
        own_name(),
    )
}

/// As typed by whoever started us: straight from the build it is on no PATH.
fn own_name() -> String {
    std::env::args().next().unwrap_or_else(|| "primcs".to_owned())
}
