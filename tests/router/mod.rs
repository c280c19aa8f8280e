//! A home router of another make, from the words of RFC 6886 (NAT-PMP), RFC 6887 (PCP) and the
//! `UPnP` Forum's `WANIPConnection`. It remembers what it was asked, and fails on order.
//!
//! It is one on the loop too, where each test has an address of its own: its ports are fixed.

mod udp;
mod upnp;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often threads look whether they shall end.
const TICK: Duration = Duration::from_millis(20);

/// What is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ill {
    /// Nothing.
    #[default]
    Not,
    /// It sends bytes that mean nothing.
    Noise,
    /// Its description never ends.
    Endless,
    /// Its description comes a byte at a time.
    Slow,
    /// It says that its description is at this address.
    Elsewhere(SocketAddr),
    /// Its description holds no end of levels.
    Deep,
    /// Its description is a megabyte of elements under one endless name space.
    Wide,
    /// Its description repeats an entity that is long.
    Entities,
    /// It answers to actions with all of these.
    Talkative,
}

/// How it behaves.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Manner {
    pub pcp: bool,
    pub nat_pmp: bool,
    pub upnp: bool,
    /// It allows nobody anything.
    pub refuses: bool,
    /// Its address outside.
    pub external: Ipv4Addr,
    /// The longest time that it grants, in seconds.
    pub lifetime: u32,
    /// It falls silent where it is asked for more than so many ports.
    pub most: usize,
    /// Ports that it forwards to others.
    pub taken: Vec<u16>,
    /// By `UPnP` it grants nothing that ends by itself.
    pub permanent: bool,
    /// By `UPnP` it refuses a port that it forwards to who asks for it.
    pub jealous: bool,
    /// By `UPnP` it forwards a port and does not say so for a while.
    pub keeps_quiet: bool,
    /// What it forwards by `UPnP` and by PCP it keeps apart, twice where need be.
    pub apart: bool,
    /// It does not answer which address it has.
    pub hides_address: bool,
    pub ill: Ill,
    /// Where others come to what it forwards by TCP; `None`: nobody does.
    pub outside: Option<Ipv4Addr>,
}

impl Default for Manner {
    /// One that says nothing.
    fn default() -> Self {
        Self {
            pcp: false,
            nat_pmp: false,
            upnp: false,
            refuses: false,
            external: Ipv4Addr::new(44, 0, 0, 9),
            lifetime: u32::MAX,
            most: usize::MAX,
            taken: Vec::new(),
            permanent: false,
            jealous: false,
            keeps_quiet: false,
            apart: false,
            hides_address: false,
            ill: Ill::Not,
            outside: None,
        }
    }
}

/// A port that it forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    pub external: u16,
    pub to: SocketAddr,
    /// In seconds; 0 means for ever.
    pub lifetime: u32,
    nonce: [u8; 12],
    is_upnp: bool,
}

struct State {
    manner: Manner,
    started: Instant,
    held: Vec<Held>,
    heard: Vec<String>,
}

struct Shared {
    ip: Ipv4Addr,
    /// Where its description is.
    http: SocketAddr,
    stop: AtomicBool,
    state: Mutex<State>,
}

