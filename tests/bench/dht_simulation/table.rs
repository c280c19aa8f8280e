//! The figures as a Markdown table.

use std::fmt::{self, Display};

use crate::figures::Figures;

/// What a row must reach.
#[derive(Clone, Copy)]
enum Bar {
    None,
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Share,
    BytesPerSecond,
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            _ if figure.is_nan() => "–".to_owned(),
            Self::Seconds if figure.is_infinite() => "never".to_owned(),
            Self::Seconds => format!("{:.2} s", figure / 1000.0),
            Self::Share => format!("{:.2} %", figure * 100.0),
            Self::BytesPerSecond => format!("{figure:.0} B/s"),
        }
    }
}

impl Bar {
    fn show(self, unit: Unit) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(bar) => format!("≤ {}", unit.show(bar)),
            Self::AtLeast(bar) => format!("≥ {}", unit.show(bar)),
        }
    }

    /// By the figure of the largest network.
    fn is_met(self, figure: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(bar) => Some(figure <= bar),
            Self::AtLeast(bar) => Some(figure >= bar),
        }
    }
}

struct Row {
    name: &'static str,
    bar: Bar,
    unit: Unit,
    figure: fn(&Figures) -> f64,
}

const fn row(name: &'static str, bar: Bar, unit: Unit, figure: fn(&Figures) -> f64) -> Row {
    Row {
        name,
        bar,
        unit,
        figure,
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("from the question to the first values, median", Bar::AtMost(600.0), Unit::Seconds, |f| f.settled.first_median),
    row("the same, 99 of 100", Bar::AtMost(2000.0), Unit::Seconds, |f| f.settled.first_p99),
    row("to the complete answer of the closest nodes, median", Bar::AtMost(1500.0), Unit::Seconds, |f| f.settled.complete_median),
    row("the same, 99 of 100", Bar::AtMost(4000.0), Unit::Seconds, |f| f.settled.complete_p99),
    row("first values, asked by a reachable node, median", Bar::None, Unit::Seconds, |f| f.open.first_median),
    row("the same, 99 of 100", Bar::None, Unit::Seconds, |f| f.open.first_p99),
    row("first values, asked from behind a NAT, median", Bar::None, Unit::Seconds, |f| f.natted.first_median),
    row("the same, 99 of 100", Bar::None, Unit::Seconds, |f| f.natted.first_p99),
    row("first values, asked by who joined a minute ago, median", Bar::None, Unit::Seconds, |f| f.fresh.first_median),
    row("the same, 99 of 100", Bar::None, Unit::Seconds, |f| f.fresh.first_p99),
    row("complete answer, asked by who joined a minute ago, median", Bar::None, Unit::Seconds, |f| f.fresh.complete_median),
    row("the same, 99 of 100", Bar::None, Unit::Seconds, |f| f.fresh.complete_p99),
    row("published values found", Bar::None, Unit::Share, |f| f.settled.found),
    row("the same, asked by who joined a minute ago", Bar::None, Unit::Share, |f| f.fresh.found),
    row("values still found 2 h after their last store", Bar::AtLeast(0.999), Unit::Share, |f| f.survival.found),
    row("values that any node still had then", Bar::None, Unit::Share, |f| f.survival.kept),
    row("traffic of an idle node with 100 announcements", Bar::AtMost(300.0), Unit::BytesPerSecond, |f| f.rates.all),
    row("the same, reachable nodes", Bar::None, Unit::BytesPerSecond, |f| f.rates.open),
    row("the same, nodes behind NATs", Bar::None, Unit::BytesPerSecond, |f| f.rates.natted),
    row("the same, what 99 of 100 nodes stay below", Bar::None, Unit::BytesPerSecond, |f| f.rates.p99),
];

pub struct Table<'a> {
    figures: &'a [Figures],
    seed: u64,
}

impl<'a> Table<'a> {
    pub const fn new(figures: &'a [Figures], seed: u64) -> Self {
        Self { figures, seed }
    }

    /// In the largest network.
    pub fn all_met(&self) -> bool {
        let largest = self.figures.last().unwrap();
        let rows = ROWS.iter();
        rows.filter_map(|row| row.bar.is_met((row.figure)(largest)))
            .chain(self.grows_with_the_logarithm())
            .all(|is_met| is_met)
    }

    /// Where traffic is a + b × log(nodes) with a ≥ 0, it grows from one size to the next by no more than the
    /// logarithm itself.
    fn growth(&self) -> Vec<(f64, f64)> {
        let pairs = self.figures.windows(2);
        pairs
            .map(|pair| {
                let [small, large] = [&pair[0], &pair[1]];
                let logarithm = (large.nodes as f64).ln() / (small.nodes as f64).ln();
                (large.rates.all / small.rates.all, logarithm)
            })
            .collect()
    }

    fn grows_with_the_logarithm(&self) -> Option<bool> {
        let (traffic, logarithm) = self.growth().pop()?;
        Some(traffic <= logarithm)
    }
}

fn line(f: &mut fmt::Formatter, cells: impl Iterator<Item = String>) -> fmt::Result {
    let cells: Vec<_> = cells.collect();
    writeln!(f, "| {} |", cells.join(" | "))
}

fn verdict(is_met: Option<bool>) -> String {
    match is_met {
        None => String::new(),
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
    }
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sizes = || self.figures.iter();
        let head = ["figure".to_owned(), "bar".to_owned()].into_iter();
        let names = sizes().map(|figures| format!("{} nodes", figures.nodes));
        line(f, head.chain(names).chain(["met".to_owned()]))?;
        line(f, (0..self.figures.len() + 3).map(|_| "---".to_owned()))?;
        for row in ROWS {
            let head = [row.name.to_owned(), row.bar.show(row.unit)].into_iter();
            let figures = sizes().map(|figures| row.unit.show((row.figure)(figures)));
            let largest = (row.figure)(self.figures.last().unwrap());
            let is_met = verdict(row.bar.is_met(largest));
            line(f, head.chain(figures).chain([is_met]))?;
        }
        if self.figures.len() > 1 {
            let head = [
                "traffic, compared with the size before",
                "≤ as the logarithm",
            ];
            let growth = self
                .growth()
                .into_iter()
                .map(|(traffic, logarithm)| format!("{traffic:.2} × (logarithm {logarithm:.2} ×)"));
            let head = head.map(str::to_owned).into_iter();
            let cells = head.chain(["–".to_owned()]).chain(growth);
            line(f, cells.chain([verdict(self.grows_with_the_logarithm())]))?;
        }
        let largest = self.figures.last().unwrap();
        write!(
            f,
            "\nSeed {}; in the largest network {} lookups, {} by newcomers, and {} values for survival.",
            self.seed, largest.settled.count, largest.fresh.count, largest.survival.asked
        )
    }
}
