//! A client that asks for a cached file at a steady rate, to see what others do to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Connection;

/// 200 requests a second.
const STEP: Duration = Duration::from_millis(5);

pub struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Hit>>,
}

/// One answer.
pub struct Hit {
    pub due: Instant,
    /// From when it was due: whoever waits for the answer before waits for this one too.
    pub took: Duration,
}

impl Steady {
    pub fn start(address: SocketAddr, path: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut connection = Connection::open(address).unwrap();
            let mut hits = Vec::new();
            let mut due = Instant::now();
            while !seen.load(Ordering::Relaxed) {
                let now = Instant::now();
                if due > now {
                    std::thread::sleep(due - now);
                    // When this thread gets to run is the machine's business.
                    due = Instant::now();
                }
                let answer = connection.send("GET", &path, &mut std::io::sink()).unwrap();
                assert!(answer.is_hit(), "{path} is no hit any more");
                hits.push(Hit {
                    due,
                    took: due.elapsed(),
                });
                due += STEP;
            }
            hits
        });
        Self { stop, thread }
    }

    pub fn finish(self) -> Vec<Hit> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
