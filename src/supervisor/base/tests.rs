//! The whole way on this host: made, found again, checked, run.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::*;

/// A directory of a test's own, removed when it ends.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("primcs-base-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        Self(path)
    }

    /// A file every user can read.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(super) fn reader() -> Option<Reader> {
    let reader = Reader { uid: 2_000_000_001, gid: 2_000_000_001 };
    nix::unistd::geteuid().is_root().then_some(reader)
}

/// A policy that leaves `skip` out of the standard library and copies what `lines` say.
pub(super) fn policy(skip: &[&str], lines: &str) -> policy::mounts::Base {
    let absent = ["tool", "tree", "library", "etc"]
        .into_iter()
        .filter(|key| !lines.lines().any(|line| line.trim().starts_with(&format!("{key} ="))));
    let absent = absent.map(|key| key.to_owned() + " = []\n").collect::<String>();
    let text = format!(
        "{absent}tool_path = {{ directories = ['/usr/bin', '/bin'], reason = '-' }}
python = {{ skip = [{{ names = {skip:?}, reason = '-' }}], reason = '-' }}
{lines}"
    );
    toml::from_str(&text).unwrap()
}

/// Nothing but the interpreter's binary, its libraries and one file in `/etc`.
fn little(sources: &[&Path]) -> policy::mounts::Base {
    policy(&["*"], &format!("etc = [{{ name = 'hosts', from = {sources:?}, reason = '-' }}]"))
}

/// The policy that is shipped.
fn shipped() -> policy::mounts::Base {
    policy::Policy::embedded().unwrap().mounts.base
}

fn request<'a>(state_dir: &'a Path, policy: &'a policy::mounts::Base) -> BaseRequest<'a> {
    BaseRequest { state_dir, python: None, search_path: &[], policy, reader: reader() }
}

#[test]
fn tools_and_interpreter_of_the_copy_run_in_it() {
    let (state, policy) = (Scratch::new(), shipped());
    let base = prepare(&request(&state.0, &policy)).unwrap();
    assert_eq!(verify(&base.directory).unwrap(), base.digest);
    if !nix::unistd::geteuid().is_root() {
        println!("NOT RUN: only root can chroot, so the copy was made and checked but not run");
        return;
    }
    let run = |program: &str, arguments: &[&str]| run_inside(&state, &base, program, arguments);
    let script = "import ssl, sqlite3, ctypes, json, zoneinfo, lzma, bz2, zlib, hashlib, curses
import threading, multiprocessing, asyncio, decimal, uuid, socket
print(zoneinfo.ZoneInfo('Europe/Zurich'), len(ssl.create_default_context().get_ca_certs()) > 10)";
    let python = base.python.to_str().unwrap();
    assert_eq!(run(python, &["-I", "-B", "-c", script]), "Europe/Zurich True\n");
    assert_eq!(run("/usr/bin/python3", &["-c", "print(1)"]), "1\n");
    assert_eq!(run("/bin/sh", &["-c", "echo $((1 + 1))"]), "2\n");
    assert_eq!(run("awk", &["BEGIN { print 3 }"]), "3\n");
    let commands = "cd /tmp && git init -q r && cd r && echo x > f && git add f && git status -s";
    assert_eq!(run("sh", &["-c", commands]), "A  f\n");
    assert_eq!(run("/usr/lib/git-core/git", &["hash-object", "/dev/null"]).len(), 41);
    let entries = run("ls", &["/"]);
    assert!(
        entries
            .lines()
            .all(|name| ["bin", "dev", "etc", "lib", "lib64", "sbin", "tmp", "usr"].contains(&name))
    );
    let named: Vec<_> = policy.etc.iter().map(|file| Path::new(file.name.as_str())).collect();
    for entry in std::fs::read_dir(base.root.join("etc")).unwrap() {
        let name = PathBuf::from(entry.unwrap().file_name());
        assert!(named.iter().any(|file| file.starts_with(&name)), "{name:?} is the host's own");
    }
}

/// Runs a program as nobody in particular in a root made of the copy, two device nodes and `/tmp`.
fn run_inside(state: &Scratch, base: &Base, program: &str, arguments: &[&str]) -> String {
    let script = r#"mount -t tmpfs none "$1"; base=$2; cd "$1"; shift 2; umask 0
mkdir dev; mkdir -m 1777 tmp; touch dev/null dev/urandom
for node in dev/*; do mount --bind /$node $node; done
for entry in "$base"/*; do
    name=${entry##*/}
    if [ -L "$entry" ]; then cp -P "$entry" .; else mkdir "$name"; mount --bind "$entry" "$name"; fi
