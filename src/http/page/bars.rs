//! Horizontal bars: shares of a whole.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::http::status::shape::Split;
use crate::human::share;

/// Parts of a whole side by side. Numbers stand beside it: nobody hears it.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<svg class="bar" aria-hidden="true">{% for part in parts %}<rect class="{{ part.class }}"{% if part.class == "mirrors" %} fill="url(#mirror-stripes)"{% endif %}{% if part.x > 0.0 %} x="{{ part.x }}%"{% endif %} width="{{ part.width }}%" height="100%"/>{% endfor %}</svg>"#
)]
pub struct Bar {
    parts: Vec<Part>,
}

// The template escapes what it is given.
impl HtmlSafe for Bar {}

/// A part of a [`Bar`], in hundredths of its length.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    class: &'static str,
    x: f64,
    width: f64,
}

/// Two decimals: enough for any screen.
fn hundredths(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}

impl Bar {
    /// One part, 0 to 1.
    pub fn one(class: &'static str, share: f64) -> Self {
        let share = if share.is_finite() { share } else { 0.0 };
        Self::stacked([(class, share.clamp(0.0, 1.0))])
    }

    /// `part` of `whole`.
    pub fn of(class: &'static str, part: u64, whole: u64) -> Self {
        Self::one(class, share(part, whole).unwrap_or(0.0))
    }

    /// Where bytes came from.
    pub fn split(split: &Split) -> Self {
        let share = |bytes| share(bytes, split.bytes()).unwrap_or(0.0);
        Self::stacked([
            ("cache", share(split.from_cache)),
            ("peers", share(split.from_peers)),
            ("mirrors", share(split.from_mirrors)),
        ])
    }

    fn stacked<const N: usize>(shares: [(&'static str, f64); N]) -> Self {
        let mut before = 0.0;
        let parts = shares.into_iter().filter(|(_, share)| *share > 0.0);
        let parts = parts.map(|(class, share)| {
            let (x, share) = (before, share.min(1.0 - before));
            before += share;
            Part {
                class,
                x: hundredths(x),
                width: hundredths(share),
            }
        });
        Self {
            parts: parts.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_fill_the_bar_and_no_more(from_cache in any::<u64>(), from_peers in any::<u64>(), from_mirrors in any::<u32>()) {
            let split = Split { from_cache: from_cache / 4, from_peers: from_peers / 4, from_mirrors: from_mirrors.into(), ..Split::default() };
            let bar = Bar::split(&split);
            let filled: f64 = bar.parts.iter().map(|part| part.width).sum();
            let wanted = if split.bytes() == 0 { 0.0 } else { 100.0 };
            prop_assert!((filled - wanted).abs() < 0.05, "{filled}");
            for part in bar.parts {
                prop_assert!(part.x >= 0.0 && part.x + part.width <= 100.05);
            }
        }

        #[test]
        fn no_share_leaves_the_bar(share in any::<f64>()) {
            for part in Bar::one("x", share).parts {
                prop_assert!((0.0..=100.0).contains(&part.width));
            }
        }
    }
}
