//! A list of packages of the size of Debian's, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::Noise;

/// As many as Debian 12 has for one architecture.
const STANZAS: usize = 63_000;

/// Stanzas that differ between two generations.
const CHANGED: usize = 200;

pub struct List {
    /// Each with the empty line that ends it.
    stanzas: Vec<String>,
    generation: usize,
}

impl List {
    /// The list in a file, else a made one.
    pub fn new(file: Option<&Path>) -> Self {
        let stanzas = file.map_or_else(made, |file| {
            let text = read(file);
            let stanzas = text.split_inclusive("\n\n").map(str::to_owned);
            stanzas.collect()
        });
        assert!(
            stanzas.len() > CHANGED && stanzas.iter().all(|stanza| stanza.ends_with("\n\n")),
            "this is no list of packages"
        );
        Self {
            stanzas,
            generation: 1,
        }
    }

    pub const fn generation(&self) -> usize {
        self.generation
    }

    pub fn text(&self) -> String {
        self.stanzas.concat()
    }

    /// The files that it lists.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.stanzas
            .iter()
            .filter_map(|stanza| value(stanza, "Filename"))
    }

    /// Makes it the next generation: new versions all over the list and, so that every generation has a count of its
    /// own, one package more. Returns the ed script that does the same.
    pub fn advance(&mut self) -> String {
        self.generation += 1;
        let lines: usize = self
            .stanzas
            .iter()
            .map(|stanza| stanza.lines().count())
            .sum();
        let first = self.stanzas.first().unwrap();
        let new = upgraded(first, self.generation);
        let mut script = format!("{lines}a\n{new}.\n");

        let step = self.stanzas.len() / (CHANGED - 1);
        let mut end = lines;
        for (index, stanza) in self.stanzas.iter_mut().enumerate().rev() {
            let start = end - stanza.lines().count();
            if index % step == step - 1 && index / step < CHANGED - 1 {
                *stanza = upgraded(stanza, self.generation);
                let _ = write!(script, "{},{end}c\n{stanza}.\n", start + 1);
            }
            end = start;
        }
        self.stanzas.push(new);
        script
    }
}

/// The same package in another version: another file.
fn upgraded(stanza: &str, generation: usize) -> String {
    let mut noise = Noise::new(generation as u64);
    let mut text = String::new();
    for line in stanza.lines() {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let _ = match name {
            "Version" => writeln!(text, "{line}+b{generation}"),
            "Filename" => {
                let (stem, kind) = value.rsplit_once('_').unwrap_or((value, "all.deb"));
                writeln!(text, "{name}: {stem}+b{generation}_{kind}")
            }
            "Size" => writeln!(text, "{name}: {}", 1 + noise.below(10_000_000)),
            "MD5sum" | "SHA256" => writeln!(text, "{name}: {}", hex(&mut noise, value.len())),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

fn value<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn read(file: &Path) -> String {
    if file.extension().is_some_and(|kind| kind == "xz") {
        let unpacked = Command::new("xz").arg("-dc").arg(file).output().unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        String::from_utf8(unpacked.stdout).unwrap()
    } else {
        fs::read_to_string(file).unwrap()
    }
}

/// In order of the packages' names, as lists are, whose files lie in folders of their sources' names.
fn made() -> Vec<String> {
    let mut noise = Noise::new(5);
    let words: Vec<String> = (0..4000).map(|_| word(&mut noise)).collect();
    let mut packages = BTreeMap::new();
    while packages.len() < STANZAS {
        let source = some(&mut noise, &words, 2, "-");
        let kin = [
            source.clone(),
            format!("lib{source}-dev"),
            format!("{source}-doc"),
        ];
        for name in kin.into_iter().take(1 + noise.below(3)) {
            packages.insert(name, source.clone());
        }
    }
    packages
        .into_iter()
        .take(STANZAS)
        .map(|(name, source)| stanza(&name, &source, &mut noise, &words))
        .collect()
}

/// About 800 bytes.
fn stanza(name: &str, source: &str, noise: &mut Noise, words: &[String]) -> String {
    let version = format!(
        "{}.{}-{}",
        noise.below(20),
        noise.below(100),
        noise.below(9)
    );
    let architecture = ["amd64", "all"][noise.below(2)];
    let team = some(noise, words, 1, "");
    let depends: Vec<String> = (0..2 + noise.below(6))
        .map(|_| format!("{} (>= {})", some(noise, words, 2, "-"), noise.below(100)))
        .collect();
    let tags: Vec<String> = (0..4)
        .map(|_| {
            format!(
                "{}::{}",
                some(noise, words, 1, ""),
                some(noise, words, 1, "")
            )
        })
        .collect();
    let letter = &source[..1];
    format!(
        "Package: {name}\nSource: {source}\nVersion: {version}\nInstalled-Size: {}\n\
         Maintainer: The {team} team <pkg-{team}-devel@lists.example.org>\nArchitecture: {architecture}\n\
         Depends: {}\nSuggests: {}\nDescription: {}\nHomepage: https://{}.example.org/\n\
         Description-md5: {}\nTag: {},\n {}\nSection: {}\nPriority: optional\n\
         Filename: pool/main/{letter}/{source}/{name}_{version}_{architecture}.deb\nSize: {}\n\
         MD5sum: {}\nSHA256: {}\n\n",
        noise.below(100_000),
        depends.join(", "),
        some(noise, words, 2, "-"),
        some(noise, words, 7, " "),
        some(noise, words, 2, "-"),
        hex(noise, 32),
        tags[..2].join(", "),
        tags[2..].join(", "),
        ["admin", "devel", "games", "libs", "net", "science"][noise.below(6)],
        1 + noise.below(10_000_000),
        hex(noise, 32),
        hex(noise, 64),
    )
}

fn word(noise: &mut Noise) -> String {
    let syllable = |noise: &mut Noise| {
        let at = |noise: &mut Noise, letters: &str| letters.as_bytes()[noise.below(letters.len())];
        [at(noise, "bcdfghjklmnprstvwxz"), at(noise, "aeiouy")].map(char::from)
    };
    (0..2 + noise.below(3))
        .flat_map(|_| syllable(noise))
        .collect()
}

fn some(noise: &mut Noise, words: &[String], count: usize, between: &str) -> String {
    let picked: Vec<&str> = (0..count)
        .map(|_| words[noise.below(words.len())].as_str())
        .collect();
    picked.join(between)
}

fn hex(noise: &mut Noise, digits: usize) -> String {
    let mut text = String::new();
    while text.len() < digits {
        let _ = write!(text, "{:016x}", noise.word());
    }
    text.truncate(digits);
    text
}
