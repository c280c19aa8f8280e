//! An HTTP origin that fails on order and remembers what it was asked.

use super::answer::{Answer, Asked, File, read_request};
use super::manner::Manner;
use super::{Files, free_port};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A request the origin got.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path, decoded and without `./`.
    pub path: String,
    /// The request target as it was sent.
    pub target: String,
    /// Header lines in their order.
    pub headers: Vec<(String, String)>,
    /// The status of the answer; 0 where there was none.
    pub answered: u16,
    /// The number of the connection it came on.
    pub connection: u64,
}

impl Seen {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether it asked for the file only if changed.
    pub fn is_conditional(&self) -> bool {
        self.header("If-None-Match").is_some() || self.header("If-Modified-Since").is_some()
    }
}

#[derive(Default)]
struct State {
    files: HashMap<String, File>,
    manners: HashMap<String, Manner>,
    all: Manner,
    seen: Vec<Seen>,
    released: HashSet<String>,
    sockets: HashMap<u64, TcpStream>,
    admitted: u64,
    open: bool,
    generation: u64,
    puts: u64,
    /// Requests that come before each of these file sets is the one below its prefix.
    flips: VecDeque<(usize, String, Files)>,
}

impl State {
    fn show(&mut self, prefix: &str, files: &Files) {
        let below = format!("{prefix}/");
        self.files.retain(|path, _| !path.starts_with(&below));
        for (path, body, changed) in files.iter() {
            let file = File::new(Arc::clone(body), changed);
            self.files.insert(below.clone() + path, file);
        }
    }

    /// A request has taken its file: what is due now happens between it and the next one.
    fn count(&mut self) {
        if let Some((left, ..)) = self.flips.front_mut() {
            *left -= 1;
        }
        while self.flips.front().is_some_and(|(left, ..)| *left == 0) {
            self.flip();
        }
    }

