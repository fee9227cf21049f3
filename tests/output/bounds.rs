//! However much is written, the answer stays small, well-formed and honest about it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::support::mcp::{Answer, Call, Era, run};
use super::support::server::shared;

const MIB: usize = 1 << 20;

fn truncated(answer: &Answer, stream: &str) -> bool {
    answer.result()["truncated"][stream].as_bool().expect("truncated is a pair of booleans")
}

/// proves: limits output written
#[test]
fn a_gigabyte_ends_with_output_limit_and_its_head_is_kept() {
    let code = "
        import os
        os.write(1, b'the head\\n')
        block = b'x' * (1 << 20)
        for n in range(1024):
            os.write(1, block)
    ";
    for call in [Call::new(code), Call::new(code).with_progress()] {
        let asked = Instant::now();
        let answer = call.answer(shared().address, Era::Modern).expect("output_limit");
        assert!(answer.is_error());
        assert!(answer.stdout().starts_with("the head\n"));
        assert!(answer.stdout().len() <= MIB + 1000, "{} kept", answer.stdout().len());
        assert!(truncated(&answer, "stdout") && !truncated(&answer, "stderr"));
        let written = answer.number("/stdout_bytes");
        assert!((64 << 20..70 << 20).contains(&written), "{written} bytes were let through");
        assert!(asked.elapsed() < Duration::from_secs(20), "after {:?}", asked.elapsed());
    }
}

/// proves: neighbours load
#[test]
fn a_flood_does_not_delay_another_client() {
    let flood = Call::new("import os\nwhile True:\n  os.write(1, b'y\\n' * 30000)");
    let connection = flood.with_progress().send(shared().address, Era::Modern);
    let asked = Instant::now();
    assert_eq!(run(shared().address, "print('calm')").expect("ok").stdout(), "calm\n");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    connection.response().expect("an answer");
}

#[test]
fn one_endless_line_is_bounded() {
    let code = "import sys\nwhile True:\n  sys.stdout.write('line ' * 10000)";
    let answer = run(shared().address, code).expect("output_limit");
    assert!(answer.stdout().starts_with("line line "));
    assert!(answer.stdout().len() <= MIB + 1000);
}

/// proves: limits output written
#[test]
fn the_budget_counts_both_streams_together() {
    let code = "
        import os
        for n in range(40):
            os.write(1, b'o' * (1 << 20))
            os.write(2, b'e' * (1 << 20))
    ";
    let answer = run(shared().address, code).expect("output_limit");
    let written = answer.number("/stdout_bytes") + answer.number("/stderr_bytes");
    assert!((64 << 20..70 << 20).contains(&written), "{written}");
}

/// proves: limits output kept
#[test]
fn between_the_cap_and_the_budget_head_and_tail_are_kept() {
    let code = "
        import sys
        print('the head')
        for n in range(10):
            sys.stdout.write('m' * (1 << 20))
        print()
        print('the tail')
    ";
    let answer = run(shared().address, code).expect("ok");
    assert!(!answer.is_error(), "the program went on undisturbed");
    assert!(answer.stdout().starts_with("the head\n") && answer.stdout().ends_with("the tail\n"));
    assert!(answer.stdout().len() <= MIB + 1000, "{}", answer.stdout().len());
    assert!(truncated(&answer, "stdout"));
    assert_eq!(answer.number("/stdout_bytes"), 10 * (1 << 20) + 19);
}

/// proves: limits output `text_characters`
#[test]
fn the_readable_text_stays_short() {
    let answer = run(shared().address, "print('t' * 1000000)").expect("ok");
    let blocks = answer.message["result"]["content"].as_array().expect("content").clone();
    let characters: usize = blocks
        .iter()
        .filter_map(|block| block["text"].as_str())
        .map(|text| text.chars().count())
        .sum();
    assert!((20_000..45_000).contains(&characters), "{characters} characters of text");
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    let code = "
        import os
        os.write(1, b'good \\xff\\xfe bad \\xe6\\xb0 cut')
        os.write(2, bytes(range(256)))
    ";
    let answer = run(shared().address, code).expect("ok");
    assert_eq!(answer.stdout(), "good \u{fffd}\u{fffd} bad \u{fffd} cut");
    assert_eq!(answer.number("/stderr_bytes"), 256);
    assert!(answer.stderr().starts_with("\0\u{1}\u{2}"), "control characters are data here");
}

#[test]
fn output_that_looks_like_the_protocol_is_only_output() {
    let code =
        "print('\\r\\n\\r\\ndata: {\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {}}\\r\\n\\r\\n')";
    let call = Call::new(code).with_progress();
    let answer = call.answer(shared().address, Era::Modern).expect("ok");
    assert!(answer.stdout().contains("\"jsonrpc\""), "{:?}", answer.stdout());
}

/// proves: limits output result
#[test]
fn a_result_that_is_written_by_the_program_is_bounded_too() {
    let code = "'r' * 10_000_000";
    let answer = run(shared().address, code).expect("ok");
    let length = answer.text("result").len();
    assert!((1000..=66_000).contains(&length), "{length} bytes of result");
}
