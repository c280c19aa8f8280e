//! An origin at the end of a line of a given speed.
//!
//! nginx's `limit_rate` gives a second's worth at once and then works in steps: a 60 MB file at 250 MB/s would not be
//! paced at all.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::files::{BIG, noise};

/// Bytes a second.
const RATE: f64 = 250e6;
const CHUNK: usize = 64 * 1024;
/// How far behind its schedule the line may fall and still catch up: what buffers on a real way would hold.
const SLACK: Duration = Duration::from_millis(4);

pub struct Paced {
    pub address: SocketAddr,
}

impl Paced {
    /// Serves for as long as the process lives. Every path is a file of its own: its bytes start with the path.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let body = Arc::new(noise(3, BIG));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = Arc::clone(&body);
                std::thread::spawn(move || serve(&stream, &body));
            }
        });
        Self { address }
    }
}

fn serve(stream: &TcpStream, body: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        let mut words = line.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        while lines
            .next()
            .transpose()?
            .is_some_and(|field| !field.is_empty())
        {}
        let mut out = stream;
        write!(
            out,
            "HTTP/1.1 200 OK\r\nServer: paced\r\nContent-Type: application/octet-stream\r\n\
             Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        if method == "GET" {
            send(stream, &start_of(path), body)?;
        }
    }
    Ok(())
}

/// The first bytes of the file at `path`.
pub fn start_of(path: &str) -> [u8; 64] {
    let mut start = [b'.'; 64];
    let path = &path.as_bytes()[path.len().saturating_sub(64)..];
    start[..path.len()].copy_from_slice(path);
    start
}

/// Sends `body`, its beginning replaced by `start`, a chunk whenever its time has come.
fn send(mut out: &TcpStream, start: &[u8], body: &[u8]) -> io::Result<()> {
    let step = Duration::from_secs_f64(CHUNK as f64 / RATE);
    let mut due = Instant::now();
    for (index, chunk) in body.chunks(CHUNK).enumerate() {
        let now = Instant::now();
        if due > now {
            std::thread::sleep(due - now);
        }
        due = due.max(now.checked_sub(SLACK).unwrap_or(now)) + step;
        if index == 0 {
            out.write_all(start)?;
            out.write_all(&chunk[start.len()..])?;
        } else {
            out.write_all(chunk)?;
        }
    }
    Ok(())
}
