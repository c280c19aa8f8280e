//! Indexes that want to do harm: refused with a row and a log line, and the node goes on.

use crate::kit::{Apt, Files, Key, Packing, Stage, Suite, listing, noise, run};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGES: &str = "main/binary-amd64/Packages";

/// What a node may take of the machine while somebody tries to fill it.
const MEMORY: u64 = 256 << 20;

/// 1 GiB of zeros, and its listing.
const BOMB: &str = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14 1073741824";

/// 1 GiB of zeros, packed: four parts of a quarter, as every one of these formats allows.
fn bomb(packing: Packing) -> &'static [u8] {
    static XZ: OnceLock<Vec<u8>> = OnceLock::new();
    static GZ: OnceLock<Vec<u8>> = OnceLock::new();
    static ZST: OnceLock<Vec<u8>> = OnceLock::new();
    let (cell, tool) = match packing {
        Packing::Xz => (&XZ, "xz -0"),
        Packing::Gz => (&GZ, "gzip -1"),
        _ => (&ZST, "zstd -q -1"),
    };
    cell.get_or_init(|| {
        let script = format!("head -c 256M /dev/zero | {tool}");
        let part = run(Command::new("sh").args(["-c", &script])).stdout;
        part.repeat(4)
    })
}

/// The node lives, in bounds, and serves what is well.
#[track_caller]
fn expect_well(stage: &mut Stage) {
    static GOOD: OnceLock<Files> = OnceLock::new();
    let good = GOOD.get_or_init(|| Suite::new().publish());
    stage.origin.show("/good", good);
    let lines = stage.suite.source_lines(&stage.origin.url("/good"));
    let apt = Apt::new(&Key::good().file(), &lines, Some(&stage.node.url()));
    apt.update().expect();
    apt.download(&["fill05"]).expect();
    let memory = stage.node.peak_memory();
    assert!(memory < MEMORY, "the node took {} MiB", memory >> 20);
    assert!(stage.node.is_running());
}

/// A client asks for the suite's first generation as it can; something of it is refused.
#[track_caller]
fn refused(mut stage: Stage, kind: &str, file: &str) -> Stage {
    let _either = stage.node.try_ask(&stage.ask("InRelease"));
    for packing in [Packing::Xz, Packing::Gz, Packing::Bz2, Packing::Zst] {
        let path = format!("{PACKAGES}{}", packing.ending());
        if stage.shows(&path) {
            let _either = stage.node.try_ask(&stage.ask(&path));
        }
    }
    stage.until_refused(kind, file);
    expect_well(&mut stage);
    stage
}

/// A suite whose one index is packed so, and is these bytes.
fn packed(packing: Packing, bytes: &[u8]) -> Stage {
    let mut suite = Suite::new().packings(&[packing]);
    suite.replace(&format!("{PACKAGES}{}", packing.ending()), bytes);
    Stage::new(suite)
}

#[test]
fn a_truncated_compression_is_refused() {
    for packing in [Packing::Xz, Packing::Gz, Packing::Bz2, Packing::Zst] {
        let whole = packing.pack(&noise(3, 5000));
        let stage = packed(packing, &whole[..whole.len() / 2]);
        refused(stage, "malformed", "/binary-amd64/");
    }
}

#[test]
fn noise_in_place_of_a_compression_is_refused() {
    for packing in [Packing::Xz, Packing::Gz] {
        let stage = packed(packing, &noise(4, 5000));
        refused(stage, "malformed", "/binary-amd64/");
    }
}

#[test]
fn a_bomb_larger_than_its_listing_is_refused() {
    for packing in [Packing::Xz, Packing::Gz, Packing::Zst] {
        let stage = packed(packing, bomb(packing));
        refused(stage, "malformed|mismatch", "/binary-amd64/");
    }
}

#[test]
fn a_bomb_that_is_listed_as_one_is_refused() {
    let mut stage = packed(Packing::Xz, bomb(Packing::Xz));
    stage
        .suite
        .replace(&format!("{PACKAGES}.xz"), bomb(Packing::Xz));
    let files = stage.suite.publish_as(|release| {
        let plain = format!(" {PACKAGES}\n");
        let lines = release.lines().map(|line| format!("{line}\n"));
        let lines = lines.map(|line| {
            if line.ends_with(&plain) {
                format!(" {BOMB}{plain}")
            } else {
                line
            }
        });
        lines.collect()
    });
    stage.show(&files);
    refused(stage, "malformed|mismatch", "/binary-amd64/");
}

