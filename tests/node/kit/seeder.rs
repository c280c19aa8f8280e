//! A peer of another make that has files, and gives them as honestly as the test wants.

use super::answer::{Asked, read_request};
use super::bencode::{Ben, dict};
use super::krpc::{Id, compact_addr, key_of, sha1};
use super::peer::{Peer, fresh_ip};
use super::{hex, sha256};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a piece.
pub const PIECE: usize = 512 * 1024;

/// Bytes that are written at once, and counted at once.
const BLOCK: usize = 16 * 1024;

/// How a seeder treats requests.
#[derive(Clone, Copy, Debug)]
pub enum Seeding {
    /// As the protocol says.
    Honest,
    /// Nothing listens at its address.
    Dead,
    /// 404 for everything.
    Refusing,
    /// Takes connections and requests, and never says a word.
    Silent,
    /// So many bytes of each body, then not a word more.
    Stalling(usize),
    /// So many bytes of each body, then the connection is closed.
    Breaking(usize),
    /// After so many bytes of bodies in all, nothing listens at its address any more.
    Dying(usize),
    /// After this time.
    Lagging(Duration),
    /// Its files are always on their way to it, with so many percent here, and never come.
    Promising(usize),
    /// With some bytes that are others.
    Corrupting(Wrong),
    /// Torrent strings are not those asked for.
    Forging,
    /// Bodies are said to be a byte longer than they are; files too.
    Longer,
    /// Bodies end a byte early, and say so.
    Shorter,
    /// The whole file, whatever range was asked for.
    Whole,
    /// One request a connection.
    Closing,
}

/// Which pieces a seeder gets wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// All, always in the same way.
    Every,
    /// This one.
    Piece(usize),
    /// Those of every second answer.
    EverySecond,
    /// All, and no two answers are alike.
    Differently,
}

/// A request that a seeder got.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The path as it was sent.
    pub path: String,
    /// First byte and the byte after the last, where it asked for a range.
    pub range: Option<(usize, usize)>,
    /// Bytes of a body that were sent.
    pub sent: usize,
}

struct State {
    seeding: Seeding,
    /// Bytes a second of all uploads together; 0 is no limit.
    limit: u64,
    /// When the limit lets the next byte go.
    free: Instant,
    bodies: HashMap<String, Arc<[u8]>>,
    torrents: HashMap<Id, Ben>,
    uploads: Vec<Upload>,
    sockets: Vec<TcpStream>,
    connections: usize,
    sent: usize,
    answers: usize,
    open: bool,
}

struct Shared {
    addr: SocketAddr,
    state: Mutex<State>,
}

/// A peer with an IPv4 address of its own. It is in no DHT: others tell of it.
pub struct Seeder {
    shared: Arc<Shared>,
    door: Option<JoinHandle<()>>,
}

/// The torrent dictionary of a file.
pub fn torrent(file: &[u8]) -> Ben {
    let hashes: Vec<u8> = file.chunks(PIECE).flat_map(sha1).collect();
    dict([
        ("l", 20.into()),
        ("p", i64::try_from(PIECE).unwrap().into()),
        ("t", (&hashes).into()),
    ])
}

/// The path of a file at any peer.
pub fn path_of(file: &[u8]) -> String {
    format!("/~/{}", sha256(file))
}

impl Seeder {
    /// A seeder without files.
    pub fn that(seeding: Seeding) -> Self {
        Self::at(fresh_ip(), seeding)
    }

