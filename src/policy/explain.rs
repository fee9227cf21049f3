//! The policy as text for people, made from the very value that is enforced.
//!
//! What is not listed comes first, since that is most of what a reader wants to know.
//! `docs/policy.md` is this text; `make policy` writes it anew. Only the server half has it: nothing
//! in the privileged half explains.
#![forbid(unsafe_code)]

mod limits;
mod mounts;
mod process;
mod seccomp;

use super::Policy;
use super::reason::Reason;
use super::seccomp::Call;

/// A name that `explain` knows nothing about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is neither a part of the policy nor a system call; ask for {}, or for a call such as \"clone\"",
    PARTS.map(|(part, _)| part).join(", ")
)]
pub struct UnknownName {
    /// As asked for.
    pub name: String,
}

/// The whole policy, or one part of it, or what one system call gets.
pub fn explain(policy: &Policy, name: Option<&str>) -> Result<String, UnknownName> {
    let Some(name) = name else { return Ok(whole(policy)) };
    if let Some((_, part)) = PARTS.iter().find(|(own, _)| *own == name) {
        return Ok(part(policy).finish());
    }
    match Call::named(name) {
        Some(call) => Ok(seccomp::one_call(policy, call).finish()),
        None => Err(UnknownName { name: name.to_owned() }),
    }
}

fn whole(policy: &Policy) -> String {
    let mut text = Text::default();
    text.heading(1, "What a run may do, and why");
    text.paragraph(&format!(
        "This text is printed by `primcs policy explain` from the policy in force, digest `{}`. \
         Do not edit it; edit `policy/*.toml` and run `make policy`.",
        policy.digest
    ));
    text.heading(2, "Everything else");
    text.item(
        "a system call that no rule names",
        &format!("fails with {}", policy.seccomp_run.otherwise.errno),
        &policy.seccomp_run.otherwise.reason,
    );
    text.plain_item(
        "a call of a foreign architecture (32-bit) ends the process; x32 numbers do not exist",
    );
    text.plain_item("a file, directory or program that is not listed is not there: the root of a run is built from nothing");
    text.plain_item("an environment variable that is not listed is not set: nothing of the host's comes through");
    text.plain_item("a limit without a ceiling cannot be changed by a call");
    text.plain_item("there is no network, no capability, no device but the listed ones, and no way to make a namespace or a mount; no policy file can change that");
    for (_, part) in PARTS {
        text.append(part(policy));
    }
    text.finish()
}

type Part = fn(&Policy) -> Text;

const PARTS: [(&str, Part); 5] = [
    ("limits", |policy| limits::explain(&policy.limits)),
    ("process", |policy| process::explain(&policy.process)),
    ("mounts", |policy| mounts::explain(&policy.mounts)),
    ("seccomp-run", |policy| {
        seccomp::explain(&policy.seccomp_run, "System calls of a run (seccomp-run)")
    }),
    ("seccomp-server", |policy| {
        seccomp::explain(&policy.seccomp_server, "System calls of the server (seccomp-server)")
    }),
];

/// Text in the making, line by line: Markdown that reads well on a terminal too.
#[derive(Debug, Default)]
struct Text(Vec<String>);

impl Text {
    fn heading(&mut self, level: usize, title: &str) {
        if !self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.push(format!("{} {title}", "#".repeat(level)));
    }

    fn paragraph(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn item(&mut self, name: &str, value: &str, reason: &Reason) {
        let space = if value.is_empty() { "" } else { " " };
        self.0.push(format!("- {name}{space}{value}: {reason}"));
    }

    fn plain_item(&mut self, text: &str) {
        self.0.push(format!("- {text}"));
    }

    fn append(&mut self, mut part: Self) {
        self.0.push(String::new());
        self.0.append(&mut part.0);
    }

    fn finish(self) -> String {
        self.0.join("\n") + "\n"
    }
}

/// Names in code type, separated by spaces.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

/// The words of a list of flags, as the policy file writes them.
fn words<T: std::fmt::Debug>(items: &[T]) -> String {
    let word = |item: &T| {
        let mut word = String::new();
        for letter in format!("{item:?}").chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.extend(letter.to_lowercase());
        }
        word
    };
    items.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
