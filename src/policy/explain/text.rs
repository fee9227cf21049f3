//! Text in the making, line by line: Markdown that reads well on a terminal too. Each line knows
//! which entries of the policy it speaks of, so that it can name the tests that prove them.
#![forbid(unsafe_code)]

use super::proofs::Proofs;
use crate::policy::reason::Reason;

/// One thing that the policy decides, by a name that the header of a test can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File and what stands in it: `limits memory.max`, `seccomp-run deny clone3`.
    pub id: String,
    /// What is decided. Another value than the built-in one is proved by no test of ours.
    pub value: String,
    /// Whether it keeps something out. Such an entry must be proved; one that only grants may be.
    pub is_wall: bool,
}

impl Entry {
    pub(super) fn wall(id: impl Into<String>, value: impl Into<String>) -> Self {
        Self { id: id.into(), value: value.into(), is_wall: true }
    }

    pub(super) fn grant(id: impl Into<String>, value: impl Into<String>) -> Self {
        Self { is_wall: false, ..Self::wall(id, value) }
    }
}

/// A line about some entries.
#[derive(Debug)]
pub(super) struct Item {
    /// What it is about; names stand in code type.
    pub(super) name: String,
    pub(super) text: String,
    beyond: Option<&'static str>,
    pub(super) entries: Vec<Entry>,
}

impl Item {
    pub(super) fn new(name: &str, value: &str, reason: &str, entries: Vec<Entry>) -> Self {
        let space = if value.is_empty() { "" } else { " " };
        let text = format!("- {name}{space}{value}: {reason}");
        Self { name: name.to_owned(), text, beyond: None, entries }
    }

    /// Says what stops whatever wants more.
    pub(super) fn beyond(self, beyond: &'static str) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    fn lines(self, proofs: &Proofs) -> String {
        let beyond = self.beyond.map(|text| format!("\n  - beyond it: {text}"));
        let proved = proofs.of(&self.entries).map(|text| format!("\n  - {text}"));
        self.text + &beyond.unwrap_or_default() + &proved.unwrap_or_default()
    }
}

/// Lines, in order.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) Vec<Line>);

#[derive(Debug)]
pub(super) enum Line {
    Heading { level: usize, title: String },
    Item(Item),
    Paragraph(String),
}

impl Text {
    pub(super) fn heading(&mut self, level: usize, title: &str) {
        if !self.0.is_empty() {
            self.paragraph("");
        }
        self.0.push(Line::Heading { level, title: title.to_owned() });
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.0.push(Line::Paragraph(text.to_owned()));
    }

    pub(super) fn add(&mut self, item: Item) {
        self.0.push(Line::Item(item));
    }

    /// A line about one entry that grants something.
    pub(super) fn grant(&mut self, id: &str, name: &str, value: &str, reason: &Reason) {
        self.add(Item::new(name, value, reason.as_str(), vec![Entry::grant(id, value)]));
    }

    /// A line about one entry that keeps something out.
    pub(super) fn wall(&mut self, id: &str, name: &str, value: &str, reason: &Reason) {
        self.add(Item::new(name, value, reason.as_str(), vec![Entry::wall(id, value)]));
    }

    pub(super) fn append(&mut self, mut part: Self) {
        if part.0.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.paragraph("");
        }
        self.0.append(&mut part.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The items of this name, each kind below its headings.
    pub(super) fn about(self, asked: &str) -> Self {
        self.keeping(|item| is_named(&item.name, asked))
    }

    /// The items with an entry whose id is this or begins with this and a space.
    pub(super) fn deciding(self, id: &str) -> Self {
        self.keeping(|item| {
            item.entries.iter().any(|own| {
                own.id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
        })
    }

    fn keeping(self, is_kept: impl Fn(&Item) -> bool) -> Self {
        let (mut kept, mut above) = (Self::default(), Vec::new());
        for line in self.0 {
            match line {
                Line::Heading { level, title } => {
                    above.retain(|(higher, _)| *higher < level);
                    above.push((level, title));
                }
                Line::Item(item) if is_kept(&item) => {
                    for (level, title) in above.drain(..) {
                        kept.heading(level, &title);
                    }
                    kept.add(item);
                }
                Line::Item(_) | Line::Paragraph(_) => {}
            }
        }
        kept
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().filter_map(|line| match line {
            Line::Item(item) => Some(item),
            Line::Heading { .. } | Line::Paragraph(_) => None,
        })
    }

    pub(super) fn entries(self) -> Vec<Entry> {
        let items = self.0.into_iter().filter_map(|line| match line {
            Line::Item(item) => Some(item.entries),
            Line::Heading { .. } | Line::Paragraph(_) => None,
        });
        items.flatten().collect()
    }

    pub(super) fn finish(self, proofs: &Proofs) -> String {
        let lines = self.0.into_iter().map(|line| match line {
            Line::Heading { level, title } => format!("{} {title}", "#".repeat(level)),
            Line::Item(item) => item.lines(proofs),
            Line::Paragraph(text) => text,
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
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

/// The word of a flag, as the policy file writes it.
pub(super) fn word<T: std::fmt::Debug>(item: &T) -> String {
    let mut word = String::new();
    for letter in format!("{item:?}").chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// The words of a list of flags.
pub(super) fn words<T: std::fmt::Debug>(items: &[T]) -> String {
    items.iter().map(word).collect::<Vec<_>>().join(", ")
}
