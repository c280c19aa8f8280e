//! `Packages.diff` and its kin: the patches from older generations of an index to the present one.

use super::packing::{Packing, listing, once};
use super::sha256;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// How patches between generations are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diffs {
    /// From each generation to the next.
    Chained,
    /// From each generation to the present one.
    Merged,
}

/// So many old generations are led on from.
const HISTORY: usize = 5;

/// The files of a `.diff` folder by name, `Index` among them. `history` ends with the present.
pub fn folder(history: &[Vec<u8>], kind: Diffs) -> BTreeMap<String, Vec<u8>> {
    let (now, olds) = history.split_last().unwrap();
    let last = olds.len();
    let first = last.saturating_sub(HISTORY);
    let mut files = BTreeMap::new();
    let mut index = [
        format!("SHA256-Current: {}\n", listing(now)),
        "SHA256-History:\n".to_owned(),
        "SHA256-Patches:\n".to_owned(),
        "SHA256-Download:\n".to_owned(),
    ];
    for (at, old) in olds.iter().enumerate().skip(first) {
        let (to, name) = match kind {
            Diffs::Merged => (now, format!("T-{}-F-{}", stamp(last), stamp(at))),
            Diffs::Chained => (&history[at + 1], stamp(at)),
        };
        let patch = once(("--ed", sha256(old), sha256(to)), || ed_script(old, to));
        let packed = Packing::Gz.pack(&patch);
        writeln!(index[1], " {} {name}", listing(old)).unwrap();
        writeln!(index[2], " {} {name}", listing(&patch)).unwrap();
        writeln!(index[3], " {} {name}.gz", listing(&packed)).unwrap();
        files.insert(format!("{name}.gz"), packed);
    }
    let mut text = index.concat();
    if kind == Diffs::Merged {
        text += "X-Patch-Precedence: merged\n";
    }
    files.insert("Index".to_owned(), text.into_bytes());
    files
}

/// The name of the patch that begins at this generation.
fn stamp(generation: usize) -> String {
    let (day, hour) = (generation / 24 + 1, generation % 24);
    format!("2024-01-{day:02}-{hour:02}00.00")
}

fn ed_script(old: &[u8], new: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old"), old).unwrap();
    std::fs::write(folder.path().join("new"), new).unwrap();
    let mut diff = Command::new("diff");
    diff.args(["--text", "--ed", "old", "new"]);
    let output = diff.current_dir(folder.path()).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    output.stdout
}