/// After a good generation comes one with a line that lists `file` with `size`.
fn refused_line(size: &str, file: &str) {
    eprintln!("{file} of {size} bytes");
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    let line = format!(" {} {size} {file}\n", "ab".repeat(32));
    let files = stage.suite.publish_as(|release| format!("{release}{line}"));
    stage.show(&files);
    apt.update().expect();
    apt.generation(1);
    stage.until_refused("malformed", "/dists/stable/InRelease");
    expect_well(&mut stage);
}

#[test]
fn absurd_sizes_in_a_release_are_refused() {
    for size in [
        "99999999999999999999999",
        "-5",
        "1e3",
        "18446744073709551615",
    ] {
        refused_line(size, "main/binary-amd64/Release");
    }
}

#[test]
fn paths_out_of_the_suite_in_a_release_are_refused() {
    for path in ["../../../etc/passwd", "main/../../../x"] {
        refused_line("5", path);
    }
}

/// A suite with one package more, of this paragraph.
fn with_paragraph(paragraph: &[u8]) -> Stage {
    let mut suite = Suite::new();
    let sane = "Package: sane\nVersion: 1\nArchitecture: amd64\nFilename: pool/sane.deb\n";
    let sane = format!("{sane}Size: 4\nSHA256: {}\n\n", "cd".repeat(32));
    suite.replace(PACKAGES, &[sane.as_bytes(), paragraph, b"\n"].concat());
    Stage::new(suite)
}

fn paragraph(filename: &str, size: &str) -> Vec<u8> {
    format!(
        "Package: odd\nVersion: 1\nArchitecture: amd64\nFilename: {filename}\nSize: {size}\n\
         SHA256: {}\n",
        "ef".repeat(32)
    )
    .into_bytes()
}

#[test]
fn absurd_sizes_of_packages_are_refused() {
    for size in ["99999999999999999999999", "-1", "many"] {
        let stage = with_paragraph(&paragraph("pool/odd.deb", size));
        refused(stage, "malformed", "/binary-amd64/");
    }
}

#[test]
fn packages_that_are_no_utf8_are_refused() {
    let text = [
        paragraph("pool/odd.deb", "4"),
        b"Section: caf\xe9\xff\n".to_vec(),
    ]
    .concat();
    refused(with_paragraph(&text), "malformed", "/binary-amd64/");
}

#[test]
fn paths_out_of_the_archive_are_refused_and_change_nothing_elsewhere() {
    for path in [
        "../good/pool/main/f/fill05/fill05_1.0_amd64.deb",
        "pool/../../../x.deb",
    ] {
        let stage = with_paragraph(&paragraph(path, "4"));
        let stage = refused(stage, "malformed", "/binary-amd64/");
        let good = stage
            .origin
            .url("/good/pool/main/f/fill05/fill05_1.0_amd64.deb");
        stage.node.get(&good).expect(stage.suite.deb("fill05"));
    }
}

#[test]
fn an_endless_release_is_refused_and_the_old_one_stays() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    let mut files = stage.shown.clone();
    files.edit("dists/stable/InRelease", |body| {
        let more = b" 0000000000000000000000000000000000000000 17 main/endless\n";
        body.extend(more.iter().copied().cycle().take(96 << 20));
    });
    stage.show(&files);
    for client in [&apt, &stage.client()] {
        client.update().expect();
        assert_eq!(client.generation(1), 1);
    }
    stage.until_refused("malformed|signature", "/dists/stable/InRelease");
    expect_well(&mut stage);
}

#[test]
fn after_malformed_generations_the_next_good_one_counts() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    for bytes in [&b"noise"[..], bomb(Packing::Xz)] {
        stage.suite.replace(&format!("{PACKAGES}.xz"), bytes);
        stage.suite.replace(&format!("{PACKAGES}.gz"), bytes);
        stage.advance();
        let _either = stage.node.try_ask(&stage.ask("InRelease"));
        let _either = stage.node.try_ask(&stage.ask(&format!("{PACKAGES}.xz")));
        stage.until_refused("malformed|mismatch", "/binary-amd64/");
    }
    stage.advance();
    crate::kit::until("the next good generation", || {
        apt.update().ok && apt.generation(1) == stage.suite.number()
    });
    stage.until_current();
    expect_well(&mut stage);
}

