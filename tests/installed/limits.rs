//! Every limit is the kernel's: the result says it, and the files of cgroup v2 count it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::remains::{Idle, group_of_the_run, line, start};
use super::support::mcp::{Answer, Call, Era, run};
use super::support::server::shared;
use super::support::stubborn::STUBBORN;
use super::unit;
use super::witness::{Counter, write_down};

/// Populated by the kernel, since Python that fills memory takes half a minute here.
const FILL: &str = "
import mmap
def fill(mebibytes):
    return mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
";

fn call(code: &str, timeout: u64) -> Answer {
    Call::new(code).timeout(timeout).answer(shared().address, Era::Modern)
}

/// proves: limits memory.max
#[test]
fn memory_of_one_process_is_bounded() {
    let idle = Idle::look();
    let kills = Counter::of_the_runs("memory.events", "oom_kill");
    let groups = Counter::of_the_runs("memory.events", "oom_group_kill");
    let code = format!("{FILL}kept = []\nwhile True:\n    kept.append(fill(64))");
    let answer = call(&code, 300).expect("out_of_memory");
    kills.has_risen();
    groups.has_risen();
    assert!(answer.number("/usage/memory_peak_bytes") <= answer.number("/limits/memory_bytes"));
    drop(answer);
    run(shared().address, "print(1)").expect("ok");
    drop(idle);
}

/// proves: limits memory.max; limits memory.oom.group
#[test]
fn memory_of_children_is_bounded_together_and_all_die() {
    let idle = Idle::look();
    let groups = Counter::of_the_runs("memory.events", "oom_group_kill");
    let kills = Counter::of_the_runs("memory.events", "oom_kill");
    let code = format!(
        "{FILL}
import os, time
print('under way', flush=True)
time.sleep(3)
for n in range(6):
    if os.fork() == 0:
        kept = fill(300)
        time.sleep(600)
time.sleep(600)
"
    );
    let stream = start(&code);
    let seen = idle.runs();
    stream.answer().expect("out_of_memory");
    groups.has_risen();
    kills.has_risen();
    idle.nothing_is_left(&seen);
}

/// proves: limits cpu.max
#[test]
fn busy_processes_share_one_core() {
    let idle = Idle::look();
    let code = "
        import os, time
        print('under way', flush=True)
        for n in range(3):
            if os.fork() == 0:
                break
        while True:
            pass
    ";
    let stream = start(code);
    let seen = idle.runs();
    let group = group_of_the_run(&seen);
    Counter::of(&group.join("cpu.stat"), "nr_throttled").rises();
    Counter::of(&group.join("cpu.stat"), "throttled_usec").rises();
    drop(stream);
    idle.nothing_is_left(&seen);
}

/// proves: limits pids.max
#[test]
fn threads_and_processes_are_bounded() {
    let idle = Idle::look();
    let code = "
        import threading, time
        threading.stack_size(65536)
        print('under way', flush=True)
        time.sleep(3)
        started = 1
        try:
            while True:
                threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
                started += 1
        except RuntimeError:
            print(started, 'are all', flush=True)
        time.sleep(600)
    ";
    let mut stream = start(code);
    let seen = idle.runs();
    let group = group_of_the_run(&seen);
    let refused = Counter::of(&group.join("pids.events"), "max");
    stream.wait_for("128 are all");
    refused.has_risen();
    // The init counts too.
    assert_eq!(line(&group.join("pids.current")), "129");
    drop(stream);
    idle.nothing_is_left(&seen);
}

/// proves: limits wall; ending wall
#[test]
fn what_does_not_want_to_end_ends_with_its_time() {
    let idle = Idle::look();
    let call = Call::new(STUBBORN).timeout(10).with_progress();
    let mut stream = call.stream(shared().address, Era::Modern);
    stream.wait_for("under way");
    let seen = idle.runs();
    let populated = Counter::of(&group_of_the_run(&seen).join("cgroup.events"), "populated");
    stream.answer().expect("timeout");
    populated.ends();
    idle.nothing_is_left(&seen);
}

/// proves: ending client
#[test]
fn a_client_that_leaves_ends_its_run() {
    let idle = Idle::look();
    let stream = start(STUBBORN);
    let seen = idle.runs();
    let populated = Counter::of(&group_of_the_run(&seen).join("cgroup.events"), "populated");
    drop(stream);
    populated.ends();
    idle.nothing_is_left(&seen);
}

#[test]
fn a_flood_of_output_is_stopped() {
    let idle = Idle::look();
    let code = "
        import os
        print('under way', flush=True)
        block = b'x' * 65536
        while True:
            os.write(1, block)
    ";
    let written = Counter::of_the_runs("cpu.stat", "usage_usec");
    let answer = call(code, 300).expect("output_limit");
    assert!(answer.number("/stdout_bytes") > 1 << 20, "{:#}", answer.message);
    written.has_risen();
    drop(idle);
}

/// proves: limits memory.max; limits memory.swap.max; limits memory.oom.group; limits pids.max
/// proves: limits cpu.max
#[test]
fn the_kernel_has_the_limits_that_the_result_names() {
    let idle = Idle::look();
    let stream = start("print('under way', flush=True)\nimport time\ntime.sleep(20)");
    let seen = idle.runs();
    let group = group_of_the_run(&seen);
    let names = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"];
    let kernels = names.map(|name| line(&group.join(name)));
    let answer = stream.answer().expect("ok");
    let memory = answer.number("/limits/memory_bytes").to_string();
    let pids = (answer.number("/limits/pids") + 1).to_string();
    let cpu = format!("{} 100000", answer.number("/limits/cpu_millicores") * 100);
    let named = [memory, "0".to_owned(), "1".to_owned(), pids, cpu];
    for ((name, kernels), named) in names.iter().zip(&kernels).zip(&named) {
        write_down(&group.join(name), "", named.as_str(), kernels.as_str());
    }
    assert_eq!(kernels, named);
    idle.nothing_is_left(&seen);
}

#[test]
fn runs_at_once_have_a_group_each_and_their_own_answers() {
    let idle = Idle::look();
    let (_, ready) = unit::get("/readyz").expect("an answer");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let most = ready["max_runs"].as_u64().expect("max_runs");
    assert!(most >= 2, "this machine is too small for the test: {ready}");
    let code = |n| {
        format!(
            "print('under way', flush=True)\nimport time\ntime.sleep(20)\nprint('this is', {n})"
        )
    };
    let streams: Vec<_> = (0..most).map(|n| start(&code(n))).collect();
    let seen = idle.runs();
    assert_eq!(u64::try_from(seen.groups.len()), Ok(most), "{:?}", seen.groups);
    let answers: BTreeSet<_> = streams
        .into_iter()
        .map(|stream| stream.answer().expect("ok").stdout().to_owned())
        .collect();
    assert_eq!(u64::try_from(answers.len()), Ok(most), "{answers:?}");
    idle.nothing_is_left(&seen);
}
