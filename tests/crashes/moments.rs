//! `kill -9` at random moments while clients go on calling. `PRIMCS_TEST_SEED` has the same again
//! (as far as the machine's own timing allows), `PRIMCS_TEST_MOMENTS` asks for more of each kind.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::load::{Chance, End, assert_clear, under_load};
use super::remains::{AT_ONCE, Neighbour, Scene, alone};
use super::support::aloud::say;
use super::support::mcp::run;
use super::support::processes::{Process, descendants, eventually};
use super::support::programs::limits_are_hard;
use super::support::server::Server;

/// Of each kind; there are five.
fn moments() -> u64 {
    std::env::var("PRIMCS_TEST_MOMENTS").map_or(20, |n| n.parse().expect("a number"))
}

const CLIENTS: usize = 4;

/// Longest load before a kill: every run of the mix comes to its middle.
const LONGEST_MS: u64 = 400;

/// Chance decides the moment; nothing is waited for.
fn let_a_moment_pass(chance: &mut Chance) {
    std::thread::sleep(Duration::from_micros(chance.below(LONGEST_MS * 1000)));
}

fn kill_9(process: &Process) {
    // It may have ended by itself just now.
    let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
}

fn status_of(answer: &Value) -> &str {
    answer["result"]["structuredContent"]["status"].as_str().unwrap_or_default()
}

/// Times of a kind of death, for the log and docs/design.md.
struct Times {
    of: &'static str,
    worst: Duration,
    processes: usize,
    deaths: u64,
}

impl Times {
    const fn new(of: &'static str) -> Self {
        Self { of, worst: Duration::ZERO, processes: 0, deaths: 0 }
    }

    fn add(&mut self, took: Duration, processes: usize) {
        self.worst = self.worst.max(took);
        self.processes = self.processes.max(processes);
        self.deaths += 1;
    }

    fn tell(&self) {
        say(&format!(
            "kill -9 of {}: {} times, at most {} processes at once, gone within {:?}",
            self.of, self.deaths, self.processes, self.worst
        ));
    }
}

/// One half of a server dies, again and again, and each time another takes its place.
fn kill_a_half(of: &'static str, half: impl Fn(&Server) -> Process, judge: impl Fn(&str, &End)) {
    let _alone = alone();
    let mut chance = Chance::seeded(of);
    let neighbour = Neighbour::start();
    let mut times = Times::new(of);
    let mut server = Server::start(&[]);
    let mut groups = 0;
    for moment in 0..moments() {
        let what = format!("{of}, moment {moment}");
        let victim = half(&server);
        let ((scene, took), ends) = under_load(server.address, CLIENTS, &mut chance, |chance| {
            let_a_moment_pass(chance);
            let scene = Scene::of(&server);
            kill_9(&victim);
            let took = scene.assert_gone(&what, &[&neighbour.server], true);
            (scene, took)
        });
        times.add(took, scene.len());
        groups += scene.groups();
        let status = server.wait();
        assert!(!status.success(), "{what}: the server looks healthy: {status}");
        for end in &ends {
            judge(&what, end);
        }
        server = Server::start(&[]);
        scene.assert_removed(&what);
        assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n", "{what}");
        neighbour.assert_unharmed(&what);
    }
    // Or nothing was shown of what becomes of them.
    assert!(groups > 0 || !limits_are_hard(), "{of}: no run was in a control group");
    times.tell();
    neighbour.end();
}

/// proves: ending supervisor; ending mounts; ending remains
#[test]
fn a_supervisor_killed_at_any_moment_takes_its_runs_along_and_callers_are_told() {
    kill_a_half("the supervisor", Server::supervisor, |what, end| match end {
        End::Right | End::Closed(_) => {}
        End::Other(answer) => {
            assert_clear(answer);
            let status = status_of(answer);
            // A run that was under way has ended otherwise than the supervisor could tell.
            assert!(["sandbox_failed", "killed"].contains(&status), "{what}: {answer}");
        }
    });
}

/// proves: ending server; ending mounts
#[test]
fn a_server_killed_at_any_moment_takes_everything_along_and_closes_its_connections() {
    let half = |server: &Server| {
        super::support::processes::process(server.pid()).expect("the server lives")
    };
    kill_a_half("the server", half, |what, end| {
        assert!(matches!(end, End::Right | End::Closed(_)), "{what}: {end:?}");
    });
}

/// Inits are the supervisor's children, as the nursery is.
fn inits(supervisor: &Process, nursery: &Process) -> Vec<Process> {
    descendants(supervisor.pid)
        .into_iter()
        .filter(|one| one.parent() == Some(supervisor.pid) && one != nursery)
        .collect()
}

