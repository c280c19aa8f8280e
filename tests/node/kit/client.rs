//! A raw HTTP/1.1 client: what is sent is what the test wrote, byte for byte.

use super::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A request to be written as it stands.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Any method, any request target: proxy form, prefix form, `host:port`.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
        }
    }

    /// A GET of the target.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// One more header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks as an old client does: HTTP/1.0, connection closed after the answer.
    pub fn old(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            let host = self.target.strip_prefix("http://").map_or("node", |rest| {
                rest.split('/')
                    .next()
                    .filter(|host| !host.is_empty())
                    .unwrap_or("node")
            });
            text += "Host: ";
            text += host;
            text += "\r\n";
        }
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text += "\r\n";
        text.into_bytes()
    }
}

/// A whole answer, or its head while the body is still on its way.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// From the request's last byte to the end of the answer.
    pub took: Duration,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `Cache-Status` line, empty where there is none.
    pub fn cache_status(&self) -> &str {
        self.header("Cache-Status").unwrap_or_default()
    }

    /// Whether the node says that it had the file.
    pub fn is_hit(&self) -> bool {
        self.cache_status().starts_with("aptmesh; hit")
    }

    /// Whether the node says that it fetched the file for this request.
    pub fn is_miss(&self) -> bool {
        self.cache_status().starts_with("aptmesh; fwd=miss")
    }

    /// Fails unless this is a 200 with exactly these bytes.
    #[track_caller]
    pub fn expect(self, body: &[u8]) -> Self {
        self.expect_status(200).expect_body(body)
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        let shown: String = self.text().chars().take(300).collect();
        assert_eq!(self.status, status, "{:?} {shown}", self.headers);
        self
    }

    /// Fails unless the body is this one; shows where they part.
    #[track_caller]
    pub fn expect_body(self, body: &[u8]) -> Self {
        let parting = self
            .body
            .iter()
            .zip(body)
            .take_while(|(a, b)| a == b)
            .count();
        assert!(
            self.body == body,
            "body of {} bytes differs from the expected {} after {parting}",
            self.body.len(),
            body.len()
        );
        self
    }

    /// Fails unless this is a refusal: the status, and a sentence with the word in it.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, word: &str) -> Self {
        let this = self.expect_status(status);
        let text = this.text();
        assert!(text.contains(word), "no word of {word:?} in {text:?}");
        this
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    asked: Instant,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> io::Result<Self> {
        Self::connect_within(port, PATIENCE)
    }

    /// As many connections as the port takes in short order, at most `count`: a full backlog
    /// does not refuse, it lets wait.
    pub fn crowd(port: u16, count: usize) -> Vec<Self> {
        let soon = Duration::from_millis(300);
        (0..count)
            .map_while(|_| Self::connect_within(port, soon).ok())
            .collect()
    }

    fn connect_within(port: u16, limit: Duration) -> io::Result<Self> {
        Self::to_within(([127, 0, 0, 1], port).into(), limit)
    }

    /// Connects to an address.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        Self::to_within(address, PATIENCE)
    }

    fn to_within(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, limit)?)
    }

    /// Connects from another of the loopback's addresses: a client with an IP of its own.
    pub fn connect_from(source: [u8; 4], port: u16) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::from((source, 0)))?;
        connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            asked: Instant::now(),
        })
    }

    /// Sends a request without waiting for an answer: call it often to pipeline.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        self.send_raw(&request.bytes())
    }

    /// Sends any bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.asked = Instant::now();
        Ok(())
    }

    /// A request and its whole answer on this connection.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        self.send(request)?;
        self.answer(request.method == "HEAD")
    }

    /// The next answer, whole. A body cut short is an `UnexpectedEof`.
    pub fn answer(&mut self, to_head: bool) -> io::Result<Response> {
        let mut response = self.head()?;
        if !to_head {
            response.body = self.rest(&response)?;
        }
        response.took = self.asked.elapsed();
        Ok(response)
    }

    /// The next answer's head; its body is left on the wire.
    pub fn head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        parse_head(&String::from_utf8_lossy(&head[..end]))
    }

    /// The next `count` bytes, whatever they are.
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// What is left of the body that belongs to `head`.
    pub fn rest(&mut self, head: &Response) -> io::Result<Vec<u8>> {
        if matches!(head.status, 204 | 304) {
            return Ok(Vec::new());
        }
        if let Some(length) = head.header("Content-Length") {
            return self.take(length.parse().map_err(io::Error::other)?);
        }
        if head.header("Transfer-Encoding").is_some() {
            return self.chunks();
        }
        self.until_close()
    }

    /// Whether the other side closed the connection in good order or at all.
    pub fn is_closed(&mut self) -> bool {
        is_cut(&self.fill().map(|()| Response::default()))
    }

    /// Reads slowly what is left: `step` bytes, then a pause.
    pub fn sip(&mut self, count: usize, step: usize, pause: Duration) -> io::Result<Vec<u8>> {
        let mut body = Vec::with_capacity(count);
        while body.len() < count {
            body.extend(self.take(step.min(count - body.len()))?);
            std::thread::sleep(pause);
        }
        Ok(body)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            body.extend(self.take(size)?);
            self.take(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill()?;
        }
    }

    fn until_close(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut block = [0; 16 * 1024];
        // A socket with a timeout is interrupted by signals that concern nobody here.
        let count = loop {
            match self.stream.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&block[..count]);
        Ok(())
    }
}

/// Whether an answer was visibly cut by the other side: not whole, and not hanging either.
pub fn is_cut(answer: &io::Result<Response>) -> bool {
    answer.as_ref().is_err_and(|error| {
        let waits = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        !waits.contains(&error.kind())
    })
}

/// Where `needle` begins.
pub(super) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

fn parse_head(head: &str) -> io::Result<Response> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line in {head:?}")))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Response {
        status,
        headers,
        ..Response::default()
    })
}
