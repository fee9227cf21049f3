//! The kernel's own counters, before and after: each goes into the report beside the test that it
//! proves.
#![forbid(unsafe_code)]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::processes::eventually;
use super::unit;

/// Everything is some thirty times slower here than where such waits usually end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One number in one file, as it was when the test began.
#[derive(Debug)]
pub(crate) struct Counter {
    file: PathBuf,
    field: String,
    /// A file below whose share is taken off.
    less: Option<PathBuf>,
    before: u64,
}

impl Counter {
    /// Of this file; an empty `field` means that the file is the number.
    pub(crate) fn of(file: &Path, field: &str) -> Self {
        Self { file: file.to_owned(), field: field.to_owned(), less: None, before: 0 }.looked()
    }

    /// Of all runs of the service and nothing else, over after or live: for those that are over too
    /// soon for a look at their own group. The kernel keeps the count of a group that is gone in the
    /// one above, where the spawner is the only other.
    pub(crate) fn of_the_runs(file: &str, field: &str) -> Self {
        let group = unit::runs_group();
        let less = Some(group.join("spawner").join(file));
        Self { file: group.join(file), field: field.to_owned(), less, before: 0 }.looked()
    }

    fn looked(mut self) -> Self {
        self.before = self.number().unwrap_or_else(|| panic!("no such number: {self:?}"));
        self
    }

    fn number(&self) -> Option<u64> {
        let all = number(&self.file, &self.field)?;
        let Some(less) = &self.less else { return Some(all) };
        Some(all.saturating_sub(number(less, &self.field)?))
    }

    /// The number now, written down.
    fn read(&self) -> u64 {
        let after = self.number().expect("the counter is still there");
        let field = match &self.less {
            Some(_) => format!("{} without the spawner", self.field),
            None => self.field.clone(),
        };
        write_down(&self.file, &field, json!(self.before), after);
        after
    }

    #[track_caller]
    pub(crate) fn has_risen(self) {
        let after = self.read();
        assert!(after > self.before, "{self:?} is {after}");
    }

    /// Waits until it has; for what happens while a run is live.
    #[track_caller]
    pub(crate) fn rises(self) {
        let risen = || self.number().is_some_and(|now| now > self.before);
        assert!(eventually(PATIENCE, risen), "{self:?} did not rise");
        self.read();
    }

    /// Waits until it is 0 or has gone with its group, which the kernel lets go only when it is.
    #[track_caller]
    pub(crate) fn ends(self) {
        assert!(self.before > 0, "{self:?} from the beginning");
        assert!(eventually(PATIENCE, || self.number().unwrap_or(0) == 0), "{self:?} goes on");
        let after = self.number().map_or_else(|| json!("gone"), Value::from);
        write_down(&self.file, &self.field, json!(self.before), after);
    }
}

/// `field NUMBER` in a flat keyed file, or the whole file.
fn number(file: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    if field.is_empty() {
        return text.trim().parse().ok();
    }
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Puts what was seen into the report. Values may be words where the kernel has no number.
pub(crate) fn write_down(
    file: &Path,
    field: &str,
    before: impl Into<Value>,
    after: impl Into<Value>,
) {
    let (before, after): (Value, Value) = (before.into(), after.into());
    let path = env::var_os("PRIMCS_TEST_EVIDENCE").expect("PRIMCS_TEST_EVIDENCE is where to write");
    let thread = std::thread::current();
    let test = thread.name().expect("a test has a name");
    assert_ne!(test, "main", "the harness names the thread of each test");
    let line = json!({
        "test": test, "file": file, "field": field, "before": before, "after": after,
    });
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the report");
    writeln!(file, "{line}").expect("the report");
}

/// The same where a directory, process or the like is there before and gone after.
#[track_caller]
pub(crate) fn is_gone(group: &Path) {
    assert!(eventually(PATIENCE, || !group.exists()), "{} is still there", group.display());
    write_down(group, "directory", "there", "gone");
}

/// Where a test leaves files for the reader of the report.
pub(crate) fn out(name: &str) -> PathBuf {
    PathBuf::from(env::var_os("PRIMCS_TEST_OUT").expect("PRIMCS_TEST_OUT is where to write"))
        .join(name)
}
