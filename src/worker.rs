//! Workers act on rows. They and HTTP meet only in rows and wake-ups.

pub mod announce;
pub mod dht_rows;
pub mod discover;
pub mod dispatcher;
mod errand;
pub mod evict;
pub mod fetch_file;
pub mod flush;
pub mod ingest;
pub mod map_ports;
mod receive;
pub mod retire;
pub mod revalidate;
pub mod swarm;
pub mod sweep;
#[cfg(test)]
mod testing;
pub mod watchdog;
