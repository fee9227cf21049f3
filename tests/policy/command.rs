//! What a reviewer and an operator are told by `primcs policy`, through the real program.
#![forbid(unsafe_code)]

use std::process::Command;

use super::support::policies::with_changed;
use super::support::programs::{Build, Finished, finish, program};

fn policy(arguments: &[&str]) -> Finished {
    finish(Command::new(program(Build::Normal, "primcs")).arg("policy").args(arguments), "")
}

const CALLS: &str = include_str!("../../policy/seccomp-run.toml");

#[test]
fn the_four_questions_of_a_reviewer_are_answered_with_their_proof() {
    for (question, answer, proof) in [
        (
            "raw socket",
            "cannot open a raw or packet socket",
            "isolation a_run_cannot::open_a_raw_socket",
        ),
        ("/proc/kcore", "is covered", "isolation a_run_cannot::see_kernel_files_in_proc"),
        (
            "outlives its call",
            "No process of a run outlives its call",
            "crashes moments::a_supervisor_killed_at_any_moment_takes_its_runs_along",
        ),
        (
            "sees its neighbour",
            "cannot read a file, socket, process or answer of its neighbour",
            "concurrency tests::a_run_cannot_see_another_runs_files",
        ),
    ] {
        let finished = policy(&["explain", question]);
        assert!(finished.status.success(), "{}", finished.stderr());
        let text = finished.stdout();
        assert!(text.contains(answer) && text.contains(proof), "{question}: {text}");
    }
}

#[test]
fn a_changed_limit_is_told_and_claims_no_proof() {
    let folder = with_changed("policy-told", "limits.toml", &[("\"1GiB\"", "\"512MiB\"")]);
    let folder = folder.to_str().expect("UTF-8");
    let checked = policy(&["check", folder]);
    assert!(checked.status.success(), "{}", checked.stderr());
    let text = checked.stdout();
    assert!(
        text.contains("limits.toml: replaced\n  limits memory.max: 512MiB (built in: 1GiB)\n"),
        "{text}"
    );
    assert!(text.contains("mounts.toml: as built in\n") && text.contains("ok, digest "), "{text}");
    let explained = policy(&["explain", "memory.max", "--policy", folder]).stdout();
    assert!(explained.contains("= 512MiB") && explained.contains("not covered"), "{explained}");
    assert!(!explained.contains("proof: "), "{explained}");
}

#[test]
fn a_dangerous_call_for_a_short_reason_does_not_pass_the_check() {
    let (at, line) =
        CALLS.lines().enumerate().find(|(_, line)| line.contains("\"mprotect\"")).expect("a line");
    let short = "  { call = \"mprotect\", reason = \"for numba\" },";
    let folder = with_changed("policy-terse", "seccomp-run.toml", &[(line, short)]);
    let checked = policy(&["check", folder.to_str().expect("UTF-8")]);
    assert!(!checked.status.success());
    let (text, error) = (checked.stdout(), checked.stderr());
    assert!(text.contains("seccomp-run.toml: replaced, cannot be used"), "{text}");
    assert!(error.contains(&format!("seccomp-run.toml line {}", at + 1)), "{error}");
    assert!(error.contains("add a condition, or say in at least 60"), "{error}");
}
