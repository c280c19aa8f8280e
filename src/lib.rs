//! aptmesh
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod db;
pub mod debian;
pub mod health;
pub mod http;
pub mod lifecycle;
pub mod meter;
pub mod mirrors;
pub mod node;
pub mod store;
pub mod upkeep;
pub mod upstream;
pub mod validators;
pub mod worker;