/// The router; it ends with this.
pub struct Router {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// An address of the loop that no other router of this process has.
pub fn loop_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 1, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Router {
    /// A router at this address. Elsewhere than on the loop it hears what is sent to all.
    pub fn at(ip: Ipv4Addr, manner: Manner) -> io::Result<Self> {
        let http = TcpListener::bind((ip, 0))?;
        let ssdp = if ip.is_loopback() {
            UdpSocket::bind((ip, 1900))?
        } else {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1900))?;
            socket.join_multicast_v4(&Ipv4Addr::new(239, 255, 255, 250), &ip)?;
            socket
        };
        let mapping = UdpSocket::bind((ip, 5351))?;
        http.set_nonblocking(true)?;
        for socket in [&ssdp, &mapping] {
            socket.set_read_timeout(Some(TICK))?;
        }
        let shared = Arc::new(Shared {
            ip,
            http: http.local_addr()?,
            stop: AtomicBool::new(false),
            state: Mutex::new(State {
                manner,
                started: Instant::now(),
                held: Vec::new(),
                heard: Vec::new(),
            }),
        });
        let spawn = |work: fn(&Arc<Shared>, Source), source| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || work(&shared, source))
        };
        let threads = vec![
            spawn(udp::serve, Source::Udp(mapping)),
            spawn(upnp::answer_searches, Source::Udp(ssdp)),
            spawn(upnp::serve, Source::Tcp(http)),
        ];
        Ok(Self { shared, threads })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Behaves so from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.state().manner);
    }

    /// Forgets everything, as one that was switched off and on.
    pub fn restart(&self) {
        let mut state = self.state();
        state.held.clear();
        state.started = Instant::now();
    }

    /// Whether anything is wrong with it.
    pub fn is_ill(&self) -> bool {
        self.state().manner.ill != Ill::Not
    }

    /// What it forwards, in the order of their protocols.
    pub fn held(&self) -> Vec<Held> {
        let mut held = self.state().held.clone();
        held.sort_by_key(|held| held.protocol);
        held
    }

    /// The port that leads to this protocol's.
    pub fn port(&self, protocol: &str) -> Option<u16> {
        let held = self.held();
        let mut held = held.iter().filter(|held| held.protocol == protocol);
        held.next().map(|held| held.external)
    }

    /// Where its description is.
    pub fn http(&self) -> SocketAddr {
        self.shared.http
    }

    /// What it was asked, in words.
    pub fn heard(&self) -> Vec<String> {
        self.state().heard.clone()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

enum Source {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Calls for each packet, until the end.
    fn packets(&self, socket: &UdpSocket, mut take: impl FnMut(&[u8], SocketAddr)) {
        let mut packet = [0; 2000];
        while !self.is_over() {
            if let Ok((len, from)) = socket.recv_from(&mut packet) {
                take(&packet[..len], from);
            }
        }
    }

    fn forwards(&self, held: &Held) -> bool {
        !self.is_over() && self.state().held.iter().any(|it| it.is_like(held))
    }
}

impl Held {
    fn is_like(&self, other: &Self) -> bool {
        (self.protocol, self.external, self.to) == (other.protocol, other.external, other.to)
    }
}

/// Forwards, in the place of what was forwarded to the same port before.
fn hold(shared: &Arc<Shared>, held: Held) {
    let (is_new, outside) = {
        let mut state = shared.state();
        let is_new = !state.held.iter().any(|it| it.is_like(&held));
        // `UPnP` knows a port by that of the router alone.
        let by_upnp = held.is_upnp && (state.manner.apart || state.manner.jealous);
        let apart = state.manner.apart;
        state.held.retain(|it| {
            let is_it = (it.protocol, it.to) == (held.protocol, held.to)
                && (!by_upnp || it.external == held.external)
                && (!apart || it.is_upnp == held.is_upnp);
            !is_it
        });
        state.held.push(held.clone());
        (is_new, state.manner.outside)
    };
    let Some(outside) = outside.filter(|_| is_new && held.protocol == "tcp") else {
        return;
    };
    let listener = TcpListener::bind((outside, held.external)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        while shared.forwards(&held) {
            match listener.accept() {
                Ok((client, _)) => drop(std::thread::spawn(move || pass_on(client, held.to))),
                Err(_) => std::thread::sleep(TICK),
            }
        }
    });
}

/// One client, both ways.
fn pass_on(client: TcpStream, to: SocketAddr) {
    let Ok(node) = TcpStream::connect(to) else {
        return;
    };
    client.set_nonblocking(false).unwrap();
    let (Ok(mut back), Ok(mut forth)) = (node.try_clone(), client.try_clone()) else {
        return;
    };
    let (mut client, mut node) = (client, node);
    let up = std::thread::spawn(move || {
        let _ = io::copy(&mut forth, &mut node);
        let _ = node.shutdown(std::net::Shutdown::Write);
    });
    let _ = io::copy(&mut back, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
}

/// The head of a request and, of its body, what came with it.
fn read_request(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => bytes.extend_from_slice(&buffer[..len]),
        }
    }
}

fn respond(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
