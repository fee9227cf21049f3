//! What both eras say about this server, and what it must not pretend to have.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::raw::{KeptAlive, headers, json, post, post_to, request};
use crate::support::mcp::{Call, Era};
use crate::support::server::shared;
use crate::support::stdio::StdioClient;

const METHOD_NOT_FOUND: i64 = -32601;

/// Methods of capabilities that are not declared.
const UNDECLARED: [&str; 7] = [
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "logging/setLevel",
    "no/such/method",
];

fn params_of(method: &str) -> Value {
    match method {
        "resources/read" => json!({ "uri": "x:y" }),
        "completion/complete" => json!({
            "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "x", "value": "" },
        }),
        "logging/setLevel" => json!({ "level": "info" }),
        _ => json!({}),
    }
}

#[test]
fn both_eras_are_told_of_tools_and_of_nothing_else() {
    let server = shared();
    let hello = json!({
        "protocolVersion": Era::Legacy.version(), "capabilities": {},
        "clientInfo": { "name": "tests", "version": "1" },
    });
    let legacy =
        json(post(server.address, Era::Legacy, &request(Era::Legacy, 1, "initialize", hello)));
    let discover = request(Era::Modern, 1, "server/discover", json!({}));
    let modern = json(post(server.address, Era::Modern, &discover));
    for answer in [&legacy, &modern] {
        assert_eq!(answer["result"]["capabilities"], json!({ "tools": {} }), "{answer}");
        let instructions = answer["result"]["instructions"].as_str().expect("instructions");
        assert!(instructions.chars().count() <= 512, "Codex shows only the first 512 characters");
    }
    let versions = modern["result"]["supportedVersions"].as_array().expect("versions");
    for era in Era::BOTH {
        assert!(versions.contains(&json!(era.version())), "{modern}");
    }
}

#[test]
fn an_initialize_for_the_newest_revision_is_answered_with_the_last_one_that_has_it() {
    let hello = json!({
        "protocolVersion": "2026-07-28", "capabilities": {},
        "clientInfo": { "name": "tests", "version": "1" },
    });
    let message = request(Era::Legacy, 1, "initialize", hello);
    let mut sent = headers(Era::Legacy, &message);
    sent.retain(|(name, _)| *name != "MCP-Protocol-Version");
    let answer = json(post_to(shared().address, "/mcp", &sent, message.to_string().as_bytes()));
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
}

#[test]
fn undeclared_methods_do_not_exist_over_http() {
    for era in Era::BOTH {
        for method in UNDECLARED {
            let response = post(shared().address, era, &request(era, 1, method, params_of(method)));
            let status = response.status;
            let answer = json(response);
            assert_eq!(answer["error"]["code"], METHOD_NOT_FOUND, "{era:?} {method}: {answer}");
            let wanted = if era == Era::Modern { 404 } else { 200 };
            assert_eq!(status, wanted, "{era:?} {method}");
        }
    }
}

#[test]
fn undeclared_methods_do_not_exist_over_stdio() {
    for era in Era::BOTH {
        let mut client = StdioClient::start(era);
        for (number, method) in UNDECLARED.iter().enumerate() {
            let id = 100 + u64::try_from(number).unwrap();
            client.send(&request(era, id, method, params_of(method)));
            let answer = client.answer(id);
            assert_eq!(answer["error"]["code"], METHOD_NOT_FOUND, "{era:?} {method}: {answer}");
        }
    }
}

#[test]
fn the_one_tool_is_flat_enough_for_weak_clients() {
    for era in Era::BOTH {
        let listed = json(post(shared().address, era, &request(era, 1, "tools/list", json!({}))));
        let tools = listed["result"]["tools"].as_array().expect("tools");
        assert_eq!(tools.len(), 1, "{listed}");
        let tool = &tools[0];
        assert_eq!(tool["name"], "run_code");
        assert!(tool["outputSchema"].is_null(), "an output schema makes clients reject refusals");
        let schema = tool["inputSchema"].to_string();
        for foreign in ["$ref", "$defs", "\"format\"", "anyOf", "oneOf"] {
            assert!(!schema.contains(foreign), "{foreign} in {schema}");
        }
        assert_eq!(tool["inputSchema"]["required"], json!(["code"]));
        assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false));
        let known = tool["inputSchema"]["properties"].as_object().expect("properties");
        for name in
            ["code", "requirements", "files", "timeout_s", "lock", "return_lock", "isolation"]
        {
            assert!(known.contains_key(name), "{name}");
        }
        assert_eq!(known.len(), 7);
        assert_eq!(tool["annotations"]["readOnlyHint"], json!(false));
        if era == Era::Modern {
            assert!(listed["result"]["ttlMs"].as_u64().is_some_and(|ttl| ttl >= 60_000));
            assert_eq!(listed["result"]["cacheScope"], "public");
        }
    }
}