    fn flip(&mut self) {
        if let Some((_, prefix, files)) = self.flips.pop_front() {
            self.show(&prefix, &files);
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The origin: files in memory, a listener on loopback, a thread a connection.
pub struct Origin {
    ip: IpAddr,
    port: u16,
    shared: Arc<Shared>,
    door: Mutex<Option<JoinHandle<()>>>,
}

impl Origin {
    /// An open origin without files.
    pub fn start() -> Self {
        Self::at([127, 0, 0, 1].into())
    }

    /// Likewise, at this address.
    pub fn at(ip: IpAddr) -> Self {
        loop {
            let origin = Self {
                ip,
                port: free_port(),
                shared: Arc::new(Shared {
                    state: Mutex::default(),
                    changed: Condvar::new(),
                }),
                door: Mutex::new(None),
            };
            // Another process may have been as quick: then it is another port.
            if let Ok(listener) = TcpListener::bind((ip, origin.port)) {
                origin.listen(listener);
                return origin;
            }
        }
    }

    /// `IP:PORT`.
    pub fn host(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// The proxy form of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    /// The prefix form of a path here.
    pub fn prefixed(&self, path: &str) -> String {
        format!("/{}{path}", self.host())
    }

    /// Puts a file, newer than all before; a path that exists gets another version.
    pub fn put(&self, path: &str, body: &[u8]) {
        let puts = {
            let mut state = self.state();
            state.puts += 1;
            state.puts
        };
        let changed = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + puts * 60);
        self.put_at(path, body, changed);
    }

    /// Puts a file with its time of change.
    pub fn put_at(&self, path: &str, body: &[u8], changed: SystemTime) {
        let file = File::new(body.into(), changed);
        self.state().files.insert(path.to_owned(), file);
    }

    /// Makes the paths below `prefix` those of a file set, all in one moment.
    pub fn show(&self, prefix: &str, files: &Files) {
        self.state().show(prefix, files);
    }

    /// As [`Self::show`], but after `requests` more requests of any kind, counted from where the
    /// last such order ends: between the last of them and the next one.
    pub fn show_after(&self, requests: usize, prefix: &str, files: &Files) {
        let mut state = self.state();
        if requests == 0 && state.flips.is_empty() {
            state.show(prefix, files);
        } else {
            let flip = (requests, prefix.to_owned(), files.clone());
            state.flips.push_back(flip);
        }
    }

    /// Shows now what [`Self::show_after`] still holds back; says whether there was anything.
    pub fn show_now(&self) -> bool {
        let mut state = self.state();
        let waited = !state.flips.is_empty();
        while !state.flips.is_empty() {
            state.flip();
        }
        waited
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.state().files.remove(path);
    }

    /// Makes the paths below `prefix` those of a folder: new ones appear, others vanish.
    pub fn mirror(&self, prefix: &str, folder: &Path) {
        self.state()
            .files
            .retain(|path, _| !path.starts_with(prefix));
        for file in super::files_under(folder) {
            let name = file.strip_prefix(folder).unwrap().to_str().unwrap();
            let changed = file.metadata().unwrap().modified().unwrap();
            self.put_at(
                &format!("{prefix}/{name}"),
                &std::fs::read(&file).unwrap(),
                changed,
            );
        }
    }

    /// From now on this path is served so.
    pub fn behave(&self, path: &str, manner: Manner) {
        let mut state = self.state();
        state.released.remove(path);
        state.manners.insert(path.to_owned(), manner);
    }

    /// From now on every path without a manner of its own is served so.
    pub fn behave_all(&self, manner: Manner) {
        self.state().all = manner;
    }

    /// Lets held answers of this path go on.
    pub fn release(&self, path: &str) {
        self.state().released.insert(path.to_owned());
        self.shared.changed.notify_all();
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// The requests for a path.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let state = self.state();
        state
            .seen
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    /// All requests.
    pub fn all_seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Forgets the requests.
    pub fn forget(&self) {
        self.state().seen.clear();
    }

    /// Waits until a path was asked for so often.
    #[track_caller]
    pub fn wait_for(&self, path: &str, times: usize) {
        super::until(
            &format!("{times} requests for {path} at the origin"),
            || self.hits(path) >= times,
        );
    }

    /// Closes the listener and all connections: connecting is refused.
    pub fn close(&self) {
        {
            let mut state = self.state();
            state.open = false;
            state.generation += 1;
            for (_, socket) in state.sockets.drain() {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        if let Some(door) = self.door.lock().unwrap().take() {
            while !door.is_finished() {
                let _ = TcpStream::connect((self.ip, self.port));
                std::thread::sleep(Duration::from_millis(1));
            }
            door.join().unwrap();
        }
    }

    /// Listens (again) on the same port.
    pub fn open(&self) {
        self.listen(TcpListener::bind((self.ip, self.port)).unwrap());
    }

    fn listen(&self, listener: TcpListener) {
        self.state().open = true;
        let shared = Arc::clone(&self.shared);
        let door = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(id) = shared.admit(&stream) else {
                    return;
                };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = shared.converse(stream, id);
                    shared.state.lock().unwrap().sockets.remove(&id);
                });
            }
        });
        *self.door.lock().unwrap() = Some(door);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Registers a connection; `None` where the door is closed.
    fn admit(&self, stream: &TcpStream) -> Option<u64> {
        let mut state = self.state.lock().unwrap();
        if !state.open {
            return None;
        }
        state.admitted += 1;
        let id = state.admitted;
        state.sockets.insert(id, stream.try_clone().unwrap());
        Some(id)
    }

    fn converse(&self, mut stream: TcpStream, connection: u64) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let generation = self.state.lock().unwrap().generation;
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer)? {
            let (manner, file, index) = self.look_up(&request, connection);
            std::thread::sleep(manner.delay);
            if manner.silent {
                self.wait(generation, |_| false);
                return Ok(());
            }
            let answer = Answer::to(&request, &manner, file.as_ref());
            self.answered(index, &request.path, answer.status);
            stream.write_all(answer.head.as_bytes())?;
            let held = || self.wait(generation, |state| state.released.contains(&request.path));
            let whole = request.method == "HEAD" || answer.send(&mut stream, &manner, held)?;
            if !whole || answer.closes {
                return stream.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Notes the answer, unless the request was forgotten meanwhile.
    fn answered(&self, index: usize, path: &str, status: u16) {
        let mut state = self.state.lock().unwrap();
        let seen = state.seen.get_mut(index);
        if let Some(seen) = seen.filter(|seen| seen.path == path) {
            seen.answered = status;
        }
    }

    /// Notes the request, and takes a turn of a counted manner.
    fn look_up(&self, request: &Asked, connection: u64) -> (Manner, Option<File>, usize) {
        let mut state = self.state.lock().unwrap();
        state.seen.push(Seen {
            path: request.path.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            answered: 0,
            connection,
        });
        let index = state.seen.len() - 1;
        let file = state.files.get(&request.path).cloned();
        state.count();
        let state = &mut *state;
        let manner = state
            .manners
            .get_mut(&request.path)
            .unwrap_or(&mut state.all);
        let now = match &mut manner.times {
            Some(0) => manner.afterwards(),
            Some(left) => {
                *left -= 1;
                manner.clone()
            }
            None => manner.clone(),
        };
        (now, file, index)
    }

    /// Waits until the condition holds or the origin closes.
    fn wait(&self, generation: u64, condition: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| {
            state.generation == generation && !condition(state)
        }));
    }
}
