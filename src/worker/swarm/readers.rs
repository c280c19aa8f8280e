//! Who waits for some of the file before the rest is here.

use super::gather::Gather;
use crate::clock::Millis;
use crate::store::flight::Course;
use crate::swarm::help::HEAD_START;
use crate::swarm::torrent::PIECE;

/// When peers that have sent nothing so far are not counted on any more, if
/// the mirror sends meanwhile.
const LATE: Millis = 2 * HEAD_START;

/// Likewise peers that fell silent for so long, in milliseconds.
const SILENT: Millis = 500;

/// When peers last sent something.
#[derive(Debug, Default)]
pub(super) struct Heard {
    bytes: u64,
    at: Millis,
}

impl Heard {
    /// So many bytes have come in all. Whether more are to be counted on.
    fn note(&mut self, bytes: u64, now: Millis) -> bool {
        if bytes > self.bytes {
            *self = Self { bytes, at: now };
        }
        bytes > 0 && now - self.at < SILENT
    }
}

impl Gather<'_> {
    /// Peers whose pieces can be told right from wrong, and none was wrong.
    pub(super) fn provable_peers(&self) -> usize {
        if self.is_unprovable() {
            0
        } else {
            self.schedule.sound()
        }
    }

    /// What clients wait for is fetched first.
    pub(super) fn heed_readers(&mut self) {
        let wanted = self.errand.flight.wanted();
        let piece = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let ranges: Vec<_> = wanted
            .into_iter()
            .map(|(from, to)| {
                let end = to.unwrap_or(self.target.size);
                (piece(from / PIECE), piece(end.div_ceil(PIECE)))
            })
            .collect();
        self.schedule.prefer(&ranges);
    }

    /// Tells whether a range is to be had before all that lies before it, now
    /// that peers sent so many bytes.
    pub(super) fn tell_course(&mut self, received: u64) {
        let (peers, now) = (self.provable_peers(), self.now());
        let are_sending = self.heard.note(received, now);
        let course = if peers > 0 && are_sending {
            Course::InParts
        } else if self.body.is_some() && (peers == 0 || now >= LATE) {
            Course::InOrder
        } else {
            return;
        };
        self.errand.flight.take_course(course);
    }
}
