//! Many runs at once: none sees another, all are answered, and more than fits waits or is told so.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::support::aloud::not_tried;
    use super::support::mcp::{Answer, Call, Era, run};
    use super::support::places::{assert_places, hold};
    use super::support::processes::{assert_gone, descendants, eventually};
    use super::support::server::{Server, shared};

    /// Answers to the same call made at once by so many clients.
    fn at_once(
        server: &Server,
        count: usize,
        code: impl Fn(usize) -> String + Sync,
    ) -> Vec<Answer> {
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..count)
                .map(|n| {
                    let code = code(n);
                    scope.spawn(move || run(server.address, &code))
                })
                .collect();
            calls.into_iter().map(|call| call.join().expect("an answer")).collect()
        })
    }

    /// proves: neighbours answers
    #[test]
    fn many_runs_at_once_each_get_their_own_answer() {
        let code = |n| {
            format!(
                "import time\nopen('mine', 'w').write('{n}')\ntime.sleep(0.2)\nprint(open('mine').read())"
            )
        };
        for (n, answer) in at_once(shared(), 24, code).into_iter().enumerate() {
            assert_eq!(answer.expect("ok").stdout(), format!("{n}\n"));
        }
    }

    /// proves: neighbours answers
    #[test]
    fn run_ids_never_repeat() {
        let answers = at_once(shared(), 12, |_| "print(1)".to_owned());
        let ids: BTreeSet<_> =
            answers.iter().map(|answer| answer.text("run_id").to_owned()).collect();
        assert_eq!(ids.len(), 12, "{ids:?}");
        assert!(ids.iter().all(|id| id.len() >= 8), "{ids:?}");
    }

    /// A neighbour that has left traces wherever it can, and the code that looks for them.
    const NEIGHBOUR: &str = "
        import os, socket, time
        for place in ('/workspace', '/tmp', '/dev/shm', '/home/run', '/venv', '/workspace/output'):
            with open(place + '/neighbour-was-here', 'w') as trace:
                trace.write('secret of the neighbour')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind('\\0neighbour')
        listener.listen()
        tcp = socket.create_server(('127.0.0.1', 4711))
        print('traces left', flush=True)
        time.sleep(20)
    ";

    const LOOK: &str = "
        import ctypes, os, signal, socket
        found = []
        for place in ('/workspace', '/tmp', '/dev/shm', '/home/run', '/venv', '/workspace/output'):
            for name in os.listdir(place):
                if 'neighbour' in name:
                    found.append(place)
        for family, address in ((socket.AF_UNIX, '\\0neighbour'), (socket.AF_INET, ('127.0.0.1', 4711))):
            with socket.socket(family) as client:
                if client.connect_ex(address) == 0:
                    found.append(address)
        found += [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 2]
        print(found)
    ";

    /// proves: neighbours files; neighbours processes
    #[test]
    fn a_run_cannot_see_another_runs_files_sockets_or_processes() {
        let call = Call::new(NEIGHBOUR).with_progress();
        let mut neighbour = call.stream(shared().address, Era::Modern);
        neighbour.wait_for("traces left");
        assert_eq!(run(shared().address, LOOK).expect("ok").stdout(), "[]\n");
        // The look itself works: the neighbour finds its own.
        let own =
            NEIGHBOUR.replace("time.sleep(20)", "").replace("print('traces left', flush=True)", "");
        let answer = run(shared().address, &[own.as_str(), LOOK].concat()).expect("ok");
        assert!(answer.stdout().contains("/dev/shm"), "{}", answer.stdout());
        assert!(answer.stdout().contains("neighbour'"), "{}", answer.stdout());
    }

    /// proves: neighbours files; ending mounts
    #[test]
    fn nothing_of_an_earlier_run_is_found() {
        let leaves = NEIGHBOUR.replace("time.sleep(20)", "");
        for _ in 0..3 {
            run(shared().address, &leaves).expect("ok");
            assert_eq!(run(shared().address, LOOK).expect("ok").stdout(), "[]\n");
        }
    }

    /// proves: neighbours processes; process namespace pid
    #[test]
    fn a_run_that_signals_all_it_can_reach_harms_no_neighbour() {
        let call =
            Call::new("import time\nprint('here', flush=True)\ntime.sleep(2)\nprint('well')");
        let mut neighbour = call.with_progress().stream(shared().address, Era::Modern);
        neighbour.wait_for("here");
        let code = "
            import os, signal
            for pid in [-1, *range(3, 40000)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        ";
        run(shared().address, code).expect("ok");
        assert_eq!(neighbour.answer().expect("ok").stdout(), "here\nwell\n");
    }

    /// Host ids of runs that are live together, as the kernel of the host sees them.
    fn ids_of_live_runs(server: &Server) -> Vec<u32> {
        run(server.address, "print(1)").expect("ok");
        let supervisor = server.supervisor();
        let before = descendants(supervisor.pid);
        let mut ids = Vec::new();
        let mut known = before;
        let mut live = Vec::new();
        for _ in 0..3 {
            live.extend(hold(server, 1));
            let now = descendants(supervisor.pid);
            let new: BTreeSet<_> = now
                .difference(&known)
                .filter_map(super::support::processes::Process::uid)
                .collect();
            assert_eq!(new.len(), 1, "one id a run: {new:?}");
            ids.extend(new);
            known = now;
        }
        ids
    }

    /// proves: always ids
    #[test]
    fn live_runs_never_share_a_host_id() {
        if !nix::unistd::geteuid().is_root() {
            not_tried("rootless runs share the user's one id, as SECURITY.md says");
            return;
        }
        let ids = ids_of_live_runs(&Server::start(&[]));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
        assert!(ids.iter().all(|id| *id > 2_000_000_000), "{ids:?}");
        let shared = ids_of_live_runs(&Server::weakened(&["user_ids"]));
        assert_eq!(shared.iter().collect::<BTreeSet<_>>().len(), 1, "without user_ids: {shared:?}");
    }

    #[test]
    fn more_runs_than_places_wait_their_turn() {
        let server = Server::start(&["--max-runs", "2"]);
        assert_places(&server, 2);
        for answer in at_once(&server, 8, |_| "print('mine')".to_owned()) {
            assert_eq!(answer.expect("ok").stdout(), "mine\n");
        }
    }

    /// proves: limits call queue
    #[test]
    fn a_full_queue_says_busy_and_when_to_come_back() {
        let server = Server::start(&["--max-runs", "1"]);
        let call = Call::new("import time\ntime.sleep(30)").with_progress();
        let mut first = call.stream(server.address, Era::Modern);
        first.progress().expect("it is under way");
        // The queue holds 512; what comes after that is told at once.
        let waiting: Vec<_> =
            (0..540).map(|_| Call::new("print(1)").send(server.address, Era::Modern)).collect();
        let full = || server.metric("primcs_runs_queued") == 512;
        assert!(eventually(Duration::from_secs(20), full), "the queue never fills");
        let asked = Instant::now();
        let answer = run(server.address, "print(1)").expect("busy");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(answer.is_error());
        let again = answer.result().pointer("/error/retry_after_ms");
        let again = again.or_else(|| answer.result().get("retry_after_ms"));
        assert!(again.and_then(serde_json::Value::as_u64).is_some_and(|ms| ms > 0), "{answer:?}");
        drop(waiting);
        drop(first);
        let back = eventually(Duration::from_secs(10), || {
            run(server.address, "print(1)").status() == "ok"
        });
        assert!(back, "it does not recover from a full queue");
    }

    #[test]
    fn several_servers_live_side_by_side() {
        let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
        let ids: BTreeSet<_> = servers
            .iter()
            .map(|server| {
                let code = "print(open('/proc/self/uid_map').read().split()[1])";
                run(server.address, code).expect("ok").stdout().to_owned()
            })
            .collect();
        if nix::unistd::geteuid().is_root() {
            assert_eq!(ids.len(), 3, "blocks of host ids overlap: {ids:?}");
        }
        let [first, second, third] = servers;
        let of_first = descendants(first.pid());
        drop(first);
        assert_gone(&of_first, Duration::from_secs(1));
        for server in [&second, &third] {
            run(server.address, "print(1)").expect("ok");
        }
    }
}
