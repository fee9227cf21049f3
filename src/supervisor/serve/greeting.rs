//! What a server has to say before it is granted anything, and the probe that has to hold before it is
//! welcome: both halves of one build and one policy, and a first run that was really confined. Later
//! probes are the same run.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use super::{ServeError, Serving};
use crate::sandbox::weaken;
use crate::supervisor::admission::Admitted;
use crate::supervisor::probe;
use crate::supervisor::runs::Asker;
use crate::wire::{ProbeReport, Refusal, ToServer, Unable};

impl Serving {
    /// Both halves must be of one build and one policy; then a real run shows that all of it works.
    pub(super) fn greet(&mut self, version: &str, policy_digest: &str) -> Result<(), ServeError> {
        let ours = &self.welcome;
        let problem = if version != ours.version {
            format!("this supervisor is version {}, the server is {version}", ours.version)
        } else if policy_digest != ours.policy_digest {
            format!(
                "this supervisor enforces policy {}, the server has read {policy_digest}",
                ours.policy_digest
            )
        } else {
            self.start_probe(true, false);
            return Ok(());
        };
        self.refuse("start.one_package", problem.clone(), None);
        self.outbox.flush(self.server.as_fd())?;
        Err(ServeError::Protocol(problem))
    }

    /// One that is under way answers whoever asks meanwhile, whatever he asked for: the greeting's,
    /// which comes first, leaves nothing out.
    pub(super) fn start_probe(&mut self, greeting: bool, quiet: bool) {
        self.probe.wanted(greeting);
        if self.probe.is_under_way {
            return;
        }
        // Runs that fill every place are a better proof than a probe.
        let code = format!("QUIET = {}\n{}", u8::from(quiet), self.host.probe().code);
        let admitted = Admitted { code: &code, wall: probe::WALL };
        let report = match self.start(Asker::Probe, &admitted, None) {
            Ok(()) => {
                (self.probe.is_under_way, self.probe.is_quiet) = (true, quiet);
                return;
            }
            Err(Refusal::Busy) if !self.runs.is_empty() => ProbeReport::default(),
            Err(Refusal::Rejected { message } | Refusal::SandboxFailed { message }) => {
                ProbeReport::unfinished(message)
            }
            Err(Refusal::Busy | Refusal::Killed) => {
                ProbeReport::unfinished("no place is free".into())
            }
        };
        self.answer_probe(&report);
    }

    pub(super) fn answer_probe(&mut self, report: &ProbeReport) {
        let (greeting, asked) = self.probe.finish();
        let problem = report.problem.as_ref().filter(|_| weaken::stands("start_gate"));
        if let (true, Some(problem)) = (greeting, problem) {
            let problem = format!("a first confined run failed: {problem}");
            self.refuse("run.probe", problem, Some(report));
        } else if greeting {
            self.outbox.push(ToServer::Welcome(Box::new(self.welcome.clone())), vec![]);
        }
        for _ in 0..asked {
            self.outbox.push(ToServer::Probed(Box::new(report.clone())), vec![]);
        }
    }

    fn refuse(&mut self, check: &str, problem: String, probe: Option<&ProbeReport>) {
        let step = probe.and_then(|report| report.failed_step.clone());
        let (check, probe) = (check.to_owned(), probe.cloned());
        let rootless = self.welcome.rootless;
        let unable = Unable { check, problem, next: None, step, probe, rootless };
        self.outbox.push(ToServer::Unable(Box::new(unable)), vec![]);
    }
}
