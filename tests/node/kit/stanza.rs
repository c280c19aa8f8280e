//! What index files say.

use super::packing::listing;
use super::{noise, sha256};
use std::time::SystemTime;

/// A package's file.
#[derive(Clone)]
pub struct Deb {
    /// Below the archive's root, as `Filename` has it.
    pub path: String,
    pub version: String,
    pub body: Vec<u8>,
}

/// A paragraph of `Packages`.
pub fn binary((name, deb): (&str, &Deb)) -> String {
    format!(
        "Package: {name}\nVersion: {}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n\
         Filename: {}\nSize: {}\nSHA256: {}\nDescription: a test package\n\n",
        deb.version,
        deb.path,
        deb.body.len(),
        sha256(&deb.body)
    )
}

/// `Sources` of a generation: thirty packages that never change, and `tick`.
pub fn sources(generation: u64, dsc: &[u8]) -> String {
    let fill = |seed: u64| source(&format!("fill{seed:02}"), "1.0", &noise(seed, 40));
    let fills: String = (0..30).map(fill).collect();
    format!("{fills}{}", source("tick", &generation.to_string(), dsc))
}

/// `Contents` of a generation.
pub fn contents(generation: u64) -> String {
    let lines = (0..60).map(|file| format!("usr/share/f{file:02} misc/fill{file:02}\n"));
    format!(
        "{}usr/tick{generation} misc/tick\n",
        lines.collect::<String>()
    )
}

/// A paragraph of `Sources`, with one file.
fn source(name: &str, version: &str, dsc: &[u8]) -> String {
    format!(
        "Package: {name}\nBinary: {name}\nVersion: {version}\nArchitecture: any\n\
         Maintainer: Nobody <nobody@example.org>\nFormat: 1.0\n\
         Directory: pool/main/{}/{name}\nChecksums-Sha256:\n {} {name}.dsc\n\n",
        &name[..1],
        listing(dsc)
    )
}

/// A time as `Release` has it.
pub fn written(time: SystemTime) -> String {
    httpdate::fmt_http_date(time).replace("GMT", "UTC")
}
