//! The token at the HTTP door: without it nothing runs, with it everything does, and it is found where
//! systemd and the settings put it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::support::aloud::not_tried;
use super::support::http::Response;
use super::support::mcp::{Call, Era};
use super::support::programs::{Build, empty_folder, finish, primcs};
use super::support::server::Server;

const TOKEN: &str = "3b2c0a9f5e1d47c6a8b90e7f6d5c4b3a";

fn folder(name: &str, text: &str) -> PathBuf {
    let folder = empty_folder(name);
    let file = folder.join("primcs.token");
    std::fs::write(&file, text).expect("a file");
    // As root the server half is another user by the time it reads; its group may, others may not.
    let user = nix::unistd::User::from_name("primcs").expect("the users of this host");
    let server = user.map_or(2_000_000_000, |user| user.gid.as_raw());
    let group = nix::unistd::geteuid().is_root().then_some(server);
    std::os::unix::fs::chown(&file, None, group).expect("a group");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("a mode");
    folder
}

fn call(address: SocketAddr, token: Option<&str>) -> Response {
    let call = Call::new("print(6 * 7)");
    let call = token.into_iter().fold(call, Call::with_token);
    call.send(address, Era::Legacy).response().expect("an answer")
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
    }
    assert_eq!(server.metric("primcs_runs_total{status=\"ok\"}"), 0);
    assert_eq!(server.metric("primcs_calls_without_token_total"), 4);
    assert_eq!(server.log().matches("a call without the token").count(), 1);
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
fn without_a_token_nobody_listens_beyond_loopback_and_with_a_weak_one_nobody_at_all() {
    let made_badly = "openssl rand -hex 32";
    for (text, says) in [("\n", "no token is set"), ("secret", made_badly), ("", made_badly)] {
        let mut command = primcs(Build::Normal, "serve");
        command
            .args(["--listen", "0.0.0.0:0"])
            .env("CREDENTIALS_DIRECTORY", folder("token-weak", text));
        let refused = finish(&mut command, "");
        assert!(!refused.status.success());
        assert!(refused.stderr().contains(says), "{}", refused.stderr());
    }
}

/// Whoever has made it as root is not who reads it.
#[test]
fn a_token_that_the_servers_user_may_not_read_is_named_with_that_user_and_what_mends_it() {
    if !nix::unistd::geteuid().is_root() {
        return not_tried("only root starts a server that is another user");
    }
    let path = folder("token-unreadable", TOKEN).join("primcs.token");
    std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("its owner");
    let serve = || {
        let mut command = primcs(Build::Normal, "serve");
        command.args(["--listen", "127.0.0.1:0"]).env("PRIMCS_TOKEN_FILE", &path);
        command
    };
    let refused = finish(&mut serve(), "");
    assert!(!refused.status.success());
    let said = refused.stderr();
    let (_, mend) = said.split_once("run as root: ").unwrap_or_else(|| panic!("{said}"));
    let mend = mend.lines().next().expect("two commands");
    assert!(said.contains("user ") && mend.matches(path.to_str().expect("UTF-8")).count() == 2);
    // It really does.
    let status = std::process::Command::new("sh").args(["-c", mend]).status().expect("a shell");
    assert!(status.success(), "{mend}");
    let server = Server::of(&serve());
    assert_eq!(call(server.address, Some(TOKEN)).status, 200);
}
