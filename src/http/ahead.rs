//! Reading ahead in what a client has pipelined.
//!
//! apt sends ten requests at once and wants the answers in order. Answered one
//! by one, each cold file would cost a round trip to its mirror, ten times as
//! slow as asking the mirror directly. So while one request is answered, those
//! behind it are looked at, and what they ask for is fetched already.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::http::{Response, Uri, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::{CACHE_STATUS, is_miss};
use super::body::Body;

/// Header fields of one request that are read; apt sends about six.
const MAX_FIELDS: usize = 32;

/// Requests that are looked ahead at; apt sends ten at once.
const MOST_AHEAD: usize = 16;

/// Whether a connection's last answer was a miss: only then it is worth
/// looking at what follows.
#[derive(Debug, Clone, Default)]
pub struct Cold(Arc<AtomicBool>);

impl Cold {
    /// Notes an answer.
    pub fn answered(&self, response: &Response<Body>) {
        let missed = response.headers().get(CACHE_STATUS).is_some_and(is_miss);
        self.0.store(missed, Ordering::Relaxed);
    }

    fn is_cold(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose pipelined requests are told to `tell` before their turn.
pub struct Ahead<S, F> {
    stream: S,
    cold: Cold,
    tell: F,
}

impl<S, F: Fn(&Uri)> Ahead<S, F> {
    /// Looks ahead on `stream` while it is cold.
    pub const fn new(stream: S, cold: Cold, tell: F) -> Self {
        Self { stream, cold, tell }
    }
}

/// Calls `tell` with the target of each complete `GET` behind the first
/// request's end that could be answered from a flight: neither ranges nor
/// credentials.
fn pipelined(bytes: &[u8], tell: impl Fn(&Uri)) {
    let Some(mut at) = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
    else {
        return;
    };
    for _ in 0..MOST_AHEAD {
        if at >= bytes.len() {
            return;
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(&bytes[at..]) else {
            return;
        };
        at += length;
        let special = request.headers.iter().any(|field| {
            [
                header::RANGE,
                header::AUTHORIZATION,
                header::CONTENT_LENGTH,
                header::TRANSFER_ENCODING,
            ]
            .iter()
            .any(|name| field.name.eq_ignore_ascii_case(name.as_str()))
        });
        if special || request.method != Some("GET") {
            return;
        }
        if let Some(Ok(target)) = request.path.map(str::parse) {
            tell(&target);
        }
    }
}

impl<S: AsyncRead + Unpin, F: Fn(&Uri) + Unpin> AsyncRead for Ahead<S, F> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() && this.cold.is_cold() {
            pipelined(&buffer.filled()[before..], &this.tell);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Ahead<S, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn told(bytes: &[u8]) -> Vec<String> {
        let told: RefCell<Vec<String>> = RefCell::default();
        pipelined(bytes, |target| {
            RefCell::borrow_mut(&told).push(target.to_string());
        });
        told.into_inner()
    }

    #[test]
    fn what_stands_behind_the_first_request_is_told() {
        let get = |path: &str| format!("GET http://o/{path} HTTP/1.1\r\nHost: o\r\n\r\n");
        let bytes = [get("1"), get("2"), get("3"), "GET http://o/4 HT".into()].concat();
        assert_eq!(told(bytes.as_bytes()), ["http://o/2", "http://o/3"]);
        assert_eq!(told(get("1").as_bytes()), [""; 0]);
        let rest = format!("ost: o\r\n\r\n{}", get("2"));
        assert_eq!(told(rest.as_bytes()), ["http://o/2"]);
    }

    #[test]
    fn what_is_not_a_plain_get_ends_the_look() {
        for odd in [
            "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n",
            "GET / HTTP/1.1\r\nrange: bytes=1-\r\n\r\n",
            "GET / HTTP/1.1\r\nAuthorization: x\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            let bytes = format!("x\r\n\r\n{odd}GET /2 HTTP/1.1\r\n\r\n");
            assert_eq!(told(bytes.as_bytes()), [""; 0], "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_in_peace(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            told(&bytes);
        }
    }
}
