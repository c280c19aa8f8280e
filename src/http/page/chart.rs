//! Where clients' bytes came from over time, as a plot.
//!
//! Across, everything is in hundredths of the plot's width, so that letters
//! keep their size on every screen; upright, in pixels.

use super::text::{date, day, month_day, size};
use crate::clock::Millis;
use crate::http::status::shape::Bin;

/// Height of the part with bars in pixels.
pub const HEIGHT: f64 = 132.0;

/// Room above it, for the topmost label.
pub const TOP: f64 = 10.0;

/// Share of a bin's width that stays free.
const GAP: f64 = 0.22;

/// A plot of bins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plot {
    /// A bar a bin, the earliest first; none for a bin without bytes.
    pub bars: Vec<Bar>,
    /// Labels of the upright axis from the top to zero.
    pub ticks: Vec<Tick>,
    /// Labels of the other axis.
    pub marks: Vec<Mark>,
    /// Bins with requests, the latest first: their place in the JSON.
    pub told: Vec<usize>,
}

/// A bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Left end in hundredths.
    pub x: f64,
    /// Width in hundredths.
    pub width: f64,
    /// From the bottom to the top; none that is empty.
    pub parts: Vec<Part>,
    /// What a pointing device shows.
    pub title: String,
}

/// What one kind of source sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// `cache`, `peers` or `mirrors`.
    pub class: &'static str,
    /// Upper end in pixels.
    pub y: f64,
    /// Height in pixels.
    pub height: f64,
}

/// A line across with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Pixels from the top.
    pub y: f64,
    /// Bytes.
    pub label: String,
}

/// A label below.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Hundredths from the left.
    pub x: f64,
    /// Which end of the text stands there.
    pub anchor: &'static str,
    /// When.
    pub label: String,
}

impl Plot {
    /// Hours, told by how long ago they were: nobody's time zone is known.
    pub fn hours(bins: &[Bin]) -> Self {
        let last = bins.len().saturating_sub(1);
        let label = |at: usize, _| match last - at {
            0 => "now".to_owned(),
            hours => format!("{hours} h ago"),
        };
        Self::of(bins, 12, label, date)
    }

    /// Days (UTC).
    pub fn days(bins: &[Bin]) -> Self {
        Self::of(bins, 7, |_, at| month_day(at), day)
    }

    /// Whether there is nothing to be drawn.
    pub fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }

    fn of(
        bins: &[Bin],
        every: usize,
        label: impl Fn(usize, Millis) -> String,
        when: impl Fn(Millis) -> String,
    ) -> Self {
        let most = bins.iter().map(|bin| bin.split.bytes()).max();
        let top = ceiling(most.unwrap_or(0));
        let bars = bins.iter().enumerate();
        let bars = bars.filter(|(_, bin)| bin.split.bytes() > 0);
        let last = bins.len().saturating_sub(1);
        let marked = (0..bins.len()).filter(|at| (last - at).is_multiple_of(every));
        let requested = |at: &usize| {
            let split = bins.get(*at).map(|bin| bin.split);
            split.is_some_and(|split| split.bytes() > 0 || split.hit_ratio().is_some())
        };
        Self {
            bars: bars
                .map(|(at, bin)| bar(at, bins.len(), bin, top, &when))
                .collect(),
            ticks: ticks(top),
            marks: marked
                .filter_map(|at| {
                    let x = middle(at, bins.len());
                    Some(Mark {
                        x,
                        anchor: anchor(x),
                        label: label(at, bins.get(at)?.at),
                    })
                })
                .collect(),
            told: (0..bins.len()).rev().filter(requested).collect(),
        }
    }
}

fn anchor(x: f64) -> &'static str {
    match x {
        ..6.0 => "start",
        94.0.. => "end",
        _ => "middle",
    }
}

