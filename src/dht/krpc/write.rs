//! Packets that go out.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_bytes::Bytes;

use super::{MAX_PACKET, Query, Reply, TOKEN_LEN, TransactionId, code};
use crate::bencode::encode_as;
use crate::dht::contact::{Contact, Family};
use crate::dht::id::{ID_LEN, NodeId};

/// Bytes of a transaction id, an id and a token: as `20:` and themselves.
const TWENTY: usize = string_len(ID_LEN);
const _: () = assert!(size_of::<TransactionId>() == ID_LEN && TOKEN_LEN == ID_LEN);

/// Bytes of a `get_value` response without values.
const GET_VALUE: usize = "d1:rd2:id6:valueslee1:t1:y1:re".len() + 2 * TWENTY;

/// Bytes of a `store_value` query without its value.
const STORE_VALUE: usize =
    "d1:ad2:id3:key5:token5:valuee1:q11:store_value1:t1:y1:qe".len() + 4 * TWENTY;

/// Bytes of a byte string of `len` bytes, its length before it.
const fn string_len(len: usize) -> usize {
    let digits = match len.checked_ilog10() {
        Some(exponent) => exponent as usize + 1,
        None => 1,
    };
    digits + 1 + len
}

/// Whether a value of this length can be stored and given out again: both the
/// `store_value` query (with a token of 20 bytes) and the `get_value` response
/// that hold it alone are short enough.
#[must_use]
pub const fn store_fits(value_len: usize) -> bool {
    value_len <= MAX_PACKET
        && STORE_VALUE + string_len(value_len) <= MAX_PACKET
        && GET_VALUE + string_len(value_len) <= MAX_PACKET
}

/// A query's packet. `None` where it would be longer than [`MAX_PACKET`].
#[must_use]
pub fn query(t: &TransactionId, own: &NodeId, query: &Query) -> Option<Vec<u8>> {
    let mut arguments = Arguments::of(own);
    match query {
        Query::Ping | Query::Join => {}
        Query::FindNode { target } => arguments.target = Some(Bytes::new(&target.0)),
        Query::FindValue { key } => arguments.key = Some(Bytes::new(&key.0)),
        Query::GetValue { key, num } => {
            arguments.key = Some(Bytes::new(&key.0));
            arguments.num = Some(*num);
        }
        Query::StoreValue { key, value, token } => {
            if value.len().max(token.len()) > MAX_PACKET {
                return None;
            }
            arguments.key = Some(Bytes::new(&key.0));
            arguments.value = Some(Bytes::new(value));
            arguments.token = Some(Bytes::new(token));
        }
    }
    let packet = encode_as(&QueryPacket {
        a: arguments,
        q: query.method().name(),
        t: Bytes::new(t),
        y: "q",
    });
    (packet.len() <= MAX_PACKET).then_some(packet)
}

/// A response's packet, never longer than [`MAX_PACKET`].
///
/// `get_value` takes its values in a random order and each that still fits,
/// unless all do. Any other response that would be too long becomes error 206.
/// Nodes reached over IPv6 are left out unless `with_nodes6`.
#[must_use]
pub fn reply(
    t: &TransactionId,
    own: &NodeId,
    reply: &Reply,
    with_nodes6: bool,
    rng: &mut StdRng,
) -> Vec<u8> {
    let mut response = Response::of(own);
    match reply {
        Reply::Ping | Reply::StoreValue => {}
        Reply::Join { seen } => {
            response.ip_addr = Some(seen.ip().to_canonical().to_string());
            response.port = Some(seen.port());
        }
        Reply::FindNode { nodes, token } => {
            response.hold(nodes, with_nodes6);
            response.token = Some(Bytes::new(token));
        }
        Reply::FindValue { nodes, num } => {
            response.hold(nodes, with_nodes6);
            response.num = Some(*num);
        }
        Reply::GetValue { values } => response.values = Some(fitting(values, rng)),
    }
    let packet = encode_as(&ResponsePacket {
        r: response,
        t: Bytes::new(t),
        y: "r",
    });
    if packet.len() <= MAX_PACKET {
        return packet;
    }
    let text = "response too long";
    error(t, code::RESPONSE_TOO_LONG, text, MAX_PACKET).unwrap_or_default()
}

