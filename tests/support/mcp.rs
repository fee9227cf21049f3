//! One `run_code` call as MCP messages of both eras, over HTTP and over stdio, and what came back.
#![forbid(unsafe_code)]

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Connection, Response};

/// The two wire protocols that are called MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: every request stands alone.
    Modern,
    /// 2025-06-18: `initialize` first.
    Legacy,
}

impl Era {
    pub(crate) const BOTH: [Self; 2] = [Self::Modern, Self::Legacy];

    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Modern => "2026-07-28",
            Self::Legacy => "2025-06-18",
        }
    }
}

/// A call to be made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    arguments: Value,
    progress: bool,
    token: Option<String>,
}

impl Call {
    pub(crate) fn new(code: &str) -> Self {
        let mut arguments = json!({ "code": code });
        // Later modes run this same suite.
        if let Ok(isolation) = std::env::var("PRIMCS_TEST_ISOLATION") {
            arguments["isolation"] = json!(isolation);
        }
        Self { arguments, progress: false, token: None }
    }

    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.arguments["timeout_s"] = json!(seconds);
        self
    }

    /// Asks for progress, and so for the output while the program runs.
    pub(crate) fn with_progress(mut self) -> Self {
        self.progress = true;
        self
    }

    /// What to send at a door that asks for it.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The request as JSON-RPC.
    pub(crate) fn message(&self, era: Era, id: u64) -> Value {
        let mut meta = json!({});
        if era == Era::Modern {
            meta["io.modelcontextprotocol/protocolVersion"] = json!(era.version());
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "tests", "version": "1" });
        }
        if self.progress {
            meta["progressToken"] = json!(format!("token-{id}"));
        }
        json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "run_code", "arguments": self.arguments, "_meta": meta },
        })
    }

    /// Sends it over HTTP and returns at once; nothing has been read yet.
    pub(crate) fn send(&self, address: SocketAddr, era: Era) -> Connection {
        self.try_send(address, era).expect("sending the request")
    }

    /// The same for a server that may be dead.
    pub(crate) fn try_send(&self, address: SocketAddr, era: Era) -> io::Result<Connection> {
        let mut connection = Connection::try_open(address)?;
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", era.version()),
        ];
        if era == Era::Modern {
            headers.extend([("Mcp-Method", "tools/call"), ("Mcp-Name", "run_code")]);
        }
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let body = self.message(era, 1).to_string();
        connection.try_send("POST", "/mcp", &headers, body.as_bytes())?;
        Ok(connection)
    }

    /// Makes the whole call to a server that may die meanwhile: the answer, or how the connection
    /// ended without one.
    pub(crate) fn try_answer(&self, address: SocketAddr, era: Era) -> io::Result<Value> {
        let response = self.try_send(address, era)?.response()?;
        let events = response.header("content-type").is_some_and(|kind| kind.contains("event"));
        let text = response.text()?;
        let answer = if events {
            let mut data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            data.next_back().ok_or(io::ErrorKind::UnexpectedEof)?.to_owned()
        } else {
            text
        };
        serde_json::from_str(&answer).map_err(io::Error::other)
    }

    /// Sends it over HTTP and waits for the first bytes of the answer.
    pub(crate) fn stream(&self, address: SocketAddr, era: Era) -> Stream {
        let response = self.send(address, era).response().expect("no HTTP answer");
        Stream::new(response)
    }

    /// Makes the whole call over HTTP.
    pub(crate) fn answer(&self, address: SocketAddr, era: Era) -> Answer {
        self.stream(address, era).answer()
    }
}

/// One shot in the modern era: what most tests want.
pub(crate) fn run(address: SocketAddr, code: &str) -> Answer {
    Call::new(code).answer(address, Era::Modern)
}

/// The messages of one HTTP answer, whether they come as JSON or as events.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    events: bool,
    over: bool,
    seen: Vec<Progress>,
    started: Instant,
}

/// A piece of output that came while the program ran.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) count: f64,
    /// `stdout` or `stderr`; absent for words of the server itself.
    pub(crate) stream: Option<String>,
    pub(crate) offset: Option<u64>,
    pub(crate) message: String,
    pub(crate) at: Instant,
}

