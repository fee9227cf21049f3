//! Something dies or hangs just after a named step of a run: the call is told, nothing is left, and
//! the next run is as good as any.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::load::assert_clear;
use super::named::{INIT, NURSERY, PROGRAM, SUPERVISOR};
use super::remains::{AT_ONCE, Scene, alone};
use super::support::aloud::not_tried;
use super::support::mcp::{Call, Era, run};
use super::support::processes::{Process, descendants, eventually, host_mounts};
use super::support::programs::limits_are_hard;
use super::support::server::Server;

/// The probe of the start is the first run that each process sees.
const FIRST_CALL: usize = 2;

/// Steps of init and program that this host has.
fn steps_of_a_run() -> Vec<(&'static str, &'static str)> {
    let landlock = primcs::sys::landlock::abi().expect("asking for Landlock").is_some();
    if !landlock {
        not_tried("the steps of Landlock: this kernel has none");
    }
    let is_here = |step: &&str| landlock || !(step.contains("landlock") || *step == "open *");
    let init = INIT.iter().map(|step| ("init", *step));
    init.chain(PROGRAM.iter().filter(|step| is_here(step)).map(|step| ("program", *step))).collect()
}

/// Directories of runs beside that of the nursery.
fn leaves(server: &Server) -> BTreeSet<PathBuf> {
    let supervisor = server.supervisor();
    let groups = descendants(supervisor.pid).iter().flat_map(Process::cgroups).collect::<Vec<_>>();
    let parents =
        groups.iter().filter(|group| group.ends_with("spawner")).filter_map(|g| g.parent());
    let found =
        parents.flat_map(|parent| std::fs::read_dir(parent).into_iter().flatten().flatten());
    let directories = found.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).filter(|path| !path.ends_with("spawner")).collect()
}

/// Nothing but the nursery is below the supervisor, and no directory of a run.
fn assert_quiet(server: &Server, what: &str) {
    let supervisor = server.supervisor();
    let live = || descendants(supervisor.pid).into_iter().filter(Process::lives).count();
    assert!(eventually(AT_ONCE, || live() == 1), "{what}: {:?}", descendants(supervisor.pid));
    assert!(eventually(AT_ONCE, || leaves(server).is_empty()), "{what}: {:?}", leaves(server));
}

#[test]
fn an_init_or_program_that_dies_after_any_step_is_told_and_leaves_nothing() {
    let _alone = alone();
    let steps = steps_of_a_run();
    // Every other run: those between must not notice.
    let number = |index: usize| FIRST_CALL + 2 * index;
    let fault = |(index, (who, step)): (usize, &(&str, &str))| {
        format!("crash:{who}/{step}#{}", number(index))
    };
    let server = Server::weakened(&steps.iter().enumerate().map(fault).collect::<Vec<_>>());
    let mounts = host_mounts();
    for (who, step) in &steps {
        let what = format!("{who} after {step}");
        let answer = run(server.address, "print('not to be seen')");
        assert_clear(&answer.message);
        match *who {
            // Whether the supervisor's next step fails or the init's silence is noticed.
            "init" => assert_eq!(answer.status(), "killed", "{what}: {answer:?}"),
            _ => assert_eq!(answer.text("signal"), "SIGKILL", "{what}: {answer:?}"),
        }
        let late = *who == "init" && *step == "wait";
        assert!(late || answer.stdout().is_empty(), "{what}: code was run: {answer:?}");
        assert_quiet(&server, &what);
        assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n", "{what}");
    }
    assert_eq!(host_mounts(), mounts);
}

#[test]
fn an_init_or_program_that_hangs_after_any_step_ends_with_its_time() {
    let _alone = alone();
    let steps = steps_of_a_run();
    let fault = |(index, (who, step)): (usize, &(&str, &str))| {
        format!("hang:{who}/{step}#{}", FIRST_CALL + index)
    };
    let server = Server::weakened(&steps.iter().enumerate().map(fault).collect::<Vec<_>>());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < steps.len() {
                    let call = Call::new("print('not to be seen')").timeout(1);
                    call.answer(server.address, Era::Modern).expect("timeout");
                }
            });
        }
    });
    assert_quiet(&server, "after all that hung");
    assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n");
}

