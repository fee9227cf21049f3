//! A probe is a real run through the real spawner: start-up, `/readyz` and `doctor` believe nothing
//! else. Root probing as root would prove nothing.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use crate::wire::{Ended, Verdict};

/// What a probe runs.
pub const CODE: &str = "print('confined')\n";
const EXPECTED: &[u8] = b"confined\n";

/// The probe under way, and who waits for it.
#[derive(Debug, Default)]
pub struct Probe {
    greeting: bool,
    asked: u32,
    under_way: bool,
    pipes: Vec<OwnedFd>,
    /// Once the run has ended: what is wrong with how it did.
    outcome: Option<Result<(), String>>,
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
    pub fn judge(&mut self, ended: &Ended) {
        let failure = self.failure(ended);
        self.outcome = Some(failure.map_or(Ok(()), Err));
    }

    /// What is to be answered, once.
    pub fn take_outcome(&mut self) -> Option<Result<(), String>> {
        self.outcome.take()
    }

    fn failure(&mut self, ended: &Ended) -> Option<String> {
        let mut pipes = std::mem::take(&mut self.pipes).into_iter();
        let (stdout, stderr) = (read_all(pipes.next()), read_all(pipes.next()));
        if ended.verdict == Verdict::Ok && stdout == EXPECTED {
            return None;
        }
        if let Some(step) = &ended.failed_step {
            let error = std::io::Error::from_raw_os_error(step.errno);
            return Some(format!("{}: {error}", step.step));
        }
        let status = ended.exit_code.or(ended.signal);
        let stderr = String::from_utf8_lossy(&stderr);
        Some(format!("verdict {:?}, status {status:?}, stderr {:?}", ended.verdict, stderr.trim()))
    }

    /// Who waited for it: whether the greeting did, and how many `probe` messages.
    pub fn finish(&mut self) -> (bool, u32) {
        let waited = (self.greeting, self.asked);
        *self = Self::default();
        waited
    }
}

/// What is in a pipe now; it does not wait.
fn read_all(pipe: Option<OwnedFd>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let mut chunk = [0u8; 4096];
        let mut pipe = File::from(pipe);
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            bytes.extend(chunk.iter().take(count));
            if bytes.len() > 64 * 1024 {
                break;
            }
        }
    }
    bytes
}
