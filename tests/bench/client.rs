//! One request on one connection: to warm a cache and to look at it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer without its body.
pub struct Answer {
    status: u16,
    head: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Whether the cache had the file.
    pub fn is_hit(&self) -> bool {
        self.status == 200 && self.cache_status().contains("; hit")
    }

    fn cache_status(&self) -> &str {
        self.field("cache-status").unwrap_or_default()
    }
}

/// The value of a header field, in whatever case its name is.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The whole file, and nothing but 200.
pub fn fetch(address: SocketAddr, path: &str) -> Answer {
    let answer = ask(address, "GET", path).unwrap_or_else(|error| panic!("GET {path}: {error}"));
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.head);
    answer
}

pub fn head(address: SocketAddr, path: &str) -> Answer {
    ask(address, "HEAD", path).unwrap_or_else(|error| panic!("HEAD {path}: {error}"))
}

/// Waits until a server answers 200 for `path`; `None` when it does not in time.
pub fn wait_for(address: SocketAddr, path: &str, patience: Duration) -> Option<()> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if ask(address, "GET", path).is_ok_and(|answer| answer.status == 200) {
            return Some(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// The request as every part of the bench sends it.
fn request(method: &str, address: SocketAddr, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
    )
}

fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let mut buffer = vec![0; 256 * 1024];
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request(method, address, path).as_bytes())?;

    let (head, read, end) = read_head(&mut stream, &mut buffer)?;
    let length = if method == "HEAD" {
        0
    } else {
        content_length(&head)?
    };
    let mut received = read - end;
    while received < length {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received += count;
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    Ok(Answer { status, head })
}

/// Reads until the head is whole: the head, how much was read, and where the body begins in it.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<(String, usize, usize)> {
    let mut read = 0;
    loop {
        let count = stream.read(&mut buffer[read..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read += count;
        if let Some(end) = head_end(&buffer[..read]) {
            return Ok((
                String::from_utf8_lossy(&buffer[..end]).into_owned(),
                read,
                end,
            ));
        }
    }
}

/// Where the body begins, once the empty line is there.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

fn content_length(head: &str) -> io::Result<usize> {
    field(head, "content-length")
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no length in: {head}")))
}
