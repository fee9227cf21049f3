//! What a record consists of, whoever chose its values; tests/audit.rs has the real supervisor.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::net::UnixStream;

use super::*;
use crate::wire::{Usage, Verdict};

fn audit() -> (Audit, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Audit::into_sink(Sink::Stderr(theirs.into()), 3, "0123"), ours)
}

fn records(mut stream: UnixStream, audit: Audit) -> Vec<Map<String, Value>> {
    drop(audit);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn request(principal: &str) -> RunRequest {
    let (principal, code) = (principal.to_owned(), "print(1)".to_owned());
    RunRequest { request: 1, principal, code, timeout_ms: None }
}

fn limits() -> LimitsInForce {
    LimitsInForce {
        hard: true,
        wall_ms: 1,
        memory_bytes: Some(1),
        pids: Some(1),
        cpu_millicores: Some(1),
        disk_bytes: 1,
        disk_inodes: 1,
        open_files: 1,
    }
}

/// With a value for everything that a record can have.
fn ended() -> Ended {
    Ended {
        request: 1,
        run_id: "00ff".to_owned(),
        verdict: Verdict::SandboxFailed,
        exit_code: Some(1),
        signal: Some(9),
        usage: Usage { wall_ms: 1, cpu_ms: 1, memory_peak_bytes: Some(1), pids_peak: Some(1) },
        pids_refused: 1,
        failed_step: Some(FailedStep { step: "mount /proc".to_owned(), errno: libc::EPERM }),
    }
}

/// Every name in the first column of the table, which is the journal's in the second.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../docs/audit.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"));
    let names = rows.map(|(name, rest)| {
        let (journal, _) = rest.split_once('`').unwrap();
        assert_eq!(journal, format!("PRIMCS_{}", name.to_uppercase()));
        name.to_owned()
    });
    names.collect()
}

#[test]
fn the_fields_of_all_records_are_the_documented_ones() {
    let (mut audit, stream) = audit();
    audit.begin(&request("local"), "00ff", 7).unwrap();
    audit.ended(&ended(), &limits(), true);
    audit.refused(&request("local"), &Refusal::Rejected { message: "no".to_owned() });
    audit.close();
    let records = records(stream, audit);
    let kinds: Vec<_> = records.iter().map(|record| record["audit"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "run", "refused", "closed"]);
    let names: BTreeSet<_> = records.iter().flat_map(|record| record.keys().cloned()).collect();
    assert_eq!(names, documented());
}

#[test]
fn a_run_has_one_record_and_what_was_never_asked_for_has_none() {
    let (mut audit, stream) = audit();
    audit.ended(&ended(), &limits(), true);
    audit.begin(&request("local"), "00ff", 7).unwrap();
    audit.ended(&ended(), &limits(), false);
    audit.ended(&ended(), &limits(), true);
    let records = records(stream, audit);
    let kinds: Vec<_> = records.iter().map(|record| record["audit"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "refused"], "one that was never let go was refused");
}

#[test]
fn no_two_names_look_the_same_and_none_breaks_a_line() {
    let hostile = ["a\nb", "a\\u{a}b", "a\u{2028}b", "a\u{1b}[2J", "\u{202e}nimda", "\0", "a\\nb"];
    let shown: BTreeSet<_> = hostile.iter().map(|name| plain(name)).collect();
    assert_eq!(shown.len(), hostile.len());
    assert!(shown.iter().all(|name| name.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
    let huge = plain(&"\u{1f600}".repeat(100_000));
    assert!(huge.len() < MOST_TEXT + 20 && huge.ends_with("..."));
}

#[test]
fn a_line_is_shorter_than_what_a_pipe_takes_in_one_piece() {
    let (mut audit, mut stream) = audit();
    audit.begin(&request(&"\\".repeat(100_000)), "00ff", u32::MAX).unwrap();
    let mut worst = ended();
    if let Some(failed) = &mut worst.failed_step {
        failed.step = "mount ".repeat(20);
    }
    audit.ended(&worst, &limits(), true);
    audit.refused(
        &request(&"\\".repeat(100_000)),
        &Refusal::SandboxFailed { message: "m".repeat(500) },
    );
    drop(audit);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest < 4096 && longest > 1000, "{longest}");
}

#[test]
fn a_flood_of_refusals_is_counted_and_the_count_told() {
    let (mut audit, stream) = audit();
    for _ in 0..100 {
        audit.refused(&request("local"), &Refusal::Rejected { message: "no".to_owned() });
    }
    audit.close();
    let records = records(stream, audit);
    let refused = records.iter().filter(|record| record["audit"] == "refused").count();
    assert_eq!(u32::try_from(refused).unwrap(), MOST_REFUSALS);
    assert_eq!(records.last().unwrap()["unrecorded"], 100 - MOST_REFUSALS);
}

#[test]
fn a_stderr_that_takes_nothing_stops_no_run_and_what_it_missed_is_counted() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut audit = Audit::into_sink(Sink::Stderr(theirs.try_clone().unwrap().into()), 0, "");
    let silent = Ended { failed_step: None, ..ended() };
    while audit.unrecorded == 0 {
        audit.begin(&request("local"), "00ff", 7).unwrap();
        audit.ended(&silent, &limits(), true);
    }
    assert!(audit.admit().is_ok());
    audit.begin(&request("local"), "00ff", 7).unwrap();
    audit.ended(&silent, &limits(), true);
    assert_eq!(audit.unrecorded, 2);
    let mut taken = vec![0; 1 << 20];
    while (&ours).read(&mut taken).unwrap() == taken.len() {}
    audit.write("closed", Record::default());
    assert_eq!(audit.unrecorded, 0, "told");
}
