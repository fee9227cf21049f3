//! The private copy: a change of its bytes ends admission while serving, and is mended at start.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use primcs::policy::Policy;
use primcs::wire::{Refusal, ToServer, Verdict};

use super::fake_server::{FakeServer, hello_with};
use super::support::programs::scratch;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A supervisor with a state directory of its own, that looks at its copy every second.
struct Watched {
    state: PathBuf,
    policy: PathBuf,
    digest: String,
}

impl Watched {
    fn new() -> Self {
        let home = scratch().join("watched-copy");
        let _left_by_an_earlier_run = fs::remove_dir_all(&home);
        let policy = home.join("policy");
        fs::create_dir_all(&policy).expect("a policy folder");
        let limits = include_str!("../../policy/limits.toml");
        let changed = limits
            .replace("copy_check    = { value = \"300s\"", "copy_check    = { value = \"1s\"");
        assert_ne!(limits, changed, "limits.toml has no copy_check of 300s");
        fs::write(policy.join("limits.toml"), &changed).expect("a policy file");
        let files = BTreeMap::from([("limits.toml".to_owned(), changed)]);
        let digest = Policy::from_files(&files).expect("a policy").digest;
        Self { state: home.join("state"), policy, digest }
    }

    fn start(&self) -> FakeServer {
        let state = self.state.to_str().expect("UTF-8");
        let policy = self.policy.to_str().expect("UTF-8");
        let mut fake = FakeServer::start(&["--state-dir", state, "--policy", policy]);
        fake.send(&hello_with(VERSION, &self.digest));
        match fake.receive_within(Duration::from_secs(60)) {
            Some((ToServer::Welcome(_), _)) => fake,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Changes one byte of a file that runs read, leaving size and name as they are.
    fn flip_a_byte(&self) {
        let copies = fs::read_dir(self.state.join("base")).expect("copies");
        let file = copies
            .flatten()
            .flat_map(|copy| fs::read_dir(copy.path().join("root/usr/lib")).into_iter().flatten())
            .flatten()
            .map(|entry| entry.path().join("this.py"))
            .find(|path| path.is_file())
            .expect("a standard library with this.py");
        let mut bytes = fs::read(&file).expect("this.py");
        *bytes.first_mut().expect("not empty") ^= 1;
        fs::write(&file, bytes).expect("this.py");
    }
}

/// proves: limits host `copy_check`; mounts base
#[test]
fn a_changed_copy_ends_admission_and_the_next_start_makes_it_again() {
    let watched = Watched::new();
    let mut fake = watched.start();
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);

    watched.flip_a_byte();
    let until = Instant::now() + Duration::from_secs(30);
    let message = loop {
        assert!(Instant::now() < until, "runs still start from a changed copy");
        let request = fake.request("pass");
        fake.send(&request);
        match fake.receive() {
            Some((ToServer::Refused { refusal: Refusal::SandboxFailed { message }, .. }, _)) => {
                break message;
            }
            Some((ToServer::Started(_), _pipes)) => {
                assert!(matches!(fake.receive(), Some((ToServer::Ended(_), _))));
                std::thread::sleep(Duration::from_millis(100));
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(message.contains("private copy"), "{message}");
    fake.hang_up();
    fake.assert_ends();

    let mut again = watched.start();
    assert_eq!(again.verdict("import this as _"), Verdict::Ok);
    again.hang_up();
    again.assert_ends();
}
