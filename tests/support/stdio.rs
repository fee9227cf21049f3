//! `primcs stdio` with its pipes held by the test.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

use super::mcp::{Call, Era};
use super::programs::{Build, primcs};

/// Longest wait for the next message.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one server over its stdin and stdout. The server ends when this is dropped.
#[derive(Debug)]
pub(crate) struct StdioClient {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    era: Era,
    next_id: u64,
}

impl StdioClient {
    /// Starts it and, in the legacy era, shakes hands.
    pub(crate) fn start(era: Era) -> Self {
        let mut child = primcs(Build::Normal, "stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot start primcs stdio");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        std::thread::spawn(move || {
            let mut log = String::new();
            // Its log is shown when the test fails and is nothing to it otherwise.
            let _ = stderr.read_to_string(&mut log);
            eprintln!("{log}");
        });
        let (tell, messages) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line)
                    .unwrap_or_else(|_| panic!("stdout carried something else: {line:?}"));
                if tell.send(message).is_err() {
                    break;
                }
            }
        });
        let mut client = Self { child, stdin, messages, era, next_id: 1 };
        if era == Era::Legacy {
            client.initialize();
        }
        client
    }

    fn initialize(&mut self) {
        self.send(&json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": self.era.version(), "capabilities": {},
                "clientInfo": { "name": "tests", "version": "1" },
            },
        }));
        let answer = self.receive().expect("an answer to initialize");
        assert_eq!(answer["result"]["protocolVersion"], self.era.version(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Sends one message as a line.
    pub(crate) fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{message}").expect("writing to primcs stdio");
    }

    /// The next message; `None` at the end of stdout.
    pub(crate) fn receive(&self) -> Option<Value> {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => Some(message),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no message for {PATIENCE:?}"),
        }
    }

    /// Sends a call and returns its id.
    pub(crate) fn call(&mut self, call: &Call) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let message = call.message(self.era, id);
        self.send(&message);
        id
    }

    /// Takes a call back.
    pub(crate) fn cancel(&mut self, id: u64) {
        self.send(&json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": id, "reason": "the test has seen enough" },
        }));
    }

    /// Waits for the answer to `id`, dropping what comes before.
    pub(crate) fn answer(&self, id: u64) -> Value {
        loop {
            let message = self.receive().expect("stdout ended without an answer");
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Waits for this text in a progress message.
    pub(crate) fn wait_for(&self, text: &str) {
        loop {
            let message = self.receive().expect("stdout ended");
            let said = message["params"]["message"].as_str().unwrap_or_default();
            if said.contains(text) {
                return;
            }
            assert!(message["id"].is_null(), "answered before it wrote {text:?}: {message}");
        }
    }

    /// Ends the input, as a client that leaves does.
    pub(crate) fn close_stdin(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("waiting for primcs stdio")
    }
}

impl Drop for StdioClient {
    fn drop(&mut self) {
        self.close_stdin();
        // Already gone in most tests.
        let _ = self.child.wait();
    }
}
