//! The end of it: what `apt-get remove` and `apt-get purge` leave.
#![forbid(unsafe_code)]

use std::path::Path;

use super::remains::{Idle, start};
use super::support::processes::{all, eventually};
use super::support::stubborn::STUBBORN;
use super::unit::{output, succeeds, supervisors_group};
use super::witness::{PATIENCE, is_gone, write_down};

/// Even while a run is under way. The settings stay until they are purged.
#[test]
fn removal_takes_the_programs_and_purge_takes_all() {
    let idle = Idle::look();
    let stream = start(STUBBORN);
    let seen = idle.runs();
    let group = supervisors_group();
    succeeds("apt-get", &["remove", "--yes", "primcs"]);
    drop(stream);
    seen.is_gone();
    is_gone(&group);
    let ours = || all().iter().filter(|one| one.name().starts_with("primcs")).count();
    assert!(eventually(PATIENCE, || ours() == 0), "{} processes are left", ours());
    for path in ["/usr/bin/primcs", "/usr/libexec/primcs", "/usr/share/primcs"] {
        assert!(!Path::new(path).exists(), "{path} is left");
    }
    assert!(Path::new("/etc/primcs/primcs.toml").exists(), "settings are kept");
    let listed = output("systemctl", &["list-units", "--all", "--no-legend", "--plain", "primcs*"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("active running"), "{listed:?}");

    succeeds("apt-get", &["purge", "--yes", "primcs"]);
    for path in ["/etc/primcs", "/var/lib/primcs", "/run/primcs", "/run/primcs-supervisor.sock"] {
        assert!(!Path::new(path).exists(), "{path} is left");
        write_down(path.as_ref(), "path", "there", "gone");
    }
}
