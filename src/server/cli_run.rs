//! `primcs run`: one run on the server's own path, without MCP around it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::arguments::RunArguments;
use super::assemble::{self, Assembled, whole};
use super::host::Host;
use super::live::LiveOutput;
use super::log::Usual;
use super::principal::Principal;
use super::printed::{print_exactly, unless_reader_left};
use super::result::{RunResult, Status};
use super::screen::Screen;
use super::terminal::TerminalFilter;
use super::tool;

/// Why nothing was run. Exit status 125, as for every failure of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("`{option}` is not available yet")]
    NotYet { option: &'static str },
    #[error("cannot read {what}")]
    Unreadable {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("{what} is not UTF-8 text; save it as UTF-8")]
    NotText { what: String },
    #[error("{what} has more than {MOST_SOURCE_BYTES} bytes; it cannot be a program for one run")]
    TooLarge { what: String },
    #[error("{message}. {next}")]
    Refused { message: String, next: String },
    #[error("cannot write what the program wrote")]
    Write(#[source] io::Error),
}

/// As the argument parser has it, which would say "<FILE>" and nothing of the other two ways.
const WRONG_COMMAND_LINE: u8 = 2;

const NOTHING_TO_RUN: &str = "\
primcs: there is nothing to run; name a file, - for stdin, or give the code itself:
  primcs run script.py
  echo 'print(6 * 7)' | primcs run -
  primcs run -c 'print(6 * 7)'
All options: primcs run --help
";

/// More is refused anyway, and stdin may be endless.
const MOST_SOURCE_BYTES: u64 = 4 << 20;

pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    if arguments.code.is_none() && arguments.file.is_none() {
        // Nothing can be done about a closed stderr.
        drop(io::stderr().write_all(NOTHING_TO_RUN.as_bytes()));
        return Ok(ExitCode::from(WRONG_COMMAND_LINE));
    }
    refuse_what_is_not_there_yet(arguments)?;
    let began = Instant::now();
    // Opened as the user who asks, read as the user we become.
    let source = open_source(arguments)?;
    let host =
        Host::split(arguments.host.settings(), arguments.host.config.as_deref(), Usual::Problems)?;
    let code = read_source(source)?;
    let connected = host.connect()?;
    let ready = began.elapsed();
    let style = Style { json: arguments.json, raw: arguments.raw };
    let timeout = arguments.timeout;
    let shown = assemble::with_runtime(connected, Duration::ZERO, |assembled| {
        one_run(assembled, code, timeout, style)
    })??;
    if arguments.timings {
        let said = say_timings(ready, began.elapsed(), &shown.result);
        unless_reader_left(said).map_err(RunError::Write)?;
    }
    Ok(shown.exit_code())
}

#[derive(Debug, Clone, Copy)]
struct Style {
    json: bool,
    raw: bool,
}

fn refuse_what_is_not_there_yet(arguments: &RunArguments) -> Result<(), RunError> {
    let asked = [
        ("-r", !arguments.requirements.is_empty()),
        ("-f", !arguments.files.is_empty()),
        ("-o", arguments.output.is_some()),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((option, _)) => Err(RunError::NotYet { option }),
        None => Ok(()),
    }
}

enum Source {
    Text(String),
    File { what: String, file: Box<dyn io::Read> },
}

fn open_source(arguments: &RunArguments) -> Result<Source, RunError> {
    if let Some(code) = &arguments.code {
        return Ok(Source::Text(code.clone()));
    }
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    if path == Path::new("-") {
        return Ok(Source::File { what: "stdin".to_owned(), file: Box::new(io::stdin()) });
    }
    let what = path.display().to_string();
    match File::open(path) {
        Ok(file) => Ok(Source::File { what, file: Box::new(file) }),
        Err(source) => Err(RunError::Unreadable { what, source }),
    }
}

fn read_source(source: Source) -> Result<String, RunError> {
    match source {
        Source::Text(text) => Ok(text),
        Source::File { what, file } => {
            let mut bytes = Vec::new();
            match file.take(MOST_SOURCE_BYTES + 1).read_to_end(&mut bytes) {
                Err(source) => Err(RunError::Unreadable { what, source }),
                Ok(_) if bytes.len() > whole(MOST_SOURCE_BYTES) => Err(RunError::TooLarge { what }),
                Ok(_) => String::from_utf8(bytes).map_err(|_| RunError::NotText { what }),
            }
        }
    }
}

/// A run that is over, and whether somebody watched it to its end.
struct Shown {
    result: RunResult,
    reader_left: bool,
}

