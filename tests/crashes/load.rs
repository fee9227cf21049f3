//! Clients that go on calling, each call with the answer it must get while nothing dies, and a
//! source of chance that can be had again.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::support::mcp::{Call, Era};
use super::support::stubborn::STUBBORN;

/// Chance that can be had again: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeded by `PRIMCS_TEST_SEED`, or by the clock; printed.
    pub(crate) fn seeded(test: &str) -> Self {
        let seed = std::env::var("PRIMCS_TEST_SEED").map_or_else(
            |_| {
                let now = std::time::SystemTime::now();
                let since = now.duration_since(std::time::UNIX_EPOCH).expect("a clock");
                u64::from(since.subsec_nanos())
            },
            |seed| seed.parse().expect("PRIMCS_TEST_SEED is a number"),
        );
        super::support::aloud::say(&format!("{test}: PRIMCS_TEST_SEED={seed}"));
        Self(seed)
    }

    /// Another one that goes its own way.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most.max(1)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(u64::try_from(from.len()).ok()?);
        from.get(usize::try_from(index).ok()?).cloned()
    }
}

/// What the clients run: code, seconds, and status and output that it must come to.
const MIX: [(&str, u64, &str, &str); 6] = [
    ("print(6 * 7)", 60, "ok", "42\n"),
    (STUBBORN, 1, "timeout", "under way\n"),
    ("import time\ntime.sleep(0.3)\nprint('slept')", 60, "ok", "slept\n"),
    ("print('soon')\nraise SystemExit(3)", 60, "error", "soon\n"),
    (
        "
        for n in range(8):
            with open(f'/workspace/output/{n}', 'wb') as file:
                file.write(b'x' * (1 << 20))
        print('written')
        ",
        60,
        "ok",
        "written\n",
    ),
    (
        "import subprocess\nprint(subprocess.check_output(['/bin/sh', '-c', 'echo child']).decode(), end='')",
        60,
        "ok",
        "child\n",
    ),
];

/// How one call ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As if nothing had died.
    Right,
    /// With a well-formed answer of another kind.
    Other(Value),
    /// Without an answer.
    Closed(io::Error),
}

fn call_once(address: SocketAddr, chance: &mut Chance) -> End {
    let (code, seconds, status, stdout) = chance.pick(&MIX).expect("a mix");
    let era = chance.pick(&Era::BOTH).expect("two eras");
    let answer = match Call::new(code).timeout(seconds).try_answer(address, era) {
        Ok(answer) => answer,
        Err(error) => {
            let hung = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
            assert!(!hung.contains(&error.kind()), "a call hung: {error}");
            return End::Closed(error);
        }
    };
    let result = &answer["result"]["structuredContent"];
    // On a busy machine its time may be up before Python is.
    let is_right = result["stdout"] == stdout || (status == "timeout" && result["stdout"] == "");
    if result["status"] == status && is_right {
        return End::Right;
    }
    End::Other(answer)
}

/// Fails unless the answer is a whole one that says what happened and what to do.
pub(crate) fn assert_clear(answer: &Value) {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    let result = &answer["result"]["structuredContent"];
    if result["status"] == "error" {
        assert!(result["signal"].is_string(), "no reason in {answer}");
        return;
    }
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    for field in ["code", "message", "next"] {
        let text = result["error"][field].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "no {field} in {answer}");
    }
}

/// Calls of several clients, for as long as `during` takes; then how each ended.
pub(crate) fn under_load<T>(
    address: SocketAddr,
    clients: usize,
    chance: &mut Chance,
    during: impl FnOnce(&mut Chance) -> T,
) -> (T, Vec<End>) {
    let (stop, ends) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let result = std::thread::scope(|scope| {
        for _ in 0..clients {
            let mut chance = chance.split();
            let (stop, ends) = (&stop, &ends);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let end = call_once(address, &mut chance);
                    let is_over = matches!(end, End::Closed(_));
                    ends.lock().expect("ends").push(end);
                    if is_over {
                        break;
                    }
                }
            });
        }
        let stops = Stops(&stop);
        let result = during(chance);
        drop(stops);
        result
    });
    (result, ends.into_inner().expect("ends"))
}

/// Also when `during` fails, or the clients would call for ever.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
