//! Columns that stand below each other.

use crate::human::is_odd;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Lines of these rows, indented, each column as wide as its widest cell.
pub(super) fn lines<const N: usize>(sides: [Side; N], rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| wide(&row[column])).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for ((cell, side), width) in row.iter().zip(sides).zip(widths) {
            let pad = " ".repeat(width - wide(cell));
            line += "  ";
            match side {
                Side::Left => line.extend([cell.as_str(), &pad]),
                Side::Right => line.extend([pad.as_str(), cell]),
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn wide(text: &str) -> usize {
    text.chars().count()
}

/// At most so many characters; what is cut is the middle, since addresses
/// differ at their ends.
pub(super) fn short(text: &str, most: usize) -> String {
    // What comes from the network has no say in how a terminal behaves.
    let clean: Vec<char> = text.chars().filter(|c| !is_odd(*c)).collect();
    if clean.len() <= most {
        return clean.into_iter().collect();
    }
    let tail = most.saturating_sub(1) * 2 / 3;
    let head = most.saturating_sub(1) - tail;
    let mut short: String = clean[..head].iter().collect();
    short.push('…');
    short.extend(&clean[clean.len() - tail..]);
    short
}

/// A bar of so many characters, of which a share is filled.
pub(super) fn bar(part: u64, whole: u64, width: u64) -> String {
    let full = (u128::from(part.min(whole)) * u128::from(width))
        .checked_div(u128::from(whole))
        .and_then(|full| u64::try_from(full).ok())
        .unwrap_or(0);
    let cells = |count: u64, cell: &str| cell.repeat(usize::try_from(count).unwrap_or(0));
    format!("[{}{}]", cells(full, "#"), cells(width - full, "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "1", ""], ["ähm", "1000", "x"]].map(|row| row.map(str::to_owned));
        let lines = lines([Side::Left, Side::Right, Side::Left], &rows);
        assert_eq!(lines, ["  a       1", "  ähm  1000  x"]);
    }

    #[test]
    fn long_text_loses_its_middle_and_control_characters() {
        assert_eq!(short("abcdefghij", 10), "abcdefghij");
        assert_eq!(
            short("http://a.example/b.deb", 10),
            "htt….b.deb".replace("….b", "…/b")
        );
        assert_eq!(short("a\x1b[31mb\n", 10), "a[31mb");
        assert_eq!(short("deb\u{202e}.\u{200b}x\u{2028}y", 10), "deb.xy");
        assert_eq!(short("abc", 0).chars().count(), 1);
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is() {
        assert_eq!(bar(0, 0, 4), "[....]");
        assert_eq!(bar(1, 2, 4), "[##..]");
        assert_eq!(bar(9, 2, 4), "[####]");
        assert_eq!(bar(u64::MAX, u64::MAX, 4), "[####]");
    }
}
