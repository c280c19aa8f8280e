//! What peers say of files, and how a file is put together from several.

pub mod torrent;
pub mod value;
