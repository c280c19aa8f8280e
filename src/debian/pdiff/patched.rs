//! A text with an ed script applied, while it is read.

use std::io::{self, BufRead, Read};

use super::ed::{EdScript, Hunk, PatchError};

/// The text that [`patched`] streams.
#[derive(Debug)]
pub struct Patched<R> {
    old: R,
    script: EdScript,
    /// The first hunk that is not done.
    hunk: usize,
    /// Whole lines read from `old`.
    line: u64,
    /// Whether `old` stands within a line.
    midline: bool,
    ready: Ready,
}

/// What the next bytes are, at least one of them.
#[derive(Debug)]
enum Ready {
    Unknown,
    /// So many of `old`'s buffer.
    Old(usize),
    /// This part of the script's text.
    Text(usize, usize),
    /// The newline that `old` lacks at its end.
    Newline,
    /// No more.
    End,
}

/// Applies `script` to `old` in one pass: a chain is a `patched` of a
/// `patched`, of at most [`MAX_CHAIN`](super::MAX_CHAIN), because each takes
/// its share of the stack. Memory is that of the scripts.
///
/// The result ends with a newline where there is any text, as ed's does: it
/// appends the one that the old text may lack.
///
/// Reading fails with the errors of `old`, and with an [`io::Error`] of kind
/// `InvalidData` around [`PatchError::Beyond`] where the script is for a
/// longer text.
pub fn patched<R: BufRead + Send + 'static>(old: R, script: EdScript) -> Patched<R> {
    Patched {
        old,
        script,
        hunk: 0,
        line: 0,
        midline: false,
        ready: Ready::Unknown,
    }
}

/// How many bytes the next `lines` lines of `buffer` have, as far as they are
/// in it, and how many of them end there. It looks little further than that,
/// for there may be a hunk a line.
fn line_ends(buffer: &[u8], lines: u64) -> (usize, u64) {
    let mut bytes = 0;
    let mut ended = 0;
    for block in buffer.chunks(512) {
        let ends: u64 = block.iter().map(|byte| u64::from(*byte == b'\n')).sum();
        if ended + ends < lines {
            bytes += block.len();
            ended += ends;
            continue;
        }
        for byte in block {
            bytes += 1;
            ended += u64::from(*byte == b'\n');
            if ended == lines {
                return (bytes, ended);
            }
        }
    }
    (bytes, ended)
}

impl<R: BufRead> Patched<R> {
    /// Finds out what comes next. Bytes that it finds ready in `old` count as
    /// read from then on.
    fn next(&mut self) -> io::Result<Ready> {
        loop {
            let Some(&Hunk {
                after,
                last,
                start,
                end,
            }) = self.script.hunks.get(self.hunk)
            else {
                return self.pass(u64::MAX)?.map_or(Ok(Ready::End), Ok);
            };
            let beyond = || io::Error::new(io::ErrorKind::InvalidData, PatchError::Beyond(last));
            if let Some(lines @ 1..) = u64::from(after).checked_sub(self.line) {
                return self.pass(lines)?.ok_or_else(beyond);
            }
            if let Some(lines @ 1..) = u64::from(last).checked_sub(self.line) {
                if let Ready::Old(bytes) = self.pass(lines)?.ok_or_else(beyond)? {
                    self.old.consume(bytes);
                }
                continue;
            }
            self.hunk += 1;
            if start < end {
                return Ok(Ready::Text(start as usize, end as usize));
            }
        }
    }

    /// What there is of the next `lines` old lines: `None` at the end.
    fn pass(&mut self, lines: u64) -> io::Result<Option<Ready>> {
        let buffer = self.old.fill_buf()?;
        let Some(tail) = buffer.last() else {
            self.line += u64::from(self.midline);
            return Ok(std::mem::take(&mut self.midline).then_some(Ready::Newline));
        };
        // Behind the last hunk nobody counts lines.
        let (bytes, ended) = if lines == u64::MAX {
            (buffer.len(), 0)
        } else {
            line_ends(buffer, lines)
        };
        self.midline = ended < lines && *tail != b'\n';
        self.line += ended;
        Ok(Some(Ready::Old(bytes)))
    }
}

impl<R: BufRead> BufRead for Patched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if matches!(self.ready, Ready::Unknown) {
            self.ready = self.next()?;
        }
        match self.ready {
            Ready::Old(bytes) => {
                let buffer = self.old.fill_buf()?;
                Ok(buffer.get(..bytes).unwrap_or(buffer))
            }
            Ready::Text(start, end) => Ok(self.script.text.get(start..end).unwrap_or(&[])),
            Ready::Newline => Ok(b"\n"),
            Ready::Unknown | Ready::End => Ok(&[]),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.ready = match self.ready {
            Ready::Old(bytes) => {
                self.old.consume(amount.min(bytes));
                match bytes.saturating_sub(amount) {
                    0 => Ready::Unknown,
                    left => Ready::Old(left),
                }
            }
            Ready::Text(start, end) if start + amount < end => Ready::Text(start + amount, end),
            Ready::Newline if amount == 0 => Ready::Newline,
            Ready::End => Ready::End,
            Ready::Text(..) | Ready::Newline | Ready::Unknown => Ready::Unknown,
        };
    }
}

impl<R: BufRead> Read for Patched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
