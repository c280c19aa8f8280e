//! What Debian archives look like, without IO: names, paths and what they promise.

pub mod naming;
pub mod url;