done
exec env -i PATH=/usr/local/bin:/usr/bin:/bin "$SSL" /usr/sbin/chroot --userspec=2000000001:2000000001 . "$@""#;
    let point = state.0.join("point");
    std::fs::create_dir_all(&point).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-ec", script, "sh"]);
    // The policy says where the certificates are; where OpenSSL looks by itself, a run has none.
    let of_runs = policy::Policy::embedded().unwrap().process.environment;
    let ssl = of_runs.iter().find(|variable| variable.name == "SSL_CERT_FILE").unwrap();
    command.env("SSL", format!("SSL_CERT_FILE={}", ssl.value));
    command.arg(point).arg(&base.root).arg(program).args(arguments);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_copy_shares_no_inode_with_the_host_and_has_no_odd_modes() {
    let (state, policy) = (Scratch::new(), shipped());
    let base = prepare(&request(&state.0, &policy)).unwrap();
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
            if found.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                assert!(target.is_relative() && path.exists(), "{path:?} -> {target:?}");
                continue;
            }
            if let Ok(host) = std::fs::metadata(&host) {
                assert_ne!((found.dev(), found.ino()), (host.dev(), host.ino()), "{path:?}");
            }
            // Compiled modules are valid only beside a source with the time they recorded.
            if host.extension().is_some_and(|extension| extension == "py") {
                let host = std::fs::metadata(&host).unwrap();
                assert_eq!(found.modified().unwrap(), host.modified().unwrap(), "{path:?}");
            }
            files += 1;
            assert!(found.is_file() && found.nlink() == 1, "{path:?}");
            assert!([0o755, 0o644].contains(&(found.mode() & 0o7777)), "{path:?}");
        }
    }
    assert!(files > 500, "{files}");
}

#[test]
fn an_unchanged_host_is_not_copied_again_and_a_changed_source_is() {
    let state = Scratch::new();
    let source = state.file("source", "one");
    let policy = little(&[&source]);
    let request = request(&state.0, &policy);
    let prepare = || prepare(&request).unwrap();
    assert!(prepare().is_new);
    assert!(!prepare().is_new);
    let touched = File::options().write(true).open(&source).unwrap();
    touched.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
    assert!(prepare().is_new, "its time");
    assert!(!prepare().is_new);
    let time = std::fs::metadata(&source).unwrap().modified().unwrap();
    std::fs::write(&source, "three").unwrap();
    touched.set_modified(time).unwrap();
    assert!(prepare().is_new, "its size");
    let other = state.file("other", "THREE");
    File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    std::fs::rename(&other, &source).unwrap();
    let held = prepare();
    assert!(held.is_new, "its inode");
    assert_eq!(std::fs::read_to_string(held.root.join("etc/hosts")).unwrap(), "THREE");
    // The one in use stays, and goes when it is not: three directories are two copies and a lock.
    std::fs::write(&source, "four").unwrap();
    let newer = prepare();
    let count = || std::fs::read_dir(state.0.join("base")).unwrap().count();
    assert_eq!(count(), 3);
    drop(held);
    drop((newer, prepare()));
    assert_eq!(count(), 2);
}

#[test]
fn instances_that_start_together_make_one_copy_and_share_it() {
    let state = Scratch::new();
    let policy = little(&[&state.file("source", "one")]);
    let made = std::thread::scope(|scope| {
        let start = || prepare(&request(&state.0, &policy)).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|base| base.is_new).count(), 1);
    assert!(made.iter().all(|base| base.root == made[0].root && base.digest == made[0].digest));
}

#[test]
fn another_policy_or_a_tool_that_appears_makes_another_copy() {
    let state = Scratch::new();
    let source = state.file("source", "one");
    let first = state.0.join("first");
    let policy = little(&[&first, &source]);
    let request = request(&state.0, &policy);
    assert!(prepare(&request).unwrap().is_new);
    let other = tests::policy(&["*"], "etc = [{ name = 'h', text = '', reason = '-' }]");
    assert!(prepare(&BaseRequest { policy: &other, ..request }).unwrap().is_new);
    assert!(prepare(&request).unwrap().is_new);
    assert!(!prepare(&request).unwrap().is_new);
    state.file("first", "now here");
    assert!(prepare(&request).unwrap().is_new);
}

#[test]
fn a_source_that_cannot_be_looked_at_does_not_end_the_start() {
    let state = Scratch::new();
    let (link, source) = (state.0.join("loop"), state.file("source", "one"));
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let policy = little(&[&link, &source]);
    let request = request(&state.0, &policy);
    assert!(prepare(&request).unwrap().is_new);
    assert!(!prepare(&request).unwrap().is_new);
    std::fs::remove_file(&link).unwrap();
    assert!(prepare(&request).unwrap().is_new);
}

#[test]
fn a_damaged_copy_is_replaced_by_a_whole_one() {
    let state = Scratch::new();
    let policy = little(&[&state.file("source", "one")]);
    let request = request(&state.0, &policy);
    let base = prepare(&request).unwrap();
    let victim = base.root.join("etc/hosts");
    std::fs::write(&victim, "two").unwrap();
    let error = verify(&base.directory).unwrap_err().to_string();
    assert!(error.contains("etc/hosts"), "{error}");
    let again = replace(&request, base).unwrap();
    assert!(again.is_new);
    assert_eq!(verify(&again.directory).unwrap(), again.digest);
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "one");
}
