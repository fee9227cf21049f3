//! The policy as text for people, made from the very value that is enforced.
//!
//! What is not listed comes first, since that is most of what a reader wants to know. Each line says
//! what is allowed, why, what happens beyond it, and which test proves it. `docs/policy.md` is this
//! text; `make policy` writes it anew. Only the server half has it: nothing in the privileged half
//! explains.
#![forbid(unsafe_code)]

mod always;
mod ask;
mod limits;
mod mounts;
mod process;
mod proofs;
mod seccomp;
mod text;

use super::Policy;

pub use ask::UnknownName;
pub use proofs::{means, table};
pub use text::Entry;

use proofs::Proofs;
use text::{Item, Text};

/// The whole policy, or one part of it, or what it says about one call, limit, path or other name.
pub fn explain(policy: &Policy, name: Option<&str>) -> Result<String, UnknownName> {
    let text = match name {
        None => whole(policy),
        Some(name) => ask::about(policy, name)?,
    };
    Ok(text.finish(Proofs::of_the_built_in_policy()))
}

/// All that the policy decides, by the names that headers of tests use.
#[must_use]
pub fn entries(policy: &Policy) -> Vec<Entry> {
    whole(policy).entries()
}

fn whole(policy: &Policy) -> Text {
    let mut text = Text::default();
    text.heading(1, "What a run may do, and why");
    text.paragraph(&format!(
        "This text is printed by `primcs policy explain` from the policy in force, digest `{}`. \
         Do not edit it; edit `policy/*.toml` and run `make policy`. A proof is a test of this \
         repository, `cargo test --test FIRST SECOND` (`lib`: `cargo test --lib SECOND`); it is \
         named only where the value is the built-in one, which the tests run.",
        policy.digest
    ));
    text.append(everything_else(policy));
    for (_, part) in PARTS {
        text.append(part(policy));
    }
    text
}

/// What no line names.
fn everything_else(policy: &Policy) -> Text {
    let mut text = Text::default();
    text.heading(2, "Everything else");
    let [run, _] = seccomp::both(policy);
    text.add(run.otherwise("a system call that no rule names", ""));
    for (id, name, holds, reason) in REST {
        text.add(Item::new(name, holds, reason, vec![Entry::wall(id, holds)]));
    }
    text
}

const REST: [(&str, &str, &str, &str); 5] = [
    (
        "seccomp-run architecture",
        "a call of a foreign architecture (32-bit)",
        "ends the process",
        "its numbers mean other calls, so no rule here would hold for them",
    ),
    (
        "seccomp-run x32",
        "an `x32` number",
        "fails as a call that no rule names",
        "x32 numbers are a second name for every call (as a service, systemd's own filter ends the thread instead)",
    ),
    (
        "mounts root",
        "a file, directory or program that is not listed",
        "is not there",
        "the root of a run is built from nothing",
    ),
    (
        "process environment",
        "an environment variable that is not listed",
        "is not set",
        "nothing of the host's comes through",
    ),
    (
        "limits ceiling",
        "a limit without a ceiling",
        "cannot be changed by a call",
        "whoever sends code must not choose how much it gets",
    ),
];

type Part = fn(&Policy) -> Text;

const PARTS: [(&str, Part); 8] = [
    ("ending", always::ending),
    ("neighbours", always::neighbours),
    ("always", always::always),
    ("limits", |policy| limits::explain(&policy.limits)),
    ("process", |policy| process::explain(&policy.process)),
    ("mounts", |policy| mounts::explain(&policy.mounts)),
    ("seccomp-run", |policy| {
        let [run, _] = seccomp::both(policy);
        run.explain("System calls of a run (seccomp-run)")
    }),
    ("seccomp-server", |policy| {
        let [_, server] = seccomp::both(policy);
        server.explain("System calls of the server (seccomp-server)")
    }),
];

#[cfg(test)]
mod tests;
