//! Output while the program runs: the message of a progress notification carries the text itself,
//! unchanged, and `_meta` says which stream and where in it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use rmcp::model::{
    JsonObject, MetaObject, NotificationMetaObject, ProgressNotificationParam, ProgressToken,
};
use rmcp::{Peer, RoleServer};

use super::live::{Decoder, LiveOutput, Text};

/// Ours, so that no other extension's keys can collide.
const STREAM_KEY: &str = "io.github.hileamlakb.primcs/stream";
const OFFSET_KEY: &str = "io.github.hileamlakb.primcs/offset";

/// Hosts give up on a silent call after minutes, proxies after a minute.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Tells `peer` what `live` brings until it is closed or the peer is gone. The first message goes
/// out at once: before it, a client over HTTP has not even seen a status line.
pub(super) async fn tell(peer: &Peer<RoleServer>, token: ProgressToken, live: &LiveOutput) {
    let mut teller = Teller { peer, token, count: 0.0, began: Instant::now() };
    let mut decoder = Decoder::default();
    let mut peer_listens = teller.say("started".to_owned(), None).await;
    while peer_listens {
        peer_listens = match tokio::time::timeout(HEARTBEAT, live.next()).await {
            Ok(Some(piece)) => match decoder.decode(&piece) {
                Some(text) => teller.pass_on(text).await,
                None => true,
            },
            Ok(None) => break,
            Err(_) => {
                let running = teller.began.elapsed().as_secs();
                teller.say(format!("running for {running} s"), None).await
            }
        };
    }
    for text in decoder.finish() {
        teller.pass_on(text).await;
    }
}

struct Teller<'a> {
    peer: &'a Peer<RoleServer>,
    token: ProgressToken,
    /// Strictly increasing, as the specification demands.
    count: f64,
    began: Instant,
}

impl Teller<'_> {
    async fn pass_on(&mut self, text: Text) -> bool {
        let mut meta = JsonObject::new();
        meta.insert(STREAM_KEY.to_owned(), text.stream.name().into());
        meta.insert(OFFSET_KEY.to_owned(), text.offset.into());
        self.say(text.string, Some(NotificationMetaObject(MetaObject(meta)))).await
    }

    /// False when the peer is gone.
    async fn say(&mut self, message: String, meta: Option<NotificationMetaObject>) -> bool {
        self.count += 1.0;
        let mut progress =
            ProgressNotificationParam::new(self.token.clone(), self.count).with_message(message);
        progress.meta = meta;
        self.peer.notify_progress(progress).await.is_ok()
    }
}
