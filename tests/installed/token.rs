//! The token as systemd hands it to the server: from the file that the documents name, and from where a
//! drop-in says. Nobody else can read it, and where it is no good nothing is served.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use super::support::http::Response;
use super::support::mcp::{Call, Era};
use super::support::processes::eventually;
use super::support::server::shared;
use super::unit::{
    SERVER, SUPERVISOR, becomes_ready, begin_anew_after, is_ready, journal, main_pid, output,
    succeeds, with_drop_in, with_file,
};
use super::witness::{PATIENCE, write_down};

const TOKEN: &str = "5d0c7e1b9a3f4826b1c0d9e8f7a6b5c4";
/// Named by the shipped unit.
const FILE: &str = "/etc/primcs/token";
/// Where systemd puts what it has read.
const PASSED: &str = "/run/credentials/primcs.service/primcs.token";

fn call(code: &str, token: Option<&str>) -> Response {
    let call = token.into_iter().fold(Call::new(code), Call::with_token);
    call.send(shared().address, Era::Legacy).response().expect("an answer")
}

/// By calls: without it none is answered, whatever else is sent.
#[track_caller]
fn is_asked_for() {
    succeeds("systemctl", &["restart", SERVER]);
    becomes_ready();
    for wrong in [None, Some("5d0c"), Some("6d0c7e1b9a3f4826b1c0d9e8f7a6b5c4")] {
        assert_eq!(call("print(6 * 7)", wrong).status, 401, "{wrong:?}");
    }
    let answered = call("print(6 * 7)", Some(TOKEN));
    assert_eq!(answered.status, 200);
    assert!(answered.text().expect("text").contains("42\\n"));
    write_down("/mcp".as_ref(), "status with the token", 401, 200);
}

#[track_caller]
fn is_not_asked_for() {
    becomes_ready();
    assert_eq!(call("print(6 * 7)", None).status, 200);
}

fn read_as(user: &str, path: &str) -> String {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let done = output("setpriv", &[&uid, &gid, "--clear-groups", "cat", path]);
    let words =
        String::from_utf8_lossy(if done.status.success() { &done.stdout } else { &done.stderr });
    words.trim().to_owned()
}

/// Neither the file nor what systemd makes of it, and neither as a user of the host nor in a run.
#[track_caller]
fn nobody_else_can_read_it(file: &str) {
    for path in [file, PASSED] {
        // Or the refusals below would prove nothing.
        assert_eq!(fs::read_to_string(path).expect(path).trim(), TOKEN, "{path}");
        let read = read_as("tester", path);
        assert!(read.ends_with("Permission denied"), "{path}: {read:?}");
        write_down(path.as_ref(), "cat as another user", "for root the token", read);
    }
    assert_eq!(read_as("primcs", PASSED), TOKEN);
    assert!(read_as("primcs", file).ends_with("Permission denied"));

    let code = format!(
        "
import glob, os
for path in [{file:?}, {PASSED:?}, *glob.glob('/proc/[0-9]*/environ'), *glob.glob('/run/credentials/**')]:
    try:
        print(path, open(path, 'rb').read())
    except OSError as error:
        print(path, type(error).__name__)
print(dict(os.environ))
"
    );
    let stdout = Call::new(&code).with_token(TOKEN).answer(shared().address, Era::Modern);
    let stdout = stdout.expect("ok").stdout().to_owned();
    for path in [file, PASSED] {
        assert!(stdout.contains(&format!("{path} FileNotFoundError\n")), "{stdout}");
    }
    assert!(!stdout.contains(TOKEN), "{stdout}");
    write_down(PASSED.as_ref(), "open in a run", "for root the token", "FileNotFoundError");
}

#[test]
fn a_token_in_its_file_is_asked_for_and_nobody_else_can_read_it() {
    becomes_ready();
    begin_anew_after(|| {
        with_file(Path::new(FILE), &format!("{TOKEN}\n"), || {
            is_asked_for();
            nobody_else_can_read_it(FILE);
            is_not_told();
            is_recorded();
        });
    });
    is_not_asked_for();
}

/// Neither in what others may see of the server nor in any log.
#[track_caller]
fn is_not_told() {
    let environment = fs::read(format!("/proc/{}/environ", main_pid(SERVER)));
    let environment = environment.expect("the server lives");
    assert!(!String::from_utf8_lossy(&environment).contains(TOKEN));
    assert!(!succeeds("journalctl", &["--boot", "--quiet"]).contains(TOKEN), "it is logged");
}

/// The audit log says that whoever asked had it.
#[track_caller]
fn is_recorded() {
    let unit = format!("_SYSTEMD_UNIT={SUPERVISOR}");
    let arguments = ["--boot", "--quiet", &unit, "PRIMCS_PRINCIPAL=token"];
    let recorded = || !succeeds("journalctl", &arguments).is_empty();
    assert!(eventually(PATIENCE, recorded), "no record says that a token was sent");
}

#[test]
fn a_token_from_where_a_drop_in_says_is_asked_for() {
    becomes_ready();
    let file = "/var/lib/primcs-test-token";
    with_file(Path::new(file), TOKEN, || {
        with_drop_in(SERVER, &format!("[Service]\nLoadCredential=primcs.token:{file}\n"), || {
            is_asked_for();
            nobody_else_can_read_it(file);
        });
    });
    is_not_asked_for();
}

#[test]
fn what_is_no_token_keeps_the_door_shut_and_the_journal_says_so() {
    becomes_ready();
    let everywhere = "[Service]\nEnvironment=PRIMCS_LISTEN=0.0.0.0:9000\n";
    with_drop_in(SERVER, everywhere, || {
        is_refused("no token is set");
        with_file(Path::new(FILE), "", || is_refused("openssl rand -hex 32"));
    });
    is_not_asked_for();
}

#[track_caller]
fn is_refused(words: &str) {
    let done = output("systemctl", &["restart", SERVER]);
    assert!(!done.status.success(), "it has started");
    let journal = journal(&[SERVER], 20);
    assert!(journal.contains(words), "{journal}");
    assert!(!is_ready(), "it serves");
    write_down("journal".as_ref(), "the server says", "active", words);
}
