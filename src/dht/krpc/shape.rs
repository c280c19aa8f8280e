//! Values of untrusted dictionaries, read one by one.
//!
//! A value of a wrong type must not hide the others, and what a packet is
//! allowed to be depends on keys that may come in any order. So reading a value
//! never fails: it comes out as the shape that it should have, or as wrong.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a value should be, made of whatever it is.
pub(super) trait Shape: Sized {
    /// What a value of another type counts as.
    const WRONG: Self;

    fn of_bytes(_: &[u8]) -> Self {
        Self::WRONG
    }

    fn of_int(_: i64) -> Self {
        Self::WRONG
    }

    /// Has to read on to the list's end, and must not read behind it.
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::WRONG)
    }

    /// Has to read on to the dictionary's end, and must not read behind it.
    fn of_dict<'de, A: MapAccess<'de>>(mut dict: A) -> Result<Self, A::Error> {
        while dict.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::WRONG)
    }
}

/// Reads a [`Shape`].
pub(super) struct As<S>(PhantomData<S>);

impl<S> As<S> {
    pub(super) const NEW: Self = Self(PhantomData);
}

impl<'de, S: Shape> DeserializeSeed<'de> for As<S> {
    type Value = S;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for As<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<S, E> {
        Ok(S::of_bytes(bytes))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<S, E> {
        Ok(S::of_int(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<S, A::Error> {
        S::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, dict: A) -> Result<S, A::Error> {
        S::of_dict(dict)
    }
}

/// A key of any of the dictionaries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Transaction,
    Kind,
    Method,
    Arguments,
    Response,
    Error,
    Id,
    Target,
    Key,
    Num,
    Value,
    Token,
    Nodes,
    Nodes6,
    Values,
    IpAddr,
    Port,
    Other,
}

impl Shape for Name {
    const WRONG: Self = Self::Other;

    fn of_bytes(name: &[u8]) -> Self {
        match name {
            b"t" => Self::Transaction,
            b"y" => Self::Kind,
            b"q" => Self::Method,
            b"a" => Self::Arguments,
            b"r" => Self::Response,
            b"e" => Self::Error,
            b"id" => Self::Id,
            b"target" => Self::Target,
            b"key" => Self::Key,
            b"num" => Self::Num,
            b"value" => Self::Value,
            b"token" => Self::Token,
            b"nodes" => Self::Nodes,
            b"nodes6" => Self::Nodes6,
            b"values" => Self::Values,
            b"ip_addr" => Self::IpAddr,
            b"port" => Self::Port,
            _ => Self::Other,
        }
    }
}

/// Twenty bytes.
impl Shape for Option<[u8; 20]> {
    const WRONG: Self = None;

    fn of_bytes(bytes: &[u8]) -> Self {
        bytes.try_into().ok()
    }
}

/// Any bytes.
impl Shape for Option<Vec<u8>> {
    const WRONG: Self = None;

    fn of_bytes(bytes: &[u8]) -> Self {
        Some(bytes.to_vec())
    }
}

/// A count: not negative, and cut to what its type holds.
impl Shape for Option<u32> {
    const WRONG: Self = None;

    fn of_int(number: i64) -> Self {
        (number >= 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
    }
}

/// A port.
impl Shape for Option<u16> {
    const WRONG: Self = None;

    fn of_int(number: i64) -> Self {
        u16::try_from(number).ok()
    }
}

/// An address as text.
impl Shape for Option<IpAddr> {
    const WRONG: Self = None;

    fn of_bytes(bytes: &[u8]) -> Self {
        str::from_utf8(bytes).ok()?.parse().ok()
    }
}

/// A single byte.
pub(super) struct Letter(pub(super) Option<u8>);

impl Shape for Letter {
    const WRONG: Self = Self(None);

    fn of_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [byte] => Self(Some(*byte)),
            _ => Self::WRONG,
        }
    }
}

/// Any integer.
pub(super) struct Number(pub(super) Option<i64>);

impl Shape for Number {
    const WRONG: Self = Self(None);

    fn of_int(number: i64) -> Self {
        Self(Some(number))
    }
}
