//! `--python` with an interpreter outside `/usr`: it is copied, shown, and may be executed.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::programs::{Build, Finished, finish, primcs};

/// A copy of the interpreter that runs use, standard library and all, which every user may read.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn new(parent: &str) -> Self {
        let asked = run(&[
            "-c",
            "import os, sys, sysconfig\nprint(os.path.realpath(sys.executable))\nprint(sysconfig.get_path('stdlib'))",
        ]);
        let answer = asked.stdout();
        let (binary, library) = answer.trim().split_once('\n').expect("two lines");
        let (binary, library) = (Path::new(binary), Path::new(library));
        let made =
            Self(PathBuf::from(format!("{parent}/primcs-test-python-{}", std::process::id())));
        for part in ["bin", "lib"] {
            fs::create_dir_all(made.0.join(part)).expect("a directory");
            fs::set_permissions(made.0.join(part), Permissions::from_mode(0o755)).expect("a mode");
        }
        fs::set_permissions(&made.0, Permissions::from_mode(0o755)).expect("a mode");
        fs::copy(binary, made.python()).expect("the interpreter");
        let copied = Command::new("cp")
            .args(["-R", "--no-preserve=ownership"])
            .args([library, &made.0.join("lib").join(library.file_name().expect("a name"))])
            .status();
        assert!(copied.expect("cp").success(), "the standard library is not copied");
        made
    }

    fn python(&self) -> PathBuf {
        self.0.join("bin/python3")
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _left_for_the_reader_to_see = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Finished {
    let finished = finish(primcs(Build::Normal, "run").args(arguments), "");
    assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr());
    finished
}

const CODE: &str = "import os, sys, json
open('/home/run/own', 'w').write('x')
print(os.path.realpath(sys.executable))
print(os.path.dirname(json.__file__))
try:
    open(sys.base_prefix + '/bin/python3', 'r+b')
except OSError as error:
    print(type(error).__name__)";

/// Below `/home` lies also what a run has of its own, so the two must not hide each other.
#[test]
fn an_interpreter_outside_usr_runs() {
    // Nobody else can put one where every user may read it.
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tried: only root can put an interpreter into /opt and /home");
        return;
    }
    for parent in ["/opt", "/home"] {
        let elsewhere = Elsewhere::new(parent);
        let python = elsewhere.python();
        let python = python.to_str().expect("UTF-8");
        let home = elsewhere.0.to_str().expect("UTF-8");
        let said = run(&["--python", python, "-c", CODE]).stdout();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.first(), Some(&python), "{said}");
        assert!(lines.get(1).is_some_and(|line| line.starts_with(home)), "{said}");
        assert!(lines.get(2).is_some_and(|line| line.ends_with("Error")), "{said}");
    }
}
