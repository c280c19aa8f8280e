//! What peers say of files, and how a file is put together from several.

pub mod blame;
pub mod help;
pub mod pace;
pub mod references;
pub mod rounds;
pub mod schedule;
pub mod torrent;
pub mod value;
