//! What Debian archives look like, without IO: names, paths and what they promise.

pub mod archive;
mod checksums;
pub mod compression;
pub mod digest;
pub mod list;
pub mod naming;
pub mod pdiff;
pub mod release;
pub mod url;