    /// Likewise, at this address.
    pub fn at(ip: IpAddr, seeding: Seeding) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let dead = matches!(seeding, Seeding::Dead);
        let shared = Arc::new(Shared {
            addr: listener.local_addr().unwrap(),
            state: Mutex::new(State {
                seeding,
                limit: 0,
                free: Instant::now(),
                bodies: HashMap::new(),
                torrents: HashMap::new(),
                uploads: Vec::new(),
                sockets: Vec::new(),
                connections: 0,
                sent: 0,
                answers: 0,
                open: !dead,
            }),
        });
        let door = (!dead).then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.listen(&listener))
        });
        Self { shared, door }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Where it serves.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// From now on all its uploads together take so many bytes a second.
    pub fn limit(&self, bytes: u64) {
        self.state().limit = bytes;
    }

    /// Has a file.
    pub fn add(&self, file: &[u8]) {
        self.add_as(file, file);
    }

    /// Says that it has a file, and has these bytes and their piece hashes in its place.
    pub fn add_as(&self, file: &[u8], served: &[u8]) {
        self.insert(file, served, torrent(served));
    }

    /// Has a file, with SHA-256 for its piece hashes.
    pub fn add_with_sha256(&self, file: &[u8]) {
        let hashes: Vec<u8> = file.chunks(PIECE).flat_map(Sha256::digest).collect();
        let mut torrent = torrent(file);
        torrent.insert("l", 32.into());
        torrent.insert("t", (&hashes).into());
        self.insert(file, file, torrent);
    }

    fn insert(&self, file: &[u8], served: &[u8], torrent: Ben) {
        let string = torrent.written();
        let string_path = format!("/~/{}", hex(&sha1(&string)));
        let mut state = self.state();
        state.bodies.insert(path_of(file), served.into());
        state.bodies.insert(string_path, string.into());
        state.torrents.insert(key_of(file), torrent);
    }

    /// The value that tells of a file, with its piece hashes or their reference.
    pub fn value(&self, file: &[u8]) -> Vec<u8> {
        let state = self.state();
        let torrent = state.torrents[&key_of(file)].clone();
        let served = &state.bodies[&path_of(file)];
        let mut value = dict([("c", (&compact_addr(self.addr())).into())]);
        match served.len().div_ceil(PIECE) {
            0 | 1 => {}
            2..=4 => value.insert("t", torrent),
            _ => value.insert("h", sha1(&torrent.written()).into()),
        }
        value.written()
    }

    /// These nodes know of it as one who has a file.
    pub fn tell(&self, peers: &[Peer], file: &[u8]) {
        let value = self.value(file);
        for peer in peers {
            peer.keep(key_of(file), &value);
        }
    }

    /// As [`Self::tell`], without a word of pieces.
    pub fn tell_contact(&self, peers: &[Peer], file: &[u8]) {
        let value = dict([("c", (&compact_addr(self.addr())).into())]).written();
        for peer in peers {
            peer.keep(key_of(file), &value);
        }
    }

    /// These nodes keep its torrent string of a file.
    pub fn tell_torrent(&self, peers: &[Peer], file: &[u8]) {
        let string = self.state().torrents[&key_of(file)].written();
        for peer in peers {
            peer.keep(sha1(&string), &string);
        }
    }

    /// The requests it got.
    pub fn uploads(&self) -> Vec<Upload> {
        self.state().uploads.clone()
    }

    /// The requests for a file.
    pub fn asked(&self, file: &[u8]) -> Vec<Upload> {
        let mut uploads = self.uploads();
        uploads.retain(|upload| upload.path == path_of(file));
        uploads
    }

    /// Bytes of a file that it sent, whoever read them.
    pub fn sent(&self, file: &[u8]) -> usize {
        self.asked(file).iter().map(|upload| upload.sent).sum()
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Nothing listens at its address any more.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        self.close();
        if let Some(door) = self.door.take() {
            let _ = door.join();
        }
    }
}

/// What goes out for one request.
struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// Bytes more than there are that the head tells of.
    more: usize,
}

