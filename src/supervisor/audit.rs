//! One audit record for each run, written by the half that no network reaches. Where that is a service
//! of its own, a compromised server can neither forge nor suppress what ran. docs/audit.md says what
//! each field means and is worth.
//!
//! In the journal a run is written down before it is made, and once more when it has ended. The first
//! record is taken or there is no run; the second waits where it cannot be written, and until it is no
//! further run starts: what ran is in the log, or nothing runs. On stderr, which the server holds as well and
//! which many a client does not read, it is lost, and counted in the next one that is written.
#![forbid(unsafe_code)]

mod sink;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::policy::hex;
use crate::wire::{Ended, FailedStep, LimitsInForce, Refusal, RunRequest};
use sink::{PATIENCE, Sink};

/// How soon a record that could not be written is tried again, and how often at the end.
const RETRY: Duration = Duration::from_millis(20);
const LAST_TRIES: u32 = 50;
/// Refused requests a second that get a record each. A server could make any number of them, until
/// the journal drops its oldest entries.
const MOST_REFUSALS: u32 = 10;
/// Characters of one text. No name that is admitted is cut, and a record stays below what a pipe
/// takes in one piece.
const MOST_TEXT: usize = 1024;

/// Where records go, and what has none yet.
#[derive(Debug)]
pub struct Audit {
    sink: Sink,
    instance: u32,
    policy_digest: String,
    /// By number of the request, until they end.
    begun: HashMap<u64, Record>,
    /// Not taken by the journal yet, as entry and as line: one for each run under way, at most, since
    /// no others start.
    waiting: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// When [`Audit::attend`] is to try them again, while there are some.
    pub again: Option<Instant>,
    refusals: (Instant, u32),
    unrecorded: u64,
}

/// Names and values, no depth. What is absent has no name.
#[derive(Debug, Clone, Default)]
struct Record(Map<String, Value>);

impl Audit {
    /// Begins with a record of its own, so that one that cannot be written is known before any run.
    #[must_use]
    pub fn open(wanted: bool, instance: u32, policy_digest: &str) -> Self {
        let sink = if wanted { Sink::of_this_process() } else { Sink::Off };
        Self::into_sink(sink, instance, policy_digest)
    }

    fn into_sink(sink: Sink, instance: u32, policy_digest: &str) -> Self {
        let mut audit = Self {
            sink,
            instance,
            policy_digest: policy_digest.to_owned(),
            begun: HashMap::new(),
            waiting: VecDeque::new(),
            again: None,
            refusals: (Instant::now(), 0),
            unrecorded: 0,
        };
        audit.write("opened", Record::default());
        audit
    }

    /// Whether a run may start: not while the journal owes us a record.
    pub fn admit(&mut self) -> Result<(), Refusal> {
        self.attend();
        if self.waiting.is_empty() { Ok(()) } else { Err(not_taken()) }
    }

    /// A run was asked for, and is about to be made. Where what ran is evidence that is written first:
    /// code that got out of its sandbox could end this process before there is another record.
    pub fn begin(&mut self, request: &RunRequest, id: &str, host_uid: u32) -> Result<(), Refusal> {
        let mut record = Record::of(request);
        record.add("run_id", &id);
        record.add("host_uid", &host_uid);
        if self.sink.keeps() {
            let begun = self.complete("begun", record.clone());
            self.sink.send(&self.sink.encode(&begun)).map_err(|_| not_taken())?;
            self.unrecorded = 0;
        }
        self.begun.insert(request.request, record);
        Ok(())
    }

    /// A run was asked for, and will not be. One that finds no place is asked for again.
    pub fn refused(&mut self, request: &RunRequest, refusal: &Refusal) {
        let (verdict, message) = match refusal {
            // Of one that was killed, its end is recorded.
            Refusal::Busy | Refusal::Killed => return,
            Refusal::Rejected { message } => ("rejected", message),
            Refusal::SandboxFailed { message } => ("sandbox_failed", message),
        };
        if self.refusals.0.elapsed() > Duration::from_secs(1) {
            self.refusals = (Instant::now(), 0);
        }
        // One that has begun gets its end.
        let begun = self.begun.remove(&request.request);
        self.refusals.1 += u32::from(begun.is_none());
        let is_too_much = self.refusals.1 > MOST_REFUSALS || !self.waiting.is_empty();
        if begun.is_none() && is_too_much {
            self.unrecorded += 1;
            return;
        }
        let mut record = begun.unwrap_or_else(|| Record::of(request));
        record.add("verdict", &verdict);
        record.add("reason", &message);
        self.write("refused", record);
    }

