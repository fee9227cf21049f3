//! Something dies just after a named step of the start: whoever started it is told, nothing is left,
//! and the next start is as good as any.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use super::named::{COPY, NURSERY_AT_START, SUPERVISOR_AT_START};
use super::remains::{alone, assert_no_strays};
use super::support::aloud::not_tried;
use super::support::processes::host_mounts;
use super::support::programs::{
    Build, Finished, finish, limits_are_hard, primcs, program, scratch, weaken,
};

fn assert_told(what: &str, failed: &Finished) {
    assert_eq!(failed.status.code(), Some(125), "{what}: {}", failed.stderr());
    assert_eq!(failed.stdout(), "", "{what}");
    // What failed, in a sentence; the cause stands in it or above it.
    assert!(failed.stderr().contains("primcs: "), "{what}: {}", failed.stderr());
}

fn die_after(who: &str, steps: &[&str], command: impl Fn() -> Command) {
    for (number, step) in steps.iter().enumerate() {
        let what = format!("{who} after {step}");
        let mounts = host_mounts();
        let fault = format!("crash:{who}/{step}#0");
        let failed = finish(command().env("PRIMCS_WEAKEN", weaken(&[&fault])), "print(1)");
        assert_told(&what, &failed);
        assert_no_strays(&what);
        assert_eq!(host_mounts(), mounts, "{what}");
        // Each start that dies later has come past what the one before it left.
        if number % 4 != 0 && number + 1 < steps.len() {
            continue;
        }
        let next = finish(&mut command(), "print('next')");
        assert_eq!(next.stdout(), "next\n", "{what}: {}", next.stderr());
    }
}

fn run_of_stdin() -> Command {
    let mut command = primcs(Build::Weakened, "run");
    command.arg("-");
    command
}

#[test]
fn a_nursery_that_dies_while_it_starts_is_told_and_the_next_start_works() {
    let _alone = alone();
    let of_root = ["setgroups", "setresgid", "setresuid"];
    let steps: Vec<_> = if nix::unistd::geteuid().is_root() {
        NURSERY_AT_START.to_vec()
    } else {
        not_tried("a rootless nursery changes no ids");
        NURSERY_AT_START.iter().copied().filter(|step| !of_root.contains(step)).collect()
    };
    die_after("nursery", &steps, run_of_stdin);
}

#[test]
fn a_supervisor_that_dies_while_it_starts_is_told_and_the_next_start_works() {
    let _alone = alone();
    die_after("supervisor", SUPERVISOR_AT_START, run_of_stdin);
}

/// With a state directory in which nothing has been copied yet.
fn run_in(state: &Path) -> Command {
    let mut command = Command::new(program(Build::Weakened, "primcs"));
    command.arg("run").arg("--state-dir").arg(state);
    if !limits_are_hard() {
        command.arg("--allow-soft-limits");
    }
    command.arg("-");
    command
}

#[test]
fn a_copy_that_was_never_finished_is_not_used_and_is_removed() {
    let _alone = alone();
    for step in COPY {
        let state = scratch().join("half-made-copy");
        let _of_an_earlier_try = std::fs::remove_dir_all(&state);
        std::fs::create_dir_all(&state).expect("a state directory");
        die_after("supervisor", &[step], || run_in(&state));
        let left: Vec<_> = std::fs::read_dir(state.join("base"))
            .expect("copies")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != ".lock")
            .collect();
        let [only] = left.as_slice() else { panic!("after {step}: {left:?}") };
        assert!(!only.starts_with('.'), "after {step}: {left:?}");
    }
}
