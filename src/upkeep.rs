//! Chores on the whole store, for a worker or a person who asks for them.

pub mod evict;
pub mod import;
pub mod verify;

/// How far a chore has come: steps done, of how many in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, as far as is known.
    pub total: u64,
}
