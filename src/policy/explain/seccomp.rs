//! A system-call filter as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::text::{Entry, Item, Text, names};
use crate::policy::Policy;
use crate::policy::seccomp::{Allow, Call, Deny, Filter};

/// A filter, and the name of its file.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) file: &'static str,
    pub(super) filter: &'a Filter,
}

pub(super) fn both(policy: &Policy) -> [Named<'_>; 2] {
    [
        Named { file: "seccomp-run", filter: &policy.seccomp_run },
        Named { file: "seccomp-server", filter: &policy.seccomp_server },
    ]
}

impl Named<'_> {
    pub(super) fn explain(self, title: &str) -> Text {
        let mut text = Text::default();
        text.heading(2, title);
        text.add(self.otherwise("every call not named below", ""));
        for group in &self.filter.groups {
            text.heading(3, &group.name);
            text.paragraph(&format!("{}.", group.reason));
            text.paragraph("");
            for line in &group.allow {
                text.add(self.allow(line, &line.calls));
            }
            for line in &group.deny {
                text.add(self.deny(line, &line.calls));
            }
        }
        text
    }

    /// What a call gets that no rule names.
    pub(super) fn otherwise(self, name: &str, so: &str) -> Item {
        let (errno, reason) = (self.filter.otherwise.errno, &self.filter.otherwise.reason);
        let entries = vec![Entry::wall(format!("{} otherwise", self.file), errno.to_string())];
        Item::new(name, &format!("{so}fails with {errno}"), reason.as_str(), entries)
    }

    /// The lines about one call, with the proofs for this call alone.
    pub(super) fn one_call(self, call: Call) -> Vec<Item> {
        let allowed = self.filter.allows(call).map(|line| self.allow(line, &[call]));
        let denied = self.filter.denies(call).map(|line| self.deny(line, &[call]));
        let mut items: Vec<_> = allowed.chain(denied).collect();
        if items.is_empty() {
            items.push(self.otherwise(&format!("`{call}`"), "not named, "));
        }
        items
    }

    fn allow(self, line: &Allow, about: &[Call]) -> Item {
        let calls = names(line.calls.iter().map(|call| call.name()));
        let id = |call: &Call| format!("{} allow {call}", self.file);
        let (value, entries) = match line.otherwise {
            None => {
                let grant = |call| Entry::grant(id(call), "allowed");
                ("allowed".to_owned(), about.iter().map(grant).collect())
            }
            Some(errno) => {
                let conditions: Vec<_> =
                    line.when.iter().map(|clause| format!("`{clause}`")).collect();
                let wall = |call: &Call| {
                    let id = id(call);
                    let entry = move |clause: &crate::policy::seccomp::Clause| {
                        let value = format!("{clause}, else {errno}");
                        Entry::wall(format!("{id} {}", clause.argument_name()), value)
                    };
                    line.when.iter().map(entry)
                };
                let value = format!("allowed when {}, else {errno}", conditions.join(" and "));
                (value, about.iter().flat_map(wall).collect())
            }
        };
        Item::new(&calls, &value, line.reason.as_str(), entries)
    }

    fn deny(self, line: &Deny, about: &[Call]) -> Item {
        let calls = names(line.calls.iter().map(|call| call.name()));
        let value = format!("refused with {}", line.errno);
        let wall = |call| Entry::wall(format!("{} deny {call}", self.file), value.as_str());
        let entries = about.iter().map(wall).collect();
        Item::new(&calls, &value, line.reason.as_str(), entries)
    }
}

pub(super) fn one_call(policy: &Policy, call: Call) -> Text {
    let mut text = Text::default();
    text.heading(1, call.name());
    for (named, who) in both(policy).into_iter().zip(["In a run", "In the server"]) {
        text.heading(2, who);
        named.one_call(call).into_iter().for_each(|item| text.add(item));
    }
    text
}
