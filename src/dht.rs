//! The distributed hash table: Kademlia as the Khashmir family speaks it, in
//! step with apt-p2p's wire.
//!
//! Everything here is pure: packets and the time come in, packets and events
//! go out, so that ten thousand nodes run in one process under a clock of
//! their own.
//!
//! | module | what |
//! | --- | --- |
//! | [`id`], [`contact`] | node ids, keys and their distance; where a node is |
//! | [`krpc`] | the messages, none longer than a packet may be |
//! | [`routing`] | the routing table of k-buckets |
//! | [`values`], [`token`], [`budget`] | what is stored for others, who may store, how much work a stranger gets |
//! | [`actions`] | what is asked of many nodes: lookups, getting, storing; and of one |
//! | [`engine`] | all of it as one state machine |
//! | [`announce`] | when a publisher stores again |

pub mod acquaintances;
pub mod actions;
pub mod announce;
pub mod budget;
pub mod contact;
pub mod engine;
pub mod external;
pub mod id;
pub mod krpc;
mod lately;
pub mod network_size;
mod reach;
pub mod routing;
pub mod token;
pub mod traffic;
pub mod transactions;
pub mod values;
