//! `primcs serve` and `primcs stdio`.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;

use crate::journal;
use crate::notify::Notify;
use crate::settings::{DEFAULT_DRAIN, DEFAULT_LISTEN, Settings};

use super::Failure;
use super::arguments::{HostArguments, ServeArguments};
use super::assemble::{self, Assembled, whole};
use super::first_screen;
use super::health::Health;
use super::host::{self, Host};
use super::http::{self, Guard, GuardError, HttpDoor};
use super::log::Usual;
use super::mcp::{self, Door, McpServer};
use super::principal::Principal;
use super::stdio::{self, Streams};
use super::token::{Token, TokenError};

/// Why a door stays shut.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    #[error(
        "{address} is reachable from other machines and no token is set, so anybody there could run \
         code; {token}, listen on 127.0.0.1, or say --allow-unauthenticated"
    )]
    Open { address: SocketAddr, token: &'static str },
    #[error("cannot listen on {address}; choose another one with --listen")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "{allowed} open files are too few for {max_runs} runs and their clients, which need {least}; \
         raise the limit (LimitNOFILE=8192 in the unit, `ulimit -Hn 8192` in a shell) or lower \
         --max-runs"
    )]
    Descriptors { allowed: u64, max_runs: u32, least: u64 },
    #[error("cannot speak with the service manager (NOTIFY_SOCKET)")]
    Notify(#[source] io::Error),
    #[error("the door failed")]
    Door(#[source] io::Error),
    #[error("the supervisor ended; without it nothing can run")]
    SupervisorGone,
}

pub(super) fn serve(arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    // The filter leaves no way to connect later.
    let notify = Notify::connect(std::env::var_os).map_err(DoorError::Notify)?;
    let (flags, config) = (arguments.settings(), arguments.host.config.as_deref());
    let host = match &arguments.supervisor {
        Some(supervisor) => Host::join(flags, config, supervisor)?,
        None => Host::split(flags, config, Usual::Events)?,
    };
    let credentials = host::environment("CREDENTIALS_DIRECTORY");
    let token =
        Token::load(credentials, host.settings.token_file.as_deref()).map_err(DoorError::Token)?;
    let listener = bind(&host.settings, token.is_some())?;
    let guard = guard(&host.settings, &listener, token)?;
    let connected = host.connect()?;
    let most = most_connections(connected.welcome.max_runs)?;
    let drain = Duration::from_secs(connected.settings.drain_s.unwrap_or(DEFAULT_DRAIN));
    let door = (listener, guard, most);
    // The journal gets fields, no screen. Terminals of a desktop inherit the variable, too; and the
    // filter leaves no way to look later.
    let has_journal = journal::is_stderr(std::env::var_os(journal::STREAM).as_deref());
    let told = (notify, !has_journal);
    assemble::with_runtime(connected, drain, |assembled| serve_http(assembled, door, told))?
        .map_err(Failure::from)
}

pub(super) fn stdio(arguments: &HostArguments) -> Result<ExitCode, Failure> {
    let streams = Streams::take();
    let host = Host::split(arguments.settings(), arguments.config.as_deref(), Usual::Events)?;
    // Its one client has gone, or wants it to.
    let drain = Duration::ZERO;
    assemble::with_runtime(host.connect()?, drain, |assembled| serve_stdio(assembled, streams))?
        .map_err(Failure::from)
}

/// By the limit that the start has raised as far as it may.
fn most_connections(max_runs: u32) -> Result<usize, DoorError> {
    let (allowed, _) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| DoorError::Door(error.into()))?;
    let least = http::least_descriptors(max_runs);
    http::connections(allowed, max_runs).ok_or(DoorError::Descriptors { allowed, max_runs, least })
}

/// Before the supervisor is awaited, so that a taken port is reported at once.
fn bind(settings: &Settings, has_token: bool) -> Result<TcpListener, DoorError> {
    let address = settings.listen.unwrap_or(DEFAULT_LISTEN);
    let open = !address.ip().to_canonical().is_loopback();
    if open && !has_token && settings.allow_unauthenticated != Some(true) {
        let is_there = Path::new(SERVICES_TOKEN).try_exists();
        let is_passed_on = host::environment("CREDENTIALS_DIRECTORY").is_some();
        return Err(DoorError::Open { address, token: way_to_a_token(is_there, is_passed_on) });
    }
    let listen = |source| DoorError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    Ok(listener)
}

