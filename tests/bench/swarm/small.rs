//! The row of many small files.

use crate::options::Options;
use crate::scene::Scene;
use crate::table::{Bar, Row};

/// Time of `apt-get download` through a node that has one peer, beside that from an nginx at the peer's place.
pub fn measure(scene: &Scene, options: &Options) -> Row {
    let mut row = Row::new(
        "200 files of 50 KB from one peer on the LAN, by apt",
        Bar::AtMost(1.5),
        "× the time from nginx at its place",
    );
    let smalls = scene.archive.smalls();
    let direct = scene.direct();
    for round in 0..options.rounds {
        eprintln!("200 small files, round {}", round + 1);
        let through = || {
            let (node, apt) = scene.client();
            let time = apt.download(smalls);
            (time, node.number("/traffic/from_peers"))
        };
        let (theirs, (ours, from_peers)) = if round.is_multiple_of(2) {
            (direct.download(smalls), through())
        } else {
            let ours = through();
            (direct.download(smalls), ours)
        };
        let told = format!(
            "{ours:.2} s beside {theirs:.2} s, {:.1} MB from peers",
            from_peers as f64 / 1e6
        );
        eprintln!("  {told}");
        row.push(ours / theirs, told);
    }
    row
}
