//! The messages between nodes, written and read as an independent node does it.

use super::bencode::{Ben, Dict};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A node id, a key, a transaction id.
pub type Id = [u8; 20];

/// The longest packet.
pub const MAX_PACKET: usize = 1472;

/// Methods, and what their arguments hold beside `id`.
const METHODS: [(&str, &[&str]); 6] = [
    ("ping", &[]),
    ("join", &[]),
    ("find_node", &["target"]),
    ("find_value", &["key"]),
    ("get_value", &["key", "num"]),
    ("store_value", &["key", "token", "value"]),
];

/// An id that nobody else has.
pub fn fresh_id() -> Id {
    let words = [0, 1, 2].map(|_| RandomState::new().hash_one(0).to_be_bytes());
    words.concat()[..20].try_into().unwrap()
}

/// A transaction id that was not used before.
pub fn fresh_t() -> Id {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("t{number:019}").into_bytes().try_into().unwrap()
}

/// The key of a file: the first 20 bytes of its SHA-256.
pub fn key_of(file: &[u8]) -> Id {
    use sha2::Digest;
    sha2::Sha256::digest(file)[..20].try_into().unwrap()
}

/// SHA-1.
pub fn sha1(bytes: &[u8]) -> Id {
    use sha1::Digest;
    sha1::Sha1::digest(bytes).into()
}

/// Address and port in 6 or 18 bytes.
pub fn compact_addr(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(addr.port().to_be_bytes());
    bytes
}

/// An entry of `nodes` or `nodes6`.
pub fn compact(id: &Id, addr: SocketAddr) -> Vec<u8> {
    [id.as_slice(), &compact_addr(addr)].concat()
}

/// A query's packet. `arguments` is a dictionary without `id`.
pub fn query(t: &[u8], id: &Id, method: &str, arguments: &[(&str, Ben)]) -> Vec<u8> {
    let mut a: Dict = [(b"id".to_vec(), id.as_slice().into())].into();
    for (key, value) in arguments {
        a.insert(key.as_bytes().to_vec(), value.clone());
    }
    packet(t, "q", [("a", Ben::Dict(a)), ("q", method.into())])
}

/// A response's packet. `values` is a dictionary without `id`.
pub fn response(t: &[u8], id: &Id, values: &[(&str, Ben)]) -> Vec<u8> {
    let mut r: Dict = [(b"id".to_vec(), id.as_slice().into())].into();
    for (key, value) in values {
        r.insert(key.as_bytes().to_vec(), value.clone());
    }
    packet(t, "r", [("r", Ben::Dict(r))])
}

/// An error's packet.
pub fn error(t: &[u8], code: i64, text: &str) -> Vec<u8> {
    let list = Ben::List(vec![code.into(), text.into()]);
    packet(t, "e", [("e", list)])
}

fn packet<const N: usize>(t: &[u8], y: &str, others: [(&str, Ben); N]) -> Vec<u8> {
    let others = others.map(|(key, value)| (key.as_bytes().to_vec(), value));
    let mut whole: Dict = others.into();
    whole.insert(b"t".to_vec(), t.into());
    whole.insert(b"y".to_vec(), y.into());
    Ben::Dict(whole).written()
}

/// A query that came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub from: SocketAddr,
    pub at: Instant,
    pub bytes: Vec<u8>,
    pub t: Vec<u8>,
    pub method: String,
    pub id: Id,
    pub arguments: Ben,
}

impl Heard {
    /// An argument of bytes.
    #[track_caller]
    pub fn argument(&self, name: &str) -> &[u8] {
        let value = self.arguments.get(name).and_then(Ben::bytes);
        value.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// `target` or `key`.
    pub fn target(&self) -> Option<Id> {
        let target = self.arguments.get("target").or(self.arguments.get("key"));
        target?.bytes()?.try_into().ok()
    }
}

/// A response or an error that came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
    pub t: Vec<u8>,
    whole: Ben,
}

impl Answer {
    /// `r`, where this is no error.
    #[track_caller]
    pub fn response(&self) -> &Ben {
        let text = || String::from_utf8_lossy(&self.bytes);
        let response = self.whole.get("r");
        response.unwrap_or_else(|| panic!("no response: {:?}", text()))
    }

    /// A value of `r` in bytes.
    #[track_caller]
    pub fn bytes_of(&self, key: &str) -> Vec<u8> {
        let bytes = self.response().get(key).and_then(Ben::bytes);
        bytes
            .unwrap_or_else(|| panic!("no {key} in {self:?}"))
            .to_vec()
    }

    /// A number of `r`.
    #[track_caller]
    pub fn int(&self, key: &str) -> i64 {
        let number = self.response().get(key).and_then(Ben::int);
        number.unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }

