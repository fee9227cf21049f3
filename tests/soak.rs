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
    use std::ops::Range;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    use super::counts::{AFTER_FLOODS, AFTER_PRINTS, Counter, Counts};
    use super::mix::{CANCELLED, KINDS, Kind, LEFT, LEFT_AT_ONCE, PRINT, kind_of};
    use super::support::aloud::say;
    use super::support::mcp::{Call, Era, run};
    use super::support::places::hold;
    use super::support::processes::{descendants, eventually};
    use super::support::server::Server;
    use super::support::stdio::StdioClient;

    const CLIENTS: usize = 16;
    const PLACES: usize = CLIENTS;
    const SAMPLE: Duration = Duration::from_secs(1);
    /// For a run to be gone, with sixteen others on two cores.
    const SOON: Duration = Duration::from_secs(10);

    /// One soak at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the leg of prints alone.
    const WARM_PRINTS: u64 = 200;
    const PRINTS: u64 = 1_500;

    fn runs() -> u64 {
        std::env::var("PRIMCS_TEST_RUNS").map_or(2_000, |n| n.parse().expect("a number"))
    }

    /// The counts of a whole soak, in a file when one is wanted.
    struct Record {
        began: Instant,
        file: Option<File>,
    }

    impl Record {
        fn nowhere() -> Self {
            Self { began: Instant::now(), file: None }
        }

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

    /// Who is called: sixteen at a time over HTTP, one at a time over stdio.
    struct Called {
        server: Server,
        over_stdio: Mutex<StdioClient>,
    }

    impl Called {
        /// Both have run something: their control groups are made.
        fn start() -> Self {
            let mut client = StdioClient::start(Era::Modern);
            let first = client.call(&Call::new("print(1)"));
            client.answer(first);
            let server = Server::start(&["--max-runs", &PLACES.to_string()]);
            run(server.address, "print(1)").expect("ok");
            Self { server, over_stdio: Mutex::new(client) }
        }
    }

    /// proves: ending mounts
    #[test]
    fn thousands_of_runs_get_their_verdicts_and_leave_nothing() {
        let _alone = alone();
        let total = runs();
        let called = Called::start();
        let counter = Counter::of(called.server.pid());
        let of_stdio = Counter::of(called.over_stdio.lock().expect("a client").pid());
        let mut record = Record::open();
        // A tenth first: caches fill, pools of threads and memory find their size.
        let mut seen = drive(&called, &counter, &mut record, 0..total / 10, kind_of);
        let before = [counter.when_quiet(), of_stdio.when_quiet()];
        seen.extend(drive(&called, &counter, &mut record, total / 10..total, kind_of));
        let after = counter.assert_no_more_than(&before[0], AFTER_FLOODS);
        of_stdio.assert_no_more_than(&before[1], AFTER_PRINTS);
        record.add(total, &after);
        let took = record.began.elapsed().as_secs_f64();
        let count = |kind: &str| whole(seen.iter().filter(|name| **name == kind).count());
        for kind in KINDS {
            say(&format!("{}: {}", kind.name, count(kind.name)));
            // Of a thousand runs each is one at least.
            let is_due = total >= 1_000 && kind.is_tried();
            assert!(count(kind.name) > 0 || !is_due, "no {}", kind.name);
        }
        say(&format!("{total} runs in {took:.0} s; before the last nine tenths and after:"));
        for line in [Counts::HEADER, &before[0].to_string(), &after.to_string()] {
            say(line);
        }
        // Of those whose client left at once some had not begun.
        let cancelled = called.server.metric("primcs_runs_total{status=\"cancelled\"}");
        let most = count(LEFT) + count(LEFT_AT_ONCE);
        assert!((count(LEFT)..=most).contains(&cancelled), "{cancelled} cancelled, {most} left");
        every_place_is_free(&called.server);
    }

    /// Floods and bombs make the allocator's share go up and down by megabytes, in which a small loss
    /// in each run would not be seen. Prints do not.
    #[test]
    fn prints_alone_leave_the_server_as_small_as_it_was() {
        let _alone = alone();
        let called = Called::start();
        let counter = Counter::of(called.server.pid());
        let mut record = Record::nowhere();
        drive(&called, &counter, &mut record, 0..WARM_PRINTS, |_| &PRINT);
        let before = counter.when_quiet();
        let all = WARM_PRINTS..WARM_PRINTS + PRINTS;
        drive(&called, &counter, &mut record, all, |_| &PRINT);
        let after = counter.assert_no_more_than(&before, AFTER_PRINTS);
        let took = record.began.elapsed().as_secs_f64();
        say(&format!(
            "prints alone: {} in {took:.0} s; after {WARM_PRINTS} and after all:",
            WARM_PRINTS + PRINTS
        ));
        for line in [Counts::HEADER, &before.to_string(), &after.to_string()] {
            say(line);
        }
    }

    /// Makes the runs with these numbers and says of which kind each was.
    fn drive(
        called: &Called,
        counter: &Counter,
        record: &mut Record,
        numbers: Range<u64>,
        kind_of: impl Fn(u64) -> &'static Kind + Sync,
    ) -> Vec<&'static str> {
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
                            one(called, kind, number);
                            seen.lock().expect("seen").push(kind.name);
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            while clients.iter().any(|client| !client.is_finished()) {
                record.add(done.load(Ordering::Relaxed), &counter.now());
                std::thread::sleep(SAMPLE);
            }
        });
        seen.into_inner().expect("seen")
    }

    fn one(called: &Called, kind: &Kind, number: u64) {
        let address = called.server.address;
        let era = if number.is_multiple_of(2) { Era::Modern } else { Era::Legacy };
        let mut call = Call::new(kind.code);
        if let Some(seconds) = kind.timeout {
            call = call.timeout(seconds);
        }
        match (kind.name, kind.status) {
            (CANCELLED, _) => cancel(&mut called.over_stdio.lock().expect("a client"), &call),
            (LEFT_AT_ONCE, _) => drop(call.send(address, era)),
            (LEFT, _) => call.with_progress().stream(address, era).wait_for("under way"),
            (_, status) => {
                let answer = if number.is_multiple_of(3) { call.with_progress() } else { call }
                    .answer(address, era)
                    .expect(status.expect("a verdict"));
                if let Some(stdout) = kind.stdout {
                    assert_eq!(answer.stdout(), stdout, "run {number}");
                }
            }
        }
    }

    /// Nobody gets an answer to what has been cancelled, so the kernel says that it has ended.
    fn cancel(client: &mut StdioClient, call: &Call) {
        // The supervisor and its nursery.
        let is_alone = || descendants(client.pid()).len() == 2;
        assert!(eventually(SOON, is_alone), "a run is left: {:?}", descendants(client.pid()));
        let id = client.call(&call.clone().with_progress());
        client.wait_for("under way");
        assert!(descendants(client.pid()).len() > 2, "the run is not below the server");
        client.cancel(id);
        let is_alone = || descendants(client.pid()).len() == 2;
        assert!(eventually(SOON, is_alone), "it goes on: {:?}", descendants(client.pid()));
    }

    fn whole(count: usize) -> u64 {
        u64::try_from(count).expect("a count")
    }

    /// A place or a host id that is not given back is missing now.
    fn every_place_is_free(server: &Server) {
        drop(hold(server, PLACES));
        let back = eventually(SOON, || {
            Call::new("print(1)").answer(server.address, Era::Modern).status() == "ok"
        });
        assert!(back, "no place is free");
    }
}
