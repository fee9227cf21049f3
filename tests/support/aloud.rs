//! Words for whoever reads the log of the tests, past the capture of the test harness: what could
//! not be tried here is never silent.
#![forbid(unsafe_code)]

use std::io::Write;

/// One line on the real stderr.
pub(crate) fn say(words: &str) {
    // One write, so that lines of tests side by side stay whole.
    let line = format!("\n{words}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

/// A promise that is not tried on this host or by this user. `.ci/rootless` counts these lines.
#[track_caller]
pub(crate) fn not_tried(why: &str) {
    let thread = std::thread::current();
    say(&format!("not tried: {}: {why}", thread.name().unwrap_or("a test")));
}
