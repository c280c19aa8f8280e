//! The load generator: two threads, any number of keep-alive connections, bytes counted and thrown away.
//!
//! It shares the cores with the server it measures, so it does as little as a client can: one read buffer for all
//! connections of a thread, no parsing beyond the length of an answer (and that only when a head differs from the one
//! before). Bytes are really read, as a client reads them: discarding them in the kernel would flatter `sendfile`,
//! which then copies nothing at all.
//!
//! Both servers answer more through it than through wrk, which reads 8 KB at a time and is thereby what a burst of
//! large files measures. Two threads, because one is busy all the time with 32 clients of a large file.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet, yield_now};

use crate::client::{content_length, head_end};
use crate::usage;

const THREADS: usize = 2;
/// Reads in a row on one connection before the others have their turn.
const TURN: u32 = 4;
/// At the start of a burst connections open and caches fill: this much is not counted.
const RUN_UP: Duration = Duration::from_millis(100);

pub struct Load {
    pub address: SocketAddr,
    /// The server's process, whose CPU time is counted.
    pub process: u32,
    pub path: String,
    /// One whole request for `path`.
    pub request: String,
    pub connections: usize,
    /// How many requests are on the way on each connection; as apt does, each answer is followed by the next request.
    pub depth: usize,
}

/// What one burst counted.
pub struct Burst {
    pub requests: f64,
    pub bytes: f64,
    pub seconds: f64,
    /// How many cores the server took.
    pub server: f64,
    /// How many cores the generator took. At [`Load::threads`] it is the generator that is measured.
    pub generator: f64,
}

impl Load {
    pub fn threads(&self) -> usize {
        self.connections.min(THREADS)
    }

    pub fn burst(&self, length: Duration) -> Burst {
        let counts: Vec<Arc<Counts>> = (0..self.threads()).map(|_| Arc::default()).collect();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (thread, counts) in counts.iter().enumerate() {
                let stop = &stop;
                scope.spawn(move || self.drive(thread, counts, stop));
            }
            std::thread::sleep(RUN_UP);
            let before = Sample::take(self.process, &counts);
            std::thread::sleep(length);
            let after = Sample::take(self.process, &counts);
            stop.store(true, Relaxed);
            before.until(&after)
        })
    }

    /// One thread's connections, until `stop`.
    fn drive(&self, thread: usize, counts: &Arc<Counts>, stop: &AtomicBool) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let buffer = Rc::new(RefCell::new(vec![0; 256 * 1024]));
            let mut connections = JoinSet::new();
            for _ in (thread..self.connections).step_by(self.threads()) {
                let stream = TcpStream::connect(self.address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = Connection {
                    stream,
                    requests: self.request.repeat(self.depth),
                    answers: Answers::default(),
                    buffer: Rc::clone(&buffer),
                    counts: Arc::clone(counts),
                };
                connections.spawn_local(connection.run(self.depth));
            }
            while !stop.load(Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                // A connection never ends by itself: a broken promise of the server ends the bench.
                if let Some(Err(error)) = connections.try_join_next() {
                    resume_unwind(error.into_panic());
                }
            }
        });
    }
}

/// What one thread counts, on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// All counters at one moment.
struct Sample {
    at: Instant,
    requests: u64,
    bytes: u64,
    server: f64,
    generator: f64,
}

impl Sample {
    fn take(server: u32, counts: &[Arc<Counts>]) -> Self {
        Self {
            at: Instant::now(),
            requests: counts
                .iter()
                .map(|counts| counts.requests.load(Relaxed))
                .sum(),
            bytes: counts.iter().map(|counts| counts.bytes.load(Relaxed)).sum(),
            server: usage::tree(server),
            generator: usage::process(std::process::id()),
        }
    }

    fn until(&self, later: &Self) -> Burst {
        let seconds = (later.at - self.at).as_secs_f64();
        Burst {
            requests: (later.requests - self.requests) as f64,
            bytes: (later.bytes - self.bytes) as f64,
            seconds,
            server: (later.server - self.server) / seconds,
            generator: (later.generator - self.generator) / seconds,
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// As many requests as may be on the way, one after the other; a prefix of it asks for fewer.
    requests: String,
    answers: Answers,
    buffer: Rc<RefCell<Vec<u8>>>,
    counts: Arc<Counts>,
}

impl Connection {
    async fn run(mut self, depth: usize) {
        let length = self.requests.len() / depth;
        let mut wanted = depth;
        let mut turn = 0;
        loop {
            if wanted > 0 {
                self.stream
                    .write_all(&self.requests.as_bytes()[..length * wanted])
                    .await
                    .unwrap();
            }
            wanted = self.read().await;
            turn += 1;
            if turn % TURN == 0 {
                yield_now().await;
            }
        }
    }

    /// Reads once: how many answers were finished by it.
    async fn read(&mut self) -> usize {
        poll_fn(|context| {
            let mut buffer = self.buffer.borrow_mut();
            let mut into = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut into)).unwrap();
            let bytes = into.filled();
            assert!(
                !bytes.is_empty(),
                "the server closed a connection that was to be kept"
            );
            let done = self.answers.take(bytes);
            self.counts.bytes.fetch_add(bytes.len() as u64, Relaxed);
            self.counts.requests.fetch_add(done as u64, Relaxed);
            Poll::Ready(done)
        })
        .await
    }
}

/// Finds where answers end in a stream of bytes.
#[derive(Default)]
struct Answers {
    /// Body bytes that are still to come.
    left: usize,
    /// The start of a head that came in parts.
    partial: Vec<u8>,
    /// The head before, and the length of its body: most heads are the same.
    head: Vec<u8>,
    length: usize,
}

impl Answers {
    /// Takes the next bytes: how many answers are whole now that were not before.
    fn take(&mut self, mut bytes: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let body = self.left.min(bytes.len());
            self.left -= body;
            bytes = &bytes[body..];
            if body > 0 && self.left == 0 {
                done += 1;
            }
            if bytes.is_empty() {
                return done;
            }
            let Some(rest) = self.take_head(bytes) else {
                return done;
            };
            bytes = rest;
        }
    }

    /// Takes a head, or keeps what there is of it.
    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if self.partial.is_empty() && !self.head.is_empty() && bytes.starts_with(&self.head) {
            self.left = self.length;
            return Some(&bytes[self.head.len()..]);
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let end = head_end(&self.partial)?;
        self.partial.truncate(end);
        self.head = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&self.head);
        assert!(
            text.starts_with("HTTP/1.1 200 "),
            "not a whole file: {text}"
        );
        self.length = content_length(&text).unwrap();
        assert!(self.length > 0, "an empty file: {text}");
        self.left = self.length;
        Some(&bytes[end - before..])
    }
}
