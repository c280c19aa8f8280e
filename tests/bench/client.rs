//! A client that only looks at what it gets: to warm a cache, to look at it, and to time an answer.

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
    Connection::open(address)?.send(method, path, &mut io::sink())
}

/// What `path` answers, as JSON.
pub fn json(address: SocketAddr, path: &str) -> serde_json::Value {
    let mut body = Vec::new();
    let answer = Connection::open(address).and_then(|mut it| it.send("GET", path, &mut body));
    let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.head);
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream,
            address,
            buffer: vec![0; 256 * 1024],
        })
    }

    pub fn send(&mut self, method: &str, path: &str, body: &mut impl Write) -> io::Result<Answer> {
        let request = request(method, self.address, path);
        self.stream.write_all(request.as_bytes())?;
        let (head, read, end) = read_head(&mut self.stream, &mut self.buffer)?;
        let length = if method == "HEAD" {
            0
        } else {
            content_length(&head)?
        };
        let mut received = read - end;
        body.write_all(&self.buffer[end..read])?;
        while received < length {
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            received += count;
            body.write_all(&self.buffer[..count])?;
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        Ok(Answer { status, head })
    }
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
