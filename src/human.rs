//! Numbers as people read them, the same on the page and at a terminal, and
//! what may stand in a line for them.

use humansize::{BINARY, FormatSizeOptions, format_size};

/// `12.3 GiB`
#[must_use]
pub fn size(bytes: u64) -> String {
    format_size(bytes, FormatSizeOptions::from(BINARY).decimal_places(1))
}

/// `part` of `whole`, 0 to 1; `None` where there is no whole.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).clamp(0.0, 1.0))
}

/// A share from 0 to 1 in per cent. What is not all never reads as all, nor
/// something as nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let rounded = (share * 100.0).round();
    if share > 0.0 && rounded < 1.0 {
        return "<1 %".to_owned();
    }
    if share < 1.0 && rounded > 99.0 {
        return ">99 %".to_owned();
    }
    format!("{rounded} %")
}

/// Seconds as `3 d 4 h`: the largest unit and the one below it.
#[must_use]
pub fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit);
    let Some((at, (unit, name))) = first.and_then(|at| Some((at, UNITS.get(at)?))) else {
        return "0 s".to_owned();
    };
    let (whole, rest) = (seconds / unit, seconds % unit);
    match UNITS.get(at + 1).map(|(unit, name)| (rest / unit, name)) {
        Some((part, name_of_part)) if part > 0 => format!("{whole} {name} {part} {name_of_part}"),
        _ => format!("{whole} {name}"),
    }
}

/// Whether a character does not show itself, or changes how others show:
/// control and format characters, and separators of lines.
#[must_use]
pub fn is_odd(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // Behind another, where an accent is none.
    let mut pair = [b'a'; 5];
    if let Some(behind) = pair.get_mut(1..) {
        c.encode_utf8(behind);
    }
    let pair = str::from_utf8(pair.get(..=c.len_utf8()).unwrap_or_default());
    pair.is_ok_and(|pair| pair.escape_debug().nth(2).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        for (share, words) in [
            (0.0, "0 %"),
            (0.000_1, "<1 %"),
            (0.5, "50 %"),
            (0.999, ">99 %"),
            (1.0, "100 %"),
            (f64::NAN, "0 %"),
        ] {
            assert_eq!(percent(share), words);
        }
        assert_eq!(share(1, 0), None);
        assert_eq!(share(2, 1), Some(1.0));
    }

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_700, "1 h 1 min"),
            (86_400, "1 d"),
            (86_460, "1 d"),
            (273_600, "3 d 4 h"),
            (90_000_000, "1041 d 16 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }

    #[test]
    fn what_hides_or_turns_text_is_odd_and_letters_are_not() {
        for odd in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0001}',
        ] {
            assert!(is_odd(odd), "{odd:?}");
        }
        for plain in ['a', ' ', '"', '\'', '\\', 'ä', '…', '漢', '\u{301}', '😀'] {
            assert!(!is_odd(plain), "{plain:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_told(number in any::<u64>(), real in any::<f64>(), c in any::<char>()) {
            prop_assert!(!size(number).is_empty());
            prop_assert!(!duration(number).is_empty());
            prop_assert!(percent(real).ends_with(" %"));
            prop_assert!(!c.is_control() || is_odd(c));
        }
    }
}
