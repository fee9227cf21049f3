//! Bytes before the answer. rmcp sends not even a status line until its handler says something, so
//! a quiet run would look dead to proxies and clients. After a few seconds we open the event
//! stream ourselves, keep it alive with comments and put the answer into it when it comes.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;
use tokio::time::Interval;

use super::Body;

/// How long a client may see nothing at all, and nothing new afterwards.
const PATIENCE: Duration = Duration::from_secs(5);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// `response` itself when it comes in time, otherwise a stream that will carry it. Dropping the
/// stream drops `response`, which is how a disconnect reaches the run.
pub(super) async fn in_time(mut response: Pending<Response<Body>>) -> Response<Body> {
    if let Ok(response) = tokio::time::timeout(PATIENCE, &mut response).await {
        return response;
    }
    let stream =
        EarlyStream { state: State::Waiting(response), beat: tokio::time::interval(PATIENCE) };
    let mut early = Response::new(Body::new(stream));
    let kind = HeaderValue::from_static("text/event-stream");
    early.headers_mut().insert(header::CONTENT_TYPE, kind);
    early
}

struct EarlyStream {
    state: State,
    beat: Interval,
}

enum State {
    /// Nothing yet.
    Waiting(Pending<Response<Body>>),
    /// A stream of its own: passed on.
    Stream(Body),
    /// One JSON message: becomes one event.
    Message(Pending<Bytes>),
    Done,
}

impl HttpBody for EarlyStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            match &mut self.state {
                State::Waiting(response) => match response.as_mut().poll(context) {
                    Poll::Ready(response) => self.state = state_for(response),
                    Poll::Pending => break,
                },
                State::Stream(body) => return Pin::new(body).poll_frame(context),
                State::Message(message) => match message.as_mut().poll(context) {
                    Poll::Ready(message) => {
                        self.state = State::Done;
                        return Poll::Ready(Some(Ok(Frame::data(event(&message)))));
                    }
                    Poll::Pending => break,
                },
                State::Done => return Poll::Ready(None),
            }
        }
        // Both inner futures are registered; the beat wakes us too.
        self.beat
            .poll_tick(context)
            .map(|_| Some(Ok(Frame::data(Bytes::from_static(b": still running\n\n")))))
    }
}

fn state_for(response: Response<Body>) -> State {
    if is_event_stream(&response) {
        return State::Stream(response.into_body());
    }
    let body = response.into_body();
    State::Message(Box::pin(async move {
        match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(never) => match never {},
        }
    }))
}

pub(super) fn is_event_stream(response: &Response<Body>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"))
}

fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 16);
    for line in message.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    Bytes::from(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn whole(response: Response<Body>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_json_answer_arrives_as_an_event_after_comments() {
        let late = Box::pin(async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            Response::new(Body::new(http_body_util::Full::from("{\"id\":1}")))
        });
        let response = in_time(late).await;
        assert!(is_event_stream(&response));
        let text = whole(response).await;
        assert!(text.starts_with(": still running\n\n"), "{text}");
        assert!(text.ends_with("data: {\"id\":1}\n\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_left_alone() {
        let soon = Box::pin(async { Response::new(Body::new(http_body_util::Full::from("x"))) });
        let response = in_time(soon).await;
        assert!(!is_event_stream(&response));
        assert_eq!(whole(response).await, "x");
    }
}
