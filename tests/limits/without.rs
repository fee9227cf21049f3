//! Each limit taken away alone, in programs built with the feature `weaken`: what it forbade then
//! happens. Chosen so that the limits that are left keep the host safe.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::scene::{Quiet, alone};
use super::support::mcp::{Answer, Call, Era};
use super::support::processes::eventually;
use super::support::server::{Server, shared};

/// The answers with the limit and without it.
fn with_and_without(barriers: &[&str], call: &Call) -> (Answer, Answer) {
    let _alone = alone();
    let with = call.answer(shared().address, Era::Modern);
    let weakened = Server::weakened(barriers);
    let without = call.answer(weakened.address, Era::Modern);
    (with, without)
}

/// `code` prints `held` with the limit and `passed` without it.
#[track_caller]
fn only_this_stops_it(barriers: &[&str], code: &str) {
    let (with, without) = with_and_without(barriers, &Call::new(code));
    assert_eq!(with.stdout(), "held\n", "with {barriers:?}: {:#}", with.message);
    assert_eq!(without.stdout(), "passed\n", "without {barriers:?}: {:#}", without.message);
}

#[test]
fn without_tmpfs_size_more_is_written() {
    let code = "
        try:
            for n in range(600):
                with open(f'/tmp/{n}', 'wb') as file:
                    file.write(b'x' * (1 << 20))
            print('passed')
        except OSError:
            print('held')
    ";
    only_this_stops_it(&["tmpfs_size"], code);
}

#[test]
fn without_tmpfs_inodes_more_files_are_made() {
    let code = "
        import os
        try:
            for n in range(70000):
                os.close(os.open(f'/tmp/{n}', os.O_CREAT))
            print('passed')
        except OSError:
            print('held')
    ";
    only_this_stops_it(&["tmpfs_inodes"], code);
}

#[test]
fn without_pids_max_more_threads_start() {
    let code = "
        import threading
        threading.stack_size(65536)
        end = threading.Event()
        try:
            for n in range(160):
                threading.Thread(target=end.wait).start()
            print('passed')
        except RuntimeError:
            print('held')
        end.set()
    ";
    only_this_stops_it(&["pids_max"], code);
}

#[test]
fn without_memory_max_more_is_allocated() {
    let call = Call::new("kept = b'x' * (1200 << 20)\nprint('passed')");
    let (with, without) = with_and_without(&["memory_max"], &call);
    with.expect("out_of_memory");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}

#[test]
fn without_the_wall_clock_a_program_goes_on() {
    let call = Call::new("import time\ntime.sleep(3)\nprint('passed')").timeout(1);
    let (with, without) = with_and_without(&["wall_clock"], &call);
    with.expect("timeout");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}

#[test]
fn without_the_output_budget_a_flood_goes_on() {
    let code = "import sys\nfor n in range(80):\n  sys.stdout.write('x' * (1 << 20))";
    let (with, without) = with_and_without(&["output_budget"], &Call::new(code));
    with.expect("output_limit");
    assert_eq!(without.expect("ok").number("/stdout_bytes"), 80 << 20);
}

#[test]
fn without_cpu_max_four_processes_get_more_than_a_core() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(cores > 1, "one core cannot show a limit of one core: run the tests on two or more");
    let code = "
        import os, time
        children = [os.fork() for n in range(2)]
        until = time.monotonic() + 2
        while time.monotonic() < until:
            pass
        if all(children):
            for child in children:
                os.wait()
    ";
    let share =
        |answer: &Answer| answer.number("/usage/cpu_ms") * 1000 / answer.number("/usage/wall_ms");
    // Others may keep the host's cores busy, and then nobody gets more than one: a few chances.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (with, without) = with_and_without(&["cpu_max"], &Call::new(code));
        let (with, without) = (share(&with.expect("ok")), share(&without.expect("ok")));
        assert!(with <= 1200, "{with} thousandths of a core with the limit");
        if without > 1200 {
            return;
        }
        seen.push(without);
    }
    panic!("thousandths of a core without the limit: {seen:?}; is the host busy otherwise?");
}

#[test]
fn without_the_kill_a_detached_child_outlives_the_answer() {
    let code = "
        import os, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(20)
        print('done')
    ";
    let _alone = alone();
    let weakened = Server::weakened(&["kill"]);
    let quiet = Quiet::look(&weakened);
    Call::new(code).answer(weakened.address, Era::Modern).expect("ok");
    let gone = eventually(Duration::from_secs(2), || quiet.of_runs().is_empty());
    assert!(!gone, "something else ends what is left of a run, so the other tests prove nothing");
}

#[test]
fn without_the_count_of_sockets_more_are_held() {
    let code = "
        import socket, time
        listener = socket.socket()
        listener.bind(('127.0.0.1', 0))
        listener.listen(4096)
        for _ in range(3000):
            client = socket.socket()
            client.setblocking(False)
            try:
                client.connect(listener.getsockname())
            except BlockingIOError:
                pass
            client.close()
        time.sleep(1)
        print('passed')
    ";
    let (with, without) = with_and_without(&["sockets"], &Call::new(code));
    with.expect("out_of_memory");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}
