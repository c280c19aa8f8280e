//! `ping` and `join`: of a single node.

use std::net::SocketAddr;

use super::Ask;
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;
use crate::dht::krpc::Query;

/// A question to one node.
#[derive(Debug, Clone)]
pub struct Single {
    to: SocketAddr,
    id: Option<NodeId>,
    query: Query,
    is_sent: bool,
    is_over: bool,
}

impl Single {
    const fn new(to: SocketAddr, id: Option<NodeId>, query: Query) -> Self {
        Self {
            to,
            id,
            query,
            is_sent: false,
            is_over: false,
        }
    }

    /// Whether this node is there.
    #[must_use]
    pub const fn ping(contact: Contact) -> Self {
        Self::new(contact.addr, Some(contact.id), Query::Ping)
    }

    /// Who is at this address, and as whom it sees us.
    #[must_use]
    pub const fn join(to: SocketAddr, id: Option<NodeId>) -> Self {
        Self::new(to, id, Query::Join)
    }

    /// What is sent now.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        if std::mem::replace(&mut self.is_sent, true) {
            return Vec::new();
        }
        let (to, id, query) = (self.to, self.id, self.query.clone());
        vec![Ask { to, id, query }]
    }

    /// It answered or failed.
    pub const fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether it answered or failed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Who is asked.
    #[must_use]
    pub const fn to(&self) -> SocketAddr {
        self.to
    }
}
