//! Thousands of runs of every kind, sixteen at a time: each gets the verdict it must get, and
//! nothing adds up. Counted while they run and afterwards, by the kernel's own account.
//!
//! `PRIMCS_TEST_RUNS` asks for more than CI has time for, `PRIMCS_TEST_SOAK` names a directory for
//! the counts; `make soak` gives both and draws them.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "soak/counts.rs"]
mod counts;

#[cfg(test)]
#[path = "soak/mix.rs"]
mod mix;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::counts::{Counter, Counts};
    use super::mix::{KINDS, Kind, kind_of};
    use super::support::aloud::say;
    use super::support::mcp::{Call, Era};
    use super::support::processes::eventually;
    use super::support::server::Server;

    const CLIENTS: usize = 16;
    const PLACES: usize = CLIENTS;
    const SAMPLE: Duration = Duration::from_secs(1);

    fn runs() -> u64 {
        std::env::var("PRIMCS_TEST_RUNS").map_or(2_000, |n| n.parse().expect("a number"))
    }

    /// The counts of a whole soak, in a file when one is wanted.
    struct Record {
        began: Instant,
        file: Option<File>,
    }

    impl Record {
        fn open() -> Self {
            let directory = std::env::var_os("PRIMCS_TEST_SOAK").map(PathBuf::from);
            let file = directory.map(|directory| {
                std::fs::create_dir_all(&directory).expect("a directory for the counts");
                let mut file = File::create(directory.join("soak.csv")).expect("soak.csv");
                writeln!(file, "seconds,runs,{}", Counts::HEADER).expect("soak.csv");
                file
            });
            Self { began: Instant::now(), file }
        }

        fn add(&mut self, runs: u64, counts: &Counts) {
            let seconds = self.began.elapsed().as_secs_f64();
            if let Some(file) = &mut self.file {
                writeln!(file, "{seconds:.1},{runs},{counts}").expect("soak.csv");
            }
        }
    }

    /// proves: ending mounts
    #[test]
    fn thousands_of_runs_get_their_verdicts_and_leave_nothing() {
        let total = runs();
        let server = Server::start(&["--max-runs", &PLACES.to_string()]);
        let counter = Counter::of(&server);
        let mut record = Record::open();
        // A tenth first: caches fill, pools of threads and memory find their size.
        let warm = drive(&server, &counter, &mut record, 0..total / 10);
        let before = counter.when_quiet(&server);
        let rest = drive(&server, &counter, &mut record, total / 10..total);
        let after = counter.when_quiet(&server);
        record.add(total, &after);
        let took = record.began.elapsed().as_secs_f64();
        for kind in KINDS {
            let count = |seen: &[(&str, u64)]| -> u64 {
                seen.iter().filter(|(name, _)| *name == kind.name).map(|(_, count)| count).sum()
            };
            say(&format!("{}: {}", kind.name, count(&warm) + count(&rest)));
        }
        say(&format!("{total} runs in {took:.0} s; before the last nine tenths and after:"));
        say(Counts::HEADER);
        say(&before.to_string());
        say(&after.to_string());
        after.assert_no_more_than(&before);
        every_place_is_free(&server);
    }

    /// Makes the runs with these numbers and says how many there were of each kind.
    fn drive(
        server: &Server,
        counter: &Counter,
        record: &mut Record,
        numbers: std::ops::Range<u64>,
    ) -> Vec<(&'static str, u64)> {
        let (next, done) = (AtomicU64::new(numbers.start), AtomicU64::new(numbers.start));
        let seen = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= numbers.end {
                                break;
                            }
                            let kind = kind_of(number);
                            one(server, kind, number);
                            seen.lock().expect("seen").push((kind.name, 1));
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            while clients.iter().any(|client| !client.is_finished()) {
                record.add(done.load(Ordering::Relaxed), &counter.now(server));
                std::thread::sleep(SAMPLE);
            }
        });
        seen.into_inner().expect("seen")
    }

    fn one(server: &Server, kind: &Kind, number: u64) {
        let era = if number.is_multiple_of(2) { Era::Modern } else { Era::Legacy };
        let mut call = Call::new(kind.code);
        if let Some(seconds) = kind.timeout {
            call = call.timeout(seconds);
        }
        match kind.status {
            // The client leaves when the program has said something, or before.
            None if kind.name == "left at once" => drop(call.send(server.address, era)),
            None => {
                let mut stream = call.with_progress().stream(server.address, era);
                stream.wait_for("under way");
            }
            Some(status) => {
                let answer = if number.is_multiple_of(3) { call.with_progress() } else { call }
                    .answer(server.address, era)
                    .expect(status);
                if let Some(stdout) = kind.stdout {
                    assert_eq!(answer.stdout(), stdout, "run {number}");
                }
            }
        }
    }

    /// A place or a host id that is not given back is missing now.
    fn every_place_is_free(server: &Server) {
        let call = Call::new("print('live', flush=True)\nimport time\ntime.sleep(60)");
        let live: Vec<_> = (0..PLACES)
            .map(|_| {
                let mut stream = call.clone().with_progress().stream(server.address, Era::Modern);
                stream.wait_for("live");
                stream
            })
            .collect();
        drop(live);
        let back = eventually(Duration::from_secs(5), || {
            Call::new("print(1)").answer(server.address, Era::Modern).status() == "ok"
        });
        assert!(back, "no place is free");
    }
}
