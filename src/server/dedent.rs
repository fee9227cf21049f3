//! Removes the indentation that all lines share, as Python's `textwrap.dedent` does.
#![forbid(unsafe_code)]

/// Models often send code indented as it stood in their answer. Code that has no shared
/// indentation is left exactly as it is, also its lines of blanks (which `textwrap` would empty):
/// they may be inside a string.
pub(super) fn dedent(code: &str) -> String {
    let is_blank = |line: &str| line.trim_matches([' ', '\t', '\r', '\x0b', '\x0c']).is_empty();
    let mut margin: Option<&str> = None;
    for line in code.split('\n').filter(|line| !is_blank(line)) {
        let (indent, _) = line.split_at(line.len() - line.trim_start_matches([' ', '\t']).len());
        margin = Some(margin.map_or(indent, |margin| shared_start(margin, indent)));
    }
    let margin = margin.unwrap_or_default();
    if margin.is_empty() {
        return code.to_owned();
    }
    let lines = code
        .split('\n')
        .map(|line| if is_blank(line) { "" } else { line.strip_prefix(margin).unwrap_or(line) });
    lines.collect::<Vec<_>>().join("\n")
}

fn shared_start<'a>(left: &'a str, right: &str) -> &'a str {
    let length = left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count();
    left.split_at(length).0
}

#[cfg(test)]
mod tests {
    use super::dedent;

    #[test]
    fn the_shared_margin_goes_and_deeper_indentation_stays() {
        assert_eq!(dedent("  if x:\n    y\n\n  z"), "if x:\n  y\n\nz");
    }

    #[test]
    fn tabs_and_blanks_are_not_the_same() {
        assert_eq!(dedent("\ta\n  b"), "\ta\n  b");
    }

    #[test]
    fn lines_of_blanks_do_not_count_and_become_empty() {
        assert_eq!(dedent("   a\n \n   b"), "a\n\nb");
    }

    #[test]
    fn code_without_margin_is_untouched() {
        let code = "x = '''\n   \n'''\n";
        assert_eq!(dedent(code), code);
    }
}
