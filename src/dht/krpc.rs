//! The messages between nodes: bencoded dictionaries, one a UDP packet, as
//! apt-p2p 0.1 and the Khashmir family write them.
//!
//! A packet has a transaction id `t` and a kind `y`: a query (`q` its method,
//! `a` its arguments), a response (`r`), or an error (`e`, code and text).
//! Nothing here knows who sent what: matching answers to queries, checking
//! tokens and refusing addresses are their callers' work.

mod read;
mod shape;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;

pub use read::decode;
pub use write::{error, query, reply, store_fits};

use super::contact::Contact;
use super::id::{Key, NodeId};

/// The longest packet in bytes: 1500 of Ethernet less 20 of IP and 8 of UDP.
pub const MAX_PACKET: usize = 1472;

/// How many entries of a response's `nodes`, and of its `nodes6`, are looked at.
pub const MAX_NODES: usize = 64;

/// What ties an answer to its query. A packet with another length is not of
/// this network.
pub type TransactionId = [u8; 20];

/// What `find_node` hands out and `store_value` needs. Our own have
/// [`TOKEN_LEN`] bytes.
pub type Token = Vec<u8>;

/// Bytes of a token that we hand out.
pub const TOKEN_LEN: usize = 20;

/// What an error's code means.
pub mod code {
    /// Something failed.
    pub const GENERIC: i64 = 200;
    /// The asked node itself failed. apt-p2p also answers so where an id has a
    /// wrong length, and where its own cut of `get_value` fails.
    pub const SERVER: i64 = 201;
    /// `q` or `a` is not what it should be.
    pub const MALFORMED_PACKET: i64 = 202;
    /// Nobody knows such a method.
    pub const UNKNOWN_METHOD: i64 = 203;
    /// Arguments are missing, unknown, or of a wrong type or length.
    pub const MALFORMED_REQUEST: i64 = 204;
    /// The token was not given to this address, or too long ago.
    pub const INVALID_TOKEN: i64 = 205;
    /// The response would be longer than a packet may be.
    pub const RESPONSE_TOO_LONG: i64 = 206;
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Whether the node is there.
    Ping,
    /// How the querier is seen from outside.
    Join,
    /// Which nodes are closest to an id.
    FindNode,
    /// Which nodes are closest to a key, and how many values are here.
    FindValue,
    /// The values of a key.
    GetValue,
    /// To keep a value.
    StoreValue,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ping,
        Self::Join,
        Self::FindNode,
        Self::FindValue,
        Self::GetValue,
        Self::StoreValue,
    ];

    /// Its name in `q`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Join => "join",
            Self::FindNode => "find_node",
            Self::FindValue => "find_value",
            Self::GetValue => "get_value",
            Self::StoreValue => "store_value",
        }
    }

    /// The method of a name in `q`.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name().as_bytes() == name)
    }
}

/// A query, without the id of who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// See [`Method::Ping`].
    Ping,
    /// See [`Method::Join`].
    Join,
    /// See [`Method::FindNode`].
    FindNode {
        /// Near what.
        target: Key,
    },
    /// See [`Method::FindValue`].
    FindValue {
        /// Near what, and values of what.
        key: Key,
    },
    /// See [`Method::GetValue`].
    GetValue {
        /// Values of what.
        key: Key,
        /// How many are wanted; 0: all.
        num: u32,
    },
    /// See [`Method::StoreValue`].
    StoreValue {
        /// Under what.
        key: Key,
        /// The value.
        value: Vec<u8>,
        /// From this node's answer to `find_node`. Of any length as it comes in.
        token: Token,
    },
}

impl Query {
    /// What it asks for.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Ping => Method::Ping,
            Self::Join => Method::Join,
            Self::FindNode { .. } => Method::FindNode,
            Self::FindValue { .. } => Method::FindValue,
            Self::GetValue { .. } => Method::GetValue,
            Self::StoreValue { .. } => Method::StoreValue,
        }
    }
}

/// A response as we write it, without our id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Query::Ping`].
    Ping,
    /// To [`Query::Join`].
    Join {
        /// The querier's address, as its packet came from it.
        seen: SocketAddr,
    },
    /// To [`Query::FindNode`].
    FindNode {
        /// The closest ones, of both families.
        nodes: Vec<Contact>,
        /// For a `store_value` from the same address.
        token: [u8; TOKEN_LEN],
    },
    /// To [`Query::FindValue`].
    FindValue {
        /// The closest ones, of both families.
        nodes: Vec<Contact>,
        /// How many values are here.
        num: u32,
    },
    /// To [`Query::GetValue`].
    GetValue {
        /// As many as there are; what does not fit is left out.
        values: Vec<Arc<[u8]>>,
    },
    /// To [`Query::StoreValue`].
    StoreValue,
}

/// A response as it came in: whatever of its keys had the right shape. Which
/// of them have to be there depends on what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who answers.
    pub id: NodeId,
    /// Those of `nodes`, then those of `nodes6`. Their addresses are whatever
    /// the sender wrote.
    pub nodes: Vec<Contact>,
    /// Of any length.
    pub token: Option<Token>,
    /// How many values the sender has; more than `u32::MAX` count as that.
    pub num: Option<u32>,
    /// The values.
    pub values: Option<Vec<Vec<u8>>>,
    /// Our own address as the sender saw it, canonical.
    pub seen: Option<SocketAddr>,
}

/// A packet that deserves to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Somebody asks.
    Query {
        /// To be repeated in the answer.
        t: TransactionId,
        /// Who asks.
        id: NodeId,
        /// What.
        query: Query,
    },
    /// Somebody asks what can't be answered but with an error.
    Refused {
        /// To be repeated in the error.
        t: TransactionId,
        /// See [`code`].
        code: i64,
        /// For the error.
        text: &'static str,
    },
    /// Somebody answers.
    Answer {
        /// That of the query.
        t: TransactionId,
        /// What.
        answer: Answer,
    },
    /// Somebody answers with an error.
    Error {
        /// That of the query.
        t: TransactionId,
        /// See [`code`].
        code: i64,
    },
}

#[cfg(test)]
mod tests;
