//! A probe is a real run through the real spawner, under the real policy but for limits so small
//! that each of them is reached at little cost: start-up, `/readyz` and `doctor` believe nothing
//! else. Root probing as root would prove nothing. What the kernel counts is judged by its counters;
//! for the walls there is only the word of our own program, which nothing foreign runs beside.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::runs::Run;
use crate::wire::{Counted, Ended, FailedStep, ProbeReport, Verdict};

/// A host that needs longer is not ready for more.
pub const WALL: Duration = Duration::from_secs(20);

/// The probe under way, and who waits for it.
#[derive(Debug, Default)]
pub struct Probe {
    greeting: bool,
    asked: u32,
    under_way: bool,
    pipes: Vec<OwnedFd>,
    /// Once the run has ended.
    outcome: Option<ProbeReport>,
}

impl Probe {
    /// Somebody wants to know: the greeting, or a `probe` message.
    pub fn wanted(&mut self, greeting: bool) {
        self.greeting |= greeting;
        self.asked += u32::from(!greeting);
    }

    /// Whether one runs already; its outcome answers all who wait.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// A run was started.
    pub fn begin(&mut self) {
        self.under_way = true;
    }

    /// Its reading ends.
    pub fn listen(&mut self, pipes: Vec<OwnedFd>) {
        self.pipes = pipes;
    }

    /// Takes how it ended.
    pub fn judge(&mut self, ended: &Ended, run: &Run) {
        let mut pipes = std::mem::take(&mut self.pipes).into_iter();
        let (stdout, stderr) = (read_all(pipes.next()), read_all(pipes.next()));
        let counted = run.rationed().map(|(cpu_periods, cpu_throttled)| Counted {
            out_of_memory: ended.verdict == Verdict::OutOfMemory,
            pids_refused: ended.pids_refused,
            cpu_periods,
            cpu_throttled,
        });
        let mut report = ProbeReport { text: stdout, counted, ..ProbeReport::default() };
        report.failed_step.clone_from(&ended.failed_step);
        report.failed = failed(&report);
        report.problem = if let Some(FailedStep { step, errno }) = &report.failed_step {
            Some(format!("{step}: {}", io::Error::from_raw_os_error(*errno)))
        } else if report.failed.iter().any(|id| id == UNFINISHED) {
            let (verdict, stderr) = (ended.verdict, stderr.trim());
            Some(format!("the probe ended early: {verdict:?}, stderr {stderr:?}"))
        } else {
            let failed = report.failed.join(", ");
            (!failed.is_empty()).then(|| format!("not as they should be: {failed}"))
        };
        self.outcome = Some(report);
    }

    /// What is to be answered, once.
    pub fn take_outcome(&mut self) -> Option<ProbeReport> {
        self.outcome.take()
    }

    /// Who waited for it: whether the greeting did, and how many `probe` messages.
    pub fn finish(&mut self) -> (bool, u32) {
        let waited = (self.greeting, self.asked);
        *self = Self::default();
        waited
    }
}

/// A probe that never came to be.
#[must_use]
pub fn not_started(problem: String) -> ProbeReport {
    let failed = vec![UNFINISHED.to_owned()];
    ProbeReport { failed, problem: Some(problem), ..ProbeReport::default() }
}

/// Ids of what did not hold, whatever is missing among them.
fn failed(report: &ProbeReport) -> Vec<String> {
    let mut finished = false;
    let mut failed = Vec::new();
    for line in report.text.lines() {
        match line.split_once(' ') {
            Some((_, "held")) => {}
            Some((id, _)) => failed.push(id.to_owned()),
            None => finished = line == "end",
        }
    }
    if !finished {
        failed.push(UNFINISHED.to_owned());
    }
    if let (true, Some(counted)) = (finished, &report.counted) {
        let counts = [
            (counted.out_of_memory, "limit.memory"),
            (counted.pids_refused > 0, "limit.pids"),
            // On a busy host a run may never use its ration up, but the kernel rations it.
            (counted.cpu_periods > 0, "limit.cpu"),
        ];
        failed.extend(counts.iter().filter(|(held, _)| !held).map(|(_, id)| (*id).to_owned()));
    }
    failed
}

/// The id of a probe that did not get to its end.
const UNFINISHED: &str = "run.probe";

/// What is in a pipe now, as text; it does not wait.
fn read_all(pipe: Option<OwnedFd>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let mut chunk = [0u8; 4096];
        let mut pipe = File::from(pipe);
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            bytes.extend(chunk.iter().take(count));
            if bytes.len() >= MOST_TEXT {
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ten times what the probe prints.
const MOST_TEXT: usize = 12 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, counted: Option<Counted>) -> Vec<String> {
        failed(&ProbeReport { text: text.to_owned(), counted, ..ProbeReport::default() })
    }

    fn all_counted() -> Counted {
        Counted { out_of_memory: true, pids_refused: 1, cpu_periods: 9, cpu_throttled: 3 }
    }

    #[test]
    fn a_wall_holds_only_when_it_was_touched_and_the_probe_came_to_its_end() {
        let counted = Some(all_counted());
        assert_eq!(of("wall.root held\nend\n", counted.clone()), [""; 0]);
        assert_eq!(of("wall.root /\nend\n", counted.clone()), ["wall.root"]);
        assert_eq!(of("wall.root held\n", counted.clone()), ["run.probe"]);
        assert_eq!(of("", counted), ["run.probe"]);
    }

    #[test]
    fn a_limit_holds_only_when_the_kernel_counted_that_it_was_reached() {
        for (counted, id) in [
            (Counted { out_of_memory: false, ..all_counted() }, "limit.memory"),
            (Counted { pids_refused: 0, ..all_counted() }, "limit.pids"),
            (Counted { cpu_periods: 0, ..all_counted() }, "limit.cpu"),
        ] {
            assert_eq!(of("end\n", Some(counted)), [id]);
        }
        assert_eq!(of("end\n", None), [""; 0]);
    }
}
