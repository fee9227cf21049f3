//! A bomb, a neighbour who goes on calling meanwhile, and the look around afterwards.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::support::aloud::not_tried;
use super::support::mcp::{Answer, Call, Era, run};
use super::support::processes::{Process, assert_gone, descendants, eventually, host_mounts};
use super::support::programs::limits_are_hard;
use super::support::server::{Server, shared};

/// What another client may wait for `print` while a bomb runs. An interpreter starts in a tenth of
/// this on the slowest machine of CI; with a bomb that is not contained it takes for ever.
const NORMAL: Duration = Duration::from_secs(3);

/// "Nothing is left" is true this soon after the answer.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// So many times what a quiet call takes may pass instead, where that is more: on a machine that is
/// busy otherwise everything is slow, and that is not the bomb's doing.
const PATIENCE: u32 = 5;

/// Whether the kernel limits runs here at all. Without that no bomb may go off: it would be the
/// host's memory that it fills.
#[track_caller]
pub(crate) fn limits_are_tried() -> bool {
    let hard = limits_are_hard();
    if !hard {
        not_tried("with soft limits (barrier cgroups) nothing would stop it");
    }
    hard
}

/// One bomb at a time, so that each has the machine and its measurements to itself.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What there is while no run is live.
pub(crate) struct Quiet {
    supervisor: Process,
    processes: BTreeSet<Process>,
    mounts: BTreeSet<String>,
    segments: usize,
    /// What a call takes now, whatever else this machine does.
    call: Duration,
}

impl Quiet {
    /// Waits until all earlier runs are gone.
    pub(crate) fn look(server: &Server) -> Self {
        let supervisor = server.supervisor();
        // The first run also shows that the spawner is up.
        run(server.address, "print(1)").expect("ok");
        let asked = Instant::now();
        run(server.address, "print(1)").expect("ok");
        let call = asked.elapsed();
        let live = || descendants(supervisor.pid);
        let settled = eventually(Duration::from_secs(5), || {
            live().iter().all(|process| is_spawner(&supervisor, process))
        });
        assert!(settled, "runs are live before the test: {:?}", live());
        Self {
            processes: live(),
            mounts: host_mounts(),
            segments: super::support::processes::sysv_segments(),
            supervisor,
            call,
        }
    }

    /// `time`, or more where the machine is slow today.
    fn at_least(&self, time: Duration) -> Duration {
        time.max(self.call * PATIENCE)
    }

    /// Everything below the supervisor that was not there before.
    pub(crate) fn of_runs(&self) -> BTreeSet<Process> {
        descendants(self.supervisor.pid).difference(&self.processes).cloned().collect()
    }

    /// No process, no member of a control group, no mount, no segment.
    pub(crate) fn assert_nothing_left(&self, seen: &BTreeSet<Process>) {
        let afterwards = self.at_least(AFTERWARDS);
        assert_gone(seen, afterwards);
        let back = eventually(afterwards, || self.of_runs().is_empty());
        assert!(back, "still below the supervisor: {:?}", self.of_runs());
        assert_eq!(host_mounts(), self.mounts, "mounts of the host");
        let segments = super::support::processes::sysv_segments();
        assert_eq!(segments, self.segments, "System V segments of the host");
    }
}

/// Spawners are direct children of the supervisor with no child of their own: an init always has
/// its program below it, until both are gone.
fn is_spawner(supervisor: &Process, process: &Process) -> bool {
    process.pid != supervisor.pid && descendants(process.pid).is_empty()
}

/// Runs `code` beside a neighbour. `code` prints `armed` when the bomb is about to go off.
#[track_caller]
pub(crate) fn explode(code: &str, timeout: u64, status: &str) -> Answer {
    explode_any(code, timeout, &[status])
}

/// The same where more than one status keeps the promise.
#[track_caller]
pub(crate) fn explode_any(code: &str, timeout: u64, statuses: &[&str]) -> Answer {
    let _alone = alone();
    let server = shared();
    let quiet = Quiet::look(server);
    let call = Call::new(code).timeout(timeout).with_progress();
    let mut stream = call.stream(server.address, Era::Modern);
    stream.wait_for("armed");
    let mut seen = quiet.of_runs();
    let waited = std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            for _ in 0..3 {
                let asked = Instant::now();
                let answer = run(server.address, "print('neighbour')").expect("ok");
                assert_eq!(answer.stdout(), "neighbour\n");
                longest = longest.max(asked.elapsed());
            }
            longest
        });
        neighbour.join().expect("the neighbour's call")
    });
    seen.extend(quiet.of_runs());
    let answer = stream.answer();
    assert!(statuses.contains(&answer.status()), "{:#}", answer.message);
    let normal = quiet.at_least(NORMAL);
    assert!(waited < normal, "the neighbour waited {waited:?}, more than {normal:?}");
    quiet.assert_nothing_left(&seen);
    run(server.address, "print('afterwards')").expect("ok");
    answer
}

/// The number that the program printed last.
pub(crate) fn printed(answer: &Answer) -> u64 {
    let last = answer.stdout().lines().last().and_then(|line| line.trim().parse().ok());
    last.unwrap_or_else(|| panic!("no number on the last line: {:#}", answer.message))
}