/// The top of the upright axis: a power of two that nothing exceeds, or three
/// quarters of it, so that half of it is a round number too.
#[allow(clippy::cast_precision_loss)]
fn ceiling(most: u64) -> f64 {
    let power = most.max(8).checked_next_power_of_two();
    let power = power.map_or(u64::MAX as f64, |power| power as f64);
    if most as f64 <= power * 0.75 {
        power * 0.75
    } else {
        power
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ticks(top: f64) -> Vec<Tick> {
    [1.0, 0.5, 0.0]
        .map(|share| Tick {
            y: TOP + HEIGHT * (1.0 - share),
            label: size((top * share) as u64).text,
        })
        .into()
}

#[allow(clippy::cast_precision_loss)]
fn middle(at: usize, bins: usize) -> f64 {
    rounded((at as f64 + 0.5) * 100.0 / bins as f64)
}

/// Two decimals: enough for any screen.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[allow(clippy::cast_precision_loss)]
fn bar(at: usize, bins: usize, bin: &Bin, top: f64, when: impl Fn(Millis) -> String) -> Bar {
    let slot = 100.0 / bins as f64;
    let split = bin.split;
    let kinds = [
        ("cache", split.from_cache),
        ("peers", split.from_peers),
        ("mirrors", split.from_mirrors),
    ];
    let mut below = 0.0;
    let parts = kinds.into_iter().filter(|(_, bytes)| *bytes > 0);
    let parts = parts.map(|(class, bytes)| {
        let height = (bytes as f64 / top * HEIGHT).min(HEIGHT - below);
        below += height;
        Part {
            class,
            y: rounded(TOP + HEIGHT - below),
            height: rounded(height),
        }
    });
    let told = kinds.map(|(_, bytes)| size(bytes).text);
    Bar {
        x: rounded((at as f64 + GAP / 2.0) * slot),
        width: rounded(slot * (1.0 - GAP)),
        parts: parts.collect(),
        title: format!(
            "{}: {} to clients; cache {}, peers {}, mirrors {}",
            when(bin.at),
            size(split.bytes()).text,
            told[0],
            told[1],
            told[2]
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::status::shape::Split;

    fn bins(amounts: &[(u64, u64, u64)]) -> Vec<Bin> {
        let bin = |(at, &(from_cache, from_peers, from_mirrors)): (usize, &(u64, u64, u64))| Bin {
            at: i64::try_from(at).unwrap_or(0) * 3_600_000,
            split: Split {
                from_cache,
                from_peers,
                from_mirrors,
                hits: 1,
                misses: 0,
            },
        };
        amounts.iter().enumerate().map(bin).collect()
    }

    #[test]
    fn nothing_served_is_an_empty_plot() {
        assert!(Plot::hours(&[]).is_empty());
        let plot = Plot::days(&bins(&[(0, 0, 0); 30]));
        assert!(plot.is_empty());
        assert_eq!(
            plot.ticks.last().map(|tick| tick.label.as_str()),
            Some("0 B")
        );
    }

    #[test]
    fn a_bar_stands_on_the_axis_and_is_as_high_as_its_bytes() {
        let plot = Plot::hours(&bins(&[(1 << 20, 1 << 20, 2 << 20), (1 << 20, 0, 0)]));
        let heights = |bar: &Bar| bar.parts.iter().map(|part| part.height).collect::<Vec<_>>();
        assert_eq!(heights(&plot.bars[0]), [33.0, 33.0, 66.0]);
        assert_eq!(heights(&plot.bars[1]), [33.0]);
        let first = plot.bars[0].parts[0];
        assert!((first.y + first.height - TOP - HEIGHT).abs() < 0.02);
        assert_eq!(
            plot.marks.last().map(|mark| mark.label.as_str()),
            Some("now")
        );
        assert!(plot.bars[0].title.contains("mirrors 2 MiB"), "{plot:?}");
    }

    proptest! {
        #[test]
        fn every_bar_stays_inside(amounts in prop::collection::vec((any::<u64>(), any::<u64>(), 0..9_u64), 1..60)) {
            let plot = Plot::days(&bins(&amounts));
            prop_assert_eq!(plot.told.len(), amounts.len());
            for bar in plot.bars {
                prop_assert!(bar.x >= 0.0 && bar.x + bar.width <= 100.01);
                let sum: f64 = bar.parts.iter().map(|part| part.height).sum();
                prop_assert!(sum <= HEIGHT + 0.05, "{}", sum);
                for part in bar.parts {
                    prop_assert!(part.y >= TOP - 0.01 && part.y + part.height <= TOP + HEIGHT + 0.02);
                }
            }
            for mark in plot.marks {
                prop_assert!((0.0..=100.0).contains(&mark.x));
            }
        }
    }
}
