//! `primcs doctor`, `policy`, `config` and the arguments of `serve`.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::support::processes::eventually;
use super::support::programs::{Build, Finished, checkout, finish, primcs, program, scratch};
use super::support::server::Server;

fn bare(arguments: &[&str]) -> Finished {
    finish(Command::new(program(Build::Normal, "primcs")).args(arguments), "")
}

/// A directory that only we may change, as a policy must lie in one.
fn directory(name: &str) -> PathBuf {
    let path = scratch().join(name);
    // Left by an earlier time, or not there.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = bare(&["--help"]);
    assert!(help.status.success());
    for word in ["serve", "stdio", "run", "doctor", "policy", "config"] {
        assert!(help.stdout().contains(word), "{}", help.stdout());
    }
    let version = bare(&["--version"]);
    assert_eq!(version.stdout(), format!("primcs {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn run_with_nothing_to_run_shows_each_way_to_say_what() {
    let finished = bare(&["run"]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stdout().is_empty());
    let said = finished.stderr();
    for way in ["primcs run script.py", "| primcs run -\n", "primcs run -c '", "--help"] {
        assert!(said.contains(way), "{way:?} is not in {said}");
    }
    assert!(said.lines().count() <= 5, "{said}");
}

#[test]
fn unknown_words_are_refused() {
    for arguments in [&["frobnicate"][..], &["run", "--no-such-flag", "-c", "1"]] {
        let finished = bare(arguments);
        assert!(!finished.status.success(), "{arguments:?}");
        assert!(finished.stdout().is_empty() && !finished.stderr().is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_misspelt_variable_is_refused_by_name() {
    let mut command = Command::new(program(Build::Normal, "primcs"));
    command.args(["config", "show"]).env("PRIMCS_ALOWED_HOSTS", "example.com");
    let finished = finish(&mut command, "");
    assert!(!finished.status.success());
    assert!(finished.stderr().contains("PRIMCS_ALOWED_HOSTS"), "{}", finished.stderr());
}

#[test]
fn doctor_says_that_this_host_can_confine_a_run() {
    let finished = finish(&mut primcs(Build::Normal, "doctor"), "");
    // With hard limits, or with leave to go without.
    assert!(finished.status.success(), "{}{}", finished.stdout(), finished.stderr());
    assert!(!finished.stdout().is_empty());
}

#[test]
fn doctor_speaks_json() {
    let finished = finish(primcs(Build::Normal, "doctor").arg("--json"), "");
    assert!(finished.status.success(), "{}", finished.stderr());
    let facts: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
    assert!(facts.is_object(), "{facts}");
}

#[test]
fn doctor_fails_where_no_run_could_be_confined() {
    let mut command = primcs(Build::Normal, "doctor");
    let finished = finish(command.args(["--python", "/no/such/python"]), "");
    assert!(!finished.status.success(), "{}", finished.stdout());
    let said = finished.stdout() + &finished.stderr();
    assert!(said.contains("/no/such/python"), "{said}");
}

#[test]
fn a_start_that_failed_says_why_once() {
    for (arguments, problem) in [
        (&["run", "--python", "/no/such/python", "-c", "1"][..], "/no/such/python"),
        (&["run", "--policy", "/no/such/policy", "-c", "1"], "/no/such/policy"),
        (&["run", "--config", "/no/such/config", "-c", "1"], "/no/such/config"),
        (&["serve", "--listen", "127.0.0.1:0", "--max-runs", "256"], "256 runs at once"),
        (&["stdio", "--python", "/no/such/python"], "/no/such/python"),
        (&["serve", "--listen", "127.0.0.1:0", "--python", "/no/such/python"], "/no/such/python"),
    ] {
        let (command, rest) = arguments.split_first().expect("a command");
        let finished = finish(primcs(Build::Normal, command).args(rest), "");
        assert!(!finished.status.success(), "{arguments:?}");
        let said = finished.stderr();
        assert_eq!(said.matches(problem).count(), 1, "{arguments:?}: {said}");
    }
}

#[test]
fn a_supervisor_without_a_server_says_so_in_its_own_log() {
    let mut command = Command::new(program(Build::Normal, "primcs-supervisor"));
    command.args(["--max-runs", "none"]).stdin(std::process::Stdio::null());
    let finished = command.output().expect("primcs-supervisor");
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(!finished.status.success() && said.contains("--max-runs takes a number"), "{said}");
}

#[test]
fn policy_explains_all_or_one() {
    let all = bare(&["policy", "explain"]);
    assert!(all.status.success(), "{}", all.stderr());
    assert!(all.stdout().contains("memory.max") && all.stdout().contains("clone3"));
    let one = bare(&["policy", "explain", "clone3"]);
    assert!(one.status.success() && one.stdout().contains("clone3"), "{}", one.stdout());
    assert!(one.stdout().len() < all.stdout().len() / 10);
    for name in ["pids.max", "/usr", "HOME", "CAP_SYS_ADMIN"] {
        let one = bare(&["policy", "explain", name]);
        assert!(one.status.success() && one.stdout().lines().count() < 20, "{name}");
    }
    let unknown = bare(&["policy", "explain", "no-such-name"]);
    assert!(!unknown.status.success() && unknown.stderr().contains("no-such-name"));
}

#[test]
fn policy_check_takes_a_good_folder_and_names_what_is_wrong_in_a_bad_one() {
    let embedded = checkout().join("policy/limits.toml");
    let text = fs::read_to_string(embedded).expect("policy/limits.toml");
    let good = directory("policy-good");
    fs::write(good.join("limits.toml"), text.replace("\"1GiB\"", "\"512MiB\"")).expect("a file");
    let finished = bare(&["policy", "check", good.to_str().expect("UTF-8")]);
    assert!(finished.status.success(), "{}", finished.stderr());

    for (what, from, to) in [
        ("an unknown key", "[host]", "[hosts]"),
        (
            "below the floor",
            "\"memory.swap.max\"  = { value = \"0\"",
            "\"memory.swap.max\"  = { value = \"1GiB\"",
        ),
    ] {
        let bad = directory("policy-bad");
        assert!(text.contains(from), "{what}: limits.toml has changed");
        fs::write(bad.join("limits.toml"), text.replace(from, to)).expect("a file");
        let finished = bare(&["policy", "check", bad.to_str().expect("UTF-8")]);
        assert!(!finished.status.success(), "{what} was taken");
        assert!(finished.stderr().contains("limits.toml"), "{what}: {}", finished.stderr());
    }
    let unknown = directory("policy-unknown");
    fs::write(unknown.join("extra.toml"), "").expect("a file");
    assert!(!bare(&["policy", "check", unknown.to_str().expect("UTF-8")]).status.success());
}

/// Somebody else's file is quoted where it is wrong, and a terminal must not obey it.
#[test]
fn a_quoted_file_cannot_act_on_the_terminal_of_who_checks_it() {
    const HOSTILE: &str = "x = \"\x1b]0;pwn\x07\x1b[2J\r\u{9b}6n\"\n";
    let folder = directory("quoted");
    fs::write(folder.join("limits.toml"), HOSTILE).expect("a file");
    let (folder, file) = (folder.clone(), folder.join("limits.toml"));
    let (folder, file) = (folder.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    for arguments in [
        &["policy", "check", folder][..],
        &["policy", "explain", "--policy", folder],
        &["config", "check", file],
        &["config", "show", "--config", file],
        &["doctor", "--config", file],
        &["doctor", "--policy", folder],
        &["run", "--config", file, "-c", "pass"],
        &["serve", "--policy", folder, "--listen", "127.0.0.1:0"],
    ] {
        let finished = bare(arguments);
        let said = finished.stdout() + &finished.stderr();
        assert!(!finished.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("x = "), "{arguments:?} does not quote it: {said:?}");
        let acts = |one: char| one.is_control() && one != '\n' && one != '\t';
        assert!(!said.contains(acts) && !said.contains("pwn"), "{arguments:?}: {said:?}");
    }
}

/// proves: always trust
#[test]
fn a_policy_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let policy = directory("policy-open");
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o777)).expect("a mode");
    let mut command = primcs(Build::Normal, "run");
    let finished = finish(command.arg("--policy").arg(&policy).args(["-c", "print(1)"]), "");
    assert_eq!(finished.status.code(), Some(125), "{}", finished.stderr());
    assert!(finished.stdout().is_empty());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn checking_refuses_the_files_that_a_start_refuses_and_names_the_mend() {
    let folder = directory("open-files");
    let (file, limits) = (folder.join("primcs.toml"), folder.join("limits.toml"));
    let embedded = checkout().join("policy/limits.toml");
    let refused = |arguments: &[&str], next: &str| {
        let mut start = primcs(Build::Normal, "run");
        let (option, value) = if arguments[0] == "config" {
            ("--config", file.as_path())
        } else {
            ("--policy", folder.as_path())
        };
        let start = finish(start.arg(option).arg(value).args(["-c", "1"]), "");
        for finished in [bare(arguments), start] {
            assert!(!finished.status.success(), "{arguments:?} was taken");
            let said = finished.stderr();
            assert!(said.contains(&format!("\nnext: {next}")), "{arguments:?}: {said}");
        }
    };
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let config = ["config", "check", &text(&file)];
    let policy = ["policy", "check", &text(&folder)];

    fs::write(&file, "max_runs = 3\n").expect("a file");
    set_mode(&file, 0o666);
    refused(&config, &format!("chmod go-w {}", file.display()));
    set_mode(&file, 0o644);
    assert!(bare(&config).status.success());
    fs::write(&file, "#".repeat((1 << 20) + 1)).expect("a file");
    refused(&config, &format!("see whether {}", file.display()));
    fs::remove_file(&file).expect("removing it");

    std::os::unix::fs::symlink(&embedded, &limits).expect("a link");
    refused(&policy, &format!("name the place that {}", limits.display()));
    fs::remove_file(&limits).expect("removing it");
    fs::copy(&embedded, &limits).expect("a copy");
    set_mode(&limits, 0o646);
    refused(&policy, &format!("chmod go-w {}", limits.display()));
}

#[test]
fn nothing_is_made_below_a_folder_that_others_may_write() {
    let open = directory("open-state");
    set_mode(&open, 0o777);
    let mut command = Command::new(program(Build::Normal, "primcs"));
    command.args(["run", "-c", "1", "--state-dir"]).arg(open.join("state/deep"));
    let finished = finish(&mut command, "");
    assert_eq!(finished.status.code(), Some(125), "{}", finished.stderr());
    let said = finished.stderr();
    assert!(said.contains(&format!("next: chmod go-w {}", open.display())), "{said}");
    assert!(!open.join("state").exists(), "made before it was judged");
}

#[test]
fn a_supervisor_that_others_could_have_put_there_is_not_started() {
    let folder = directory("open-programs");
    for name in ["primcs", "primcs-supervisor"] {
        fs::copy(program(Build::Normal, name), folder.join(name)).expect("a copy");
    }
    let finished = || finish(Command::new(folder.join("primcs")).args(["run", "-c", "1"]), "");
    for (path, next) in [
        (folder.clone(), format!("next: chmod go-w {}", folder.display())),
        (folder.join("primcs-supervisor"), "primcs-supervisor".to_owned()),
    ] {
        set_mode(&path, 0o757);
        let finished = finished();
        assert_eq!(finished.status.code(), Some(125), "{}", path.display());
        assert!(finished.stderr().contains(&next), "{}", finished.stderr());
        set_mode(&path, 0o755);
    }
}

#[test]
fn a_number_of_runs_that_cannot_be_is_refused_alike_everywhere() {
    let file = directory("max-runs").join("primcs.toml");
    fs::write(&file, "max_runs = 257\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for arguments in [
        &["run", "--max-runs", "0", "-c", "1"][..],
        &["run", "--max-runs", "257", "-c", "1"],
        &["doctor", "--max-runs", "0"],
        &["config", "check", file],
        &["run", "--config", file, "-c", "1"],
    ] {
        let finished = bare(arguments);
        assert!(!finished.status.success(), "{arguments:?}");
        let said = finished.stderr() + &finished.stdout();
        assert!(said.contains("a number from 1 to 256"), "{arguments:?}: {said}");
        assert!(!said.contains("which starts this program"), "{arguments:?}: {said}");
    }
}

#[test]
fn config_shows_where_each_setting_came_from() {
    let default = bare(&["config", "default"]);
    assert!(
        default.status.success() && default.stdout().contains("listen"),
        "{}",
        default.stderr()
    );
    let file = directory("config").join("primcs.toml");
    fs::write(&file, "max_runs = 3\n").expect("a file");
    let path = file.to_str().expect("UTF-8");
    let shown = bare(&["config", "show", "--origin", "--config", path]);
    assert!(shown.status.success(), "{}", shown.stderr());
    let line = shown.stdout();
    let line = line.lines().find(|line| line.contains("max_runs")).expect("a line");
    assert!(line.contains('3') && line.contains("file"), "{line}");

    fs::write(&file, "max_rums = 3\n").expect("a file");
    let refused = bare(&["config", "check", path]);
    assert!(
        !refused.status.success() && refused.stderr().contains("max_rums"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_both() {
    let file = directory("precedence").join("primcs.toml");
    fs::write(&file, "max_runs = 3\n").expect("a file");
    let shown = |environment: Option<&str>| {
        let mut command = Command::new(program(Build::Normal, "primcs"));
        command.args(["config", "show", "--config"]).arg(&file);
        if let Some(value) = environment {
            command.env("PRIMCS_MAX_RUNS", value);
        }
        let finished = finish(&mut command, "");
        let text = finished.stdout();
        text.lines().find(|line| line.contains("max_runs")).expect("a line").to_owned()
    };
    assert!(shown(None).contains('3'));
    assert!(shown(Some("5")).contains('5'));
}

#[test]
fn listening_beyond_loopback_without_authentication_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let finished = finish(primcs(Build::Normal, "serve").args(["--listen", address]), "");
        assert!(!finished.status.success(), "it listens on {address}");
        assert!(finished.stderr().contains("--allow-unauthenticated"), "{}", finished.stderr());
    }
}

#[test]
fn the_first_screen_says_what_a_newcomer_needs_and_its_command_works_as_pasted() {
    let server = Server::start(&[]);
    let command = || {
        let log = server.log();
        let mut rest = log.lines().skip_while(|line| !line.contains("Try in another terminal"));
        rest.nth(1).map(|line| line.trim().to_owned())
    };
    assert!(eventually(Duration::from_secs(5), || command().is_some()), "{}", server.log());
    let log = server.log();
    let url = format!("http://{}/mcp", server.address);
    let snippet =
        format!("{{\"mcpServers\": {{\"primcs\": {{\"type\": \"http\", \"url\": \"{url}\"}}}}}}");
    for fact in [url.as_str(), "may connect", "strict", "Python 3.", snippet.as_str()] {
        assert!(log.contains(fact), "{fact} is missing in {log}");
    }
    let command = command().expect("a command");
    assert!(command.contains("--state-dir"), "it would make another private copy: {command}");
    let finished = finish(Command::new("/bin/sh").args(["-c", &command]), "");
    assert_eq!(finished.stdout(), "1267650600228229401496703205376\n", "{}", finished.stderr());
}
