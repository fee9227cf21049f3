//! What gets into a copy, and what does not.

use super::super::interpreter;
use super::super::tests::reader;
use super::super::{EtcFile, WantedTree};
use super::*;

fn plan(wanted: &Wanted) -> Plan {
    let choice = interpreter::choose(None, &[], reader(), &mut Vec::new()).unwrap();
    let wanted = Wanted { python_skip: vec!["*".into()], ..wanted.clone() };
    make(&wanted, &choice.interpreter, reader()).unwrap()
}

#[test]
fn a_tool_brings_its_libraries_and_its_loader() {
    let wanted = Wanted {
        tools: vec!["ls".into()],
        tool_directories: vec!["/usr/bin".into(), "/bin".into()],
        ..Wanted::default()
    };
    let pieces = plan(&wanted).pieces;
    let has = |name: &str| {
        pieces.keys().any(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        })
    };
    assert!(has("ls") && has("ld-") && has("libc."), "{:?}", pieces.keys());
    assert!(pieces.keys().all(|path| !path.starts_with("/etc")), "{:?}", pieces.keys());
}

#[test]
fn no_file_that_root_alone_may_read_and_nothing_outside_the_program_areas() {
    let content = EtcContent::FirstOf(vec!["/etc/shadow".into()]);
    let tree = |path: &str| WantedTree { path: path.into(), skip: Vec::new() };
    let wanted = Wanted {
        trees: vec![tree("/etc"), tree("/var/log"), tree("/no/such/tree")],
        etc: vec![EtcFile { name: "secret".into(), content }],
        ..Wanted::default()
    };
    let plan = plan(&wanted);
    assert!(plan.pieces.keys().all(|path| !path.starts_with("/etc") && !path.starts_with("/var")));
    for name in ["/etc/secret", "/etc", "/var/log", "/no/such/tree"] {
        let told = plan.skipped.iter().any(|line| line.starts_with(&format!("{name}: ")));
        assert!(told, "{name} in {:?}", plan.skipped);
    }
}

#[test]
fn a_library_that_only_the_hosts_cache_knows_is_linked_where_a_loader_looks() {
    let choice = interpreter::choose(None, &[], reader(), &mut Vec::new()).unwrap();
    let mut planner = Planner::new(&choice.interpreter, reader()).unwrap();
    let usual = planner.library_directory.join("libodd.so.1");
    planner.make_findable(Path::new("/usr/bin/libodd.so.1"), Path::new("/usr/bin/libodd.so.1.2"));
    let Piece::Link(target) = &planner.pieces[&usual] else { panic!("no link at {usual:?}") };
    assert!(target.ends_with("../bin/libodd.so.1.2"), "{target:?}");
    planner.pieces.clear();
    planner.make_findable(&usual, &usual);
    assert!(planner.pieces.is_empty());
}

#[test]
fn an_interpreter_in_a_place_that_a_run_has_of_its_own_is_refused() {
    let mut interpreter =
        interpreter::choose(None, &[], reader(), &mut Vec::new()).unwrap().interpreter;
    interpreter.base_prefix = "/tmp/python".into();
    assert!(matches!(Planner::new(&interpreter, reader()), Err(BaseError::Interpreter { .. })));
}

#[test]
fn a_star_stands_for_anything() {
    assert!(matches("*.sample", "update.sample") && !matches("*.sample", "samples"));
    assert!(matches("a*a", "aba") && !matches("a*a", "a"));
    assert!(matches("config-*", "config-3.11-x86_64-linux-gnu"));
    assert!(matches("test", "test") && !matches("test", "tests"));
}
