//! An HTTP origin that fails on order and remembers what it was asked.

use super::client::find;
use super::manner::{Framing, Manner};
use super::{free_port, sha256};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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

#[derive(Clone)]
struct File {
    body: Arc<[u8]>,
    changed: SystemTime,
    etag: String,
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
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The origin: files in memory, a listener on loopback, a thread a connection.
pub struct Origin {
    port: u16,
    shared: Arc<Shared>,
    door: Mutex<Option<JoinHandle<()>>>,
}

impl Origin {
    /// An open origin without files.
    pub fn start() -> Self {
        let origin = Self {
            port: free_port(),
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            door: Mutex::new(None),
        };
        origin.open();
        origin
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
        let file = File {
            body: body.into(),
            changed,
            etag: format!("\"{}\"", &sha256(body)[..16]),
        };
        self.state().files.insert(path.to_owned(), file);
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
                let _ = TcpStream::connect(("127.0.0.1", self.port));
                std::thread::sleep(Duration::from_millis(1));
            }
            door.join().unwrap();
        }
    }

    /// Listens (again) on the same port.
    pub fn open(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.state().open = true;
        let shared = Arc::clone(&self.shared);
        let door = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(id) = shared.admit(&stream) else {
                    return;
                };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = shared.converse(stream);
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

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let generation = self.state.lock().unwrap().generation;
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer)? {
            let (manner, file, index) = self.look_up(&request);
            std::thread::sleep(manner.delay);
            if manner.silent {
                self.wait(generation, |_| false);
                return Ok(());
            }
            let answer = Answer::to(&request, &manner, file.as_ref());
            self.state.lock().unwrap().seen[index].answered = answer.status;
            stream.write_all(answer.head.as_bytes())?;
            let held = || self.wait(generation, |state| state.released.contains(&request.path));
            let whole = request.method == "HEAD" || answer.send(&mut stream, &manner, held)?;
            if !whole || answer.closes {
                return stream.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Notes the request, and takes a turn of a counted manner.
    fn look_up(&self, request: &Asked) -> (Manner, Option<File>, usize) {
        let mut state = self.state.lock().unwrap();
        state.seen.push(Seen {
            path: request.path.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            answered: 0,
        });
        let index = state.seen.len() - 1;
        let file = state.files.get(&request.path).cloned();
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

struct Asked {
    method: String,
    target: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>> {
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

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    framing: Framing,
    closes: bool,
}

impl Answer {
    fn to(request: &Asked, manner: &Manner, file: Option<&File>) -> Self {
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
                Self::file(206, &(validators + &range), part, manner)
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
    fn send(&self, stream: &mut TcpStream, manner: &Manner, hold: impl Fn()) -> io::Result<bool> {
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
