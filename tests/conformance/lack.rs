//! What the suite expects of a server that was made for it and this one has not: the only reasons for
//! an expected failure. Each is proved at the running server.
#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::support::http::Connection;
use crate::support::mcp::Era;
use crate::support::server::shared;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    Tool(String),
    Prompt(String),
    Resource(String),
    /// Only the older era has sessions.
    Session,
}

const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

impl Lack {
    pub(crate) fn parse(words: &str) -> Option<Self> {
        match words.split_once(' ') {
            None if words == "session" => Some(Self::Session),
            Some(("tool", name)) if name.starts_with("test_") => Some(Self::Tool(name.to_owned())),
            Some(("prompt", name)) if name.starts_with("test_") => {
                Some(Self::Prompt(name.to_owned()))
            }
            Some(("resource", uri)) if uri.starts_with("test://") => {
                Some(Self::Resource(uri.to_owned()))
            }
            _ => None,
        }
    }

    /// Asks the server for it.
    pub(crate) fn must_be_so(&self, era: Era) {
        let (method, params, wanted) = match self {
            Self::Tool(name) => {
                ("tools/call", json!({ "name": name, "arguments": {} }), INVALID_PARAMS)
            }
            Self::Prompt(name) => ("prompts/get", json!({ "name": name }), METHOD_NOT_FOUND),
            Self::Resource(uri) => ("resources/read", json!({ "uri": uri }), METHOD_NOT_FOUND),
            Self::Session => return no_session_is_offered(era),
        };
        let (_, answer) = ask(era, method, params);
        assert_eq!(answer["error"]["code"], wanted, "{self:?} {era:?}: {answer}");
        if let Self::Tool(_) = self {
            let said = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(said.starts_with("there is no such tool"), "{self:?} {era:?}: {answer}");
        }
    }
}

fn no_session_is_offered(era: Era) {
    assert_eq!(era, Era::Legacy, "the newer era knows no sessions: nothing can lack them");
    let hello = json!({
        "protocolVersion": era.version(), "capabilities": {},
        "clientInfo": { "name": "tests", "version": "1" },
    });
    let (session, answer) = ask(era, "initialize", hello);
    assert!(answer["result"]["capabilities"]["logging"].is_null(), "{answer}");
    assert_eq!(session, None, "there are sessions: {answer}");
}

/// The session id of the answer, and the answer.
fn ask(era: Era, method: &str, mut params: Value) -> (Option<String>, Value) {
    let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", era.version()),
    ];
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": era.version(),
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        headers.push(("Mcp-Method", method));
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
    }
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut connection = Connection::open(shared().address);
    connection.send("POST", "/mcp", &headers, message.to_string().as_bytes());
    let response = connection.response().expect("an answer");
    let session = response.header("mcp-session-id").map(str::to_owned);
    let text = response.text().expect("a body");
    (session, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}
