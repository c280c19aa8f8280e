//! Another node of the DHT, of another make.

use super::bencode::{Ben, list};
use super::krpc::{self, Answer, Heard, Id, Packet};
use super::{Node, PATIENCE};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nodes in an answer.
const K: usize = 8;

/// An answer that shall not come has not come within this time.
pub const SOON: Duration = Duration::from_millis(300);

/// How a peer treats queries.
#[derive(Clone)]
pub enum Conduct {
    /// As the protocol says.
    Honest,
    /// Not at all.
    Silent,
    /// As an honest one that has this id.
    Posing(Id),
    /// From another port.
    Elsewhere,
    /// As an honest one that sees whoever asks at this address: a NAT is between them.
    Seeing(IpAddr),
    /// As an honest one that knows these nodes.
    Lying(Vec<Vec<u8>>),
    /// With this error for what this method asks.
    Refusing(&'static str, i64),
    /// As the test says.
    Own(Answers),
}

/// The packet that answers a query, where there is one.
type Answers = Arc<dyn Fn(&Heard) -> Option<Vec<u8>> + Send + Sync>;

struct State {
    conduct: Conduct,
    /// Nodes it was told of.
    nodes: Vec<(Id, SocketAddr)>,
    values: BTreeMap<Id, Vec<Vec<u8>>>,
    heard: Vec<Heard>,
    answers: Vec<Answer>,
    /// What no honest node would have sent to it.
    complaints: Vec<String>,
    /// All that came, as it came.
    packets: Vec<Vec<u8>>,
}

struct Shared {
    id: Id,
    addr: SocketAddr,
    socket: UdpSocket,
    elsewhere: UdpSocket,
    stop: AtomicBool,
    state: Mutex<State>,
}

/// A node with an IPv4 address of its own, unless told otherwise. Fails in the end where anything
/// was sent to it that no honest node sends.
pub struct Peer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// An honest node.
    pub fn new() -> Self {
        Self::that(Conduct::Honest)
    }

    /// A node with this conduct.
    pub fn that(conduct: Conduct) -> Self {
        Self::at((fresh_ip(), 0).into(), krpc::fresh_id(), conduct)
    }

    /// An honest node with this id.
    pub fn with_id(id: Id) -> Self {
        Self::at((fresh_ip(), 0).into(), id, Conduct::Honest)
    }

    /// An honest node at `::1`.
    pub fn v6() -> Self {
        let localhost = std::net::Ipv6Addr::LOCALHOST;
        Self::at((localhost, 0).into(), krpc::fresh_id(), Conduct::Honest)
    }