async fn one_run(
    assembled: Assembled,
    code: String,
    timeout: Option<f64>,
    style: Style,
) -> Result<Shown, RunError> {
    let Assembled { runner, rules, .. } = assembled;
    let mut fields = Map::new();
    fields.insert("code".to_owned(), Value::String(code));
    if let Some(seconds) = timeout {
        fields.insert("timeout_s".to_owned(), seconds.into());
    }
    let call = tool::parse(&fields, &rules).map_err(|error| RunError::Refused {
        message: in_flags(&error.message),
        next: in_flags(&error.next),
    })?;
    let live = if style.json { LiveOutput::unwatched() } else { LiveOutput::watched() };
    // Its own: a signal to us ends the run as a shutdown, which is no caller that cancels.
    let unwanted = CancellationToken::new();
    // Writing may block for as long as a pager likes, so it has a thread of its own.
    let showing = tokio::task::spawn_blocking({
        let (live, handle) = (live.clone(), tokio::runtime::Handle::current());
        let unwanted = unwanted.clone();
        move || {
            let shown = Screen::new(style.raw).show_all(&live, &handle);
            // A run whose output nobody can get is of no use to anybody.
            shown.inspect_err(|_| unwanted.cancel())
        }
    });
    let result = runner.run(call, &Principal::local(), &live, &unwanted).await;
    let reader_left = match showing.await {
        Ok(Ok(())) => false,
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => true,
        Ok(Err(error)) => return Err(RunError::Write(error)),
        Err(error) => return Err(RunError::Write(io::Error::other(error))),
    };
    let shown = Shown { result, reader_left };
    if style.json {
        let json = serde_json::to_string_pretty(&shown.result).map_err(io::Error::other);
        json.and_then(|json| print_exactly(&(json + "\n"))).map_err(RunError::Write)?;
    } else if !shown.was_left() {
        unless_reader_left(say_verdict(&shown.result)).map_err(RunError::Write)?;
    }
    Ok(shown)
}

/// What the program itself did not say.
fn say_verdict(result: &RunResult) -> io::Result<()> {
    let mut stderr = io::stderr();
    if let Some(value) = &result.result {
        let value = TerminalFilter::default().pass(value);
        writeln!(stderr, "primcs: result: {value}")?;
    }
    if let Some(error) = &result.error {
        let next = in_flags(&error.next);
        writeln!(stderr, "primcs: {}: {}. {next}", result.status.name(), error.message)?;
    }
    for hint in result.hints.iter().filter(|hint| hint.kind != "no_output") {
        let suggestion = in_flags(hint.suggestion.as_deref().unwrap_or_default());
        let line = format!("primcs: {}. {suggestion}", in_flags(&hint.message));
        writeln!(stderr, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Hints name the arguments of a call; whoever typed a command knows its flags.
fn in_flags(said: &str) -> String {
    said.replace("timeout_s", "--timeout")
}

fn say_timings(ready: Duration, total: Duration, result: &RunResult) -> io::Result<()> {
    let wall = result.usage.as_ref().map_or(0, |usage| usage.wall_ms);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    writeln!(
        io::stderr(),
        "primcs: supervisor ready after {:.1} ms, program {wall} ms, all {:.1} ms",
        milliseconds(ready),
        milliseconds(total),
    )
}

impl Shown {
    /// Whether the run ended because nobody reads stdout any more, as with `| head -1`. One that
    /// had ended by itself by then keeps its own status.
    fn was_left(&self) -> bool {
        self.reader_left && self.result.status == Status::Cancelled
    }

    /// The program's status, 128 + signal, 124 on timeout, 125 when primcs did not let it run or end.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.was_left() { READER_LEFT } else { status_of(&self.result) })
    }
}

fn status_of(result: &RunResult) -> u8 {
    match result.status {
        Status::Ok => 0,
        Status::Timeout => 124,
        Status::Error => match (result.exit_code, result.signal_number) {
            (Some(code), _) => u8::try_from(code).unwrap_or(1),
            (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(255),
            (None, None) => FAILED,
        },
        // Stopped by us or never run: whatever status the program has, it did not choose it.
        Status::OutOfMemory
        | Status::OutputLimit
        | Status::Killed
        | Status::Cancelled
        | Status::Busy
        | Status::Rejected
        | Status::SandboxFailed => FAILED,
    }
}

/// What a shell says of a program that SIGPIPE has ended.
const READER_LEFT: u8 = 128 + 13;

/// As `timeout(1)` and `docker run` use it.
pub(super) const FAILED: u8 = 125;

#[cfg(test)]
mod tests {
    use super::super::error::CallError;
    use super::*;

    #[test]
    fn only_a_program_that_ended_by_itself_passes_its_status_on() {
        for status in Status::ALL {
            let mut result = RunResult::without_run(status, CallError::killed(), "");
            result.exit_code = Some(3);
            let own = [(Status::Ok, 0), (Status::Error, 3), (Status::Timeout, 124)];
            let own = own.into_iter().find(|(known, _)| *known == status);
            let expected = own.map_or(125, |(_, code)| code);
            assert_eq!(status_of(&result), expected, "{status:?}");
            (result.exit_code, result.signal_number) = (None, Some(9));
            let expected = if status == Status::Error { 137 } else { expected };
            assert_eq!(status_of(&result), expected, "{status:?}");
        }
    }
}
