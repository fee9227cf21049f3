//! Runs one example client as its user would and notes when it said what.
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::support::programs::{Build, installed, primcs};
use crate::support::server::shared;

/// Between the two lines of [`SLOW`]. Only compared with, never waited for.
pub(crate) const PAUSE: Duration = Duration::from_secs(3);

/// Says something, works on for [`PAUSE`], says something else.
pub(crate) const SLOW: &str = "\
import time
print('first', flush=True)
time.sleep(3)
print('second', flush=True)";

/// A client that has not ended by then hangs. The first start copies and hashes the interpreter.
const PATIENCE: Duration = Duration::from_secs(150);

/// How a client reaches the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    Http,
    Stdio,
}

/// A file of `examples/`.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) file: &'static str,
    /// Directory below `PRIMCS_TEST_CLIENTS`; empty when nothing was installed for it.
    pub(crate) environment: &'static str,
    /// What follows the code on its command line.
    pub(crate) mode: &'static [&'static str],
}

/// What a client has written, and when each piece came.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pieces: Vec<(Instant, Arrived)>,
}

/// All that had come by some moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrived {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// When `text` was complete.
    pub(crate) fn arrival(&self, text: &str, stream: impl Fn(&Arrived) -> &str) -> Instant {
        let piece = self.pieces.iter().find(|(_, arrived)| stream(arrived).contains(text));
        piece.unwrap_or_else(|| panic!("{text:?} never came: {self:?}")).0
    }
}

impl Example {
    /// Its output arrives while the program runs, and whole with the result.
    pub(crate) fn must_stream(&self, door: Door) {
        let said = self.run(door, SLOW);
        let first = said.arrival("first", |arrived| &arrived.stderr);
        let second = said.arrival("second", |arrived| &arrived.stderr);
        assert!(second - first > PAUSE / 2, "both lines came together: {said:?}");
        assert_eq!(said.stdout, "first\nsecond\nstatus: ok\n", "{said:?}");
    }

    /// A program that fails is a result for the caller, not an error of the call.
    pub(crate) fn must_report_a_failure(&self, door: Door) {
        let said = self.run(door, "print('before')\nraise ValueError('no')");
        assert_eq!(said.stdout, "before\nstatus: error\n", "{said:?}");
    }

    /// Runs it to its end, which must be a good one.
    pub(crate) fn run(&self, door: Door, code: &str) -> Said {
        let mut command = self.command();
        command.arg(target(door)).arg(code).args(self.mode);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (said, in_time) = listen(&mut child);
        if !in_time {
            // It may have ended by itself just now.
            let _ = child.kill();
        }
        let status = child.wait().expect("waiting for the client");
        assert!(in_time, "{} did not end within {PATIENCE:?}: {said:?}", self.file);
        assert!(status.success(), "{} ended with {status}: {said:?}", self.file);
        said
    }

    fn command(&self) -> Command {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(self.file);
        match (self.environment, example.extension().and_then(|extension| extension.to_str())) {
            ("javascript", Some("mjs")) => {
                let mut command = Command::new(installed("node/bin/node"));
                command.arg(javascript().join(self.file));
                command
            }
            ("javascript", _) => {
                let mut command = Command::new("/bin/sh");
                let node = installed("node/bin/node");
                let path = env::var_os("PATH").unwrap_or_default();
                let paths = node.parent().map(Path::to_owned).into_iter();
                let paths = env::join_paths(paths.chain(env::split_paths(&path))).expect("PATH");
                command.arg(example).current_dir(javascript()).env("PATH", paths);
                command
            }
            ("", _) => {
                let mut command = Command::new("/bin/sh");
                command.arg(example);
                command
            }
            (environment, _) => {
                let mut command = Command::new(installed(&format!("{environment}/bin/python")));
                command.arg(example);
                command
            }
        }
    }
}

/// The first word of an example's command line: where the server is, or how to start it.
fn target(door: Door) -> String {
    match door {
        Door::Http => format!("http://{}/mcp", shared().address),
        Door::Stdio => {
            let command = primcs(Build::Normal, "stdio");
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
            assert!(
                !words.iter().any(|word| word.contains(' ')),
                "the examples take a command line in one word, so no path may hold a space: {words:?}"
            );
            words.join(" ")
        }
    }
}

/// Where the npm packages are, with the examples beside them: a module finds only packages above it.
fn javascript() -> &'static Path {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let packages = installed("javascript/node_modules");
        let directory = packages.parent().expect("it has a parent").to_owned();
        for file in ["mcp_client.mjs", "mcp_sdk.mjs"] {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
            fs::copy(example, directory.join(file)).expect("copying the example");
        }
        directory
    });
    &DIRECTORY
}

/// Reads both streams to their end; false when that did not come in time.
fn listen(child: &mut Child) -> (Said, bool) {
    let pieces = merge(
        child.stdout.take().expect("stdout is a pipe"),
        child.stderr.take().expect("stderr is a pipe"),
    );
    let deadline = Instant::now() + PATIENCE;
    let mut said = Said::default();
    let mut arrived = Arrived::default();
    loop {
        match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((is_stdout, text)) => {
                let stream = if is_stdout { &mut arrived.stdout } else { &mut arrived.stderr };
                stream.push_str(&text);
                said.pieces.push((Instant::now(), arrived.clone()));
            }
            Err(end) => {
                (said.stdout, said.stderr) = (arrived.stdout, arrived.stderr);
                return (said, end == RecvTimeoutError::Disconnected);
            }
        }
    }
}

/// Both streams in the order of their arrival; true marks stdout.
fn merge(
    stdout: impl Read + Send + 'static,
    stderr: impl Read + Send + 'static,
) -> Receiver<(bool, String)> {
    let (tell, pieces) = mpsc::channel();
    let read = |mut stream: Box<dyn Read + Send>, is_stdout: bool, tell: mpsc::Sender<_>| {
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if tell.send((is_stdout, text)).is_err() {
                    return;
                }
            }
        });
    };
    read(Box::new(stdout), true, tell.clone());
    read(Box::new(stderr), false, tell);
    pieces
}
