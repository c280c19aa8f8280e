//! The bench's own command line.

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
}

impl Work {
    /// In the order they run: memory is what is left after all the others.
    const ALL: [Self; 9] = [
        Self::Small1,
        Self::Small32,
        Self::Small32Pipelined,
        Self::Big1,
        Self::Big32,
        Self::Apt500,
        Self::ColdPaced,
        Self::ColdUnpaced,
        Self::Memory,
    ];

    /// What `--only` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small1 => "small-1",
            Self::Small32 => "small-32",
            Self::Small32Pipelined => "small-32-pipelined",
            Self::Big1 => "big-1",
            Self::Big32 => "big-32",
            Self::Apt500 => "apt-500",
            Self::ColdPaced => "cold-paced",
            Self::ColdUnpaced => "cold-unpaced",
            Self::Memory => "memory",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    only: Vec<Work>,
    /// Alternating pairs a row.
    pub rounds: usize,
    pub markdown: bool,
}

impl Options {
    /// Reads the words after `--`; `--bench` is cargo's own.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut only = Vec::new();
        let mut rounds = None;
        let (mut quick, mut markdown) = (false, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => quick = true,
                "--markdown" => markdown = true,
                "--only" => only.push(work(&words.next().unwrap_or_default())?),
                "--rounds" => rounds = Some(count(&words.next().unwrap_or_default())?),
                _ => return Err(usage(&format!("unknown option `{word}`"))),
            }
        }
        Ok(Self {
            only,
            rounds: rounds.unwrap_or(if quick { 3 } else { 11 }),
            markdown,
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
    let names: Vec<_> = Work::ALL.map(Work::name).into();
    format!(
        "{mistake}\nusage: [--only NAME]... [--rounds N] [--quick] [--markdown]\nnames: {}",
        names.join(" ")
    )
}
