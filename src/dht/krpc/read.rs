//! Packets that came in.

use std::net::{IpAddr, SocketAddr};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::shape::{As, Letter, Name, Number, Shape};
use super::{Answer, Incoming, MAX_NODES, MAX_PACKET, Method, Query, TransactionId, code};
use crate::bencode;
use crate::dht::contact::{Contact, Family, canonical};
use crate::dht::id::NodeId;

/// Reads a packet. `None` where it is to be dropped in silence: it is longer
/// than [`MAX_PACKET`], no bencode, of no known kind, lacks what makes its
/// kind, or its `t` is not 20 bytes long.
///
/// A query that can be answered only with an error is [`Incoming::Refused`]:
/// 202 where `q` or `a` has a wrong type, 203 where the method is unknown, 204
/// where an argument is missing, unknown, or of a wrong type or length. A token
/// of a wrong length is a wrong token, not a wrong argument.
#[must_use]
pub fn decode(packet: &[u8]) -> Option<Incoming> {
    if packet.len() > MAX_PACKET {
        return None;
    }
    let packet: Packet = bencode::decode_as(packet).ok()?;
    let t = packet.t?;
    match packet.kind? {
        b'q' => Some(query(t, packet.method?, packet.arguments?)),
        b'r' => packet.answer.map(|answer| Incoming::Answer { t, answer }),
        b'e' => packet.error.map(|code| Incoming::Error { t, code }),
        _ => None,
    }
}

fn query(t: TransactionId, method: MethodName, given: Given) -> Incoming {
    let refused = |code, text| Incoming::Refused { t, code, text };
    let (method, arguments) = match (method, given) {
        (MethodName::WrongType, _) | (_, Given::WrongType) => {
            return refused(code::MALFORMED_PACKET, "malformed packet");
        }
        (MethodName::Unknown, _) => return refused(code::UNKNOWN_METHOD, "unknown method"),
        (MethodName::Known(method), Given::Dict(arguments)) => (method, arguments),
    };
    match arguments.of(method) {
        Some((id, query)) => Incoming::Query { t, id, query },
        None => refused(code::MALFORMED_REQUEST, "malformed request"),
    }
}

/// The outermost dictionary. A key that is not there is `None`; so is one of a
/// wrong type, but where a query is refused for it.
struct Packet {
    t: Option<TransactionId>,
    kind: Option<u8>,
    method: Option<MethodName>,
    arguments: Option<Given>,
    answer: Option<Answer>,
    error: Option<i64>,
}

impl<'de> Deserialize<'de> for Packet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        As::<Self>::NEW.deserialize(deserializer)
    }
}

impl Shape for Packet {
    const WRONG: Self = Self {
        t: None,
        kind: None,
        method: None,
        arguments: None,
        answer: None,
        error: None,
    };

    fn of_dict<'de, A: MapAccess<'de>>(mut dict: A) -> Result<Self, A::Error> {
        let mut packet = Self::WRONG;
        while let Some(name) = dict.next_key_seed(As::<Name>::NEW)? {
            match name {
                Name::Transaction => packet.t = dict.next_value_seed(As::NEW)?,
                Name::Kind => packet.kind = dict.next_value_seed(As::<Letter>::NEW)?.0,
                Name::Method => packet.method = Some(dict.next_value_seed(As::NEW)?),
                Name::Arguments => packet.arguments = Some(dict.next_value_seed(As::NEW)?),
                Name::Response => packet.answer = dict.next_value_seed(As::NEW)?,
                Name::Error => packet.error = dict.next_value_seed(As::<Code>::NEW)?.0,
                _ => drop(dict.next_value::<IgnoredAny>()?),
            }
        }
        Ok(packet)
    }
}

enum MethodName {
    WrongType,
    Unknown,
    Known(Method),
}

impl Shape for MethodName {
    const WRONG: Self = Self::WrongType;

    fn of_bytes(name: &[u8]) -> Self {
        Method::of_name(name).map_or(Self::Unknown, Self::Known)
    }
}

/// The arguments of a query, whatever its method: that may come behind them.
#[derive(Default)]
struct Arguments {
    /// One bit for each that is there and as it should be.
    given: u8,
    /// One is unknown, or of a wrong type or length.
    bad: bool,
    id: [u8; 20],
    target: [u8; 20],
    key: [u8; 20],
    num: u32,
    value: Vec<u8>,
    token: Vec<u8>,
}

impl Arguments {
    const ID: u8 = 1;
    const TARGET: u8 = 1 << 1;
    const KEY: u8 = 1 << 2;
    const NUM: u8 = 1 << 3;
    const VALUE: u8 = 1 << 4;
    const TOKEN: u8 = 1 << 5;

    /// The query that these make; `None` unless they are just what the method
    /// takes.
    fn of(self, method: Method) -> Option<(NodeId, Query)> {
        let expected = Self::ID
            | match method {
                Method::Ping | Method::Join => 0,
                Method::FindNode => Self::TARGET,
                Method::FindValue => Self::KEY,
                Method::GetValue => Self::KEY | Self::NUM,
                Method::StoreValue => Self::KEY | Self::VALUE | Self::TOKEN,
            };
        if self.bad || self.given != expected {
            return None;
        }
        let (target, key) = (NodeId(self.target), NodeId(self.key));
        let query = match method {
            Method::Ping => Query::Ping,
            Method::Join => Query::Join,
            Method::FindNode => Query::FindNode { target },
            Method::FindValue => Query::FindValue { key },
            Method::GetValue => {
                let num = self.num;
                Query::GetValue { key, num }
            }
            Method::StoreValue => {
                let (value, token) = (self.value, self.token);
                Query::StoreValue { key, value, token }
            }
        };
        Some((NodeId(self.id), query))
    }

