//! Two halves that have read different policies refuse each other: neither runs anything.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use primcs::wire::ToServer;

use super::fake_server::{FakeServer, hello, hello_with};
use super::support::policies::with_changed;
use super::support::programs::{Build, empty_folder, finish, primcs, program, state_dir};

/// A policy of an operator that gives runs less memory than the built-in one.
fn other_policy(name: &str) -> PathBuf {
    with_changed(name, "limits.toml", &[("\"1GiB\"", "\"512MiB\"")])
}

#[test]
fn a_supervisor_with_another_policy_refuses_the_server() {
    let policy = other_policy("policy-of-the-supervisor");
    let mut fake = FakeServer::start(&["--policy", policy.to_str().expect("UTF-8")]);
    fake.send(&hello());
    match fake.receive_within(Duration::from_secs(120)) {
        Some((ToServer::Unable(unable), _)) => {
            assert!(unable.problem.contains("policy"), "{unable:?}");
        }
        other => panic!("not refused but {other:?}"),
    }
    fake.assert_ends();
}

#[test]
fn a_supervisor_and_a_server_with_the_same_other_policy_get_along() {
    let policy = other_policy("policy-of-both");
    let mut command = primcs(Build::Normal, "run");
    command.arg("--policy").arg(&policy).args(["--json", "-c", "print(1)"]);
    let finished = finish(&mut command, "");
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr());
    let result: serde_json::Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    let digest = result["policy_digest"].as_str().expect("a digest");
    // The digest in the result is that of the folder, which a server of it would say first.
    let mut fake = FakeServer::start(&["--policy", policy.to_str().expect("UTF-8")]);
    fake.send(&hello_with(env!("CARGO_PKG_VERSION"), digest));
    match fake.receive_within(Duration::from_secs(120)) {
        Some((ToServer::Welcome(welcome), _)) => assert_eq!(welcome.policy_digest, digest),
        other => panic!("no welcome but {other:?}"),
    }
    fake.hang_up();
    fake.assert_ends();
}

/// The true server and the true supervisor, between which somebody has put another policy: a
/// program in the supervisor's place that starts it with one flag more.
#[test]
fn the_two_programs_with_different_policies_run_nothing() {
    let folder = empty_folder("two-programs");
    let policy = other_policy("policy-between");
    fs::copy(program(Build::Normal, "primcs"), folder.join("primcs")).expect("a copy");
    let real = program(Build::Normal, "primcs-supervisor");
    let source = folder.join("between.c");
    fs::write(
        &source,
        format!(
            "#include <unistd.h>\n\
             int main(int count, char **given) {{\n\
               char *all[count + 3];\n\
               for (int n = 0; n < count; n++) all[n] = given[n];\n\
               all[count] = \"--policy\"; all[count + 1] = {:?}; all[count + 2] = 0;\n\
               return execv({:?}, all);\n\
             }}\n",
            policy.to_str().expect("UTF-8"),
            real.to_str().expect("UTF-8"),
        ),
    )
    .expect("a file");
    let between = folder.join("primcs-supervisor");
    let made = Command::new("cc").arg("-o").arg(&between).arg(&source).status();
    assert!(made.expect("cc, which the build needs too").success());

    let mut command = Command::new(folder.join("primcs"));
    command.args(["run", "--state-dir"]).arg(state_dir(Build::Normal));
    let finished = finish(command.args(["-c", "print('it ran')"]), "");
    assert_eq!(finished.status.code(), Some(125), "{}", finished.stderr());
    assert!(finished.stdout().is_empty(), "{}", finished.stdout());
    assert!(finished.stderr().contains("policy"), "{}", finished.stderr());
}
