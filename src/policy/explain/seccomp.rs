//! A system-call filter as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::{Text, names};
use crate::policy::Policy;
use crate::policy::seccomp::{Allow, Call, Deny, Filter};

pub(super) fn explain(filter: &Filter, title: &str) -> Text {
    let mut text = Text::default();
    text.heading(2, title);
    text.item(
        "every call not named below",
        &format!("fails with {}", filter.otherwise.errno),
        &filter.otherwise.reason,
    );
    for group in &filter.groups {
        text.heading(3, &group.name);
        text.paragraph(&format!("{}.", group.reason));
        text.paragraph("");
        for line in &group.allow {
            allow(&mut text, line);
        }
        for line in &group.deny {
            deny(&mut text, line);
        }
    }
    text
}

pub(super) fn one_call(policy: &Policy, call: Call) -> Text {
    let mut text = Text::default();
    text.heading(1, call.name());
    for (filter, who) in
        [(&policy.seccomp_run, "In a run"), (&policy.seccomp_server, "In the server")]
    {
        text.heading(2, who);
        filter.allows(call).for_each(|line| allow(&mut text, line));
        filter.denies(call).for_each(|line| deny(&mut text, line));
        if filter.allows(call).next().is_none() && filter.denies(call).next().is_none() {
            let value = format!("not named, fails with {}", filter.otherwise.errno);
            text.item(&format!("`{call}`"), &value, &filter.otherwise.reason);
        }
    }
    text
}

fn allow(text: &mut Text, line: &Allow) {
    let calls = names(line.calls.iter().map(|call| call.name()));
    let value = line.otherwise.map_or_else(
        || "allowed".to_owned(),
        |errno| {
            let conditions: Vec<String> =
                line.when.iter().map(|clause| format!("`{clause}`")).collect();
            format!("allowed when {}, else {errno}", conditions.join(" and "))
        },
    );
    text.item(&calls, &value, &line.reason);
}

fn deny(text: &mut Text, line: &Deny) {
    let calls = names(line.calls.iter().map(|call| call.name()));
    text.item(&calls, &format!("refused with {}", line.errno), &line.reason);
}
