//! Which interpreter is taken, and what the refusals say.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::super::tests::{Scratch, reader};
use super::*;

/// An executable script in a directory of the test's.
fn script(scratch: &Scratch, name: &str, body: &str) -> PathBuf {
    let path = scratch.file(name, &format!("#!/bin/sh\n{body}\n"));
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// What a program says that answers like an interpreter.
fn answer(minor: u32, implementation: &str) -> String {
    format!(
        r#"echo '{{"real":"/usr/bin/sh","version":"3.{minor}.0","minor":[3,{minor}],
"implementation":"{implementation}","base_prefix":"/usr","stdlib":"/usr/lib",
"platstdlib":"/usr/lib"}}' | tr -d '\n'"#
    )
}

#[test]
fn the_newest_is_first_and_numbers_are_compared_as_numbers() {
    let (local, system) = (Scratch::new(), Scratch::new());
    for name in ["python3.10", "python3.12", "python3.12-config", "python3"] {
        local.file(name, "");
    }
    for name in ["python3.9", "python3.12", "python3.13"] {
        system.file(name, "");
    }
    let found = newest_first(&[&local.0, &system.0]);
    let expected = [
        system.0.join("python3.13"),
        local.0.join("python3.12"),
        system.0.join("python3.12"),
        local.0.join("python3.10"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_path_holds_comes_last_and_a_named_one_alone() {
    let on_path = [PathBuf::from("/some/shims"), PathBuf::from("relative")];
    let found = candidates(&on_path);
    assert_eq!(found.last().unwrap(), Path::new("/some/shims/python3"));
    let absent = Path::new("/no/such/python");
    let error = choose(Some(absent), &on_path, reader()).unwrap_err();
    assert!(matches!(&error, BaseError::AskInterpreter { path, .. } if path == absent), "{error}");
}

#[test]
fn a_shim_is_asked_for_the_binary_behind_it() {
    let scratch = Scratch::new();
    let shim = script(&scratch, "python3", "exec /usr/bin/python3 \"$@\"");
    let (interpreter, _) = choose(Some(&shim), &[], reader()).unwrap();
    assert_ne!(interpreter.real, shim);
    assert!(interpreter.real.starts_with("/usr"), "{interpreter:?}");
    assert_eq!(choose(Some(&interpreter.real), &[], reader()).unwrap().0, interpreter);
}

#[test]
fn an_old_a_foreign_and_a_silent_interpreter_are_refused_by_name() {
    let scratch = Scratch::new();
    let refusal = |body: &str| {
        let path = script(&scratch, "python", body);
        let error = choose(Some(&path), &[], reader()).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        crate::causes::with_causes(&error)
    };
    let old = refusal(&answer(9, "cpython"));
    assert!(old.contains("it is Python 3.9.0, and 3.10 or newer"), "{old}");
    assert!(refusal(&answer(11, "pypy")).contains("no whole CPython"));
    assert!(refusal("echo hello").contains("does not answer like a Python"));
    assert!(refusal("exit 1").contains("status: 1"));
}

#[test]
fn one_below_a_home_is_passed_over_unless_named() {
    assert!(below_a_home(Path::new("/root/.pyenv/versions/3.11.7/bin/python3.11")));
    assert!(below_a_home(Path::new("/home/me/bin/python3")));
    assert!(!below_a_home(Path::new("/usr/bin/python3.11")));
    assert!(!below_a_home(Path::new("/homely/python3.11")));
}

#[test]
fn one_that_runs_could_not_read_is_refused_with_the_mend() {
    if reader().is_none() {
        println!("NOT RUN: only as root are runs somebody else");
        return;
    }
    let scratch = Scratch::new();
    let closed = scratch.0.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let inside = closed.join("python3");
    std::fs::copy("/usr/bin/python3", &inside).unwrap();
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&inside, &link).unwrap();
    for named in [inside, link] {
        let error = choose(Some(&named), &[], reader()).unwrap_err().to_string();
        assert!(error.contains("mode 0700"), "{error}");
        assert!(error.contains(&format!("chmod o+rx {}", closed.display())), "{error}");
    }
}