/// Who has made the file of the service and starts the server by hand would look for a mistake in it.
fn way_to_a_token(is_there: io::Result<bool>, is_passed_on: bool) -> &'static str {
    match (is_there, is_passed_on) {
        // The unit passes on what was there when it started, and a line feed for nothing.
        (Ok(true), true) => {
            "put one into /etc/primcs/token (`openssl rand -hex 32`) and start the service again"
        }
        (Ok(true) | Err(_), false) => {
            "/etc/primcs/token is read for the service alone: start that (systemctl restart primcs), \
             or name in token_file or PRIMCS_TOKEN_FILE a file that the server's user may read"
        }
        (Ok(false) | Err(_), _) => {
            "set one (`openssl rand -hex 32` into /etc/primcs/token for the service; elsewhere into \
             the file that token_file or PRIMCS_TOKEN_FILE names)"
        }
    }
}

/// What systemd/primcs.service makes a credential of.
const SERVICES_TOKEN: &str = "/etc/primcs/token";

fn guard(
    settings: &Settings,
    listener: &TcpListener,
    token: Option<Token>,
) -> Result<Guard, DoorError> {
    let address = listener.local_addr().map_err(DoorError::Door)?;
    Ok(Guard::new(
        address,
        settings.public_url.as_deref(),
        settings.allowed_hosts.as_deref().unwrap_or_default(),
        settings.allowed_origins.as_deref().unwrap_or_default(),
        token,
    )?)
}

async fn serve_http(
    assembled: Assembled,
    (listener, guard, most_connections): (TcpListener, Guard, usize),
    (notify, wants_screen): (Notify, bool),
) -> Result<ExitCode, DoorError> {
    let address = listener.local_addr().map_err(DoorError::Door)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(DoorError::Door)?;
    let Assembled { settings, policy, runner, rules } = assembled;
    let shutdown = runner.stopping.shutdown.clone();
    let supervisor = runner.supervisor.clone();
    let screen = first_screen::text(address, &settings, &runner.welcome, guard.has_token());
    tracing::info!(
        %address,
        policy = runner.welcome.policy_digest,
        isolation = runner.welcome.isolation,
        cgroups = runner.welcome.cgroup_layout,
        hard_limits = runner.welcome.limits.hard,
        token = guard.has_token(),
        "listening"
    );
    let health = Arc::new(Health::new(supervisor.clone()));
    let most_text = whole(policy.limits.run.output.text_characters.value);
    let shared = mcp::shared(runner, rules, most_text);
    let most_body = whole(policy.limits.call.body.value.0);
    let door = HttpDoor::new(shared, health, guard, most_body, most_connections);
    if wants_screen {
        write!(io::stderr(), "{screen}").map_err(DoorError::Door)?;
    }
    notify.say(&format!("READY=1\nSTATUS=MCP at http://{address}/mcp"));
    // Closed before the first client comes: whoever took this process over could tell systemd to wait
    // for it for ever at a stop (EXTEND_TIMEOUT_USEC), and so outlive restarts and upgrades.
    drop(notify);
    let serving = door.serve(listener, shutdown.clone());
    unless_supervisor_leaves(&supervisor, &shutdown, serving).await?;
    Ok(ExitCode::SUCCESS)
}

async fn serve_stdio(assembled: Assembled, streams: Streams) -> Result<ExitCode, DoorError> {
    let Assembled { policy, runner, rules, .. } = assembled;
    let shutdown = runner.stopping.shutdown.clone();
    let supervisor = runner.supervisor.clone();
    let most_text = whole(policy.limits.run.output.text_characters.value);
    let server = McpServer {
        shared: mcp::shared(runner, rules, most_text),
        door: Door::Stdio(Principal::local()),
    };
    let speaking = Box::pin(stdio::serve(server, streams, shutdown.clone()));
    unless_supervisor_leaves(&supervisor, &shutdown, speaking).await?.map_err(DoorError::Door)?;
    Ok(ExitCode::SUCCESS)
}

/// Without a supervisor every call would fail; better to end, so that whoever watches this process
/// restarts both. Calls under way get their answer first.
async fn unless_supervisor_leaves<T>(
    supervisor: &super::supervisor_client::SupervisorClient,
    shutdown: &CancellationToken,
    door: impl Future<Output = T>,
) -> Result<T, DoorError> {
    tokio::pin!(door);
    tokio::select! {
        done = &mut door => Ok(done),
        () = supervisor.gone().cancelled() => {
            shutdown.cancel();
            door.await;
            Err(DoorError::SupervisorGone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_only_the_service_reads_is_not_asked_for_again() {
        let by_hand = way_to_a_token(Ok(true), false);
        assert!(by_hand.contains("for the service alone") && by_hand.contains("token_file"));
        // Folders that the server's user may not enter hide it.
        assert_eq!(way_to_a_token(Err(io::ErrorKind::PermissionDenied.into()), false), by_hand);
        assert!(way_to_a_token(Ok(false), false).starts_with("set one"));
        assert!(way_to_a_token(Ok(true), true).contains("start the service again"));
    }
}
