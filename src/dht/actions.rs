//! What a node asks of others: actions.
//!
//! A *recurring* action ([`Recurring`]: `find_node`, `find_value`) asks a set of
//! nodes that grows by its answers. A *static* action ([`Static`]: `get_value`,
//! `store_value`) asks a set that its answers do not change. A *single-node*
//! action ([`Single`]: `ping`, `join`) asks one. The first two share the
//! [`Crowd`]: who is asked next, who no longer counts, and when it is over.

mod crowd;
mod fixed;
mod recurring;
mod single;
mod task;
#[cfg(test)]
mod tests;

pub use self::crowd::Crowd;
pub use self::fixed::{Job, Static};
pub use self::recurring::{Recurring, Search};
pub use self::single::Single;
pub use self::task::{Outcome, Task};

use std::net::SocketAddr;

use super::id::NodeId;
use super::krpc::Query;

/// A query that an action wants sent.
#[derive(Debug, Clone)]
pub struct Ask {
    /// To where.
    pub to: SocketAddr,
    /// Who is expected there; unknown where only an address is known.
    pub id: Option<NodeId>,
    /// What.
    pub query: Query,
}
