//! The stdio door: one JSON-RPC message a line. Whoever started this process is the caller, and
//! when they close our stdin or signal us, their runs end and so do we, within a second.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::mcp::McpServer;

/// Standard input and output of our own: reopened, so that making them non-blocking does not
/// change the ones that our parent and its other children hold.
#[derive(Debug)]
pub(super) struct Streams(Option<(OwnedFd, OwnedFd)>);

/// rmcp would wait five seconds for calls under way; their runs end at once, so it need not.
const CLOSING: Duration = Duration::from_millis(900);

impl Streams {
    /// Before the privileges go: a pipe belongs to the user who made it, and only they can reopen
    /// it. What is no pipe is used as it is, through tokio's blocking threads.
    pub(super) fn take() -> Self {
        let reopened = reopen(io::stdin().as_raw_fd(), false)
            .and_then(|input| Some((input, reopen(io::stdout().as_raw_fd(), true)?)));
        Self(reopened)
    }
}

fn reopen(descriptor: i32, write: bool) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{descriptor}");
    if !std::fs::metadata(&path).ok()?.file_type().is_fifo() {
        return None;
    }
    let mut options = File::options();
    options.read(!write).write(write).custom_flags(libc::O_NONBLOCK);
    options.open(&path).ok().map(OwnedFd::from)
}

/// Speaks until stdin ends or `shutdown`, which an end of stdin also triggers.
pub(super) async fn serve(
    server: McpServer,
    streams: Streams,
    shutdown: CancellationToken,
) -> io::Result<()> {
    match streams.0 {
        Some((input, output)) => {
            let input = pipe::Receiver::from_owned_fd_unchecked(input)?;
            let output = pipe::Sender::from_owned_fd_unchecked(output)?;
            speak(server, input, output, shutdown).await;
        }
        None => speak(server, tokio::io::stdin(), tokio::io::stdout(), shutdown).await,
    }
    Ok(())
}

async fn speak(
    server: McpServer,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    shutdown: CancellationToken,
) {
    let input = EndWatch { input, ended: shutdown.clone() };
    let service = tokio::select! {
        service = rmcp::serve_server(server, (input, output)) => service,
        () = shutdown.cancelled() => return,
    };
    let service = match service {
        Ok(service) => service,
        Err(error) => {
            tracing::debug!(%error, "the client left before it began");
            return;
        }
    };
    let speaking = service.waiting();
    tokio::pin!(speaking);
    tokio::select! {
        _ = &mut speaking => return,
        () = shutdown.cancelled() => {}
    }
    // Runs are ending; their answers may still find a reader.
    if tokio::time::timeout(CLOSING, speaking).await.is_err() {
        tracing::debug!("calls were still under way when stdin ended");
    }
}

/// Passes reads on and tells when there is nothing more to read.
struct EndWatch<R> {
    input: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndWatch<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.input).poll_read(context, buffer);
        let at_end = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.capacity() > before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if at_end {
            self.ended.cancel();
        }
        read
    }
}