    /// A run is over. Of one that was never let go, nothing ran.
    pub fn ended(&mut self, ended: &Ended, limits: &LimitsInForce, was_let_go: bool) {
        if let Some(FailedStep { step, errno }) = &ended.failed_step {
            let error = io::Error::from_raw_os_error(*errno);
            super::log(format_args!("run {}: {step}: {error}", ended.run_id));
        }
        let Some(mut record) = self.begun.remove(&ended.request) else { return };
        record.add("limits", limits);
        record.add("verdict", &ended.verdict);
        record.add("exit_code", &ended.exit_code);
        record.add("signal", &ended.signal);
        record.add("usage", &ended.usage);
        record.add("pids_refused", &ended.pids_refused);
        record.add("failed", &ended.failed_step);
        self.write(if was_let_go { "run" } else { "refused" }, record);
    }

    /// Tries again what could not be written, when it is time to; never for much longer than the patience
    /// with one record.
    pub fn attend(&mut self) {
        let now = Instant::now();
        if self.again.is_some_and(|again| now < again) {
            return;
        }
        while self.waiting.front().is_some_and(|(entry, _)| self.sink.send(entry).is_ok()) {
            self.waiting.pop_front();
            if now.elapsed() > PATIENCE {
                break;
            }
        }
        self.again = (!self.waiting.is_empty()).then(|| Instant::now() + RETRY);
    }

    /// The last record. Where it is missing this process was killed.
    ///
    /// Whoever floods the journal's socket, as a compromised server can, may keep entries out for as long
    /// as it lives. Our stderr is a connection to the journal that nobody else writes to.
    pub fn close(&mut self) {
        self.write("closed", Record::default());
        if self.has_sent_all(|audit, (entry, _)| audit.sink.send(entry)) {
            return;
        }
        super::log(format_args!(
            "ALARM: the journal took no entry of {} audit records; they follow as text",
            self.waiting.len()
        ));
        let stderr = Sink::of_stderr();
        if !self.has_sent_all(|_, (_, line)| stderr.send(line)) {
            let lost = self.waiting.len();
            super::log(format_args!("ALARM: {lost} audit records are lost: the journal took none"));
        }
    }

    fn has_sent_all(
        &mut self,
        send: impl Fn(&Self, &(Vec<u8>, Vec<u8>)) -> io::Result<()>,
    ) -> bool {
        for _ in 0..LAST_TRIES {
            while self.waiting.front().is_some_and(|record| send(self, record).is_ok()) {
                self.waiting.pop_front();
            }
            if self.waiting.is_empty() {
                return true;
            }
            std::thread::sleep(RETRY);
        }
        false
    }

    fn write(&mut self, event: &str, record: Record) {
        let record = self.complete(event, record);
        let encoded = self.sink.encode(&record);
        if self.sink.keeps() {
            self.unrecorded = 0;
            self.waiting.push_back((encoded, sink::line(record)));
            self.attend();
        } else if self.sink.send(&encoded).is_ok() {
            self.unrecorded = 0;
        } else {
            self.unrecorded += 1;
        }
    }

    /// With what every record has.
    fn complete(&self, event: &str, mut record: Record) -> Map<String, Value> {
        record.add("audit", &event);
        record.add("recorded_at_ms", &now_ms());
        record.add("version", &env!("CARGO_PKG_VERSION"));
        record.add("instance", &self.instance);
        record.add("policy_digest", &self.policy_digest);
        record.add("unrecorded", &self.unrecorded);
        record.0
    }
}

fn not_taken() -> Refusal {
    let message = "the journal takes no audit record, and without one no run starts; see \
        `systemctl status systemd-journald`";
    Refusal::SandboxFailed { message: message.to_owned() }
}

impl Record {
    fn of(request: &RunRequest) -> Self {
        let mut record = Self::default();
        record.add("asked_at_ms", &now_ms());
        record.add("principal", &request.principal);
        record.add("code_sha256", &hex(&Sha256::digest(&request.code)));
        record.add("code_bytes", &request.code.len());
        record
    }

    /// What is below `usage` becomes `usage_wall_ms` and so on; text becomes [`plain`].
    fn add(&mut self, name: &str, value: &impl Serialize) {
        match serde_json::to_value(value).unwrap_or_default() {
            Value::Null => {}
            Value::Object(parts) => {
                parts.iter().for_each(|(part, value)| self.add(&format!("{name}_{part}"), value));
            }
            Value::String(text) => drop(self.0.insert(name.to_owned(), plain(&text).into())),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                self.0.insert(name.to_owned(), other);
            }
        }
    }
}

/// Printable ASCII stays, and all else is shown by its number: what reads records may be a terminal
/// or a script that splits lines. A backslash is doubled, so that no two texts look the same.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        if plain.len() >= MOST_TEXT {
            return plain + "...";
        }
        match character {
            '\\' => plain.push_str("\\\\"),
            ' '..='~' => plain.push(character),
            _ => plain.extend(character.escape_unicode()),
        }
    }
    plain
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
