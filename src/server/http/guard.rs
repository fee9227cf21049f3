//! Which `Host` and `Origin` are answered, and who is let in. A page in the operator's browser can make requests to
//! loopback, and by DNS rebinding even read the answers; it cannot choose these two headers.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};

use crate::server::principal::Principal;
use crate::server::token::Token;

/// The allow lists.
#[derive(Debug, Clone)]
pub(in crate::server) struct Guard {
    /// Lower case; a name without a port answers on every port.
    hosts: Vec<(String, Option<u16>)>,
    /// Lower case, `scheme://host[:port]`.
    origins: Vec<String>,
    /// Absent: whoever reaches the port is let in.
    token: Option<Token>,
}

/// Why a request is not answered; the reply is 403, without the token 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Turned {
    Host,
    Origin,
    Token,
}

/// Why the lists cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{value}` in {setting} is no {want}")]
pub(in crate::server) struct GuardError {
    setting: &'static str,
    value: String,
    want: &'static str,
}

impl Guard {
    pub(in crate::server) fn new(
        listen: SocketAddr,
        public_url: Option<&str>,
        allowed_hosts: &[String],
        allowed_origins: &[String],
        token: Option<Token>,
    ) -> Result<Self, GuardError> {
        let loopback = ["localhost", "127.0.0.1", "[::1]"];
        let mut hosts: Vec<_> = loopback.iter().map(|name| ((*name).to_owned(), None)).collect();
        let mut origins = Vec::new();
        if !listen.ip().is_unspecified() {
            hosts.push((authority_of(listen), None));
            // Only this very listener serves pages of its own address, and it serves none. `localhost`
            // with the same port is another matter: on the other family it may be anybody's.
            origins.push(format!("http://{listen}"));
        }
        if let Some(url) = public_url {
            let bad = || GuardError { setting: "public_url", value: url.to_owned(), want: "URL" };
            let uri: Uri = url.parse().map_err(|_| bad())?;
            let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(bad)?;
            hosts.push((authority.host().to_ascii_lowercase(), None));
            origins.push(format!("{scheme}://{authority}").to_ascii_lowercase());
        }
        for value in allowed_hosts {
            let bad = GuardError {
                setting: "allowed_hosts",
                value: value.clone(),
                want: "host name with or without a port",
            };
            let authority = plain(value).ok_or(bad)?;
            hosts.push((authority.host().to_ascii_lowercase(), authority.port_u16()));
        }
        for value in allowed_origins {
            let bad = || GuardError {
                setting: "allowed_origins",
                value: value.clone(),
                want: "origin such as https://app.example.com",
            };
            let uri: Uri = value.parse().map_err(|_| bad())?;
            if uri.scheme().is_none() || uri.authority().is_none() {
                return Err(bad());
            }
            origins.push(value.trim_end_matches('/').to_ascii_lowercase());
        }
        Ok(Self { hosts, origins, token })
    }

    /// Both headers, and the authority of an absolute request line too.
    pub(in crate::server) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Turned> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Turned::Host) };
        let Some(host) = host.to_str().ok().and_then(plain) else { return Err(Turned::Host) };
        let in_target = uri.authority().map(|authority| plain(authority.as_str()));
        let answered = |host: Option<Authority>| host.is_some_and(|host| self.answers(&host));
        if !answered(Some(host)) || !in_target.is_none_or(answered) {
            return Err(Turned::Host);
        }
        let allowed = headers.get_all(header::ORIGIN).iter().all(|origin| self.allows(origin));
        if allowed { Ok(()) } else { Err(Turned::Origin) }
    }

    /// Who is calling, where a token is asked for.
    pub(in crate::server) fn admit(&self, headers: &HeaderMap) -> Result<Principal, Turned> {
        match &self.token {
            None => Ok(Principal::local()),
            Some(token) if token.admits(headers) => Ok(Principal::bearer()),
            Some(_) => Err(Turned::Token),
        }
    }

    pub(in crate::server) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn answers(&self, host: &Authority) -> bool {
        let name = host.host().to_ascii_lowercase();
        self.hosts.iter().any(|(allowed, port)| {
            *allowed == name && port.is_none_or(|port| host.port_u16() == Some(port))
        })
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.origins.contains(&origin.to_ascii_lowercase()))
    }
}

/// What stands behind the door sees the headers; credentials are for the door alone.
pub(super) fn strip_credentials(headers: &mut HeaderMap) {
    for secret in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE] {
        headers.remove(secret);
    }
}

/// A name, and perhaps a colon and a port. `Authority` also takes `user@host`, and for a port anything:
/// `lan:81x` would be a name without one, and so be answered on every port.
fn plain(host: &str) -> Option<Authority> {
    let authority: Authority = host.parse().ok()?;
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let rest = host.strip_prefix(authority.host())?;
    let plain = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    plain.then_some(authority)
}

fn authority_of(listen: SocketAddr) -> String {
    match listen {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), Turned> {
        let guard = Guard::new(
            "127.0.0.1:9000".parse().unwrap(),
            Some("https://primcs.example.com/mcp"),
            &["lan:81".to_owned()],
            &["https://app.example.com".to_owned()],
            None,
        )
        .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        guard.check(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn loopback_the_public_name_and_named_hosts_are_answered() {
        for host in ["localhost", "LOCALHOST:9000", "[::1]:1", "primcs.example.com", "lan:81"] {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
    }

    #[test]
    fn credentials_stay_at_the_door() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "proxy-authorization", "accept"] {
            headers.append(name, HeaderValue::from_static("x"));
            headers.append(name, HeaderValue::from_static("y"));
        }
        strip_credentials(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn a_rebound_name_is_not() {
        for host in ["evil.example", "localhost.evil.example", "lan:82", "lan", "a@localhost"] {
            assert_eq!(check(host, None), Err(Turned::Host), "{host}");
        }
    }

    /// Found by fuzz/.
    #[test]
    fn a_port_that_is_no_number_is_turned_away() {
        for host in ["localhost:75i", "localhost:+80", "localhost:", "[::1]:65536", "lan:81x"] {
            assert_eq!(check(host, None), Err(Turned::Host), "{host}");
        }
    }

    #[test]
    fn an_allowed_host_with_a_mistyped_port_is_refused_and_not_allowed_on_every_port() {
        let listen = "127.0.0.1:9000".parse().unwrap();
        for mistyped in ["lan:81x", "lan:", "a@lan", "lan:65536"] {
            let error = Guard::new(listen, None, &[mistyped.to_owned()], &[], None).unwrap_err();
            assert!(error.to_string().contains(mistyped), "{error}");
        }
    }

    #[test]
    fn a_client_that_sends_the_doors_own_address_as_origin_is_answered() {
        assert_eq!(check("127.0.0.1:9000", Some("http://127.0.0.1:9000")), Ok(()));
    }

    #[test]
    fn a_page_may_call_only_from_a_listed_origin() {
        for origin in ["https://primcs.example.com", "https://app.example.com"] {
            assert_eq!(check("localhost", Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://localhost:9000",
            "http://127.0.0.1:9001",
            "http://127.0.0.1",
            "null",
            "https://app.example.com.evil",
        ] {
            assert_eq!(check("localhost", Some(origin)), Err(Turned::Origin), "{origin}");
        }
    }
}
