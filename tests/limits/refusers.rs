//! Programs that do not want to end. The wall clock runs in the supervisor, so nothing that the
//! program does or does not do can stop it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::scene::{Quiet, alone, explode};
use super::support::mcp::{Call, Era};
use super::support::server::shared;

/// Ends within half a second of its time, whatever `code` does.
#[track_caller]
fn times_out(code: &str) {
    let answer = explode(&format!("print('armed', flush=True)\n{code}"), 2, "timeout");
    assert!(answer.is_error());
    let wall = answer.number("/usage/wall_ms");
    assert!((2000..2500).contains(&wall), "{wall} ms");
}

#[test]
fn sleep_ends_with_its_time() {
    times_out("import time\ntime.sleep(600)");
}

/// proves: limits wall; ending wall
#[test]
fn a_stopped_program_ends_with_its_time() {
    times_out("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)");
}

#[test]
fn a_stopped_process_group_ends_with_its_time() {
    times_out("import os, signal\nos.fork()\nos.kill(0, signal.SIGSTOP)");
}

/// proves: ending wall
#[test]
fn a_program_that_ignores_signals_ends_with_its_time() {
    let code = "
import signal
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True:
    signal.pause()
";
    times_out(code);
}

#[test]
fn a_loop_that_holds_the_interpreter_ends_with_its_time() {
    times_out("import re\nre.match('(a+)+$', 'a' * 200 + 'b')");
}

/// proves: ending program; ending wall
#[test]
fn detached_children_end_with_the_time_of_the_run() {
    let code = "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.fork()
    time.sleep(600)
time.sleep(600)
";
    times_out(code);
}

/// proves: always init
#[test]
fn signals_to_its_init_change_nothing() {
    let code = "
import os, signal, time
for number in signal.valid_signals():
    try:
        os.kill(1, number)
    except OSError:
        pass
time.sleep(600)
";
    times_out(code);
}

/// The answer comes when the main process ends, not when a pipe closes.
#[track_caller]
fn answers_at_once(code: &str, status: &str) {
    let _alone = alone();
    let server = shared();
    let quiet = Quiet::look(server);
    let asked = Instant::now();
    let answer = Call::new(code).answer(server.address, Era::Modern).expect(status);
    assert!(asked.elapsed() < Duration::from_secs(3), "answered after {:?}", asked.elapsed());
    assert_eq!(answer.stdout(), "done\n");
    quiet.assert_nothing_left(&quiet.of_runs());
}

/// proves: ending program
#[test]
fn a_child_that_holds_stdout_open_does_not_delay_the_answer() {
    let code = "
        import os, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        print('done')
    ";
    answers_at_once(code, "ok");
}

/// proves: ending program
#[test]
fn a_stopped_grandchild_does_not_delay_the_answer() {
    let code = "
        import os, signal
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
                os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.wait()
        print('done')
    ";
    answers_at_once(code, "ok");
}

#[test]
fn a_run_that_kills_all_it_can_see_is_still_answered() {
    let code = "
        import os, signal, time
        if os.fork() == 0:
            time.sleep(600)
        os.kill(-1, signal.SIGKILL)
        print('done')
    ";
    answers_at_once(code, "ok");
}

#[test]
fn a_program_that_kills_itself_is_an_error_with_its_signal() {
    let code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)";
    let answer = Call::new(code).answer(shared().address, Era::Modern).expect("error");
    assert_eq!(answer.text("signal"), "SIGKILL");
    assert!(!answer.is_error(), "it ended by itself");
}

/// proves: limits wall ceiling
#[test]
fn time_beyond_the_ceiling_is_lowered_and_said() {
    let call = Call::new("print(1)").timeout(1_000_000);
    let answer = call.answer(shared().address, Era::Modern).expect("ok");
    assert_eq!(answer.number("/limits/wall_ms"), 600_000);
    assert!(answer.has_hint("limit"), "{:#}", answer.message);
}