fn nursery_of(supervisor: &Process) -> Process {
    let only = || descendants(supervisor.pid);
    assert!(eventually(AT_ONCE, || only().len() == 1), "more than the nursery: {:?}", only());
    only().into_iter().next().expect("a nursery")
}

/// A process of one run dies under load, again and again, in one server. `others` says which answers
/// the run itself may get.
fn kill_in_a_run(
    of: &'static str,
    victim: impl Fn(&Process) -> Option<Process>,
    of_the_run: impl Fn(&Value) -> bool,
) {
    let _alone = alone();
    let mut chance = Chance::seeded(of);
    let server = Server::start(&[]);
    let supervisor = server.supervisor();
    let nursery = nursery_of(&supervisor);
    let mut times = Times::new(of);
    let (deaths, ends) = under_load(server.address, CLIENTS, &mut chance, |chance| {
        let mut deaths = 0;
        for moment in 0..moments() {
            let what = format!("{of}, moment {moment}");
            let_a_moment_pass(chance);
            let until = Instant::now() + Duration::from_secs(30);
            let (scene, victim) = loop {
                let init = chance.pick(&inits(&supervisor, &nursery));
                let found = init.and_then(|init| Some((Scene::of_run(&init), victim(&init)?)));
                if let Some(found) = found {
                    break found;
                }
                assert!(Instant::now() < until, "{what}: no run to kill in");
            };
            kill_9(&victim);
            deaths += 1;
            times.add(scene.assert_gone(&what, &[&server], false), scene.len());
            scene.assert_removed(&what);
        }
        deaths
    });
    let mut hit = 0;
    for end in &ends {
        match end {
            End::Right => {}
            End::Other(answer) if of_the_run(answer) => {
                assert_clear(answer);
                hit += 1;
            }
            End::Other(answer) => panic!("{of}: a call got {answer}"),
            End::Closed(error) => panic!("{of}: a call got no answer: {error}"),
        }
    }
    // One that was on its way out already is no death of a run.
    assert!(hit <= deaths && hit * 2 >= deaths, "{of}: {hit} runs told of {deaths} deaths");
    times.tell();
    say(&format!("{of}: {} calls, {hit} of them hit", ends.len()));
    assert!(nursery.lives() && supervisor.lives(), "{of}: more died than that");
}

#[test]
fn an_init_killed_at_any_moment_ends_its_run_alone() {
    kill_in_a_run("an init", |init| Some(init.clone()), |answer| status_of(answer) == "killed");
}

#[test]
fn a_program_killed_at_any_moment_ends_its_run_alone() {
    let program = |init: &Process| {
        descendants(init.pid).into_iter().find(|one| one.parent() == Some(init.pid))
    };
    kill_in_a_run("a program", program, |answer| {
        let result = &answer["result"]["structuredContent"];
        result["status"] == "error" && result["signal"] == "SIGKILL"
    });
}

#[test]
fn a_nursery_killed_at_any_moment_harms_no_run_and_is_replaced() {
    let _alone = alone();
    let of = "the nursery";
    let mut chance = Chance::seeded(of);
    let server = Server::start(&[]);
    let supervisor = server.supervisor();
    let _ = nursery_of(&supervisor);
    let (worst, ends) = under_load(server.address, CLIENTS, &mut chance, |chance| {
        let mut worst = Duration::ZERO;
        let mut nursery: Option<Process> = None;
        for moment in 0..moments() {
            let found = || {
                let child = |one: &Process| one.parent() == Some(supervisor.pid);
                let own = supervisor.namespace("pid");
                descendants(supervisor.pid).into_iter().filter(child).find(|one| {
                    // An init is in a namespace of its own; what has just died is in none.
                    Some(one) != nursery.as_ref() && one.namespace("pid") == own && one.lives()
                })
            };
            let asked = Instant::now();
            let mut next = found();
            eventually(Duration::from_secs(10), || {
                next = found();
                next.is_some()
            });
            let victim = next.unwrap_or_else(|| panic!("moment {moment}: no new nursery"));
            worst = worst.max(asked.elapsed());
            let_a_moment_pass(chance);
            kill_9(&victim);
            nursery = Some(victim);
        }
        worst
    });
    for end in &ends {
        assert!(matches!(end, End::Right), "{of}: a call got {end:?}");
    }
    say(&format!(
        "kill -9 of {of}: {} times, {} calls, all answered as if nothing had happened; another after {worst:?} at most",
        moments(),
        ends.len()
    ));
    assert_eq!(run(server.address, "print('next')").expect("ok").stdout(), "next\n");
    assert!(supervisor.lives(), "{}", server.log());
}
