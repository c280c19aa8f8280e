//! What peers say of files, and how a file is put together from several.

pub mod blame;
pub mod book;
pub mod help;
pub mod hunch;
pub mod lead;
pub mod luck;
pub mod neighbours;
pub mod origins;
pub mod pace;
pub mod references;
pub mod rounds;
pub mod schedule;
pub mod score;
pub mod torrent;
pub mod value;