    /// A node at this address.
    pub fn at(addr: SocketAddr, id: Id, conduct: Conduct) -> Self {
        let socket = UdpSocket::bind(addr).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let shared = Arc::new(Shared {
            id,
            addr: socket.local_addr().unwrap(),
            socket,
            elsewhere: UdpSocket::bind((addr.ip(), 0)).unwrap(),
            stop: AtomicBool::new(false),
            state: Mutex::new(State {
                conduct,
                nodes: Vec::new(),
                values: BTreeMap::new(),
                heard: Vec::new(),
                answers: Vec::new(),
                complaints: Vec::new(),
                packets: Vec::new(),
            }),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// So many honest nodes that know each other.
    pub fn network(count: usize) -> Vec<Self> {
        let peers: Vec<_> = (0..count).map(|_| Self::new()).collect();
        for peer in &peers {
            let others: Vec<_> = peers.iter().filter(|it| it.id() != peer.id()).collect();
            peer.tell(&others);
        }
        peers
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Who it is.
    pub fn id(&self) -> Id {
        self.shared.id
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Id and address, as others are told of it.
    pub fn compact(&self) -> Vec<u8> {
        krpc::compact(&self.id(), self.addr())
    }

    /// Treats queries so from now on.
    pub fn behave(&self, conduct: Conduct) {
        self.state().conduct = conduct;
    }

    /// Tells it of others.
    pub fn tell(&self, others: &[&Self]) {
        let others = others.iter().map(|peer| (peer.id(), peer.addr()));
        self.state().nodes.extend(others);
    }

    /// Gives it a value to keep.
    pub fn keep(&self, key: Id, value: &[u8]) {
        let mut state = self.state();
        let values = state.values.entry(key).or_default();
        if !values.iter().any(|kept| kept == value) {
            values.push(value.to_vec());
        }
    }

    /// What it keeps under a key.
    pub fn kept(&self, key: &Id) -> Vec<Vec<u8>> {
        self.state().values.get(key).cloned().unwrap_or_default()
    }

    /// All packets that came.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        self.state().packets.clone()
    }

    /// What it was asked, sent again or not.
    pub fn all_heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// What it was asked of this kind.
    pub fn heard(&self, method: &str) -> Vec<Heard> {
        let mut heard = self.all_heard();
        heard.retain(|heard| heard.method == method);
        heard
    }

    /// What it was asked to keep under a key.
    pub fn stored(&self, key: &Id) -> Vec<Heard> {
        let mut heard = self.heard("store_value");
        heard.retain(|heard| heard.target().as_ref() == Some(key));
        heard
    }

    /// Forgets what it was asked and answered.
    pub fn forget(&self) {
        let mut state = self.state();
        state.heard.clear();
        state.answers.clear();
    }

    /// Answers that came, expected or not.
    pub fn answers(&self) -> Vec<Answer> {
        self.state().answers.clone()
    }

    /// Sends any bytes.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.shared.socket.send_to(bytes, to).unwrap();
    }

    /// The packet of a query of its own.
    pub fn query(&self, t: &[u8], method: &str, arguments: &[(&str, Ben)]) -> Vec<u8> {
        krpc::query(t, &self.id(), method, arguments)
    }

    /// Asks, and waits for the answer.
    #[track_caller]
    pub fn ask(&self, to: SocketAddr, method: &str, arguments: &[(&str, Ben)]) -> Answer {
        let t = krpc::fresh_t();
        self.send(to, &self.query(&t, method, arguments));
        self.expect_answer(&t)
    }

    /// Asks a node, and fails where the answer has another id than the node's.
    #[track_caller]
    pub fn ask_node(&self, node: &Node, method: &str, arguments: &[(&str, Ben)]) -> Answer {
        let answer = self.ask(node.dht_addr(), method, arguments);
        assert_eq!(answer.from, node.dht_addr());
        if answer.code() == 0 {
            assert_eq!(answer.bytes_of("id"), node.id());
        }
        answer
    }

    /// The answer with this transaction id.
    #[track_caller]
    pub fn expect_answer(&self, t: &[u8]) -> Answer {
        let answer = self.answer_within(t, PATIENCE);
        answer.unwrap_or_else(|| panic!("no answer to {:?}", t.escape_ascii().to_string()))
    }

    /// As [`Self::expect_answer`], where none is an answer too.
    pub fn answer_within(&self, t: &[u8], limit: Duration) -> Option<Answer> {
        let end = Instant::now() + limit;
        loop {
            let state = self.state();
            let found = state.answers.iter().find(|answer| answer.t == t).cloned();
            drop(state);
            if found.is_some() || Instant::now() > end {
                return found;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The token that a node gives to its address.
    #[track_caller]
    pub fn token(&self, node: &Node) -> Ben {
        let found = self.ask_node(node, "find_node", &[("target", self.id().into())]);
        Ben::Bytes(found.bytes_of("token"))
    }

    /// Stores a value at a node.
    #[track_caller]
    pub fn store(&self, node: &Node, key: Id, value: &[u8]) -> Answer {
        let token = self.token(node);
        self.store_by(node, key, value, token)
    }

    /// Stores a value with a token.
    #[track_caller]
    pub fn store_by(&self, node: &Node, key: Id, value: &[u8], token: Ben) -> Answer {
        let arguments = [
            ("key", key.into()),
            ("token", token),
            ("value", value.into()),
        ];
        self.ask_node(node, "store_value", &arguments)
    }

    /// How many values a node says that it has.
    #[track_caller]
    pub fn count(&self, node: &Node, key: Id) -> i64 {
        self.ask_node(node, "find_value", &[("key", key.into())])
            .int("num")
    }

    /// Values of a node, sorted.
    #[track_caller]
    pub fn values(&self, node: &Node, key: Id, num: i64) -> Vec<Vec<u8>> {
        let arguments = [("key", key.into()), ("num", num.into())];
        self.ask_node(node, "get_value", &arguments).list("values")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = self.shared.elsewhere.send_to(b"", self.shared.addr);
        let _ = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            let state = self.shared.state.lock().unwrap();
            assert!(
                state.complaints.is_empty(),
                "{} was sent {:?}",
                self.shared.addr,
                state.complaints
            );
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut buffer = vec![0; 65_536];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((len, from)) = self.socket.recv_from(&mut buffer) else {
                continue;
            };
            if len > 0 {
                self.state
                    .lock()
                    .unwrap()
                    .packets
                    .push(buffer[..len].to_vec());
                self.take(&buffer[..len], from);
            }
        }
    }

    fn take(&self, bytes: &[u8], from: SocketAddr) {
        let mut state = self.state.lock().unwrap();
        match krpc::read(bytes, from) {
            Ok(Packet::Answer(answer)) => state.answers.push(answer),
            Ok(Packet::Query(heard)) => {
                let answer = state.answer(&self.id, &heard);
                let elsewhere = matches!(state.conduct, Conduct::Elsewhere);
                state.heard.push(heard);
                drop(state);
                let socket = if elsewhere {
                    &self.elsewhere
                } else {
                    &self.socket
                };
                // Who asked may be gone.
                let _ = answer.map(|answer| socket.send_to(&answer, from));
            }
            Err(complaint) => {
                let shown = bytes.escape_ascii();
                state.complaints.push(format!("{complaint}: {shown}"));
            }
        }
    }
}

impl State {
    fn answer(&mut self, id: &Id, heard: &Heard) -> Option<Vec<u8>> {
        match &self.conduct {
            Conduct::Silent => None,
            Conduct::Own(answer) => answer(heard),
            Conduct::Refusing(method, code) if *method == heard.method => {
                Some(krpc::error(&heard.t, *code, "no"))
            }
            Conduct::Posing(other) => {
                let other = *other;
                Some(self.honest(&other, heard))
            }
            _ => Some(self.honest(id, heard)),
        }
    }

    fn honest(&mut self, id: &Id, heard: &Heard) -> Vec<u8> {
        let token = token(id, heard.from.ip());
        let seen = match &self.conduct {
            Conduct::Seeing(seen) => *seen,
            _ => heard.from.ip(),
        };
        let values = match (heard.method.as_str(), heard.target()) {
            ("join", _) => vec![
                ("ip_addr", seen.to_string().as_str().into()),
                ("port", i64::from(heard.from.port()).into()),
            ],
            ("find_node", Some(target)) => {
                let mut values = self.nodes(&target, heard.from);
                values.push(("token", token.into()));
                values
            }
            ("find_value", Some(key)) => {
                let mut values = self.nodes(&key, heard.from);
                let num = self.values.get(&key).map_or(0, Vec::len);
                values.push(("num", i64::try_from(num).unwrap().into()));
                values
            }
            ("get_value", Some(key)) => {
                let values = self.values.get(&key);
                vec![("values", list(values.map_or(&[][..], Vec::as_slice)))]
            }
            ("store_value", Some(key)) => {
                if heard.argument("token") != token {
                    return krpc::error(&heard.t, 205, "token");
                }
                let value = heard.argument("value").to_vec();
                let values = self.values.entry(key).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        krpc::response(&heard.t, id, &values)
    }

    /// The closest nodes; those of IPv6 only for who asks over IPv6.
    fn nodes(&self, target: &Id, from: SocketAddr) -> Vec<(&'static str, Ben)> {
        if let Conduct::Lying(nodes) = &self.conduct {
            return vec![("nodes", list(nodes))];
        }
        let closest = |v6: bool| {
            let mut nodes = self.nodes.clone();
            nodes.retain(|(_, addr)| addr.is_ipv6() == v6);
            nodes.sort_by_key(|(id, _)| distance(id, target));
            let entries = nodes.iter().take(K);
            list(
                &entries
                    .map(|(id, addr)| krpc::compact(id, *addr))
                    .collect::<Vec<_>>(),
            )
        };
        let mut values = vec![("nodes", closest(false))];
        if from.is_ipv6() {
            values.push(("nodes6", closest(true)));
        }
        values
    }
}

/// How far two ids are from each other.
pub fn distance(one: &Id, other: &Id) -> Id {
    std::array::from_fn(|at| one[at] ^ other[at])
}

fn token(id: &Id, ip: IpAddr) -> Id {
    krpc::sha1(format!("{id:?} {ip}").as_bytes())
}

/// An address of the loopback that no other peer has: budgets are counted by address.
pub(super) fn fresh_ip() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    IpAddr::from([127, 1 + high, low, 1])
}
