//! What a check is, and the page that lists all of them: `docs/doctor.md`, which a test holds equal.
#![forbid(unsafe_code)]

mod table;

pub(super) use table::{CHECKS, LANDLOCK, RLIMITS};

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) means: &'static str,
    /// The usual way to mend it; a fact needs none.
    pub(super) fix: Option<&'static str>,
}

/// Parts of the table: the first word of an id, and what its checks are about.
pub(super) const GROUPS: [(&str, &str); 7] = [
    ("host", "this host"),
    ("start", "what a start needs"),
    ("step", "steps of confining, each really made"),
    ("cgroup", "where hard limits come from"),
    ("wall", "walls, touched from inside a confined run"),
    ("limit", "limits, reached by a confined run"),
    ("run", "the run that touched them"),
];

/// The check of this id.
pub(super) fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

/// All of it as a page of Markdown: `primcs doctor --checks`, and docs/doctor.md.
pub(super) fn page() -> String {
    let mut page = PREFACE.to_owned();
    for (group, about) in GROUPS {
        page.extend([
            "\n## ",
            group,
            ": ",
            about,
            "\n\n| id | means | usual fix |\n| --- | --- | --- |\n",
        ]);
        for check in CHECKS.iter().filter(|check| check.id.split('.').next() == Some(group)) {
            let fix = check.fix.unwrap_or("none needed");
            let [means, fix] = [check.means, fix].map(|text| text.replace('|', "\\|"));
            page.extend(["| `", check.id, "` | ", &means, " | ", &fix, " |\n"]);
        }
    }
    page
}

const PREFACE: &str = "\
# primcs doctor

This page is printed by `primcs doctor --checks`; a test holds it equal.

`primcs doctor` starts a supervisor exactly as `primcs serve` would, with the same flags and settings, and has \
it confine runs. One of them, the *probe*, touches the walls listed below from inside and runs into the limits \
on memory, processes, CPU time, disk, files and descriptors; it has the real policy, and limits so small that \
each is reached at little cost. What the kernel counts (memory, processes, CPU time) is judged by the kernel's \
counters; for the walls there is the word of our own program, beside which nothing foreign runs. The same probe \
decides whether any `primcs serve`, `stdio` or `run` starts at all. `/readyz` asks for it at most every 10 s, \
without running into the limits on memory and processes, of which the kernel's log would tell each time: that \
they are set is read back, and the rest is touched; it names the checks that `failed`.

Three ordinary runs, by doctor alone, go on beyond what the supervisor and the server keep: time \
(`limit.wall`), output (`limit.output`) and network sockets (`limit.sockets`). Only read back, not reached: the \
core limit (`limit.core`) and the other resource limits (`limit.rlimits`); and `tcp_rmem`, which each run's \
init reads back before it goes on. How much of output is kept, and the sizes of a call, belong to the server \
and are not tried here.

Where a step fails, what comes before it has passed and what comes after was not tried. Where only cgroups are \
missing, doctor goes on without and shows all the rest, and says that primcs would refuse to start unless told \
`--allow-soft-limits`, or that you have told it (flag, `PRIMCS_ALLOW_SOFT_LIMITS` or file). With cgroup v1, hybrid too, the verdict says that its limits are of the weaker kind.

| exit status | `verdict` | |
| --- | --- | --- |
| 0 | `confined` | runs are confined, with hard limits |
| 0 | `soft_limits` | runs are confined, nothing limits memory, processes and CPU, and `allow_soft_limits` is set: primcs starts |
| 1 | `not_confined` | no run can be confined: primcs refuses to start |
| 2 | | the command line is wrong |
| 3 | `soft_limits` | runs are confined, but nothing limits memory, processes and CPU, and nobody has allowed that: primcs refuses to start unless told `--allow-soft-limits` |

`primcs doctor --json` prints one object. These fields stay as they are while `format` is 1: `format`; \
`verdict` and `exit_status` as above; `ready`, false with exit status 1; `failed`, the ids of what failed; \
`failure`, the same as a sentence or null; `checks`, a list with one object for each line of the tables \
below, in the order of a start: `id`; `status`, one of `ok`, `failed`, `missing` (weaker than it could be, \
but runs are confined) and `not_checked`; `seen`, what was found, perhaps empty; `means`; `fix`, one thing to \
do, null unless failed or missing. `fix` is for this host; the tables below name the usual one. Where the \
start succeeded those of `/readyz` are there too, but for `draining`.

In a build with the feature `weaken`, which no release has, a start without a wall is refused like any other, \
unless a test takes the barrier `start_gate` away; doctor and `/readyz` report all \
the same.
";
