//! The call and its result: fixed shapes that clients rely on.
#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::raw::{json, post, post_to, request};
use crate::support::mcp::{Call, Era, run};
use crate::support::server::shared;

fn call(era: Era, arguments: &Value) -> Value {
    let params = json!({ "name": "run_code", "arguments": arguments });
    json(post(shared().address, era, &request(era, 1, "tools/call", params)))
}

fn rejected(arguments: &Value) -> Value {
    let answer = call(Era::Modern, arguments);
    let result = &answer["result"];
    assert_eq!(result["isError"], json!(true), "{answer}");
    assert_eq!(result["structuredContent"]["status"], "rejected", "{answer}");
    let text = result["content"][0]["text"].as_str().expect("text");
    let message = result["structuredContent"]["error"]["message"].as_str().expect("message");
    assert!(text.contains(message), "the text says what the object says: {text}");
    result["structuredContent"]["error"].clone()
}

#[test]
fn a_result_has_all_its_fields_in_both_eras() {
    for era in Era::BOTH {
        let answer = Call::new("print('out')\n6*7").answer(shared().address, era);
        let result = answer.result();
        assert_eq!(result["status"], "ok");
        assert_eq!(result["exit_code"], 0);
        assert_eq!(result["signal"], Value::Null);
        assert_eq!(result["stdout"], "out\n");
        assert_eq!(result["stderr"], "");
        assert_eq!(result["truncated"], json!({ "stdout": false, "stderr": false }));
        assert_eq!((answer.number("/stdout_bytes"), answer.number("/stderr_bytes")), (4, 0));
        assert_eq!(result["result"], "42");
        assert_eq!(result["artifacts"], json!([]));
        assert!(result["hints"].is_array() && result["error"].is_null());
        for name in ["wall_ms", "cpu_ms", "memory_peak_bytes", "pids_peak"] {
            assert!(result["usage"].get(name).is_some(), "{name}");
        }
        assert!(result["limits"]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
        assert!(result["run_id"].as_str().is_some_and(|id| id.len() >= 8));
        assert_eq!(result["policy_digest"].as_str().map(str::len), Some(64));
        assert!(!answer.is_error());
        let text = answer.message["result"]["content"][0]["text"].as_str().expect("text");
        assert_eq!(text, "out\n[result] 42");
    }
}

#[test]
fn null_equals_absent() {
    let answer = call(
        Era::Modern,
        &json!({
            "code": "print(1)", "requirements": null, "files": null, "timeout_s": null,
            "lock": null, "return_lock": null, "isolation": null,
        }),
    );
    assert_eq!(answer["result"]["structuredContent"]["status"], "ok", "{answer}");
}

/// proves: limits ceiling
#[test]
fn an_unknown_argument_is_refused_by_name() {
    let error = rejected(&json!({ "code": "1", "memory_gb": 64 }));
    assert!(error["message"].as_str().unwrap().contains("memory_gb"), "{error}");
}

#[test]
fn what_is_not_there_yet_says_so() {
    for (name, value) in [
        ("requirements", json!(["numpy"])),
        ("files", json!([{ "url": "https://example.com/x", "mountPath": "x" }])),
        ("lock", json!("x")),
        ("return_lock", json!(true)),
    ] {
        let error = rejected(&json!({ "code": "1", name: value }));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(name) && message.contains("not available yet"), "{error}");
        assert!(error["next"].as_str().is_some_and(|next| !next.is_empty()), "{error}");
    }
}

#[test]
fn arguments_of_a_wrong_kind_are_readable_refusals() {
    for arguments in [
        json!({}),
        json!({ "code": 5 }),
        json!({ "code": null }),
        json!({ "code": "1", "timeout_s": "soon" }),
        json!({ "code": "1", "timeout_s": 0 }),
        json!({ "code": "1", "timeout_s": -1 }),
        json!({ "code": "1", "isolation": "fast" }),
    ] {
        let error = rejected(&arguments);
        assert_eq!(error["code"], "arguments.invalid", "{error}");
    }
}

/// proves: limits call `code_characters`
#[test]
fn code_over_the_limit_is_a_tool_error_that_names_the_limit() {
    let error = rejected(&json!({ "code": "#".repeat(20_001) }));
    assert!(error["message"].as_str().unwrap().contains("20000"), "{error}");
    let whole = format!("print('{}')", "é".repeat(19_990));
    let answer = run(shared().address, &whole);
    assert_eq!(answer.number("/stdout_bytes"), 2 * 19_990 + 1, "characters count, not bytes");
}

/// proves: limits wall ceiling
#[test]
fn a_timeout_beyond_the_ceiling_is_lowered_and_a_hint_says_so() {
    let answer = call(Era::Modern, &json!({ "code": "print(1)", "timeout_s": 86_400 }));
    let result = &answer["result"]["structuredContent"];
    assert_eq!(result["limits"]["wall_ms"], 600_000, "{result}");
    let hints = result["hints"].to_string();
    assert!(hints.contains("600"), "{hints}");
}

#[test]
fn a_program_that_ended_by_itself_is_a_result_whatever_it_did() {
    for code in ["import sys; sys.exit(3)", "1/0", "import os; os.kill(os.getpid(), 9)"] {
        let answer = run(shared().address, code);
        assert_eq!((answer.status(), answer.is_error()), ("error", false), "{code}");
    }
    let answer = run(shared().address, "import os; os.kill(os.getpid(), 9)");
    assert_eq!(answer.text("signal"), "SIGKILL");
    assert_eq!(answer.exit_code(), None);
}

#[test]
fn a_limit_that_stopped_it_is_an_error_with_what_was_printed() {
    let answer = Call::new("print('before', flush=True)\nwhile True: pass")
        .timeout(1)
        .answer(shared().address, Era::Modern);
    assert_eq!((answer.status(), answer.is_error()), ("timeout", true));
    assert_eq!(answer.stdout(), "before\n");
}

#[test]
fn a_program_that_prints_nothing_gets_a_hint() {
    let answer = run(shared().address, "x = 1");
    assert!(answer.has_hint("no_output"), "{}", answer.result());
}

#[test]
fn indented_code_runs_and_tracebacks_show_its_lines() {
    let answer = run(shared().address, "\n    if True:\n        print('in')\n    1/0\n");
    assert_eq!(answer.stdout(), "in\n");
    assert!(answer.stderr().contains("1/0"), "{}", answer.stderr());
}

/// The clients of the first PRIMCS read JSON from the first text block.
#[test]
fn a_peer_older_than_structured_content_gets_the_object_as_text() {
    for version in [None, Some("2025-03-26")] {
        let message = Call::new("print(4)").message(Era::Legacy, 1);
        let mut sent = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
        ];
        sent.extend(version.map(|version| ("MCP-Protocol-Version", version.to_owned())));
        let answer =
            json(post_to(shared().address, "/mcp/", &sent, message.to_string().as_bytes()));
        assert!(answer["result"]["structuredContent"].is_null(), "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().expect("text");
        let object: Value = serde_json::from_str(text).expect("the first text block is JSON");
        assert_eq!((&object["status"], &object["stdout"]), (&json!("ok"), &json!("4\n")));
    }
}

#[test]
fn the_text_of_a_flood_is_shortened_to_what_a_reader_can_bear() {
    let answer = run(shared().address, "print('x' * 500_000)");
    let text = answer.message["result"]["content"][0]["text"].as_str().expect("text");
    let length = text.chars().count();
    assert!((30_000..=40_000).contains(&length), "{length}");
    assert_eq!(answer.number("/stdout_bytes"), 500_001);
    assert_eq!(answer.stdout().len(), 500_001, "the object still holds all of it");
}
