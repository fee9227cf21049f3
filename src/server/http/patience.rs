//! A connection whose other end may stop reading, though not for ever: a client that takes nothing
//! for a while would hold its run, our memory and a place among the connections.
#![forbid(unsafe_code)]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Without a single byte taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream on which a write that makes no progress fails.
#[derive(Debug)]
pub(super) struct Patient<T> {
    stream: T,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, waiting: None }
    }

    /// `written` itself, unless the other end has taken nothing for too long.
    fn within_patience<R>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_patience(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.within_patience(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // One that has nothing to flush says nothing about a write that waits.
        if flushed.is_ready() { flushed } else { self.within_patience(context, flushed) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.within_patience(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_after_a_minute() {
        let (ours, theirs) = tokio::io::duplex(64);
        let began = Instant::now();
        let error = Patient::new(ours).write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_merely_slow_gets_everything() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let writing = tokio::spawn(async move { Patient::new(ours).write_all(&[0; 640]).await });
        let mut piece = [0; 64];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            theirs.read_exact(&mut piece).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }
}
