//! The token at the HTTP door: without it nothing runs, with it everything does, and it is found where
//! systemd and the settings put it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;

use super::support::http::{Connection, Response};
use super::support::mcp::{Call, Era};
use super::support::programs::{Build, empty_folder, finish, primcs};
use super::support::server::Server;

const TOKEN: &str = "3b2c0a9f5e1d47c6a8b90e7f6d5c4b3a";

fn folder(name: &str, text: &str) -> PathBuf {
    let folder = empty_folder(name);
    std::fs::write(folder.join("primcs.token"), text).expect("a file");
    folder
}

fn call(address: SocketAddr, token: Option<&str>) -> Response {
    let body = Call::new("print(6 * 7)").message(Era::Legacy, 1).to_string();
    let value = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", Era::Legacy.version()),
    ];
    headers.extend(value.as_deref().map(|value| ("Authorization", value)));
    let mut connection = Connection::open(address);
    connection.send("POST", "/mcp", &headers, body.as_bytes());
    connection.response().expect("an answer")
}

#[test]
fn without_the_token_nothing_runs_and_with_it_the_call_is_answered() {
    let file = folder("token-file", TOKEN).join("primcs.token");
    let mut command = primcs(Build::Normal, "serve");
    command.args(["--listen", "127.0.0.1:0"]).env("PRIMCS_TOKEN_FILE", file);
    let server = Server::of(&command);
    for wrong in [None, Some(""), Some("3b2c"), Some("4b2c0a9f5e1d47c6a8b90e7f6d5c4b3a")] {
        let refused = call(server.address, wrong);
        assert_eq!(refused.status, 401, "{wrong:?}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"primcs\""));
        assert_eq!(refused.header("connection"), Some("close"), "a stranger keeps its place");
    }
    assert_eq!(server.metric("primcs_runs_total{status=\"ok\"}"), 0);
    let answered = call(server.address, Some(TOKEN));
    assert_eq!(answered.status, 200);
    assert!(answered.text().expect("text").contains("42\\n"));
    assert!(server.log().contains("whoever sends the token"));
    assert!(!server.log().contains(TOKEN), "the token is in the log");
}

#[test]
fn a_credential_of_systemd_opens_the_door_beyond_loopback() {
    let credentials = folder("token-credential", TOKEN);
    let mut command = primcs(Build::Normal, "serve");
    command.args(["--listen", "0.0.0.0:0"]).env("CREDENTIALS_DIRECTORY", credentials);
    let server = Server::of(&command);
    let address = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    assert_eq!(call(address, None).status, 401);
    assert_eq!(call(address, Some(TOKEN)).status, 200);
}

#[test]
fn no_token_lets_nobody_listen_beyond_loopback_and_an_empty_or_weak_one_nobody_at_all() {
    for (listen, text, says) in [
        ("0.0.0.0:0", "\n", "no token is set"),
        ("127.0.0.1:0", "", "openssl rand -hex 32"),
        ("127.0.0.1:0", "secret", "openssl rand -hex 32"),
    ] {
        let mut command = primcs(Build::Normal, "serve");
        command.args(["--listen", listen]).env("CREDENTIALS_DIRECTORY", folder("token-weak", text));
        let refused = finish(&mut command, "");
        assert!(!refused.status.success());
        assert!(refused.stderr().contains(says), "{}", refused.stderr());
    }
}
