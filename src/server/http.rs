//! The HTTP door: our own accept loop, so that every limit on what a stranger can make us hold is
//! visible here. Everything that arrives is untrusted until `guard` has looked at it.
#![forbid(unsafe_code)]

mod early_stream;
mod guard;
mod pages;
mod patience;
mod room;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::wire::ProbeReport;

use super::health::Health;
use super::mcp::{Door, McpServer, Shared};

pub(super) use guard::{Guard, GuardError};
use patience::Patient;
pub(super) use room::{connections, least_descriptors};

/// What is sent back.
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// The door and what stands behind it; clones share it.
#[derive(Clone)]
pub(super) struct HttpDoor {
    mcp: StreamableHttpService<McpServer, NeverSessionManager>,
    shared: Arc<Shared>,
    health: Arc<Health>,
    guard: Arc<Guard>,
    most_body: usize,
    most_connections: usize,
}

/// For a request's head, from the first byte or from the end of the last answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// For a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const MOST_HEADERS: usize = 64;
const MOST_HEAD_BYTES: usize = 32 * 1024;

/// For answers under way when the server stops; the runs themselves end at once.
const CLOSING: Duration = Duration::from_millis(900);

const DRAINING: &str = "the server is stopping and takes no new calls";

impl HttpDoor {
    pub(super) fn new(
        shared: Arc<Shared>,
        health: Arc<Health>,
        guard: Guard,
        most_body: usize,
        most_connections: usize,
    ) -> Self {
        // No sessions: each request stands alone, so a disconnect ends its run, there is no table
        // to exhaust, and no unread stream can hold up another call (protocol.md 2.3).
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(most_body)
            // `guard` has checked both for every path, not only for this service's.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let server = McpServer { shared: Arc::clone(&shared), door: Door::Http };
        let mcp = StreamableHttpService::new(
            move || Ok(server.clone()),
            Arc::new(NeverSessionManager::default()),
            config,
        );
        Self { mcp, shared, health, guard: Arc::new(guard), most_body, most_connections }
    }

    /// Answers until `shutdown`, then gives answers under way a moment to leave.
    pub(super) async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.most_connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept(&listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    let connection = self.clone().connection(stream, peer, shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of descriptors, most likely; the next try would fail the same way.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSING, all).await.is_err() {
            tracing::info!("connections were still open when the server stopped");
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, shutdown: CancellationToken) {
        let service = hyper::service::service_fn(move |request| {
            let door = self.clone();
            async move { Ok::<_, Infallible>(door.answer(request, peer).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MOST_HEADERS)
            .max_buf_size(MOST_HEAD_BYTES)
            .serve_connection(TokioIo::new(Patient::new(stream)), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if let Err(turned) = self.guard.check(request.uri(), request.headers()) {
            return pages::turned_away(turned);
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        let path = request.uri().path().to_owned();
        let mut response = match (path.as_str(), request.method()) {
            ("/mcp" | "/mcp/", &Method::OPTIONS) if origin.is_some() => pages::preflight(),
            ("/mcp" | "/mcp/", &Method::POST) => self.mcp(request).await,
            ("/mcp" | "/mcp/", _) => pages::only_post(),
            ("/healthz", &Method::GET) => pages::text(StatusCode::OK, "ok\n"),
            ("/readyz", &Method::GET) => {
                let draining = self.shared.runner.stopping.draining.is_cancelled();
                let probe = if draining {
                    // Nothing has failed.
                    ProbeReport { problem: Some(DRAINING.to_owned()), ..ProbeReport::default() }
                } else {
                    self.health.probe().await
                };
                pages::ready(&self.shared.runner.welcome, &probe, draining)
            }
            ("/metrics", &Method::GET) => {
                pages::metrics(&self.shared.runner.metrics, &self.shared.runner.queue, peer)
            }
            ("/healthz" | "/readyz" | "/metrics", _) => {
                pages::text(StatusCode::METHOD_NOT_ALLOWED, "only GET here\n")
            }
            _ => pages::text(StatusCode::NOT_FOUND, "nothing here; MCP is at /mcp\n"),
        };
        if let Some(origin) = origin {
            // The guard let it pass, so its page may read the answer.
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        response
    }

    async fn mcp(&self, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let principal = match self.guard.admit(&parts.headers) {
            Ok(principal) => principal,
            Err(turned) => {
                // Once: whoever guesses must not fill the log, too.
                if self.shared.runner.metrics.refused_without_token() {
                    tracing::warn!("a call without the token; /metrics counts them from here on");
                }
                return pages::turned_away(turned);
            }
        };
        guard::strip_credentials(&mut parts.headers);
        let body = match read_body(body, self.most_body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        parts.extensions.insert(principal);
        let mcp = self.mcp.clone();
        let request = Request::from_parts(parts, Full::new(body));
        let pending = Box::pin(async move { mcp.handle(request).await.map(Body::new) });
        let mut response = early_stream::in_time(pending).await;
        if early_stream::is_event_stream(&response) {
            let headers = response.headers_mut();
            // nginx would otherwise hold the stream back until its buffer is full.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Without it a small second write waits for the first one's acknowledgement: 40 ms a call.
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

/// The whole body within its bounds, or the refusal to send.
async fn read_body(body: Incoming, most: usize) -> Result<Bytes, Response<Body>> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(pages::text(StatusCode::PAYLOAD_TOO_LARGE, &format!("at most {most} bytes\n")))
        }
        Ok(Err(_)) => Err(pages::text(StatusCode::BAD_REQUEST, "the body ended early\n")),
        Err(_) => Err(pages::text(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
    }
}