#[test]
fn an_unknown_tool_is_a_protocol_error() {
    for era in Era::BOTH {
        let call = request(era, 1, "tools/call", json!({ "name": "rm", "arguments": {} }));
        let answer = json(post(shared().address, era, &call));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[test]
fn a_modern_request_must_say_the_same_in_headers_and_body() {
    let call = Call::new("1").message(Era::Modern, 1);
    let right = headers(Era::Modern, &call);
    for (name, wrong) in [
        ("Mcp-Method", "tools/list"),
        ("Mcp-Name", "other"),
        ("MCP-Protocol-Version", "2025-06-18"),
    ] {
        let sent: Vec<_> = right
            .iter()
            .map(|(key, value)| (*key, if *key == name { wrong.to_owned() } else { value.clone() }))
            .collect();
        let response = post_to(shared().address, "/mcp", &sent, call.to_string().as_bytes());
        assert_eq!(response.status, 400, "{name}: {wrong}");
    }
}

#[test]
fn an_unknown_revision_is_refused_with_the_known_ones() {
    let mut call = Call::new("1").message(Era::Modern, 1);
    call["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
    let mut sent = headers(Era::Modern, &call);
    for (name, value) in &mut sent {
        if *name == "MCP-Protocol-Version" {
            "2031-01-01".clone_into(value);
        }
    }
    let response = post_to(shared().address, "/mcp", &sent, call.to_string().as_bytes());
    assert_eq!(response.status, 400);
}

/// Nagle holds a small write back until the one before it is acknowledged, and a client that talks
/// back delays that by 40 ms. So the client answers each first line with a byte of its next
/// request, and the third line shows whether it waited for the second one's acknowledgement. That
/// comes so late each time, while other work on two cores delays lines of one try or another.
#[test]
fn small_writes_do_not_wait_for_each_other() {
    let code = "
        import time
        for _ in range(11):
            for name in 'first', 'second', 'third':
                print(f'{name} at {time.time():.6f} s', flush=True)
                time.sleep(0.004)
            time.sleep(0.08)
    ";
    for era in Era::BOTH {
        let call = Call::new(code).with_progress().message(era, 1);
        let mut seen = Vec::new();
        let one_is_prompt = (0..5).any(|_| {
            let mut delays = KeptAlive::open(shared().address).third_delays(era, &call);
            delays.sort_by(f64::total_cmp);
            assert!(delays.len() >= 9, "{delays:?}");
            seen.push(delays[delays.len() / 2]);
            seen.last() < Some(&0.02)
        });
        assert!(one_is_prompt, "{era:?}: half of the lines came so many seconds late: {seen:?}");
    }
}

/// In the legacy era without sessions nothing ties a notification to a call, so over HTTP only
/// closing the request cancels it.
#[test]
fn a_cancelled_notification_over_legacy_http_is_taken_and_changes_nothing() {
    let server = shared();
    let mut stream = Call::new("import time\nprint('on', flush=True)\ntime.sleep(1)\nprint('end')")
        .with_progress()
        .stream(server.address, Era::Legacy);
    stream.wait_for("on");
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 },
    });
    assert_eq!(post(server.address, Era::Legacy, &cancel).status, 202);
    assert_eq!(stream.answer().stdout(), "on\nend\n");
}

#[test]
fn a_stream_that_nobody_reads_does_not_hold_up_another_call() {
    let server = shared();
    for era in Era::BOTH {
        let flood = "import sys\nfor _ in range(300): sys.stdout.write('x' * 100_000)";
        let mut unread = Vec::new();
        for _ in 0..3 {
            unread.push(Call::new(flood).with_progress().send(server.address, era));
        }
        let began = Instant::now();
        let answer = Call::new("print(2)").answer(server.address, era);
        assert_eq!(answer.stdout(), "2\n");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn a_line_longer_than_any_message_is_dropped_and_the_next_one_answered() {
    let mut client = StdioClient::start(Era::Modern);
    client.send(&json!({ "x": "y".repeat(17 * 1024 * 1024) }));
    let id = client.call(&Call::new("print(3)"));
    let answer = client.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "3\n", "{answer}");
}
