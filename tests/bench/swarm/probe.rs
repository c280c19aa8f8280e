//! A GET from inside a host: the bench runs itself there.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aptmesh::debian::naming::to_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::network::Host;

/// The word that makes the bench a probe.
pub const WORD: &str = "--probe";

/// Nobody is silent for longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A body that is shown is no longer.
const SHOWN: usize = 1 << 20;

/// What a GET brought.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub cache_status: String,
    /// From before the connection was opened to the first byte of the body, in seconds.
    pub first_byte: f64,
    /// The same to the last one.
    pub total: f64,
    pub sha256: String,
    /// The body, where it is short.
    pub text: String,
}

/// A GET from a host.
pub fn get(host: &Host, address: SocketAddr, path: &str) -> Result<Answer, String> {
    let output = host
        .command(std::env::current_exe().unwrap())
        .args([WORD, &address.to_string(), path])
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The probe's part: address and path are its words.
pub fn main(mut words: impl Iterator<Item = String>) -> ExitCode {
    let address = words.next().and_then(|word| word.parse().ok());
    let (Some(address), Some(path)) = (address, words.next()) else {
        return ExitCode::from(2);
    };
    match ask(address, &path) {
        Ok(answer) => {
            println!("{}", serde_json::to_string(&answer).unwrap());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("GET {path} of {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut buffer = vec![0; 256 * 1024];
    let (head, body) = read_head(&mut stream, &mut buffer)?;
    let field = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let length: usize = field("Content-Length")
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| io::Error::other("an answer without length"))?;
    let (mut hash, mut shown) = (Sha256::new(), Vec::new());
    let mut first_byte = (!body.is_empty()).then(|| began.elapsed());
    let mut block = body.as_slice();
    let mut received = 0;
    loop {
        hash.update(block);
        shown.extend_from_slice(&block[..block.len().min(SHOWN - shown.len())]);
        received += block.len();
        if received >= length {
            break;
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        first_byte = first_byte.or_else(|| Some(began.elapsed()));
        block = &buffer[..count];
    }
    let total = began.elapsed();
    Ok(Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0),
        cache_status: field("Cache-Status").unwrap_or_default(),
        first_byte: first_byte.unwrap_or(total).as_secs_f64(),
        total: total.as_secs_f64(),
        sha256: to_hex(&hash.finalize()),
        text: if length < SHOWN {
            String::from_utf8_lossy(&shown).into_owned()
        } else {
            String::new()
        },
    })
}

/// The head, and what came of the body with it.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let count = stream.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
    }
}