impl Shared {
    fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.open = false;
        for socket in state.sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        // The door looks up when somebody comes.
        let _ = TcpStream::connect(self.addr);
    }

    fn listen(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let mut state = self.state.lock().unwrap();
            if !state.open {
                return;
            }
            state.connections += 1;
            state.sockets.push(stream.try_clone().unwrap());
            drop(state);
            let shared = Arc::clone(&self);
            std::thread::spawn(move || {
                let _ = shared.converse(&stream);
                // The clone for the end of all keeps it open otherwise.
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    }

    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = (stream.try_clone()?, stream);
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut reader, &mut buffer)? {
            let (index, seeding) = self.note(&request);
            if let Seeding::Silent = seeding {
                continue;
            }
            if let Seeding::Lagging(lag) = seeding {
                std::thread::sleep(lag);
            }
            if let Seeding::Promising(_) = seeding {
                let waits = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("Prefer");
                let wait = request.headers.iter().find(waits);
                let seconds = wait.and_then(|(_, value)| value.strip_prefix("wait=")?.parse().ok());
                std::thread::sleep(Duration::from_secs(seconds.unwrap_or(0)));
            }
            let answer = self.answer(&request, seeding);
            let closes = matches!(seeding, Seeding::Closing);
            let line = if closes { "Connection: close\r\n" } else { "" };
            let length = answer.body.len() + answer.more;
            let head = format!(
                "HTTP/1.1 {}\r\nContent-Length: {length}\r\n{}{line}\r\n",
                answer.status, answer.headers
            );
            writer.write_all(head.as_bytes())?;
            if request.method != "HEAD" {
                self.send(&mut writer, &answer.body, index, seeding)?;
            }
            if closes || answer.more > 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note(&self, request: &Asked) -> (usize, Seeding) {
        let mut state = self.state.lock().unwrap();
        state.uploads.push(Upload {
            path: request.target.clone(),
            range: range(request, usize::MAX),
            sent: 0,
        });
        (state.uploads.len() - 1, state.seeding)
    }

    fn answer(&self, request: &Asked, seeding: Seeding) -> Answer {
        let mut state = self.state.lock().unwrap();
        let body = state.bodies.get(&request.target).cloned();
        if let (Some(body), Seeding::Promising(percent)) = (&body, seeding) {
            return Answer::promise(body.len(), percent);
        }
        let (Some(body), false) = (body, matches!(seeding, Seeding::Refusing)) else {
            return Answer {
                status: "404 Not Found",
                headers: String::new(),
                body: Vec::new(),
                more: 0,
            };
        };
        if request.target.len() == "/~/".len() + 40 {
            return Answer::torrent(&body, seeding);
        }
        state.answers += 1;
        Answer::file(request, &body, seeding, state.answers)
    }

    /// Sends a body at the pace that the limit allows, as far as the conduct lets it.
    fn send(
        &self,
        stream: &mut &TcpStream,
        body: &[u8],
        index: usize,
        seeding: Seeding,
    ) -> io::Result<()> {
        let most = match seeding {
            Seeding::Stalling(bytes) | Seeding::Breaking(bytes) => bytes.min(body.len()),
            _ => body.len(),
        };
        for block in body[..most].chunks(BLOCK) {
            self.wait_for_turn(block.len());
            stream.write_all(block)?;
            let mut state = self.state.lock().unwrap();
            state.uploads[index].sent += block.len();
            state.sent += block.len();
            let dies = matches!(seeding, Seeding::Dying(bytes) if state.sent >= bytes);
            drop(state);
            if dies {
                self.close();
            }
        }
        if most < body.len() {
            if let Seeding::Stalling(_) = seeding {
                // Until the other side has had enough.
                io::copy(stream, &mut io::sink())?;
            }
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn wait_for_turn(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap();
        if state.limit == 0 {
            return;
        }
        let time = Duration::from_micros(bytes as u64 * 1_000_000 / state.limit);
        state.free = state.free.max(Instant::now()) + time;
        let turn = state.free;
        drop(state);
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }
}

impl Answer {
    fn promise(size: usize, percent: usize) -> Self {
        let done = size * percent / 100;
        let progress = format!("stage=fetching, done={done}, size={size}, elapsed=100, idle=0");
        Self {
            status: "404 Not Found",
            headers: format!("Aptmesh-Progress: {progress}\r\n"),
            body: Vec::new(),
            more: 0,
        }
    }

    fn torrent(string: &[u8], seeding: Seeding) -> Self {
        let mut body = string.to_vec();
        if let Seeding::Forging = seeding {
            let last = body.len() - 2;
            body[last] ^= 0x55;
        }
        Self {
            status: "200 OK",
            headers: "Content-Type: application/x-bencoded\r\n".to_owned(),
            body,
            more: 0,
        }
    }

    fn file(request: &Asked, file: &[u8], seeding: Seeding, answers: usize) -> Self {
        let len = file.len();
        let range = range(request, len).filter(|_| !matches!(seeding, Seeding::Whole));
        let (from, to) = range.unwrap_or((0, len));
        let mut headers = "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n".to_owned();
        if from >= to {
            write!(headers, "Content-Range: bytes */{len}\r\n").unwrap();
            return Self {
                status: "416 Range Not Satisfiable",
                headers,
                body: Vec::new(),
                more: 0,
            };
        }
        let mut body = file[from..to].to_vec();
        if let Seeding::Corrupting(wrong) = seeding {
            wrong.spoil(&mut body, from, answers);
        }
        let (mut more, mut told) = (0, len);
        match seeding {
            Seeding::Longer => (more, told) = (1, len + 1),
            Seeding::Shorter => {
                body.pop();
                told = len - 1;
            }
            _ => {}
        }
        let status = if range.is_some() {
            let last = from + body.len() + more;
            let last = last - 1;
            write!(headers, "Content-Range: bytes {from}-{last}/{told}\r\n").unwrap();
            "206 Partial Content"
        } else {
            "200 OK"
        };
        Self {
            status,
            headers,
            body,
            more,
        }
    }
}

impl Wrong {
    /// Changes one byte in each piece that is not to be right.
    fn spoil(self, body: &mut [u8], from: usize, answers: usize) {
        let mask = match self {
            Self::Differently => u8::try_from(answers % 255).unwrap() + 1,
            _ => 0x55,
        };
        let to = from + body.len();
        for piece in from / PIECE..to.div_ceil(PIECE) {
            let spoilt = match self {
                Self::Every | Self::Differently => true,
                Self::Piece(number) => piece == number,
                Self::EverySecond => answers % 2 == 1,
            };
            if spoilt {
                body[(piece * PIECE).max(from) - from] ^= mask;
            }
        }
    }
}

/// First byte and the byte after the last that a request asks for, where it does.
fn range(request: &Asked, len: usize) -> Option<(usize, usize)> {
    let (_, value) = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("Range"))?;
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let to = to.parse().map_or(len, |last: usize| len.min(last + 1));
    Some((from, to))
}
