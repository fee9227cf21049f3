//! How many runs a server lets be there at once, held open by the connections of their clients.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::mcp::{Call, Era, Stream};
use super::processes::{descendants, eventually};
use super::server::Server;

/// For a call to come to its place, or a run to leave it.
const SOON: Duration = Duration::from_secs(10);

/// So many runs, all under way until what this returns is dropped.
pub(crate) fn hold(server: &Server, count: usize) -> Vec<Stream> {
    let call = Call::new("print('here', flush=True)\nimport time\ntime.sleep(600)");
    let call = call.timeout(600).with_progress();
    // One by one, so that each is seen to begin while all before it are there.
    let streams = (0..count).map(|_| {
        let mut stream = call.stream(server.address, Era::Modern);
        stream.wait_for("here");
        stream
    });
    streams.collect()
}

/// Fails unless so many runs are there at once, and one more waits until one of them has left.
pub(crate) fn assert_places(server: &Server, places: usize) {
    let mut held = hold(server, places);
    let one_more = Call::new("print('now')").send(server.address, Era::Modern);
    let waits = eventually(SOON, || server.metric("primcs_runs_queued") == 1);
    assert!(waits, "more than {places} run at once");
    assert_eq!(runs_below(server), places);
    drop(held.pop());
    let answer = one_more.response().expect("an answer").text().expect("its text");
    assert!(answer.contains("now\\n"), "{answer}");
}

/// Inits, by the kernel's account: of the supervisor's children all but the nursery.
fn runs_below(server: &Server) -> usize {
    let supervisor = server.supervisor();
    let below = descendants(supervisor.pid);
    below.iter().filter(|one| one.parent() == Some(supervisor.pid)).count() - 1
}
