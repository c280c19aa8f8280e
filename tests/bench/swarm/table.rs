//! Figures, what they must reach, and how they are shown.

use std::fmt::Write as _;

use crate::nginx;
use crate::options::Options;

/// What a figure must reach.
#[derive(Clone, Copy)]
pub enum Bar {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

pub struct Row {
    work: &'static str,
    bar: Bar,
    unit: &'static str,
    /// Figures, and what else is to be said of each run.
    runs: Vec<(f64, String)>,
    /// Whether what a figure can't tell was so, in every run.
    kept: bool,
}

impl Row {
    pub fn new(work: &'static str, bar: Bar, unit: &'static str) -> Self {
        Self {
            work,
            bar,
            unit,
            runs: Vec::new(),
            kept: true,
        }
    }

    pub fn push(&mut self, figure: f64, told: String) {
        self.runs.push((figure, told));
    }

    /// The bar is missed, whatever the figures, where this is not so.
    pub fn demand(&mut self, condition: bool) {
        self.kept &= condition;
    }

    /// The run whose figure is the median; of an even number the lower one.
    fn median(&self) -> (f64, &str) {
        let mut runs: Vec<_> = self.runs.iter().collect();
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
        runs.get(runs.len().saturating_sub(1) / 2)
            .map_or((f64::NAN, ""), |(figure, told)| (*figure, told))
    }

    fn met(&self) -> bool {
        let (figure, _) = self.median();
        self.kept
            && match self.bar {
                Bar::AtLeast(bar) => figure >= bar,
                Bar::AtMost(bar) => figure <= bar,
            }
    }

    /// Work, bar, figure, spread, mark, the median run. A figure that reaches the bar by other means is missed too.
    fn cells(&self) -> [String; 6] {
        let figures = || self.runs.iter().map(|(figure, _)| *figure);
        let least = figures().fold(f64::INFINITY, f64::min);
        let most = figures().fold(f64::NEG_INFINITY, f64::max);
        let (figure, told) = self.median();
        let bar = match self.bar {
            Bar::AtLeast(bar) => format!("≥ {bar} {}", self.unit),
            Bar::AtMost(bar) => format!("≤ {bar} {}", self.unit),
        };
        let mark = match (self.met(), self.kept) {
            (true, _) => "yes",
            (false, true) => "no",
            (false, false) => "no, by other means",
        };
        [
            self.work.to_owned(),
            bar,
            format!("{figure:.2}"),
            format!("{least:.2}..{most:.2}"),
            mark.to_owned(),
            told.to_owned(),
        ]
    }
}

pub struct Table {
    conditions: String,
    rows: Vec<Row>,
}

impl Table {
    const HEAD: [&str; 6] = ["work", "bar", "median", "min..max", "met", "the median run"];

    pub fn new(options: &Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let conditions = format!(
            "{}, {cores} cores for all nodes; every run by a node that is new; {} runs a row.",
            nginx::version(),
            options.rounds
        );
        Self {
            conditions,
            rows: Vec::new(),
        }
    }

    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }

    pub fn all_met(&self) -> bool {
        self.rows.iter().all(Row::met)
    }

    /// For a terminal with a few lines a row, or as the table of the README.
    pub fn show(&self, markdown: bool) -> String {
        let mut text = String::new();
        if markdown {
            let rules = " --- |".repeat(Self::HEAD.len());
            let _ = writeln!(text, "| {} |\n|{rules}", Self::HEAD.join(" | "));
        }
        for row in &self.rows {
            let cells = row.cells();
            let _ = if markdown {
                writeln!(text, "| {} |", cells.join(" | "))
            } else {
                let [work, bar, figure, spread, mark, told] = cells;
                writeln!(
                    text,
                    "{work}\n    {figure} ({spread}), bar {bar}: {mark}\n    {told}"
                )
            };
        }
        format!("{text}\n{}", self.conditions)
    }
}