/// As many of the values as one `get_value` response holds.
fn fitting<'a>(values: &'a [Arc<[u8]>], rng: &mut StdRng) -> Vec<&'a Bytes> {
    let mut chosen: Vec<&Bytes> = values.iter().map(|value| Bytes::new(value)).collect();
    let mut left = MAX_PACKET - GET_VALUE;
    let all: usize = chosen.iter().map(|value| string_len(value.len())).sum();
    if all > left {
        chosen.shuffle(rng);
        chosen.retain(|value| {
            let rest = left.checked_sub(string_len(value.len()));
            left = rest.unwrap_or(left);
            rest.is_some()
        });
    }
    chosen
}

/// An error's packet, its text cut so that the packet has at most `at_most`
/// bytes. `None` where it is longer even without text.
#[must_use]
pub fn error(t: &TransactionId, code: i64, text: &str, at_most: usize) -> Option<Vec<u8>> {
    let packet = |text: &str| {
        encode_as(&ErrorPacket {
            e: (code, text),
            t: Bytes::new(t),
            y: "e",
        })
    };
    let frame = packet("").len() - string_len(0);
    let len = (0..=text.len())
        .rev()
        .find(|len| text.is_char_boundary(*len) && frame + string_len(*len) <= at_most)?;
    text.get(..len).map(packet)
}

#[derive(serde::Serialize)]
struct QueryPacket<'a> {
    a: Arguments<'a>,
    q: &'static str,
    t: &'a Bytes,
    y: &'static str,
}

/// What is `None` is not written.
#[derive(serde::Serialize)]
struct Arguments<'a> {
    id: &'a Bytes,
    key: Option<&'a Bytes>,
    num: Option<u32>,
    target: Option<&'a Bytes>,
    token: Option<&'a Bytes>,
    value: Option<&'a Bytes>,
}

impl<'a> Arguments<'a> {
    fn of(own: &'a NodeId) -> Self {
        Self {
            id: Bytes::new(&own.0),
            key: None,
            num: None,
            target: None,
            token: None,
            value: None,
        }
    }
}

#[derive(serde::Serialize)]
struct ResponsePacket<'a> {
    r: Response<'a>,
    t: &'a Bytes,
    y: &'static str,
}

/// What is `None` is not written.
#[derive(serde::Serialize)]
struct Response<'a> {
    id: &'a Bytes,
    ip_addr: Option<String>,
    nodes: Option<Nodes<'a>>,
    nodes6: Option<Nodes<'a>>,
    num: Option<u32>,
    port: Option<u16>,
    token: Option<&'a Bytes>,
    values: Option<Vec<&'a Bytes>>,
}

impl<'a> Response<'a> {
    fn of(own: &'a NodeId) -> Self {
        Self {
            id: Bytes::new(&own.0),
            ip_addr: None,
            nodes: None,
            nodes6: None,
            num: None,
            port: None,
            token: None,
            values: None,
        }
    }

    fn hold(&mut self, nodes: &'a [Contact], with_nodes6: bool) {
        self.nodes = Some(Nodes(nodes, Family::V4));
        self.nodes6 = with_nodes6.then_some(Nodes(nodes, Family::V6));
    }
}

/// Those of one family.
struct Nodes<'a>(&'a [Contact], Family);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for node in self.0.iter().filter(|node| node.family() == self.1) {
            list.serialize_element(Bytes::new(&node.to_compact()))?;
        }
        list.end()
    }
}

#[derive(serde::Serialize)]
struct ErrorPacket<'a> {
    e: (i64, &'a str),
    t: &'a Bytes,
    y: &'static str,
}
