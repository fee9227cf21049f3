//! Lets a test take barriers around the server away, and has the server try what they stop. All of
//! it is compiled out without the feature `weaken`, which no release build has.
#![forbid(unsafe_code)]

/// Whether the barrier of this name stands.
#[cfg(feature = "weaken")]
pub(super) fn stands(barrier: &str) -> bool {
    !std::env::var("PRIMCS_WEAKEN").is_ok_and(|names| names.split(',').any(|name| name == barrier))
}

/// Whether the barrier of this name stands: always.
#[cfg(not(feature = "weaken"))]
pub(super) const fn stands(_barrier: &str) -> bool {
    true
}

/// With `PRIMCS_PROVE` set, tries what the server must not be able to do and logs what the kernel
/// said. Nothing of it changes the host where it succeeds.
#[cfg(feature = "weaken")]
pub(super) fn prove() {
    if std::env::var_os("PRIMCS_PROVE").is_none() {
        return;
    }
    let open = |path: &str| said(std::fs::File::open(path).map(drop));
    // A file system that does not exist: with the right to mount the kernel says ENODEV.
    let mount = nix::mount::mount(
        Some("none"),
        "/",
        Some("primcs-none"),
        nix::mount::MsFlags::empty(),
        None::<&str>,
    );
    tracing::warn!(
        shadow = open("/etc/shadow"),
        passwd = open("/etc/passwd"),
        look = said(std::fs::symlink_metadata("/etc/passwd").map(drop)),
        mount = said(mount.map_err(std::io::Error::from)),
        listen = said(std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
        "tried"
    );
    // Last, because there is nothing to log if it succeeds.
    let program = c"/bin/true";
    let exec = nix::unistd::execv(program, &[program]);
    tracing::warn!(exec = said(exec.map(drop).map_err(std::io::Error::from)), "tried to exec");
}

#[cfg(feature = "weaken")]
fn said(outcome: std::io::Result<()>) -> String {
    outcome.err().map_or_else(|| "succeeded".to_owned(), |error| error.to_string())
}
