//! The bench's own command line.

use std::path::PathBuf;

/// One line of the table of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Small1,
    Small32,
    Small32Pipelined,
    Big1,
    Big32,
    Apt500,
    ColdPaced,
    ColdUnpaced,
    Memory,
    IndexFirst,
    IndexNext,
    IndexNextPdiff,
    Lookup,
    Page,
    Start,
}

impl Work {
    /// In the order they run: memory is what is left after all that the same node did before. Those of indexes,
    /// the page and the start have nodes of their own.
    const ALL: [Self; 15] = [
        Self::Small1,
        Self::Small32,
        Self::Small32Pipelined,
        Self::Big1,
        Self::Big32,
        Self::Apt500,
        Self::ColdPaced,
        Self::ColdUnpaced,
        Self::Memory,
        Self::IndexFirst,
        Self::IndexNext,
        Self::IndexNextPdiff,
        Self::Lookup,
        Self::Page,
        Self::Start,
    ];

    /// What `--only` calls it: by any of the rows that it gives.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Small1 => &["small-1"],
            Self::Small32 => &["small-32"],
            Self::Small32Pipelined => &["small-32-pipelined"],
            Self::Big1 => &["big-1"],
            Self::Big32 => &["big-32"],
            Self::Apt500 => &["apt-500"],
            Self::ColdPaced => &["cold-paced"],
            Self::ColdUnpaced => &["cold-unpaced"],
            Self::Memory => &["memory"],
            Self::IndexFirst => &["index-first", "index-memory", "index-hits-p99"],
            Self::IndexNext => &["index-next"],
            Self::IndexNextPdiff => &["index-next-pdiff"],
            Self::Lookup => &["lookup-hot", "lookup-cold"],
            Self::Page => &["page", "page-json"],
            Self::Start => &["start"],
        }
    }

    /// The first of its names.
    pub const fn name(self) -> &'static str {
        self.names()[0]
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    only: Vec<Work>,
    /// Alternating pairs a row.
    pub rounds: usize,
    pub markdown: bool,
    /// A real list of packages, plain or `.xz`, in place of the made one.
    pub packages: Option<PathBuf>,
}

impl Options {
    /// Reads the words after `--`; `--bench` is cargo's own.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut only = Vec::new();
        let (mut rounds, mut packages) = (None, None);
        let (mut quick, mut markdown) = (false, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => quick = true,
                "--markdown" => markdown = true,
                "--only" => only.push(work(&words.next().unwrap_or_default())?),
                "--rounds" => rounds = Some(count(&words.next().unwrap_or_default())?),
                "--packages" => packages = Some(file(&words.next().unwrap_or_default())?),
                _ => return Err(usage(&format!("unknown option `{word}`"))),
            }
        }
        Ok(Self {
            only,
            rounds: rounds.unwrap_or(if quick { 3 } else { 11 }),
            markdown,
            packages,
        })
    }

    /// What to measure, in the table's order.
    pub fn works(&self) -> Vec<Work> {
        Work::ALL
            .into_iter()
            .filter(|work| self.only.is_empty() || self.only.contains(work))
            .collect()
    }
}

fn work(name: &str) -> Result<Work, String> {
    Work::ALL
        .into_iter()
        .find(|work| work.names().contains(&name))
        .ok_or_else(|| usage(&format!("no work is called `{name}`")))
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(usage(&format!("`--rounds {text}` is no count"))),
    }
}

/// Cargo runs a bench in its package's folder, whatever the current one is.
fn file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(usage(&format!("`--packages {name}` is no file")))
    }
}

fn usage(mistake: &str) -> String {
    let names = Work::ALL.map(Work::names).concat();
    format!(
        "{mistake}\nusage: [--only NAME]... [--rounds N] [--quick] [--markdown] [--packages FILE]\nnames: {}",
        names.join(" ")
    )
}
