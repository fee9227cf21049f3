//! What people read: groups, words instead of raw numbers, and the page of all checks.
#![forbid(unsafe_code)]

use std::fs;

use super::examine::{here, state};
use super::support::programs::{Build, checkout, finish, primcs, primcs_as_it_is};

fn text(arguments: &[&str]) -> String {
    finish(primcs(Build::Normal, "doctor").args(arguments), "").stdout()
}

#[test]
fn the_page_of_all_checks_is_the_one_in_the_docs_and_lists_what_json_lists() {
    let page = text(&["--checks"]);
    let kept = fs::read_to_string(checkout().join("docs/doctor.md")).expect("docs/doctor.md");
    assert_eq!(page, kept, "`primcs doctor --checks >docs/doctor.md` writes it anew");
    let report = here(&[]).report;
    let checks = report["checks"].as_array().expect("checks");
    let ids: Vec<_> = checks.iter().filter_map(|check| check["id"].as_str()).collect();
    assert_eq!(page.matches("\n| `").count(), ids.len());
    for id in ids {
        assert_eq!(page.matches(&format!("\n| `{id}` | ")).count(), 1, "{id}");
    }
}

/// A line that the probe prints and the table does not have would fail without a name.
#[test]
fn every_wall_and_limit_that_the_probe_tries_is_in_the_table() {
    let probe = fs::read_to_string(checkout().join("src/python/probe.py")).expect("probe.py");
    let page = text(&["--checks"]);
    for (list, kind) in [("WALLS = ", "wall"), ("LIMITS = ", "limit")] {
        let (_, rest) = probe.split_once(list).expect("a list of checks");
        let (names, _) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let names = names.split("\nLIMITS").next().expect("names").replace('\\', "");
        for name in names.split(',').map(str::trim) {
            assert!(page.contains(&format!("| `{kind}.{name}` |")), "{kind}.{name}");
        }
    }
}

#[test]
fn people_get_groups_and_amounts_instead_of_raw_numbers() {
    let said = text(&[]);
    for words in ["this host\n", "walls, touched from inside", "GiB", "60 s", "ok        user, "] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    // But for its digest, and the id of a plain user.
    let own_id = nix::unistd::geteuid().to_string();
    for line in said.lines().filter(|line| !line.starts_with("primcs ") && !line.contains(&own_id))
    {
        // What the host calls its folders is not ours to round.
        let ours = line.split_whitespace().filter(|word| !word.starts_with('/'));
        let longest = ours.flat_map(|word| word.split(|c: char| !c.is_ascii_digit())).map(str::len);
        assert!(longest.max() <= Some(6), "{line}");
    }
    assert!(said.contains(state().to_str().expect("UTF-8")));
    assert!(
        said.lines()
            .filter(|line| !line.starts_with("fix: "))
            .all(|line| line.chars().count() <= 120)
    );
}

#[test]
fn a_failure_ends_with_its_id_and_the_one_thing_to_do() {
    let mut command = primcs_as_it_is(Build::Normal, "doctor");
    let finished = finish(command.args(["--python", "/no/such/python"]), "");
    let said = finished.stdout();
    let last: Vec<_> = said.lines().rev().take(2).collect();
    assert_eq!(finished.status.code(), Some(1));
    assert!(last[1].contains("start.interpreter") && last[0].starts_with("fix: "), "{said}");
    assert!(said.contains("host.kernel") && said.contains("not tried"), "{said}");
}

/// A unit's log and a container's first screen have no room for what is as it should be.
#[test]
fn quiet_is_the_conclusion_and_what_is_not_as_it_should_be() {
    let fine = text(&["--quiet"]);
    assert!(text(&[]).trim_end().ends_with(fine.lines().last().expect("a line")), "{fine}");
    assert!(!fine.contains("  ok ") && !fine.contains("not tried"), "{fine}");
    let mut command = primcs_as_it_is(Build::Normal, "doctor");
    let finished = finish(command.args(["--quiet", "--python", "/no/such/python"]), "");
    let said = finished.stdout();
    assert_eq!(finished.status.code(), Some(1));
    // A plain user has the one id of its own, too.
    let failed = said.lines().find(|line| !line.starts_with("   ") && !line.contains("missing"));
    assert!(
        failed.is_some_and(|line| line.starts_with("  FAILED    start.interpreter ")),
        "{said}"
    );
    assert!(said.contains("means the Python that runs code"), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("fix: ")), "{said}");
    let both = finish(primcs(Build::Normal, "doctor").args(["--quiet", "--json"]), "");
    assert_eq!(both.status.code(), Some(2), "{}", both.stderr());
}
