//! Policy files in the making. Random bytes are no policy, so most inputs are the embedded files with a
//! few edits: that is how an operator gets one wrong, and how an attacker would loosen one unseen.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// Names and texts of the files as they are embedded.
const FILES: [(&str, &str); 5] = [
    ("limits.toml", include_str!("../../policy/limits.toml")),
    ("mounts.toml", include_str!("../../policy/mounts.toml")),
    ("process.toml", include_str!("../../policy/process.toml")),
    ("seccomp-run.toml", include_str!("../../policy/seccomp-run.toml")),
    ("seccomp-server.toml", include_str!("../../policy/seccomp-server.toml")),
];

/// What a folder of replacements holds.
#[derive(Debug, Arbitrary)]
pub enum Folder<'a> {
    /// One file, byte for byte.
    Raw(u8, &'a str),
    /// The embedded files with these changes.
    Edited(Vec<Edit<'a>>),
}

/// One change of one line.
#[derive(Debug, Arbitrary)]
pub struct Edit<'a> {
    file: u8,
    line: u16,
    what: Change<'a>,
}

#[derive(Debug, Arbitrary)]
enum Change<'a> {
    Delete,
    Repeat,
    /// Moves a line of any file to here.
    Copy(u8, u16),
    /// Another word of the policy in the place of one.
    Word(u8, u16),
    /// A number in the place of a word.
    Number(u8, i64),
    /// Anything in the place of a word.
    Text(u8, &'a str),
    /// A line of any kind.
    Insert(&'a str),
}

impl Folder<'_> {
    /// File names and texts; only changed files are there.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        match self {
            Self::Raw(file, text) => {
                let (name, _) = pick(&FILES, usize::from(*file));
                BTreeMap::from([((*name).to_owned(), (*text).to_owned())])
            }
            Self::Edited(edits) => edited(edits),
        }
    }
}

fn edited(edits: &[Edit<'_>]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    // More would leave nothing of the file.
    for edit in edits.iter().take(16) {
        let (name, text) = pick(&FILES, usize::from(edit.file));
        let lines = files.entry(name).or_insert_with(|| text.lines().map(str::to_owned).collect());
        if lines.is_empty() {
            continue;
        }
        let at = usize::from(edit.line) % lines.len();
        match edit.what {
            Change::Delete => drop(lines.remove(at)),
            Change::Repeat => lines.insert(at, lines[at].clone()),
            Change::Copy(file, line) => {
                let from: Vec<&str> = pick(&FILES, usize::from(file)).1.lines().collect();
                lines.insert(at, (*pick(&from, usize::from(line))).to_owned());
            }
            Change::Word(which, word) => {
                lines[at] = replaced(&lines[at], which, WORDS[usize::from(word) % WORDS.len()]);
            }
            Change::Number(which, number) => {
                lines[at] = replaced(&lines[at], which, &number.to_string());
            }
            Change::Text(which, text) => lines[at] = replaced(&lines[at], which, text),
            Change::Insert(text) => lines.insert(at, text.to_owned()),
        }
    }
    files.into_iter().map(|(name, lines)| (name.to_owned(), lines.join("\n"))).collect()
}

/// The line with one of its words changed.
fn replaced(line: &str, which: u8, new: &str) -> String {
    let words: Vec<&str> = words(line).collect();
    if words.is_empty() {
        return new.to_owned();
    }
    let old = *pick(&words, usize::from(which));
    // `words` are parts of the line, so this is where the chosen one stands.
    let at = old.as_ptr() as usize - line.as_ptr() as usize;
    format!("{}{new}{}", &line[..at], &line[at + old.len()..])
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && !"_.-/".contains(letter))
        .filter(|word| !word.is_empty())
}

/// Every word of the embedded files.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let all: BTreeSet<&str> = FILES.iter().flat_map(|(_, text)| words(text)).collect();
    all.into_iter().collect()
});

fn pick<T>(from: &[T], at: usize) -> &T {
    &from[at % from.len()]
}