    /// A list of byte strings of `r`, sorted.
    #[track_caller]
    pub fn list(&self, key: &str) -> Vec<Vec<u8>> {
        let items = self.response().get(key).and_then(Ben::strings);
        let mut items = items.unwrap_or_else(|| panic!("no {key} in {self:?}"));
        items.sort();
        items
    }

    /// The error's code; 0 for a response.
    pub fn code(&self) -> i64 {
        match self.whole.get("e") {
            Some(Ben::List(items)) => items[0].int().unwrap(),
            _ => 0,
        }
    }

    /// Fails unless this is this error, with a text.
    #[track_caller]
    pub fn expect_error(&self, code: i64) {
        let Some(Ben::List(items)) = self.whole.get("e") else {
            panic!("no error: {:?}", String::from_utf8_lossy(&self.bytes));
        };
        let text = items.get(1).and_then(Ben::bytes).unwrap_or_default();
        assert_eq!(items.len(), 2, "{items:?}");
        assert!(!text.is_empty(), "an error without text: {items:?}");
        assert_eq!(items[0], Ben::Int(code), "{items:?}");
    }

    /// Fails unless these are its bytes.
    #[track_caller]
    pub fn expect(&self, bytes: &[u8]) {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(shown(&self.bytes), shown(bytes));
    }
}

/// What came in.
pub enum Packet {
    Query(Heard),
    Answer(Answer),
}

/// Reads a packet of an honest node. What such a node would not have written is an error.
pub fn read(bytes: &[u8], from: SocketAddr) -> Result<Packet, String> {
    if bytes.len() > MAX_PACKET {
        return Err(format!("{} bytes", bytes.len()));
    }
    let whole = Ben::read(bytes).ok_or("no bencode")?;
    if whole.written() != bytes {
        return Err("not canonical".to_owned());
    }
    let t = twenty(&whole, "t")?.to_vec();
    let bytes = bytes.to_vec();
    match whole.get("y").and_then(Ben::bytes) {
        Some(b"q") => {
            expect_keys(&whole, &["a", "q", "t", "y"])?;
            let method = whole.get("q").and_then(Ben::bytes).ok_or("no q")?;
            let method = String::from_utf8_lossy(method).into_owned();
            let arguments = whole.get("a").ok_or("no a")?.clone();
            expect_arguments(&method, &arguments)?;
            Ok(Packet::Query(Heard {
                from,
                at: Instant::now(),
                bytes,
                t,
                id: twenty(&arguments, "id")?,
                method,
                arguments,
            }))
        }
        Some(b"r") => {
            expect_keys(&whole, &["r", "t", "y"])?;
            twenty(whole.get("r").ok_or("no r")?, "id")?;
            Ok(Packet::Answer(Answer {
                from,
                bytes,
                t,
                whole,
            }))
        }
        Some(b"e") => {
            expect_keys(&whole, &["e", "t", "y"])?;
            match whole.get("e") {
                Some(Ben::List(items))
                    if matches!(items[..], [Ben::Int(200..=206), Ben::Bytes(_)]) => {}
                _ => return Err("a strange error".to_owned()),
            }
            Ok(Packet::Answer(Answer {
                from,
                bytes,
                t,
                whole,
            }))
        }
        _ => Err("no y".to_owned()),
    }
}

fn twenty(dict: &Ben, key: &str) -> Result<Id, String> {
    let bytes = dict.get(key).and_then(Ben::bytes);
    let id = bytes.and_then(|bytes| bytes.try_into().ok());
    id.ok_or_else(|| format!("no {key} of 20 bytes"))
}

fn expect_keys(dict: &Ben, wanted: &[&str]) -> Result<(), String> {
    let Ben::Dict(entries) = dict else {
        return Err("no dictionary".to_owned());
    };
    let same = entries
        .keys()
        .map(Vec::as_slice)
        .eq(wanted.iter().map(|key| key.as_bytes()));
    let keys = || entries.keys().map(|key| String::from_utf8_lossy(key));
    same.then_some(())
        .ok_or_else(|| format!("keys {:?}", keys().collect::<Vec<_>>()))
}

/// An apt-p2p node refuses arguments that it does not know.
fn expect_arguments(method: &str, arguments: &Ben) -> Result<(), String> {
    let known = METHODS.iter().find(|(name, _)| *name == method);
    let (_, others) = known.ok_or_else(|| format!("method {method:?}"))?;
    let mut wanted = [&["id"], *others].concat();
    wanted.sort_unstable();
    expect_keys(arguments, &wanted)?;
    for name in wanted {
        match name {
            "num" => drop(arguments.get(name).and_then(Ben::int).ok_or("num")?),
            "value" => drop(arguments.get(name).and_then(Ben::bytes).ok_or("value")?),
            _ => drop(twenty(arguments, name)?),
        }
    }
    Ok(())
}
