//! The bench's own command line.

/// One line of the table of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Peers8,
    Liars2,
    Share3,
    FirstByte,
    Small200,
    Idle20,
}

impl Work {
    const ALL: [Self; 6] = [
        Self::Peers8,
        Self::Liars2,
        Self::Share3,
        Self::FirstByte,
        Self::Small200,
        Self::Idle20,
    ];

    /// Those of the mirror, the nodes with files and the one that wants them.
    pub const IN_SCENE: [Self; 5] = [
        Self::Peers8,
        Self::Liars2,
        Self::Share3,
        Self::FirstByte,
        Self::Small200,
    ];

    /// What `--only` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peers8 => "peers-8",
            Self::Liars2 => "liars-2",
            Self::Share3 => "share-3",
            Self::FirstByte => "first-byte",
            Self::Small200 => "small-200",
            Self::Idle20 => "idle-20",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    only: Vec<Work>,
    /// Runs a row.
    pub rounds: usize,
    pub markdown: bool,
}

impl Options {
    /// Reads the words after `--`; `--bench` is cargo's own.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            rounds: 5,
            markdown: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.rounds = 1,
                "--markdown" => options.markdown = true,
                "--only" => options.only.push(work(&words.next().unwrap_or_default())?),
                "--rounds" => options.rounds = count(&words.next().unwrap_or_default())?,
                _ => return Err(usage(&format!("unknown option `{word}`"))),
            }
        }
        Ok(options)
    }

    /// Whether one of these is to be measured.
    pub fn wants(&self, works: &[Work]) -> bool {
        self.only.is_empty() || works.iter().any(|work| self.only.contains(work))
    }
}

fn work(name: &str) -> Result<Work, String> {
    Work::ALL
        .into_iter()
        .find(|work| work.name() == name)
        .ok_or_else(|| usage(&format!("no work is called `{name}`")))
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(usage(&format!("`--rounds {text}` is no count"))),
    }
}

fn usage(mistake: &str) -> String {
    let names = Work::ALL.map(Work::name);
    format!(
        "{mistake}\nusage: [--only NAME]... [--rounds N] [--quick] [--markdown]\nnames: {}",
        names.join(" ")
    )
}
