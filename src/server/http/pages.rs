//! The small answers of the HTTP door.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::server::health;
use crate::server::metrics::Metrics;
use crate::server::queue::Queue;
use crate::wire::{ProbeReport, Welcome};

use super::Body;
use super::guard::Turned;

pub(super) fn text(status: StatusCode, text: &str) -> Response<Body> {
    with_type(status, text.to_owned(), "text/plain; charset=utf-8")
}

pub(super) fn turned_away(turned: Turned) -> Response<Body> {
    let words = match turned {
        Turned::Token => {
            let words = "a token is needed: send `Authorization: Bearer TOKEN`; its holder is the operator of this server\n";
            let mut response = text(StatusCode::UNAUTHORIZED, words);
            let scheme = HeaderValue::from_static("Bearer realm=\"primcs\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            // Or strangers would keep every connection there is, with one request in half a minute.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        Turned::Host => {
            "this Host is not answered; set public_url or allowed_hosts in primcs.toml\n"
        }
        Turned::Origin => "this Origin may not call; add it to allowed_origins in primcs.toml\n",
    };
    text(StatusCode::FORBIDDEN, words)
}

/// MCP clients try GET for a stream of their own and DELETE to end a session: there are neither, and
/// 405 is what tells them. A person with a browser reads the text.
pub(super) fn only_post() -> Response<Body> {
    let words = "MCP is spoken here: POST JSON-RPC, or give this URL to an MCP client\n";
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, words);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// For a page of an allowed origin; the guard has checked it.
pub(super) fn preflight() -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "content-type, accept, authorization, mcp-protocol-version, mcp-method, mcp-name",
        ),
    );
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// A server that is about to end is not broken, and whoever watches it must be able to tell.
pub(super) fn ready(welcome: &Welcome, probe: &ProbeReport, draining: bool) -> Response<Body> {
    let status =
        if probe.problem.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut report = health::report(welcome, probe);
    report.insert("draining".to_owned(), Value::Bool(draining));
    with_type(status, Value::Object(report).to_string(), "application/json")
}

/// For this machine alone, token or not: a scraper elsewhere needs an exporter or a proxy here.
pub(super) fn metrics(metrics: &Metrics, queue: &Queue, peer: SocketAddr) -> Response<Body> {
    if !peer.ip().to_canonical().is_loopback() {
        return text(StatusCode::FORBIDDEN, "metrics are answered to loopback only\n");
    }
    match metrics.text(queue) {
        Ok(text) => with_type(
            StatusCode::OK,
            text,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n")
        }
    }
}

fn with_type(status: StatusCode, text: String, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
