//! What a run's init says to the supervisor. The init shares its id with the code that it runs, so its
//! word is a stranger's. Understood or not, the supervisor's decision is one of the verdicts that it
//! may cause, and the answer that leaves for the server fits the wire and arrives as it was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use primcs::sandbox::report::{FromInit, MAX_MESSAGE, ToInit};
use primcs::supervisor::verdict::{Cause, decide};
use primcs::wire::codec::MAX_MESSAGE as MOST_ON_THE_WIRE;
use primcs::wire::{Ended, FailedStep, ToServer, Usage, Verdict};

fuzz_target!(|input: &[u8]| {
    // The socket gives no more.
    let packet = input.get(..MAX_MESSAGE).unwrap_or(input);
    let _: Result<ToInit, _> = serde_json::from_slice(packet);
    let Ok(report) = serde_json::from_slice::<FromInit>(packet) else { return };
    let again = serde_json::to_vec(&report).expect("a report can be written");
    assert_eq!(report, serde_json::from_slice(&again).expect("and read again"));
    let (cause, exit_code, signal, cpu_ms, failed_step) = match report {
        FromInit::Hello => return,
        FromInit::Failed(failure) => {
            assert!(!failure.to_string().is_empty());
            let step = FailedStep { step: failure.step.clone(), errno: failure.errno };
            (Cause::StepFailed(failure), None, None, 0, Some(step))
        }
        FromInit::Ended { exit_code, signal, cpu_ms } => {
            (Cause::Ended { exit_code, signal }, exit_code, signal, cpu_ms, None)
        }
    };
    for oom_kills in [0, 1] {
        let verdict = decide(&cause, oom_kills);
        match (&cause, oom_kills) {
            (Cause::StepFailed(_), _) => assert_eq!(verdict, Verdict::SandboxFailed),
            (_, 1) => assert_eq!(verdict, Verdict::OutOfMemory, "the kernel's word goes first"),
            // It cannot claim a limit, a cancel or a shutdown.
            _ => assert!(matches!(verdict, Verdict::Ok | Verdict::Error), "{verdict:?}"),
        }
        assert_eq!(verdict == Verdict::Ok, oom_kills == 0 && exit_code == Some(0));
        let ended = ToServer::Ended(Box::new(Ended {
            request: u64::MAX,
            run_id: "0".repeat(64),
            verdict,
            exit_code,
            signal,
            usage: Usage { cpu_ms, ..Usage::default() },
            pids_refused: u64::MAX,
            failed_step: failed_step.clone(),
        }));
        let bytes = serde_json::to_vec(&ended).expect("an answer can be written");
        assert!(bytes.len() <= MOST_ON_THE_WIRE, "{} bytes", bytes.len());
        assert_eq!(ended, serde_json::from_slice(&bytes).expect("and read"));
    }
});