/// A client's first index, and a generation with a patch of the test's own from it: the patch's
/// text, and what is sent as it.
struct Patched {
    stage: Stage,
    apt: Apt,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Patched {
    fn new() -> Self {
        let packings = [Packing::Plain, Packing::Xz];
        let mut stage = Stage::new(Suite::new().packings(&packings));
        let apt = stage.client();
        apt.update().expect();
        stage.until_current();
        let old = stage.bytes(PACKAGES).to_vec();
        let next = stage.suite.publish();
        let new = next.get(&format!("dists/stable/{PACKAGES}")).to_vec();
        Self {
            stage,
            apt,
            old,
            new,
        }
    }

    /// Shows a generation with the new index and these patches: each with the index it claims to
    /// begin at, its listing and what is sent as it.
    fn show(&mut self, patches: &[(&[u8], String, &[u8])]) {
        let field = |name: &str, end: &str, line: &dyn Fn(usize) -> String| {
            let lines = (0..patches.len()).map(|at| format!(" {} p{at}{end}\n", line(at)));
            format!("SHA256-{name}:\n{}", lines.collect::<String>())
        };
        let text = [
            format!("SHA256-Current: {}\n", listing(&self.new)),
            field("History", "", &|at| listing(patches[at].0)),
            field("Patches", "", &|at| patches[at].1.clone()),
            field("Download", ".gz", &|at| listing(patches[at].2)),
        ];
        let text = text.concat();
        let suite = &mut self.stage.suite;
        suite.replace(PACKAGES, &self.new);
        suite.replace(&format!("{PACKAGES}.diff/Index"), text.as_bytes());
        let mut files: Files = suite.publish();
        for (number, (.., sent)) in patches.iter().enumerate() {
            files.put(&format!("dists/stable/{PACKAGES}.diff/p{number}.gz"), sent);
        }
        self.stage.show(&files);
    }

    /// Nobody notices but the log: the full index helps.
    #[track_caller]
    fn expect_refused(mut self, what: &str) {
        eprintln!("the patch {what:?}");
        let index = format!("{PACKAGES}.diff/Index");
        let patch = format!("{PACKAGES}.diff/p0.gz");
        for path in ["InRelease", &index, &patch] {
            let _either = self.stage.node.try_ask(&self.stage.ask(path));
        }
        let new = String::from_utf8_lossy(&self.new);
        let packages = new.matches("Package: ").count() as u64;
        self.stage.node.until_number("/index/packages", packages);
        self.stage
            .until_refused("malformed|mismatch", "/binary-amd64/");
        let ran = self.apt.update();
        let clean = ran.ok && !ran.text.contains("W: ");
        assert!(clean, "{what}: {}", ran.text);
        assert_eq!(self.apt.generation(1), 3, "{what}");
        expect_well(&mut self.stage);
    }
}

#[test]
fn patches_that_are_no_patches_are_refused() {
    let texts = [
        "99999999999999999999d\n",
        "5,3d\n",
        "1,4000000000c\nx\n.\n",
        "1i\nno end",
        "!touch /tmp/aptmesh-was-here\n",
        "w /tmp/aptmesh-was-here\n",
        "1a\nanother index\n.\n",
        "",
    ];
    for text in texts {
        let mut scene = Patched::new();
        let old = scene.old.clone();
        let sent = Packing::Gz.pack(text.as_bytes());
        scene.show(&[(&old, listing(text.as_bytes()), &sent)]);
        scene.expect_refused(text);
        assert!(!std::path::Path::new("/tmp/aptmesh-was-here").exists());
    }
}

#[test]
fn a_patch_that_is_a_bomb_is_refused() {
    let mut scene = Patched::new();
    let old = scene.old.clone();
    scene.show(&[(&old, listing(b"1d\n"), bomb(Packing::Gz))]);
    scene.expect_refused("a bomb");
}

#[test]
fn patches_in_a_circle_are_refused() {
    let mut scene = Patched::new();
    let old = scene.old.clone();
    // There and back, a thousand times.
    let there = b"1i\nX\n.\n";
    let back = b"1d\n";
    let away = [b"X\n", &old[..]].concat();
    let [there, back] = [&there[..], back].map(|text| (listing(text), Packing::Gz.pack(text)));
    let pair = [
        (&old[..], there.0, &there.1[..]),
        (&away[..], back.0, &back.1[..]),
    ];
    let patches: Vec<_> = pair.iter().cycle().take(2000).cloned().collect();
    scene.show(&patches);
    scene.expect_refused("a circle");
}