    fn set<'de, T, A>(
        &mut self,
        dict: &mut A,
        to: fn(&mut Self) -> &mut T,
        bit: u8,
    ) -> Result<(), A::Error>
    where
        Option<T>: Shape,
        A: MapAccess<'de>,
    {
        match dict.next_value_seed(As::<Option<T>>::NEW)? {
            Some(value) => {
                *to(self) = value;
                self.given |= bit;
            }
            None => self.bad = true,
        }
        Ok(())
    }
}

enum Given {
    WrongType,
    Dict(Arguments),
}

impl Shape for Given {
    const WRONG: Self = Self::WrongType;

    fn of_dict<'de, A: MapAccess<'de>>(mut dict: A) -> Result<Self, A::Error> {
        let mut given = Arguments::default();
        while let Some(name) = dict.next_key_seed(As::<Name>::NEW)? {
            match name {
                Name::Id => given.set(&mut dict, |all| &mut all.id, Arguments::ID)?,
                Name::Target => given.set(&mut dict, |all| &mut all.target, Arguments::TARGET)?,
                Name::Key => given.set(&mut dict, |all| &mut all.key, Arguments::KEY)?,
                Name::Num => given.set(&mut dict, |all| &mut all.num, Arguments::NUM)?,
                Name::Value => given.set(&mut dict, |all| &mut all.value, Arguments::VALUE)?,
                Name::Token => given.set(&mut dict, |all| &mut all.token, Arguments::TOKEN)?,
                _ => {
                    dict.next_value::<IgnoredAny>()?;
                    given.bad = true;
                }
            }
        }
        Ok(Self::Dict(given))
    }
}

/// `None` where it has no id.
impl Shape for Option<Answer> {
    const WRONG: Self = None;

    fn of_dict<'de, A: MapAccess<'de>>(mut dict: A) -> Result<Self, A::Error> {
        let mut id = None;
        let mut nodes = Vec::new();
        let mut nodes6 = Vec::new();
        let (mut token, mut num, mut values) = (None, None, None);
        let mut ip: Option<IpAddr> = None;
        let mut port: Option<u16> = None;
        while let Some(name) = dict.next_key_seed(As::<Name>::NEW)? {
            match name {
                Name::Id => id = dict.next_value_seed(As::NEW)?,
                Name::Nodes => nodes = dict.next_value_seed(As::<Nodes<false>>::NEW)?.0,
                Name::Nodes6 => nodes6 = dict.next_value_seed(As::<Nodes<true>>::NEW)?.0,
                Name::Token => token = dict.next_value_seed(As::NEW)?,
                Name::Num => num = dict.next_value_seed(As::NEW)?,
                Name::Values => values = dict.next_value_seed(As::<Values>::NEW)?.0,
                Name::IpAddr => ip = dict.next_value_seed(As::NEW)?,
                Name::Port => port = dict.next_value_seed(As::NEW)?,
                _ => drop(dict.next_value::<IgnoredAny>()?),
            }
        }
        nodes.append(&mut nodes6);
        Ok(id.map(|id| Answer {
            id: NodeId(id),
            nodes,
            token,
            num,
            values,
            seen: ip
                .zip(port)
                .map(|(ip, port)| canonical(SocketAddr::new(ip, port))),
        }))
    }
}

/// Those of the entries that are contacts.
struct Nodes<const V6: bool>(Vec<Contact>);

impl<const V6: bool> Shape for Nodes<V6> {
    const WRONG: Self = Self(Vec::new());

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut nodes = Vec::with_capacity(8);
        for _ in 0..MAX_NODES {
            match list.next_element_seed(As::<Entry<V6>>::NEW)? {
                Some(Entry(node)) => nodes.extend(node),
                None => return Ok(Self(nodes)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(nodes))
    }
}

struct Entry<const V6: bool>(Option<Contact>);

impl<const V6: bool> Shape for Entry<V6> {
    const WRONG: Self = Self(None);

    fn of_bytes(bytes: &[u8]) -> Self {
        let family = if V6 { Family::V6 } else { Family::V4 };
        Self(Contact::from_compact(family, bytes))
    }
}

/// Those of the entries that are byte strings.
struct Values(Option<Vec<Vec<u8>>>);

impl Shape for Values {
    const WRONG: Self = Self(None);

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(As::<Option<Vec<u8>>>::NEW)? {
            values.extend(value);
        }
        Ok(Self(Some(values)))
    }
}

/// An error's code: the first of the list, a text behind it.
struct Code(Option<i64>);

impl Shape for Code {
    const WRONG: Self = Self(None);

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let Some(Number(code)) = list.next_element_seed(As::NEW)? else {
            return Ok(Self::WRONG);
        };
        let Some(text) = list.next_element_seed(As::<Option<Vec<u8>>>::NEW)? else {
            return Ok(Self::WRONG);
        };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(text.and(code)))
    }
}
