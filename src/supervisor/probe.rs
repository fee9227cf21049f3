//! A probe is a real run through the real nursery, under the real policy but for limits so small
//! that they are reached at little cost: start-up, `/readyz` and `doctor` believe nothing else. Root
//! probing as root would prove nothing. A quiet one, for `/readyz`, does not run into the limits of memory
//! and processes, which the kernel's log would tell of each time: that they are set is read back for
//! every run, and that they hold was seen when the server was greeted. What the kernel counts is judged by its counters; for the
//! walls there is only the word of our own program, which nothing foreign runs beside.
//! Which limits are only read back, and which not looked at, docs/doctor.md says.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
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
    /// One runs; its outcome answers all who wait.
    pub is_under_way: bool,
    /// It leaves out what the kernel would write into its log.
    pub is_quiet: bool,
    /// Its reading ends.
    pub pipes: Vec<OwnedFd>,
    /// Once the run has ended; to be answered once.
    pub outcome: Option<ProbeReport>,
}

impl Probe {
    /// Somebody wants to know: the greeting, or a `probe` message.
    pub fn wanted(&mut self, greeting: bool) {
        self.greeting |= greeting;
        self.asked += u32::from(!greeting);
    }

    /// Takes how it ended.
    pub fn judge(&mut self, ended: &Ended, run: &Run) {
        let mut pipes = std::mem::take(&mut self.pipes).into_iter();
        let (text, stderr) = (read_all(pipes.next()), read_all(pipes.next()));
        let counted = run.rationed().map(|(cpu_periods, cpu_throttled)| Counted {
            out_of_memory: ended.verdict == Verdict::OutOfMemory,
            pids_refused: ended.pids_refused,
            cpu_periods,
            cpu_throttled,
        });
        let mut report = ProbeReport { text, counted, ..ProbeReport::default() };
        report.failed_step.clone_from(&ended.failed_step);
        report.failed = failed(&report, self.is_quiet);
        report.problem = if let Some(FailedStep { step, errno }) = &report.failed_step {
            Some(format!("{step}: {}", io::Error::from_raw_os_error(*errno)))
        } else if !report.is_finished() {
            let (verdict, stderr) = (ended.verdict, stderr.trim());
            Some(format!("the probe ended early: {verdict:?}, stderr {stderr:?}"))
        } else {
            let failed = report.failed.join(", ");
            (!failed.is_empty()).then(|| format!("not as they should be: {failed}"))
        };
        self.outcome = Some(report);
    }

    /// Who waited for it: whether the greeting did, and how many `probe` messages.
    pub fn finish(&mut self) -> (bool, u32) {
        let waited = (self.greeting, self.asked);
        *self = Self::default();
        waited
    }
}

/// What the probe has to say `held` of. A line that is missing did not hold.
const TOUCHED: &str = "wall.user wall.capabilities wall.no_new_privs wall.seccomp wall.namespaces \
    wall.mounts wall.keyring wall.landlock wall.network wall.sockets wall.root wall.host_files \
    wall.proc_masks wall.proc_read_only wall.processes wall.init wall.environment wall.descriptors \
    wall.cgroup wall.hostname wall.oom_rank limit.rlimits limit.core limit.open_files \
    limit.file_size limit.disk limit.inodes";

/// Ids of what did not hold, whatever is missing among them.
fn failed(report: &ProbeReport, quiet: bool) -> Vec<String> {
    let said: BTreeMap<_, _> =
        report.text.lines().filter_map(|line| line.split_once(' ')).collect();
    let open = said.iter().filter(|(id, seen)| **id != "end" && **seen != "held");
    let mut failed: Vec<_> = open.map(|(id, _)| *id).collect();
    if said.get("end").is_some_and(|count| *count == (said.len() - 1).to_string()) {
        failed.extend(TOUCHED.split(' ').filter(|id| !said.contains_key(id)));
        if let Some(counted) = &report.counted {
            let counts = [
                (quiet || counted.out_of_memory, "limit.memory"),
                (quiet || counted.pids_refused > 0, "limit.pids"),
                // On a busy host a run may never use its ration up, but the kernel rations it.
                (counted.cpu_periods > 0, "limit.cpu"),
            ];
            failed.extend(counts.iter().filter(|(held, _)| !held).map(|(_, id)| id));
        }
    } else {
        failed.push(ProbeReport::UNFINISHED);
    }
    failed.into_iter().map(str::to_owned).collect()
}

/// What is in a pipe now, as text; it does not wait.
fn read_all(pipe: Option<OwnedFd>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // Where a writer is left it ends with an error, which keeps what was read.
        let _ = File::from(pipe).take(MOST_TEXT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ten times what the probe prints.
const MOST_TEXT: u64 = 12 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a probe prints in which all holds, but for one line.
    fn text(line: impl Fn(&str) -> String) -> String {
        let lines: Vec<_> = TOUCHED.split(' ').map(line).filter(|line| !line.is_empty()).collect();
        format!("{}\nend {}\n", lines.join("\n"), lines.len())
    }

    fn held(id: &str) -> String {
        format!("{id} held")
    }

    fn of(text: &str, counted: Option<Counted>) -> Vec<String> {
        failed(&ProbeReport { text: text.to_owned(), counted, ..ProbeReport::default() }, false)
    }

    fn all_counted() -> Counted {
        Counted { out_of_memory: true, pids_refused: 1, cpu_periods: 9, cpu_throttled: 3 }
    }

    #[test]
    fn a_wall_holds_only_when_it_was_touched_and_the_probe_came_to_its_end() {
        let of = |text: &str| of(text, Some(all_counted()));
        assert_eq!(of(&text(held)), [""; 0]);
        for one in TOUCHED.split(' ') {
            let with = |line: &str| text(|id| if id == one { line.to_owned() } else { held(id) });
            assert_eq!(of(&with("")), [one]);
            let open = with(&format!("{one} /"));
            assert_eq!(of(&open), [one]);
            assert_eq!(of(&open.replace("end", "end of")), [one, "run.probe"]);
        }
        assert_eq!(of("end 0\n").len(), TOUCHED.split(' ').count());
        let more = text(held).replace("end 27", "wall.new open\nend 28");
        assert_eq!(of(&more), ["wall.new"]);
        for text in ["", "end\n", "wall.root held\n", "wall.root held\nend 2\n"] {
            assert_eq!(of(text), ["run.probe"], "{text:?}");
        }
    }

    #[test]
    fn a_limit_holds_only_when_the_kernel_counted_that_it_was_reached() {
        for (counted, id) in [
            (Counted { out_of_memory: false, ..all_counted() }, "limit.memory"),
            (Counted { pids_refused: 0, ..all_counted() }, "limit.pids"),
            (Counted { cpu_periods: 0, ..all_counted() }, "limit.cpu"),
        ] {
            assert_eq!(of(&text(held), Some(counted)), [id]);
        }
        assert_eq!(of(&text(held), None), [""; 0]);
    }

    #[test]
    fn a_quiet_probe_runs_into_no_limit_that_the_kernel_logs_and_must_still_be_rationed() {
        let of = |counted| {
            let (text, counted) = (text(held), Some(counted));
            failed(&ProbeReport { text, counted, ..ProbeReport::default() }, true)
        };
        let rationed = Counted { cpu_periods: 1, ..Counted::default() };
        assert_eq!(of(rationed), [""; 0]);
        assert_eq!(of(Counted::default()), ["limit.cpu"]);
    }
}
