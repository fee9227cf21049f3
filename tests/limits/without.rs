//! Each limit taken away alone, in programs built with the feature `weaken`: what it forbade then
//! happens. Chosen so that the limits that are left keep the host safe.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::scene::{Quiet, alone, limits_are_tried};
use super::support::aloud::not_tried;
use super::support::mcp::{Answer, Call, Era};
use super::support::policies::with_changed;
use super::support::processes::{Process, eventually};
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

/// proves: limits tmpfs size
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

/// proves: limits tmpfs `nr_inodes`
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

/// proves: limits pids.max
#[test]
fn without_pids_max_more_threads_start() {
    if !limits_are_tried() {
        return;
    }
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

/// proves: limits memory.max
#[test]
fn without_memory_max_more_is_allocated() {
    if !limits_are_tried() {
        return;
    }
    let call = Call::new("kept = b'x' * (1200 << 20)\nprint('passed')");
    let (with, without) = with_and_without(&["memory_max"], &call);
    with.expect("out_of_memory");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}

/// proves: limits wall; ending wall
#[test]
fn without_the_wall_clock_a_program_goes_on() {
    let call = Call::new("import time\ntime.sleep(3)\nprint('passed')").timeout(1);
    let (with, without) = with_and_without(&["wall_clock"], &call);
    with.expect("timeout");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}

/// proves: limits output written
#[test]
fn without_the_output_budget_a_flood_goes_on() {
    let code = "import sys\nfor n in range(80):\n  sys.stdout.write('x' * (1 << 20))";
    let (with, without) = with_and_without(&["output_budget"], &Call::new(code));
    with.expect("output_limit");
    assert_eq!(without.expect("ok").number("/stdout_bytes"), 80 << 20);
}

/// Goes on until its client leaves.
const STAY: &str = "print('there', flush=True)\nimport time\ntime.sleep(600)";

/// What `file` of a run's group says while `code` goes on, which stays once it has printed `there`;
/// `None` where this kernel's groups have no such file.
fn read_while_it_runs(server: &Server, code: &str, file: &str) -> Option<String> {
    let quiet = Quiet::look(server);
    let mut stream = Call::new(code).with_progress().stream(server.address, Era::Modern);
    stream.wait_for("there");
    let groups: BTreeSet<_> = quiet.of_runs().iter().flat_map(Process::cgroups).collect();
    assert!(!groups.is_empty(), "no group of a run below {:?}", server.supervisor());
    let found = groups.iter().map(|group| group.join(file)).find(|path| path.exists())?;
    Some(fs::read_to_string(found).expect("its text"))
}

/// In the kernel's own words, since a host without swap could not show it otherwise.
///
/// proves: limits memory.swap.max
#[test]
fn without_memory_max_a_run_may_swap() {
    if !limits_are_tried() {
        return;
    }
    let _alone = alone();
    let number = |server: &Server, file: &str| -> Option<u64> {
        let text = read_while_it_runs(server, STAY, file)?;
        // v2 writes "max" where there is no limit.
        Some(text.trim().parse().unwrap_or(u64::MAX))
    };
    let (v2, v1) = ("memory.swap.max", "memory.memsw.limit_in_bytes");
    if let Some(swap) = number(shared(), v2) {
        assert_eq!(swap, 0);
        assert!(number(&Server::weakened(&["memory_max"]), v2) > Some(0));
    } else if let Some(both) = number(shared(), v1) {
        // Memory and swap together are what memory alone may be.
        assert_eq!(number(shared(), "memory.limit_in_bytes"), Some(both));
        assert!(number(&Server::weakened(&["memory_max"]), v1) > Some(both));
    } else {
        not_tried("this kernel counts no swap; there is none, or no run would start");
    }
}

/// By the kernel's own account, which holds however busy the host is: it divides time into periods
/// only for a group that has a limit.
/// proves: limits cpu.max
#[test]
fn without_cpu_max_the_kernel_does_not_ration_the_time() {
    if !limits_are_tried() {
        return;
    }
    let busy =
        "import time\nuntil = time.monotonic() + 0.5\nwhile time.monotonic() < until: pass\n";
    let code = [busy, STAY].concat();
    let periods = |server: &Server| -> u64 {
        let text = read_while_it_runs(server, &code, "cpu.stat").expect("groups of cpu");
        let line = text.lines().find_map(|line| line.strip_prefix("nr_periods "));
        // v2 leaves the line out where there is no limit.
        line.map_or(0, |count| count.parse().expect("a number"))
    };
    let _alone = alone();
    assert!(periods(shared()) > 0, "with cpu_max");
    assert_eq!(periods(&Server::weakened(&["cpu_max"])), 0, "without it");
}

/// proves: limits cpu.max
#[test]
fn without_cpu_max_two_processes_get_more_than_a_core() {
    if !limits_are_tried() {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let code = "
        import os, time
        child = os.fork()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            pass
        if child:
            os.wait()
    ";
    let share =
        |answer: &Answer| answer.number("/usage/cpu_ms") * 1000 / answer.number("/usage/wall_ms");
    let _alone = alone();
    let call = Call::new(code);
    let with = share(&call.answer(shared().address, Era::Modern).expect("ok"));
    assert!(with <= 1200, "{with} thousandths of a core with the limit");
    if cores == 1 {
        return not_tried("the second half: one core cannot show a limit of one core");
    }
    let weakened = Server::weakened(&["cpu_max"]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let before = cores_idle();
        let without = share(&call.answer(weakened.address, Era::Modern).expect("ok"));
        if without > 1200 {
            return;
        }
        let idle = cores_idle() - before;
        seen.push((without, idle));
    }
    // Time that nobody takes although the run wants it, each time, is a limit that is still there.
    let busy = seen.iter().any(|(_, idle)| *idle < 0.3);
    assert!(busy, "thousandths of a core, and seconds that a core was idle: {seen:?}");
    not_tried("the second half: others keep the cores of this host busy");
}

/// Seconds that the cores of this host have been idle, in sum.
fn cores_idle() -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let idle = uptime.split_whitespace().nth(1).expect("a second number");
    idle.parse().expect("seconds")
}

/// v1 leaves the buffers of sockets out of a group's memory, so they have a limit of their own; it
/// lets each socket go 70 KB beyond.
#[test]
fn without_kmem_tcp_sockets_hold_more() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import socket
        server = socket.create_server(('127.0.0.1', 0))
        kept, queued = [], 0
        for n in range(24):
            one = socket.create_connection(server.getsockname())
            other, _ = server.accept()
            kept += [one, other]
            for end in (one, other):
                end.settimeout(0.02)
                try:
                    while True:
                        queued += end.send(b'x' * 262144)
                except TimeoutError:
                    pass
        print('held' if queued < 32 << 20 else 'passed')
    ";
    {
        let _alone = alone();
        if read_while_it_runs(shared(), STAY, "memory.kmem.tcp.limit_in_bytes").is_none() {
            return not_tried(
                "v2 counts the buffers of sockets in memory.max, and has no kmem_tcp",
            );
        }
    }
    only_this_stops_it(&["kmem_tcp"], code);
}

