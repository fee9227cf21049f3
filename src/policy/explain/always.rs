//! What holds whatever the files say, because it is code: said here in words, so that a reader of
//! the policy alone can answer how a run ends and what it can see of another. Each line is proved
//! like one of the files'.
#![forbid(unsafe_code)]

use super::text::{Entry, Item, Text};
use crate::policy::Policy;
use crate::policy::quantity::Quantity as _;

/// `id`, what a reader may ask for, what holds, and why.
type Fact = (&'static str, &'static str, &'static str, &'static str);

pub(super) fn always(_policy: &Policy) -> Text {
    facts("What holds whatever the files say (always)", &ALWAYS)
}

pub(super) fn ending(policy: &Policy) -> Text {
    let mut text = facts("How a run ends, and what is left of it (ending)", &ENDING);
    let wall = &policy.limits.run.wall;
    let (value, ceiling) = (wall.value.to_text(), wall.ceiling.to_text());
    let reason = format!(
        "it ends with its program, its client, either half of PRIMCS, or after `wall` ({value}, at most {ceiling}), whichever comes first"
    );
    let holds = "outlives its call, whatever it starts";
    let entries = vec![Entry::grant("ending call", holds)];
    text.add(Item::new("so no run", holds, &reason, entries));
    text
}

pub(super) fn neighbours(_policy: &Policy) -> Text {
    let mut text = facts("What a run sees of its neighbours (neighbours)", &NEIGHBOURS);
    let holds = "can signal each other: the opposite is not promised";
    let reason = "they share one kernel and the inodes of the private copy, so load, timing, the page cache and `flock` on a readable file carry signals; nothing can be read so that the other side does not send (SECURITY.md, \"Not promised\")";
    let entries = vec![Entry::grant("neighbours channels", holds)];
    text.add(Item::new("two runs that both want to", holds, reason, entries));
    text
}

fn facts(title: &str, facts: &[Fact]) -> Text {
    let mut text = Text::default();
    text.heading(2, title);
    for (id, name, holds, reason) in facts {
        text.add(Item::new(name, holds, reason, vec![Entry::wall(*id, *holds)]));
    }
    text
}

const ALWAYS: [Fact; 7] = [
    (
        "always floor",
        "the `floor`",
        "holds for the files of an operator too",
        "there is no network but a loopback of its own, no capability, no device but the listed ones, and no way to make a namespace or a mount; a policy that would change that does not load",
    ),
    (
        "always trust",
        "the policy's `files`",
        "are read only where nobody else can write them",
        "whoever can change the policy could give a run more; each half reads it itself, and they compare digests",
    ),
    (
        "always init",
        "the `init` of a run, pid 1 inside,",
        "is not dumpable: it cannot be traced or read",
        "it has the same user id as the program and reports how that ended",
    ),
    (
        "always descriptors",
        "open `descriptors`: 0 is empty, 1, 2 and 3 are pipes to the server,",
        "everything else is closed before the first byte of foreign code",
        "a directory or socket of the host that stays open is a way out past every path",
    ),
    (
        "always ids",
        "the `ids` of a run on the host",
        "are never 0, and as root its own: no two live runs share one",
        "an id that two runs share is a way from one to the other; rootless, all have the user's own",
    ),
    (
        "always server",
        "the `server`, each of its threads,",
        "has no capability and carries its filter",
        "a bug in what reads from clients must not become a way to the host; as root it has an id of its own too, and no group",
    ),
    (
        "always supervisor",
        "the `supervisor`",
        "takes from the server bounded messages and no descriptor",
        "a server that was broken into cannot make it give a run more than a client could ask for",
    ),
];

const ENDING: [Fact; 7] = [
    (
        "ending program",
        "when the `program` ends",
        "every other process of the run is killed, stopped and detached ones too",
        "the whole cgroup and pid namespace are killed, not a list of processes; the answer does not wait for them",
    ),
    (
        "ending wall",
        "when its `time` is over",
        "the run is ended, whatever it does",
        "the clock runs in the supervisor: nothing in the run can stop it",
    ),
    (
        "ending client",
        "when its `client` leaves or cancels",
        "the run is ended within a second",
        "nobody waits for the answer any more",
    ),
    (
        "ending server",
        "when the `server` ends or is killed",
        "all runs end with it",
        "the supervisor ends every run when its one connection is gone",
    ),
    (
        "ending supervisor",
        "when the `supervisor` is killed",
        "all runs end with it",
        "the kernel kills the spawner with it, each init with the spawner, and everything else with its init",
    ),
    (
        "ending mounts",
        "whatever was `mounted` for a run, and all that it wrote,",
        "is gone with it",
        "its files are one tmpfs in its own mount namespace; nothing is mounted on the host; what stays is the answer and a line in the log",
    ),
    (
        "ending remains",
        "what `remains` after a crash, an empty cgroup at most,",
        "is removed by the next start, which touches only its own",
        "nobody is left to do it earlier",
    ),
];

const NEIGHBOURS: [Fact; 4] = [
    (
        "neighbours files",
        "`files`, sockets and shared memory of another run",
        "cannot be named",
        "each run has its own mount, network and ipc namespace and its own tmpfs; what they share is the private copy, read-only",
    ),
    (
        "neighbours processes",
        "`processes` of another run or of the host",
        "cannot be seen or signalled",
        "pid namespace; ids and signals end there",
    ),
    (
        "neighbours answers",
        "`answers` and run ids",
        "are never mixed up",
        "each run has pipes of its own, and ids are never used twice",
    ),
    (
        "neighbours load",
        "the `load` that one run makes",
        "does not keep another from being answered",
        "memory, processes, CPU, disk and output of each are bounded; see the limits",
    ),
];
