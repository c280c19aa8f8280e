//! ed scripts as `diff --ed` makes them, and as apt applies them: hunks from
//! the last line to the first, so that line numbers are those of the old text.

/// The longest script that is read, in bytes.
pub const MAX_SCRIPT: usize = 64 << 20;

/// Why a script is none, or does not fit the text that it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Longer than [`MAX_SCRIPT`].
    #[error("the patch is longer than {MAX_SCRIPT} bytes")]
    Long,
    /// Neither `a`, `c` nor `d` with the line numbers that it needs.
    #[error("line {0} of the patch is no command that diff --ed makes")]
    Command(usize),
    /// A hunk that does not stand wholly before the one that came before it
    /// in the script.
    #[error("line {0} of the patch is not before the lines that it changed already")]
    Order(usize),
    /// The end of the script within a line or within a text.
    #[error("the patch is truncated in line {0}")]
    Truncated(usize),
    /// A line number beyond the end of the old text.
    #[error("the patch changes line {0}, which the text does not have")]
    Beyond(u32),
}

/// A script of hunks that neither overlap nor touch a line twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdScript {
    pub(super) hunks: Vec<Hunk>,
    pub(super) text: Vec<u8>,
}

/// Old lines `after + 1 ..= last` become `text[start..end]` of the script.
/// Narrow numbers, because there may be millions; those of lines start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hunk {
    pub after: u32,
    pub last: u32,
    pub start: u32,
    pub end: u32,
}

impl EdScript {
    /// Reads a script: `a`, `c` and `d`, texts that end with a lone `.`, and
    /// `s/.//`, with which a line that is itself a lone dot is written. An
    /// empty script changes nothing.
    ///
    /// It keeps about as many bytes as the script has, and 16 a hunk.
    ///
    /// # Errors
    /// Anything else that ed would do, hunks that are not in descending
    /// order, and truncated scripts.
    pub fn parse(script: &[u8]) -> Result<Self, PatchError> {
        if script.len() > MAX_SCRIPT {
            return Err(PatchError::Long);
        }
        let mut lines = Lines {
            rest: script,
            number: 0,
        };
        let mut parsed = Self::default();
        let mut bound = u32::MAX;
        while let Some(line) = lines.next()? {
            let (mut hunk, has_text) = command(line).ok_or(PatchError::Command(lines.number))?;
            if hunk.last > bound {
                return Err(PatchError::Order(lines.number));
            }
            bound = hunk.after;
            hunk.start = narrow(parsed.text.len())?;
            if has_text {
                read_text(&mut lines, &mut parsed.text)?;
            }
            hunk.end = narrow(parsed.text.len())?;
            parsed.hunks.push(hunk);
        }
        parsed.hunks.reverse();
        Ok(parsed)
    }
}

fn narrow(offset: usize) -> Result<u32, PatchError> {
    u32::try_from(offset).map_err(|_| PatchError::Long)
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its newline.
    fn next(&mut self) -> Result<Option<&'a [u8]>, PatchError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = end
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or(PatchError::Truncated(self.number))?;
        self.rest = rest.get(1..).unwrap_or(&[]);
        Ok(Some(line))
    }

    /// Steps over the next line if it is this one.
    fn skip(&mut self, line: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(line);
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"\n")) else {
            return false;
        };
        self.number += 1;
        self.rest = rest;
        true
    }
}

/// Reads `Na`, `Nc`, `N,Mc`, `Nd` or `N,Md`, and whether a text follows.
fn command(line: &[u8]) -> Option<(Hunk, bool)> {
    let (letter, range) = line.split_last()?;
    let range = str::from_utf8(range).ok()?;
    let (first, last) = match range.split_once(',') {
        Some((first, last)) => (number(first)?, Some(number(last)?)),
        None => (number(range)?, None),
    };
    let (after, last) = match (letter, last) {
        (b'a', None) => (first, first),
        (b'c' | b'd', last) => (first.checked_sub(1)?, last.unwrap_or(first)),
        _ => return None,
    };
    let hunk = Hunk {
        after,
        last,
        start: 0,
        end: 0,
    };
    (after <= last && (*letter == b'a' || after < last)).then_some((hunk, *letter != b'd'))
}

fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Reads a text up to its lone `.`, and what makes up for a lone dot in it:
/// `..`, the end, `s/.//` which takes one dot away, and `a` if more follows.
fn read_text(lines: &mut Lines<'_>, text: &mut Vec<u8>) -> Result<(), PatchError> {
    loop {
        let mut last: &[u8] = b"";
        loop {
            let truncated = PatchError::Truncated(lines.number);
            let line = lines.next()?.ok_or(truncated)?;
            if line == b"." {
                break;
            }
            text.extend_from_slice(line);
            text.push(b'\n');
            last = line;
        }
        if !lines.skip(b"s/.//") {
            return Ok(());
        }
        if last != b".." {
            return Err(PatchError::Command(lines.number));
        }
        text.truncate(text.len().saturating_sub(2));
        text.push(b'\n');
        if !lines.skip(b"a") {
            return Ok(());
        }
    }
}
