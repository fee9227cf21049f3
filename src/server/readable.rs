//! The text beside the structured result: what a person or a model reads first.
#![forbid(unsafe_code)]

use super::result::{RunResult, Status};

/// At most `most` characters; output gives way, not what we have to say about it.
pub(super) fn text(result: &RunResult, most: usize) -> String {
    let verdict = verdict(result);
    let room = most.saturating_sub(verdict.chars().count());
    // A flood on one stream leaves the other one half of the room.
    let stdout_needs = result.stdout.chars().take(room).count();
    let stderr = shortened(&result.stderr, room.saturating_sub(stdout_needs.min(room / 2)));
    let stdout = shortened(&result.stdout, room.saturating_sub(stderr.chars().count()));
    let mut text = stdout;
    if !stderr.is_empty() {
        begin_line(&mut text);
        text.push_str("[stderr]\n");
        text.push_str(&stderr);
    }
    if !verdict.is_empty() {
        begin_line(&mut text);
        text.push_str(&verdict);
    }
    if text.is_empty() { "[ok: no output]".to_owned() } else { text }
}

fn verdict(result: &RunResult) -> String {
    let mut lines = Vec::new();
    if let Some(value) = &result.result {
        lines.push(format!("[result] {}", shortened(value, 4000)));
    }
    match (result.status, &result.error, result.exit_code, &result.signal) {
        (Status::Ok, ..) => {}
        (status, Some(error), ..) => {
            lines.push(format!("[{}] {}. {}", status.name(), error.message, error.next));
        }
        (status, None, Some(code), _) => {
            lines.push(format!("[{}] exit code {code}", status.name()));
        }
        (status, None, None, Some(signal)) => lines.push(format!("[{}] {signal}", status.name())),
        (status, None, None, None) => lines.push(format!("[{}]", status.name())),
    }
    for hint in &result.hints {
        let suggestion = hint.suggestion.as_deref().unwrap_or_default();
        lines.push(format!("[hint] {}. {suggestion}", hint.message).trim_end().to_owned());
    }
    lines.join("\n")
}

fn begin_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Room for the word about the middle.
const MARKER: usize = 50;

/// Head and tail with a word about the middle, at most `most` characters when that leaves room.
fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(MARKER);
    let head: String = text.chars().take(kept / 2).collect();
    let tail: String = text.chars().skip(length - (kept - kept / 2)).collect();
    format!("{head}\n[... {} characters left out ...]\n{tail}", length - kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::error::CallError;

    fn result(stdout: &str, stderr: &str) -> RunResult {
        let mut result = RunResult::without_run(Status::Ok, CallError::killed(), "");
        result.error = None;
        result.stdout = stdout.to_owned();
        result.stderr = stderr.to_owned();
        result
    }

    #[test]
    fn a_short_answer_is_the_output_and_nothing_else() {
        assert_eq!(text(&result("4\n", ""), 100), "4\n");
    }

    #[test]
    fn a_flood_on_both_streams_stays_within_the_bound_and_shows_both() {
        let text = text(&result(&"o".repeat(9000), &"e".repeat(9000)), 1000);
        assert!(text.chars().count() <= 1020, "{}", text.chars().count());
        assert!(text.contains("oooo") && text.contains("eeee"));
    }
}
