//! Output comes as progress while the program runs.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::support::mcp::{Answer, Call, Era, Progress};
use super::support::server::shared;

/// Both streams put together from their pieces, each piece at its offset.
fn rebuild(pieces: &[Progress]) -> BTreeMap<String, Vec<u8>> {
    let mut streams: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for piece in pieces {
        let (Some(stream), Some(offset)) = (&piece.stream, piece.offset) else { continue };
        let so_far = streams.entry(stream.clone()).or_default();
        assert_eq!(
            offset,
            u64::try_from(so_far.len()).expect("fits"),
            "{stream}: a piece is missing or comes twice"
        );
        so_far.extend_from_slice(piece.message.as_bytes());
    }
    streams
}

fn assert_strictly_increasing(answer: &Answer) {
    for pair in answer.progress.windows(2) {
        assert!(pair[0].count < pair[1].count, "progress must increase: {pair:?}");
    }
}

/// 5 MB over both streams, with characters of one to four bytes; the program goes on running until
/// all of it must have come.
const FIVE_MEGABYTES: &str = "
import sys, time
for n in range(50):
    for stream, word in ((sys.stdout, 'aß水🐍'), (sys.stderr, 'é🦀')):
        text = ''.join(f'{n}:{m}:{word}\\n' for m in range(4000))
        stream.write((text * 2)[:50_000])
        stream.flush()
print('end', flush=True)
time.sleep(3)
";

#[test]
fn five_megabytes_of_both_streams_are_rebuilt_while_the_program_runs() {
    for era in Era::BOTH {
        let expected = expected();
        let size: usize = expected.iter().map(Vec::len).sum();
        assert!(size > 5_000_000, "{size}");
        let mut stream = Call::new(FIVE_MEGABYTES).with_progress().stream(shared().address, era);
        let (mut pieces, mut so_far) = (Vec::new(), 0);
        let ended = loop {
            match stream.progress() {
                Ok(piece) => {
                    so_far += piece.stream.as_ref().map_or(0, |_| piece.message.len());
                    pieces.push(piece);
                    if so_far == size {
                        break None;
                    }
                }
                Err(answer) => break Some(answer),
            }
        };
        assert!(ended.is_none(), "{era:?}: ended with {so_far} of {size} bytes told");
        let all_there = Instant::now();
        let rebuilt = rebuild(&pieces);
        assert!(rebuilt["stdout"] == expected[0], "{era:?}: stdout differs");
        assert!(rebuilt["stderr"] == expected[1], "{era:?}: stderr differs");
        let answer = stream.answer().expect("ok");
        assert_strictly_increasing(&answer);
        assert!(all_there.elapsed() > Duration::from_secs(1), "{era:?}: it was running");
    }
}

/// The same text made here.
fn expected() -> [Vec<u8>; 2] {
    ["aß水🐍", "é🦀"].map(|word| {
        let mut all = String::new();
        for n in 0..50 {
            let lines =
                (0..4000).map(|m| [&n.to_string(), ":", &m.to_string(), ":", word, "\n"].concat());
            let text = lines.collect::<String>();
            all.extend(text.repeat(2).chars().take(50_000));
        }
        if word.starts_with('a') {
            all.push_str("end\n");
        }
        all.into_bytes()
    })
}

#[test]
fn the_first_line_comes_within_300_ms_of_being_written() {
    let code = "import time\nprint(time.time(), flush=True)\ntime.sleep(2)";
    for era in Era::BOTH {
        let mut stream = Call::new(code).with_progress().stream(shared().address, era);
        let (written, arrived) = loop {
            let piece = stream.progress().expect("a line before the end");
            if piece.stream.as_deref() == Some("stdout") {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
                break (piece.message.trim().parse::<f64>().expect("a time"), now.as_secs_f64());
            }
        };
        assert!(arrived - written < 0.3, "{era:?}: {} s late", arrived - written);
        stream.answer().expect("ok");
    }
}

#[test]
fn print_without_flush_streams_too() {
    let code = "import time\nprint('early')\ntime.sleep(2)\nprint('late')";
    let mut stream = Call::new(code).with_progress().stream(shared().address, Era::Modern);
    stream.wait_for("early");
    let early = Instant::now();
    stream.answer().expect("ok");
    assert!(early.elapsed() > Duration::from_secs(1), "it came with the rest");
}

#[test]
fn both_streams_keep_their_names() {
    let code = "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)";
    let answer = Call::new(code).with_progress().answer(shared().address, Era::Modern).expect("ok");
    let streams = rebuild(&answer.progress);
    assert_eq!(streams["stdout"], b"to stdout\n");
    assert_eq!(streams["stderr"], b"to stderr\n");
    assert_eq!((answer.stdout(), answer.stderr()), ("to stdout\n", "to stderr\n"));
}

#[test]
fn without_a_token_there_is_no_progress() {
    for era in Era::BOTH {
        let answer = Call::new("print('x' * 100000)").answer(shared().address, era).expect("ok");
        assert!(answer.progress.is_empty(), "{era:?}");
    }
}

#[test]
fn a_character_is_never_split_between_two_messages() {
    let code = "
        import os, time
        for byte in '水🐍'.encode() * 3:
            os.write(1, bytes([byte]))
            time.sleep(0.02)
    ";
    let answer = Call::new(code).with_progress().answer(shared().address, Era::Modern).expect("ok");
    assert_eq!(rebuild(&answer.progress)["stdout"], "水🐍水🐍水🐍".as_bytes());
}

#[test]
fn a_reader_that_stops_reading_does_not_lengthen_the_run() {
    let code = "
        import sys, time
        started = time.monotonic()
        for n in range(40):
            sys.stdout.write('x' * (1 << 20))
        print()
        print(time.monotonic() - started)
    ";
    // Nothing is read until long after the program has ended; socket buffers hold a tenth of it.
    let connection = Call::new(code).with_progress().send(shared().address, Era::Modern);
    std::thread::sleep(Duration::from_secs(6));
    let mut response = connection.response().expect("an answer");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut response.body, &mut text).expect("the whole answer");
    let last = text.lines().rfind(|line| line.contains("structuredContent")).expect("a result");
    let message: serde_json::Value =
        serde_json::from_str(last.trim_start_matches("data:").trim()).expect("JSON");
    let result = &message["result"]["structuredContent"];
    assert_eq!(result["status"], "ok", "{message:#.300}");
    let wall = result["usage"]["wall_ms"].as_u64().expect("wall_ms");
    assert!(wall < 5000, "{wall} ms");
    assert_eq!(result["stdout_bytes"].as_u64().expect("bytes") >> 20, 40);
}

#[test]
fn silence_is_broken_by_a_heartbeat() {
    let call = Call::new("import time\ntime.sleep(22)").with_progress();
    let answer = call.answer(shared().address, Era::Modern).expect("ok");
    let gaps = answer.progress.windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(answer.progress.len() >= 2, "only {} messages in 22 s", answer.progress.len());
    assert!(gaps.max().is_some_and(|gap| gap < Duration::from_secs(16)), "too long a silence");
    assert_strictly_increasing(&answer);
}
