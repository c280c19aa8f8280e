//! Numbers and times as people read them.

use std::time::Duration;

use humantime::format_rfc3339_seconds;

use crate::clock::{Millis, to_http_time};
use crate::human::{self, duration};

/// The last second of the year 9999: what dates can tell.
const LAST_SECOND: Millis = 253_402_300_799_000;

/// A text, and what a pointing device shows over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Short.
    pub text: String,
    /// Exact.
    pub title: Option<String>,
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self { text, title: None }
    }
}

/// `12.3 GiB`, and the exact number of bytes.
pub fn size(bytes: u64) -> Told {
    Told {
        text: human::size(bytes),
        title: (bytes >= 1024).then(|| format!("{} bytes", grouped(bytes))),
    }
}

/// `12.3 MiB/s`; nothing measured is a dash.
pub fn rate(bytes: u64) -> Told {
    if bytes == 0 {
        return Told::from("–".to_owned());
    }
    let told = size(bytes);
    Told {
        text: format!("{}/s", told.text),
        title: told.title.map(|title| format!("{title} a second")),
    }
}

/// `63,214`
pub fn count(number: u64) -> Told {
    grouped(number).into()
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two decimals.
pub fn decimal(number: f64) -> Told {
    format!("{number:.2}").into()
}

/// Seconds as `0.12 s`; nothing measured is a dash.
pub fn latency(seconds: f64) -> Told {
    let text = if seconds > 0.0 {
        format!("{seconds:.2} s")
    } else {
        "–".to_owned()
    };
    text.into()
}

/// `2026-11-22 14:05 UTC`
pub fn date(at: Millis) -> String {
    let text = format_rfc3339_seconds(to_http_time(at.clamp(0, LAST_SECOND))).to_string();
    let minutes = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minutes.replace('T', " "))
}

/// `2026-11-22 14:05`, where there is no room for the time zone.
pub fn minute(at: Millis) -> String {
    date(at).get(..16).unwrap_or_default().to_owned()
}

/// `2026-11-22`
pub fn day(at: Millis) -> String {
    date(at).get(..10).unwrap_or_default().to_owned()
}

/// `11-22`: month and day.
pub fn month_day(at: Millis) -> String {
    date(at).get(5..10).unwrap_or_default().to_owned()
}

/// How long before or after `now` something is: `5 min ago`, `in 2 h`.
pub fn distance(at: Millis, now: Millis) -> Told {
    let apart = Duration::from_millis(at.abs_diff(now)).as_secs();
    let largest = |seconds: u64| {
        let text = duration(seconds);
        text.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")
    };
    let text = match (apart, at > now) {
        (0..=1, _) => "now".to_owned(),
        (_, false) => format!("{} ago", largest(apart)),
        (_, true) => format!("in {}", largest(apart)),
    };
    Told {
        text,
        title: Some(date(at)),
    }
}

/// The last 16 digits of a fingerprint, in groups of four.
pub fn fingerprint(key: &str) -> String {
    let digits: Vec<char> = key.chars().collect();
    let tail = digits.get(digits.len().saturating_sub(16)..);
    let groups = tail.unwrap_or_default().chunks(4);
    let groups: Vec<String> = groups.map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_a_unit_and_the_exact_bytes() {
        assert_eq!(size(0).text, "0 B");
        assert_eq!(size(1023).title, None);
        let gib = size(13_207_024_435);
        assert_eq!(gib.text, "12.3 GiB");
        assert_eq!(gib.title.as_deref(), Some("13,207,024,435 bytes"));
        assert_eq!(rate(0).text, "–");
        assert_eq!(rate(2 << 20).text, "2 MiB/s");
    }

    #[test]
    fn times_are_told_by_their_distance() {
        let now = 1_800_000_000_000;
        assert_eq!(distance(now, now).text, "now");
        assert_eq!(distance(now - 65_000, now).text, "1 min ago");
        assert_eq!(distance(now + 7_200_000, now).text, "in 2 h");
        assert_eq!(
            distance(now, now).title.as_deref(),
            Some("2027-01-15 08:00 UTC")
        );
        assert_eq!(month_day(now), "01-15");
    }

    #[test]
    fn a_fingerprint_keeps_its_end() {
        let key = "4d64fec119c2029067d6e791f8d2585b8783d481";
        assert_eq!(fingerprint(key), "f8d2 585b 8783 d481");
        assert_eq!(fingerprint("ä"), "ä");
        assert_eq!(fingerprint(""), "");
    }

    proptest! {
        #[test]
        fn anything_can_be_told(number in any::<u64>(), at in any::<i64>(), now in any::<i64>(), real in any::<f64>()) {
            for text in [
                size(number).text, rate(number).text, count(number).text,
                date(at), distance(at, now).text, latency(real).text,
            ] {
                prop_assert!(!text.is_empty());
            }
            prop_assert_eq!(count(number).text.replace(',', ""), number.to_string());
            prop_assert_eq!(month_day(at).len(), 5);
        }
    }
}
