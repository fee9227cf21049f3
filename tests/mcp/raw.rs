//! JSON-RPC requests of either era, and one connection that is kept over many of them.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Connection, Response};
use crate::support::mcp::Era;

/// A request of `era`, with what the era wants in `_meta`.
pub(crate) fn request(era: Era, id: u64, method: &str, mut params: Value) -> Value {
    if era == Era::Modern {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(era.version());
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        params["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": "tests", "version": "1" });
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The headers that go with it.
pub(crate) fn headers(era: Era, message: &Value) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
        ("MCP-Protocol-Version", era.version().to_owned()),
    ];
    if era == Era::Modern {
        headers.push(("Mcp-Method", message["method"].as_str().unwrap_or_default().to_owned()));
        let params = &message["params"];
        if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
            headers.push(("Mcp-Name", name.to_owned()));
        }
    }
    headers
}

/// Sends `message` to `/mcp` and returns head and body.
pub(crate) fn post(address: SocketAddr, era: Era, message: &Value) -> Response {
    post_to(address, "/mcp", &headers(era, message), message.to_string().as_bytes())
}

pub(crate) fn post_to(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Response {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut connection = Connection::open(address);
    connection.send("POST", path, &headers, body);
    connection.response().expect("no HTTP answer")
}

/// The JSON-RPC message in an answer that is not a stream.
pub(crate) fn json(response: Response) -> Value {
    let text = response.text().expect("reading the body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// A connection that is kept, as real clients keep theirs.
pub(crate) struct KeptAlive {
    stream: TcpStream,
    address: SocketAddr,
}

impl KeptAlive {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connecting");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("read time-out");
        Self { stream, address }
    }

    /// One request and its whole answer, head included.
    pub(crate) fn exchange(&mut self, era: Era, message: &Value) -> String {
        let body = message.to_string();
        let lines: String = headers(era, message)
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).expect("sending");
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let mut piece = [0; 16 * 1024];
            let count = self.stream.read(&mut piece).expect("reading");
            assert!(count > 0, "closed in the middle: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
        }
        String::from_utf8(answer).expect("UTF-8")
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    match head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()) {
        Some(length) => body.len() >= length.trim().parse().expect("a length"),
        None => body.ends_with("0\r\n\r\n"),
    }
}
