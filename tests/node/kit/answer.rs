//! What an origin reads and writes on the wire.

use super::client::find;
use super::manner::{Framing, Manner};
use super::sha256;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A version of a file.
#[derive(Clone)]
pub struct File {
    pub body: Arc<[u8]>,
    changed: SystemTime,
    etag: String,
}

impl File {
    /// With the validators that every origin gives these bytes.
    pub fn new(body: Arc<[u8]>, changed: SystemTime) -> Self {
        Self {
            etag: format!("\"{}\"", &sha256(&body)[..16]),
            body,
            changed,
        }
    }
}

/// A request as it came.
pub struct Asked {
    pub method: String,
    pub target: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The next request of a connection; `None` where it ended.
pub fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        let mut block = [0; 4096];
        match stream.read(&mut block)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&block[..count]),
        }
    };
    let head: Vec<u8> = buffer.drain(..end + 4).collect();
    let head = String::from_utf8_lossy(&head[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Some(Asked {
        path: canonical(&target),
        method,
        target,
        headers,
    }))
}

/// The path a target means: percent-decoded, `./` left out.
fn canonical(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| std::str::from_utf8(tail.get(..2)?).ok())
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).replace("/./", "/")
}

/// An answer on its way.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub closes: bool,
    body: Vec<u8>,
    framing: Framing,
}

impl Answer {
    /// What a manner makes of a request for a file.
    pub fn to(request: &Asked, manner: &Manner, file: Option<&File>) -> Self {
        let mut answer = Self::undated(request, manner, file);
        if let Some(ahead) = manner.clock {
            let shift = Duration::from_secs(ahead.unsigned_abs());
            let now = SystemTime::now();
            let date = if ahead < 0 { now - shift } else { now + shift };
            let date = httpdate::fmt_http_date(date);
            answer.head = answer
                .head
                .replacen("\r\n", &format!("\r\nDate: {date}\r\n"), 1);
        }
        answer
    }

    fn undated(request: &Asked, manner: &Manner, file: Option<&File>) -> Self {
        if let Some(target) = &manner.redirect {
            return Self::plain(302, &format!("Location: {target}\r\n"), b"moved".to_vec());
        }
        if let Some(status) = manner.status {
            return Self::plain(status, "", format!("status {status} on order").into_bytes());
        }
        let Some(file) = file else {
            return Self::plain(404, "", b"no such file".to_vec());
        };
        let mut body = file.body.to_vec();
        if manner.corrupt {
            let middle = body.len() / 2;
            body[middle] ^= 0xFF;
        }
        if manner.dumb {
            return Self::file(200, "", body, manner);
        }
        let validators = format!(
            "ETag: {}\r\nLast-Modified: {}\r\nAccept-Ranges: bytes\r\n",
            file.etag,
            httpdate::fmt_http_date(file.changed)
        );
        if is_unchanged(request, file) {
            return Self::plain(304, &validators, Vec::new());
        }
        match wanted_range(request, file) {
            None => Self::file(200, &validators, body, manner),
            Some(Err(())) => {
                let range = format!("Content-Range: bytes */{}\r\n", body.len());
                Self::plain(416, &range, Vec::new())
            }
            Some(Ok((start, end))) => {
                let range = format!(
                    "Content-Range: bytes {start}-{}/{}\r\n",
                    end - 1,
                    body.len()
                );
                let part = body[start..end].to_vec();
                Self::file(206, &format!("{validators}{range}"), part, manner)
            }
        }
    }

    fn plain(status: u16, headers: &str, body: Vec<u8>) -> Self {
        let length = match status {
            304 => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        Self {
            status,
            head: format!("HTTP/1.1 {status} Status\r\n{headers}{length}\r\n"),
            body,
            framing: Framing::Length,
            closes: false,
        }
    }

    fn file(status: u16, headers: &str, body: Vec<u8>, manner: &Manner) -> Self {
        let length = body.len() as u64 + manner.claim_more;
        let framing = match manner.framing {
            Framing::Length => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::Close => "Connection: close\r\n".to_owned(),
        };
        Self {
            status,
            head: format!("HTTP/1.1 {status} Status\r\n{headers}{framing}\r\n"),
            body,
            framing: manner.framing,
            closes: manner.framing == Framing::Close || manner.claim_more > 0,
        }
    }

    /// Sends the body as the manner wants; `false` where it was cut.
    pub fn send(
        &self,
        stream: &mut TcpStream,
        manner: &Manner,
        hold: impl Fn(),
    ) -> io::Result<bool> {
        let mut sent = 0;
        let mut gate = manner.hold_after;
        loop {
            if gate == Some(sent) {
                hold();
                gate = None;
            }
            if manner.cut_after == Some(sent) {
                return Ok(false);
            }
            if sent == self.body.len() {
                break;
            }
            let stops = [gate, manner.cut_after, Some(self.body.len())];
            let stop = stops
                .into_iter()
                .flatten()
                .filter(|stop| *stop > sent)
                .min();
            let (most, pause) = step_and_pause(manner);
            let block = &self.body[sent..stop.unwrap_or(sent).min(sent + most)];
            self.send_block(stream, block)?;
            sent += block.len();
            std::thread::sleep(pause);
        }
        if self.framing == Framing::Chunked {
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(true)
    }

    fn send_block(&self, stream: &mut TcpStream, block: &[u8]) -> io::Result<()> {
        if self.framing != Framing::Chunked {
            return stream.write_all(block);
        }
        let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
        chunk.extend_from_slice(block);
        chunk.extend_from_slice(b"\r\n");
        stream.write_all(&chunk)
    }
}

fn step_and_pause(manner: &Manner) -> (usize, Duration) {
    if let Some(drip) = manner.drip {
        return drip;
    }
    let Some(pace) = manner.pace else {
        return (64 * 1024, Duration::ZERO);
    };
    let step = (pace / 50).clamp(1, 64 * 1024);
    let pause = Duration::from_micros(step * 1_000_000 / pace);
    (usize::try_from(step).unwrap(), pause)
}

fn is_unchanged(request: &Asked, file: &File) -> bool {
    if let Some(tags) = request.header("If-None-Match") {
        return tags.contains(&file.etag);
    }
    request
        .header("If-Modified-Since")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .is_some_and(|date| date >= whole_second(file.changed))
}

fn whole_second(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Start and end of the range asked for, unless `If-Range` says that it is of another version.
fn wanted_range(request: &Asked, file: &File) -> Option<Result<(usize, usize), ()>> {
    let range = request.header("Range")?.strip_prefix("bytes=")?;
    if let Some(condition) = request.header("If-Range") {
        let date = httpdate::fmt_http_date(file.changed);
        if condition != file.etag && condition != date {
            return None;
        }
    }
    let (start, end) = range.split_once('-')?;
    let length = file.body.len();
    let (start, end) = match (start.parse::<usize>(), end.parse::<usize>()) {
        (Ok(start), Ok(end)) => (start, length.min(end + 1)),
        (Ok(start), Err(_)) => (start, length),
        (Err(_), Ok(suffix)) => (length.saturating_sub(suffix), length),
        (Err(_), Err(_)) => return None,
    };
    Some(if start < end {
        Ok((start, end))
    } else {
        Err(())
    })
}
