//! Pairs of figures, what they must reach, and how they are shown.

use std::fmt::{self, Write as _};

use crate::options::Options;

/// What a row must reach.
#[derive(Clone, Copy)]
pub enum Bar {
    /// Ours over theirs, more is better.
    AtLeast(f64),
    /// Ours over theirs, less is better.
    AtMost(f64),
    /// Ours minus theirs, in the row's unit.
    Within(f64),
    /// Ours alone, in the row's unit.
    AtMostAbsolute(f64),
}

#[derive(Clone, Copy)]
pub enum Unit {
    RequestsPerSecond,
    MegabytesPerSecond,
    Seconds,
    Milliseconds,
    Microseconds,
    Megabytes,
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::RequestsPerSecond => format!("{figure:.0} /s"),
            Self::MegabytesPerSecond => format!("{figure:.0} MB/s"),
            Self::Seconds => format!("{figure:.2} s"),
            Self::Milliseconds if figure >= 100.0 => format!("{figure:.0} ms"),
            Self::Milliseconds => format!("{figure:.2} ms"),
            Self::Microseconds => format!("{figure:.2} µs"),
            Self::Megabytes => format!("{figure:.1} MB"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Megabytes => "MB",
        }
    }
}

/// Two figures measured one right after the other, so that the same noise is in both.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub ours: f64,
    pub theirs: Option<f64>,
}

impl Pair {
    pub fn new(ours: f64, theirs: f64) -> Self {
        Self {
            ours,
            theirs: Some(theirs),
        }
    }

    /// A figure with nothing beside it.
    pub fn alone(ours: f64) -> Self {
        Self { ours, theirs: None }
    }
}

pub struct Row {
    pub name: &'static str,
    pub work: &'static str,
    pub bar: Bar,
    pub unit: Unit,
    pub pairs: Vec<Pair>,
    /// A remark for the plain table.
    pub note: String,
}

impl Row {
    /// What the bar is held against: the median of the pairwise scores.
    fn score(&self) -> f64 {
        median(self.scores())
    }

    fn scores(&self) -> Vec<f64> {
        self.pairs
            .iter()
            .map(|pair| self.bar.score(*pair))
            .collect()
    }

    fn met(&self) -> bool {
        match self.bar {
            Bar::AtLeast(bar) => self.score() >= bar,
            Bar::AtMost(bar) | Bar::Within(bar) | Bar::AtMostAbsolute(bar) => self.score() <= bar,
        }
    }

    /// Work, bar, ours, theirs, score, spread, mark.
    fn cells(&self) -> [String; 7] {
        let theirs: Option<Vec<_>> = self.pairs.iter().map(|pair| pair.theirs).collect();
        let scores = self.scores();
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        [
            self.work.to_owned(),
            self.bar.wanted(self.unit),
            self.unit
                .show(median(self.pairs.iter().map(|pair| pair.ours).collect())),
            theirs.map_or_else(|| "–".to_owned(), |figures| self.unit.show(median(figures))),
            self.bar.show(self.score(), self.unit),
            if scores.len() > 1 {
                format!("{least:.2}..{most:.2}")
            } else {
                String::new()
            },
            if self.met() { "pass" } else { "FAIL" }.to_owned(),
        ]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, bar, ours, theirs, score, spread, mark] = self.cells();
        write!(
            out,
            "{}: {ours} beside {theirs}: {score} ({spread}), bar {bar}: {mark}",
            self.name
        )
    }
}

impl Bar {
    fn score(self, pair: Pair) -> f64 {
        let theirs = pair.theirs.unwrap_or(f64::NAN);
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => pair.ours / theirs,
            Self::Within(_) => pair.ours - theirs,
            Self::AtMostAbsolute(_) => pair.ours,
        }
    }

    fn show(self, score: f64, unit: Unit) -> String {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => format!("{score:.2} ×"),
            Self::Within(_) => format!("{score:+.2} {}", unit.name()),
            Self::AtMostAbsolute(_) => unit.show(score),
        }
    }

    fn wanted(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {bar:.1} ×"),
            Self::AtMost(bar) => format!("≤ {bar:.1} ×"),
            Self::Within(bar) => format!("≤ +{bar:.0} {}", unit.name()),
            Self::AtMostAbsolute(bar) => format!("≤ {bar:.0} {}", unit.name()),
        }
    }
}

pub struct Table {
    conditions: String,
    rows: Vec<Row>,
}

impl Table {
    const HEAD: [&str; 7] = [
        "work",
        "bar",
        "aptmesh",
        "nginx / direct",
        "ratio",
        "min..max",
        "",
    ];

    pub fn new(options: &Options, nginx: &str) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let conditions = format!(
            "{nginx}, {cores} cores shared by servers and load; load on cached files by wrk with one thread, cold files by \
             curl and apt-get; medians of {} alternating pairs, of indexes as many runs as their remark says.",
            options.rounds
        );
        Self {
            conditions,
            rows: Vec::new(),
        }
    }

    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn all_met(&self) -> bool {
        self.rows.iter().all(Row::met)
    }

    /// For a terminal: aligned columns, remarks below.
    pub fn text(&self) -> String {
        let mut lines = vec![Self::HEAD.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: [usize; 7] = std::array::from_fn(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        let mut text = String::new();
        for line in &lines {
            let _ = write!(text, "{:<width$}", line[0], width = widths[0]);
            for (cell, width) in line.iter().zip(widths).skip(1) {
                let _ = write!(text, "  {cell:>width$}");
            }
            text.push('\n');
        }
        for row in self.rows.iter().filter(|row| !row.note.is_empty()) {
            let _ = writeln!(text, "{}: {}", row.name, row.note);
        }
        text + &self.conditions
    }

    /// For the README.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "| {} |\n|{}\n",
            Self::HEAD.join(" | "),
            " --- |".repeat(Self::HEAD.len())
        );
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.cells().join(" | "));
        }
        format!("{text}\n{}", self.conditions)
    }
}

/// The figure that this share of all, from 0 to 1, does not exceed.
pub fn percentile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    // A share of a count is a count.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let place = (figures.len() as f64 * share).ceil() as usize;
    figures
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}
