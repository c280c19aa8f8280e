//! Workers act on rows. They and HTTP meet only in rows and wake-ups.

pub mod dispatcher;
pub mod evict;
pub mod fetch_file;
pub mod flush;
mod receive;
pub mod sweep;
