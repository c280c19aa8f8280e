//! Bytes on disk and in memory, and nothing that knows rows.
//!
//! A body is written to `temp/`, made durable, and renamed to its hash below
//! `files/`. Readers never copy it into the process: they hand slices of a
//! mapping to the kernel.

pub mod budget;
pub mod coming;
pub mod disk;
pub mod expected;
pub mod extents;
pub mod flight;
pub mod growing;
pub mod hot;
pub mod incoming;
pub mod mapped;
pub mod memory;
pub mod share;
pub mod spoilt;

#[cfg(test)]
mod tests;