/// proves: ending program
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

/// proves: limits host `kernel_growth`
#[test]
fn without_the_watch_of_locks_they_fill_the_memory_of_the_host() {
    let (from, to) =
        ("kernel_growth = { value = \"512MiB\"", "kernel_growth = { value = \"32MiB\"");
    let policy = with_changed("locks-policy", "limits.toml", &[(from, to)]);
    let arguments = ["--policy", policy.to_str().expect("a path of text")];
    // 70 MB, of which the run is charged nothing.
    let code = "
        import fcntl, os, struct, time
        files = [os.open(f'/tmp/{n}', os.O_RDWR | os.O_CREAT) for n in range(900)]
        for start in range(0, 800, 2):
            wanted = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, start, 1, 0)
            for file in files:
                fcntl.fcntl(file, fcntl.F_SETLK, wanted)
        time.sleep(1)
        print('passed')
    ";
    let _alone = alone();
    let with = Call::new(code).answer(Server::start(&arguments).address, Era::Modern);
    let weakened = Server::weakened_with(&["locks"], &arguments);
    let without = Call::new(code).answer(weakened.address, Era::Modern);
    with.expect("out_of_memory");
    assert_eq!(without.expect("ok").stdout(), "passed\n");
}

/// proves: limits sockets inet
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