/// Statuses that a call may get whose supervisor dies after this step.
fn is_fitting(step: &str, answer: &Value) -> bool {
    let told = ["hear the end", "kill", "reap", "remove leaf"].contains(&step);
    let status = answer["result"]["structuredContent"]["status"].as_str().unwrap_or_default();
    ["sandbox_failed", "killed"].contains(&status) || (told && status == "ok")
}

#[test]
fn a_supervisor_that_dies_after_any_step_takes_the_run_along_and_the_call_is_told() {
    let _alone = alone();
    for step in SUPERVISOR {
        let what = format!("supervisor after {step}");
        if *step == "enter cgroup" && !limits_are_hard() {
            not_tried("with soft limits there is no cgroup to enter");
            continue;
        }
        let server = Server::weakened(&[format!("crash:supervisor/{step}#{FIRST_CALL}")]);
        let scene = Scene::of(&server);
        match Call::new("print('seen')").try_answer(server.address, Era::Modern) {
            Ok(answer) => {
                assert!(is_fitting(step, &answer), "{what}: {answer}");
                if answer["result"]["structuredContent"]["status"] != "ok" {
                    assert_clear(&answer);
                }
            }
            Err(error) => panic!("{what}: no answer: {error}"),
        }
        scene.assert_gone(&what, &[], true);
        let status = server.wait();
        assert!(!status.success(), "{what}: {status}");
        let next = Server::start(&[]);
        assert_eq!(run(next.address, "print('next')").expect("ok").stdout(), "next\n", "{what}");
        scene.assert_removed(&what);
    }
}

#[test]
fn a_nursery_that_dies_with_a_request_in_its_hands_is_replaced_and_the_run_goes_on() {
    let _alone = alone();
    for step in NURSERY {
        let server = Server::weakened(&[format!("crash:nursery/{step}#{FIRST_CALL}")]);
        // Each new nursery dies at its second request, so at every call here after the first.
        for n in 0..6 {
            let answer = run(server.address, &format!("print({n})"));
            assert_eq!(answer.expect("ok").stdout(), format!("{n}\n"), "after {step}");
        }
        assert!(server.log().contains("the nursery died"), "{}", server.log());
        assert_quiet(&server, step);
    }
}

#[test]
fn a_nursery_that_hangs_is_replaced_and_one_call_is_told() {
    let _alone = alone();
    let server = Server::weakened(&[format!("hang:nursery/asked for init#{FIRST_CALL}")]);
    let answer = run(server.address, "print(1)").expect("sandbox_failed");
    assert_clear(&answer.message);
    assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n");
}

#[test]
fn a_supervisor_that_hangs_keeps_no_caller_waiting() {
    let _alone = alone();
    let server = Server::start(&[]);
    let stop = |signal| {
        let supervisor = Pid::from_raw(server.supervisor().pid);
        kill(supervisor, signal).expect("signalling the supervisor");
    };
    let call = Call::new("import time\nprint('under way', flush=True)\ntime.sleep(600)").timeout(1);
    let mut started = call.with_progress().stream(server.address, Era::Modern);
    started.wait_for("under way");
    stop(Signal::SIGSTOP);
    let waiting = Call::new("print('not to be seen')").try_answer(server.address, Era::Legacy);
    let lost = started.answer();
    stop(Signal::SIGCONT);
    assert_clear(&waiting.expect("an answer"));
    // Its clock has been standing still with the supervisor's.
    assert_eq!(lost.status(), "sandbox_failed");
    assert_clear(&lost.message);
    assert_quiet(&server, "after the supervisor goes on");
    assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n");
}
