//! What gets into a copy, and what does not.

use super::super::interpreter::choose;
use super::super::tests::{Scratch, policy, reader};
use super::*;

fn interpreter() -> Interpreter {
    choose(None, &[], reader()).unwrap().0
}

fn plan(lines: &str) -> Plan {
    make(&policy(&["*"], lines), &interpreter(), reader()).unwrap()
}

#[test]
fn a_tool_brings_its_libraries_and_its_loader() {
    let pieces = plan(r#"tool = [{ names = ["ls"], reason = "-" }]"#).pieces;
    let names = pieces.keys().filter_map(|path| path.file_name()?.to_str()).collect::<Vec<_>>();
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    assert!(has("ls") && has("ld-") && has("libc."), "{names:?}");
    assert!(pieces.keys().all(|path| !path.starts_with("/etc")), "{:?}", pieces.keys());
}

#[test]
fn no_file_that_root_alone_may_read_and_nothing_outside_the_program_areas() {
    let plan = plan(
        r#"tree = [{ path = "/etc", reason = "-" }, { path = "/var/log", reason = "-" },
                   { path = "/no/such/tree", reason = "-" }]
           etc = [{ name = "secret", from = ["/etc/shadow"], reason = "-" }]"#,
    );
    assert!(plan.pieces.keys().all(|path| !path.starts_with("/etc") && !path.starts_with("/var")));
    for name in ["/etc/secret", "/etc", "/var/log", "/no/such/tree"] {
        let told = plan.skipped.iter().any(|line| line.starts_with(&format!("{name}: ")));
        assert!(told, "{name} in {:?}", plan.skipped);
    }
}

#[test]
fn a_library_that_only_the_hosts_cache_knows_is_linked_where_a_loader_looks() {
    let mut plan = Plan::new(&interpreter(), reader()).unwrap();
    let usual = plan.library_directory.join("libodd.so.1");
    plan.make_findable(Path::new("/usr/bin/libodd.so.1"), Path::new("/usr/bin/libodd.so.1.2"));
    let Piece::Link(target) = &plan.pieces[&usual] else { panic!("no link at {usual:?}") };
    assert!(target.ends_with("../bin/libodd.so.1.2"), "{target:?}");
    plan.pieces.clear();
    plan.make_findable(&usual, &usual);
    assert!(plan.pieces.is_empty());
}

#[test]
fn packages_that_the_host_installed_stay_out_whatever_policy_says() {
    let scratch = Scratch::new();
    for directory in ["json", "site-packages", "dist-packages"] {
        std::fs::create_dir(scratch.0.join(directory)).unwrap();
        scratch.file(&format!("{directory}/module.py"), "");
    }
    scratch.file("os.py", "");
    let mut python = interpreter();
    let mut plan = Plan::new(&python, reader()).unwrap();
    plan.areas.push(scratch.0.clone());
    python.stdlib.clone_from(&scratch.0);
    python.platstdlib.clone_from(&scratch.0);
    plan.add_interpreter(&policy(&[], ""), &python).unwrap();
    let found = plan.pieces.keys().filter_map(|path| path.strip_prefix(&scratch.0).ok());
    assert_eq!(found.collect::<Vec<_>>(), [Path::new("json/module.py"), Path::new("os.py")]);
}

#[test]
fn an_interpreter_in_a_place_that_a_run_has_of_its_own_is_refused() {
    let mut interpreter = interpreter();
    interpreter.base_prefix = "/tmp/python".into();
    assert!(matches!(Plan::new(&interpreter, reader()), Err(BaseError::Interpreter { .. })));
}

#[test]
fn a_star_stands_for_anything() {
    assert!(matches("*.sample", "update.sample") && !matches("*.sample", "samples"));
    assert!(matches("a*a", "aba") && !matches("a*a", "a"));
    assert!(matches("config-*", "config-3.11-x86_64-linux-gnu"));
    assert!(matches("test", "test") && !matches("test", "tests"));
}
