//! The limits of a live run as cgroups-rs reads them: a second opinion on what our writer set. The
//! crate only reads here (docs/decisions/0003-cgroups.md says why it never writes).
#![forbid(unsafe_code)]

use std::path::PathBuf;

use cgroups_rs::Controllers;
use cgroups_rs::MaxValue;
use cgroups_rs::cgroup::get_cgroups_relative_paths_by_pid;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::hierarchies::{UNIFIED_MOUNTPOINT, V1, is_cgroup2_unified_mode};
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;

use super::scene::{Quiet, alone, limits_are_tried};
use super::support::mcp::{Call, Era};
use super::support::server::shared;

/// Directory of the group of `pid` for one controller.
fn group(pid: i32, controller: Controllers) -> PathBuf {
    let pid = u32::try_from(pid).expect("a pid");
    let paths = get_cgroups_relative_paths_by_pid(pid).expect("/proc/PID/cgroup");
    let key = controller.to_string();
    let (mount, key) = if is_cgroup2_unified_mode() {
        (PathBuf::from(UNIFIED_MOUNTPOINT), String::new())
    } else {
        (V1::new().get_mount_point(controller).expect("a v1 hierarchy"), key)
    };
    let path = paths.get(&key).expect("the process is in a group of this controller");
    assert_ne!(path, "/", "the run is in the root group of {key:?}");
    mount.join(path.trim_start_matches('/'))
}

/// proves: limits memory.max; limits memory.swap.max; limits pids.max; limits cpu.max
#[test]
fn another_reader_finds_the_limits_that_the_result_names() {
    if !limits_are_tried() {
        return;
    }
    let _alone = alone();
    let server = shared();
    let quiet = Quiet::look(server);
    let code = "print('armed', flush=True)\nimport time\ntime.sleep(2)";
    let mut stream = Call::new(code).with_progress().stream(server.address, Era::Modern);
    stream.wait_for("armed");
    let live = quiet.of_runs();
    let v2 = is_cgroup2_unified_mode();
    let mut read = Vec::new();
    for process in &live {
        let memory = MemController::new(group(process.pid, Controllers::Mem), v2);
        let pids = PidController::new(group(process.pid, Controllers::Pids), v2);
        let cpu = CpuController::new(group(process.pid, Controllers::Cpu), v2);
        let swap = if v2 { 0 } else { memory.memswap().limit_in_bytes };
        let tcp = if v2 { 0 } else { memory.kmem_tcp_stat().limit_in_bytes };
        let bytes = memory.memory_stat().limit_in_bytes;
        let most = pids.get_pid_max().expect("pids.max");
        let quota = (cpu.cfs_quota().expect("quota"), cpu.cfs_period().expect("period"));
        read.push((bytes, swap, tcp, most, quota));
    }
    let answer = stream.answer().expect("ok");
    assert!(read.len() >= 2, "the init and the program: {read:?}");
    for (bytes, swap, tcp, most, (quota, period)) in read {
        let number = |pointer| i64::try_from(answer.number(pointer)).expect("fits");
        assert_eq!(bytes, number("/limits/memory_bytes"), "memory.max");
        if !v2 {
            assert_eq!(swap, bytes, "memory and swap together: no swap");
            assert!(tcp > 0 && bytes + tcp <= 1 << 30, "memory {bytes} and TCP buffers {tcp}");
        }
        // The init counts, and the policy's number is without it.
        assert!(
            matches!(most, MaxValue::Value(most) if most == number("/limits/pids") + 1),
            "{most:?}"
        );
        let period = i64::try_from(period).expect("fits");
        assert_eq!(quota * 1000 / period, number("/limits/cpu_millicores"));
    }
}
