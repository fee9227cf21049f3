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
use seccomp::one_call;

/// A name that `explain` knows nothing about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is nothing that the policy names; ask for {}, or for a system call (\"clone\"), a limit \
     (\"memory.max\"), a path (\"/usr\"), a variable (\"HOME\") or a tool (\"git\")",
    PARTS.map(|(part, _)| part).join(", ")
)]
pub struct UnknownName {
    /// As asked for.
    pub name: String,
}

/// The whole policy, or one part of it, or what it says about one call, limit, path or other name.
pub fn explain(policy: &Policy, name: Option<&str>) -> Result<String, UnknownName> {
    let Some(name) = name else { return Ok(whole(policy)) };
    if let Some((_, part)) = PARTS.iter().find(|(own, _)| *own == name) {
        return Ok(part(policy).finish());
    }
    // A name may be both: `umask` is a call and a setting.
    let mut found = Call::named(name).map_or_else(Text::default, |call| one_call(policy, call));
    let settled = settled_by(name);
    found.append(limits::explain(&policy.limits).about(settled));
    found.append(process::explain(&policy.process).about(settled));
    found.append(mounts::explain(&policy.mounts).about(settled));
    if found.0.is_empty() { Err(UnknownName { name: name.to_owned() }) } else { Ok(found.finish()) }
}

/// The entry that decides over a name which the files need not write out.
fn settled_by(name: &str) -> &str {
    let is_capability = name.to_ascii_uppercase().parse::<caps::Capability>().is_ok();
    if is_capability { "capabilities" } else { name }
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
struct Text(Vec<Line>);

#[derive(Debug)]
enum Line {
    Heading { level: usize, title: String },
    Item { name: String, text: String },
    Paragraph(String),
}

impl Text {
    fn heading(&mut self, level: usize, title: &str) {
        if !self.0.is_empty() {
            self.paragraph("");
        }
        self.0.push(Line::Heading { level, title: title.to_owned() });
    }

    fn paragraph(&mut self, text: &str) {
        self.0.push(Line::Paragraph(text.to_owned()));
    }

    fn item(&mut self, name: &str, value: &str, reason: &Reason) {
        let space = if value.is_empty() { "" } else { " " };
        let text = format!("- {name}{space}{value}: {reason}");
        self.0.push(Line::Item { name: name.to_owned(), text });
    }

    fn plain_item(&mut self, text: &str) {
        self.paragraph(&format!("- {text}"));
    }

    fn append(&mut self, mut part: Self) {
        if part.0.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.paragraph("");
        }
        self.0.append(&mut part.0);
    }

    /// The items of this name, each kind below its headings.
    fn about(self, asked: &str) -> Self {
        let (mut about, mut above) = (Self::default(), Vec::new());
        for line in self.0 {
            match line {
                Line::Heading { level, title } => {
                    above.retain(|(higher, _)| *higher < level);
                    above.push((level, title));
                }
                Line::Item { name, text } if is_named(&name, asked) => {
                    for (level, title) in above.drain(..) {
                        about.heading(level, &title);
                    }
                    about.0.push(Line::Item { name, text });
                }
                Line::Item { .. } | Line::Paragraph(_) => {}
            }
        }
        about
    }

    fn finish(self) -> String {
        let lines = self.0.into_iter().map(|line| match line {
            Line::Heading { level, title } => format!("{} {title}", "#".repeat(level)),
            Line::Item { text, .. } | Line::Paragraph(text) => text,
        });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    }
}

/// An item is named by all it says in code type, and by its parts: `tmpfs size` is `tmpfs.size`,
/// `rlimit nofile` also `nofile`, `HOME=/home/run` also `HOME`.
fn is_named(item: &str, asked: &str) -> bool {
    // Every second piece stands between backticks.
    item.split('`').skip(1).step_by(2).any(|name| {
        let variable = name.split_once('=').map(|(variable, _)| variable);
        name == asked
            || name.replace(' ', ".") == asked
            || name.split(' ').any(|word| word == asked)
            || variable == Some(asked)
    })
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
