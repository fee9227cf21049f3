//! HTTP/1.1 by hand over one TCP connection: what is sent and when is exactly what the test says.
//! The server is the thing under test, so nothing it sends is taken on trust: sizes are checked and
//! a malformed answer fails the test.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the next byte; every run of these tests ends sooner.
const PATIENCE: Duration = Duration::from_secs(90);

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("connecting to primcs")
    }

    /// For a server that may be dead.
    pub(crate) fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one whole request.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.try_send(method, path, headers, body).expect("sending the request");
    }

    /// For a server that may be dead.
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let address = self.stream.get_ref().peer_addr()?;
        let host = (!headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")))
            .then(|| format!("Host: {address}\r\n"));
        let named = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let lines: String = host.into_iter().chain(named).collect();
        let text =
            format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes)
    }

    /// Waits for the head of the answer.
    pub(crate) fn response(mut self) -> io::Result<Response> {
        let line = self.line()?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not an HTTP status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("not a header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let find = |wanted: &str| {
            headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        let left = match (find("transfer-encoding"), find("content-length")) {
            (Some(coding), _) if coding == "chunked" => Left::Chunk(0),
            (_, Some(length)) => Left::Length(length.parse().map_err(io::Error::other)?),
            _ => Left::Length(0),
        };
        Ok(Response { status, headers, body: BufReader::new(Body { connection: self, left }) })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// An answer whose body may still be under way. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: BufReader<Body>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The whole body as text.
    pub(crate) fn text(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text)?;
        Ok(text)
    }
}

#[derive(Debug)]
enum Left {
    Length(usize),
    /// Bytes left of this chunk; zero means that the next line is a chunk's size.
    Chunk(usize),
    Nothing,
}

/// Takes the transfer coding off.
#[derive(Debug)]
pub(crate) struct Body {
    connection: Connection,
    left: Left,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk(0) = self.left {
            let line = self.connection.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
            self.left = Left::Chunk(size);
            if size == 0 {
                self.connection.line()?;
                self.left = Left::Nothing;
            }
        }
        let (Left::Length(left) | Left::Chunk(left)) = &mut self.left else { return Ok(0) };
        let wanted = buffer.len().min(*left);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.connection.stream.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count;
        if matches!(self.left, Left::Chunk(0)) {
            self.connection.line()?;
        }
        Ok(count)
    }
}
