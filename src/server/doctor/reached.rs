//! Limits that the server or the supervisor keeps, and that the probe therefore cannot judge: an
//! ordinary run goes on, writes or opens sockets beyond each, and must end as the policy says.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::assemble::Assembled;
use crate::server::live::LiveOutput;
use crate::server::principal::Principal;
use crate::server::result::Status;
use crate::server::tool::Call;

/// What a run beyond each limit came to, by the id of its check: what was seen, or what is wrong.
pub(super) type Reached = BTreeMap<&'static str, Result<String, String>>;

/// Tries all of them, one after the other.
pub(super) async fn limits(assembled: &Assembled) -> Reached {
    let sockets = assembled.policy.limits.run.sockets.inet.value;
    let sockets = format!("MOST = {sockets}\n{CONNECT}");
    let mut reached = Reached::new();
    for (id, code, time, status) in [
        ("limit.wall", "import time\ntime.sleep(600)\n", SHORT, Status::Timeout),
        ("limit.output", FLOOD, PATIENCE, Status::OutputLimit),
        ("limit.sockets", &sockets, PATIENCE, Status::OutOfMemory),
    ] {
        reached.insert(id, beyond(assembled, code, time, status).await);
    }
    reached
}

async fn beyond(
    assembled: &Assembled,
    code: &str,
    time: Duration,
    status: Status,
) -> Result<String, String> {
    let call = Call { code: code.to_owned(), timeout: Some(time), hints: Vec::new() };
    let (live, nobody) = (LiveOutput::unwatched(), CancellationToken::new());
    let result = assembled.runner.run(call, &Principal::local(), &live, &nobody).await;
    if result.status == status {
        return Ok(String::new());
    }
    if result.status == Status::Ok && result.stdout == NONE {
        return Ok("this policy lets a run make none".to_owned());
    }
    let why = result.error.map(|error| error.message).unwrap_or_default();
    let seen = format!("it ended as {}, not as {}", result.status.name(), status.name());
    Err(format!("{seen} {why}{}", result.stderr.trim()).trim().to_owned())
}

/// Enough to start.
const SHORT: Duration = Duration::from_millis(200);

/// Hundreds of times what the runs take: whoever is slow is not unsafe.
const PATIENCE: Duration = Duration::from_secs(60);

const FLOOD: &str = "import os\nwhile True:\n    os.write(1, bytes(65536))\n";

/// Connections that nobody accepts need no descriptor, so that no other limit comes first. Many more
/// than are needed: where the kernel gets to them late, a connection that is closed at once is none.
const CONNECT: &str = "\
import socket
import time
def listen():
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(4096)
    return listener
try:
    socket.socket().close()
except OSError:
    raise SystemExit(print('none', end=''))
listeners = []
for made in range(8 * MOST):
    if made % 4000 == 0:
        listeners.append(listen())
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listeners[-1].getsockname())
    client.close()
time.sleep(600)
";

/// What that prints where the policy allows no internet socket.
const NONE: &str = "none";
