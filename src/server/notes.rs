//! What the supervisor noted about this host, for people: a bare system lacks two dozen of the usual
//! tools, and a line for each hides every other note. Trusts the supervisor, whose words these are.
#![forbid(unsafe_code)]

/// The notes, with all that is not in runs for one and the same reason in one line.
pub(super) fn in_few_lines(notes: &[String]) -> Vec<String> {
    let lacks: Vec<_> = notes.iter().filter_map(|note| lack(note)).collect();
    let mut reasons: Vec<&str> = Vec::new();
    for (_, why) in &lacks {
        if !reasons.contains(why) {
            reasons.push(why);
        }
    }
    let line = |why: &str| {
        let names = lacks.iter().filter(|(_, reason)| *reason == why).map(|(name, _)| *name);
        format!("{ABSENT}{} ({why})", names.collect::<Vec<_>>().join(", "))
    };
    let others = notes.iter().filter(|note| lack(note).is_none()).cloned();
    reasons.into_iter().map(line).chain(others).collect()
}

/// The notes that name what is not in runs.
pub(super) fn of_what_is_absent(notes: &[String]) -> Vec<String> {
    let mut lines = in_few_lines(notes);
    lines.retain(|line| line.starts_with(ABSENT));
    lines
}

/// What is not in runs, and why.
fn lack(note: &str) -> Option<(&str, &str)> {
    note.strip_prefix(ABSENT)?.split_once(": ")
}

/// How such notes begin (supervisor/startup.rs).
const ABSENT: &str = "not in runs: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_for_one_reason_is_one_line_and_nothing_is_left_out() {
        let notes = [
            "not in runs: gawk: not installed",
            "not in runs: /usr/bin/odd: its name is no UTF-8 text",
            "not in runs: git: not installed",
            "this kernel has no Landlock: runs lack the second wall around files",
        ]
        .map(str::to_owned);
        assert_eq!(
            in_few_lines(&notes),
            [
                "not in runs: gawk, git (not installed)",
                "not in runs: /usr/bin/odd (its name is no UTF-8 text)",
                "this kernel has no Landlock: runs lack the second wall around files",
            ]
        );
        assert_eq!(of_what_is_absent(&notes).len(), 2);
        assert!(of_what_is_absent(&[]).is_empty());
    }
}