impl Progress {
    /// From a JSON-RPC message; `None` for anything but progress.
    pub(crate) fn of(message: &Value) -> Option<Self> {
        if message["method"] != "notifications/progress" {
            return None;
        }
        let params = &message["params"];
        let meta = |name: &str| {
            let entries = params["_meta"].as_object()?;
            entries.iter().find(|(key, _)| key.ends_with(name)).map(|(_, value)| value.clone())
        };
        Some(Self {
            count: params["progress"].as_f64().expect("progress is a number"),
            stream: meta("/stream").and_then(|value| Some(value.as_str()?.to_owned())),
            offset: meta("/offset").and_then(|value| value.as_u64()),
            message: params["message"].as_str().unwrap_or_default().to_owned(),
            at: Instant::now(),
        })
    }
}

impl Stream {
    fn new(response: Response) -> Self {
        let events = response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        Self { response, events, over: false, seen: Vec::new(), started: Instant::now() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status
    }

    /// The next JSON-RPC message; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        if self.over {
            return None;
        }
        if !self.events {
            self.over = true;
            let mut text = String::new();
            io::Read::read_to_string(&mut self.response.body, &mut text).expect("reading JSON");
            let status = self.response.status;
            return Some(serde_json::from_str(&text).unwrap_or_else(|error| {
                panic!("HTTP {status}, and the body is not JSON ({error}): {text:?}")
            }));
        }
        let mut data = String::new();
        loop {
            let mut line = String::new();
            let count = self.response.body.read_line(&mut line).expect("reading events");
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(rest) = line.strip_prefix("data:") {
                data.push_str(rest.strip_prefix(' ').unwrap_or(rest));
            }
            if line.is_empty() && !data.is_empty() {
                return Some(serde_json::from_str(&data).expect("an event holds JSON"));
            }
            if count == 0 {
                self.over = true;
                return None;
            }
        }
    }

    /// The next piece of progress; `None` when the answer came instead, which `answer` then has.
    pub(crate) fn progress(&mut self) -> Result<Progress, Answer> {
        let message = self.next().expect("the stream ended without an answer");
        match Progress::of(&message) {
            Some(progress) => {
                self.seen.push(progress.clone());
                Ok(progress)
            }
            None => Err(self.finished(message)),
        }
    }

    /// Waits until `text` has come on stdout while the program runs.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut so_far = String::new();
        while !so_far.contains(text) {
            match self.progress() {
                Ok(progress) => {
                    if progress.stream.as_deref() == Some("stdout") {
                        so_far.push_str(&progress.message);
                    }
                }
                Err(answer) => panic!("ended before it wrote {text:?}: {answer:?}"),
            }
        }
    }

    /// Reads to the end.
    pub(crate) fn answer(mut self) -> Answer {
        loop {
            if let Err(answer) = self.progress() {
                return answer;
            }
        }
    }

    fn finished(&mut self, message: Value) -> Answer {
        Answer { message, progress: std::mem::take(&mut self.seen), took: self.started.elapsed() }
    }
}

/// The answer to a call, with the progress that came before it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) message: Value,
    pub(crate) progress: Vec<Progress>,
    /// From the first byte of the answer.
    pub(crate) took: Duration,
}

impl Answer {
    /// The structured result, which every answered call has.
    pub(crate) fn result(&self) -> &Value {
        let result = &self.message["result"]["structuredContent"];
        assert!(result.is_object(), "no structured result in {}", self.message);
        result
    }

    pub(crate) fn is_error(&self) -> bool {
        self.message["result"]["isError"].as_bool().unwrap_or(false)
    }

    pub(crate) fn status(&self) -> &str {
        self.result()["status"].as_str().unwrap_or("absent")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.result()[field].as_str().unwrap_or_default()
    }

    pub(crate) fn stdout(&self) -> &str {
        self.text("stdout")
    }

    pub(crate) fn stderr(&self) -> &str {
        self.text("stderr")
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.result().pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no number at {pointer} in {}", self.result()))
    }

    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.result()["exit_code"].as_i64()
    }

    pub(crate) fn has_hint(&self, kind: &str) -> bool {
        let hints = self.result()["hints"].as_array().cloned().unwrap_or_default();
        hints.iter().any(|hint| hint["kind"] == kind)
    }

    /// Fails with the whole result unless the status is the one promised.
    #[track_caller]
    pub(crate) fn expect(self, status: &str) -> Self {
        assert_eq!(self.status(), status, "{:#}", self.message);
        self
    }
}
