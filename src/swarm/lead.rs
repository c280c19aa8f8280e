//! Which of the nodes that want the same file fetches it from the mirror, and
//! for how long the others wait for it.
//!
//! Each of them says that it wants the file before it asks the others. So of
//! two that want it at the same time at least one hears of the other, in an
//! answer or in a question. Who is already fetching never waits; of those that
//! have not decided, everybody waits for nodes only that are closer to the
//! file. Thus no two wait for each other, however their words cross.

use crate::clock::Millis;
use crate::dht::id::{Key, NodeId};

/// The header in which a question names the node that asks.
pub const NODE: &str = "aptmesh-node";

/// The header in which an answer tells how far a file is on its way.
pub const PROGRESS: &str = "aptmesh-progress";

/// The header in which an answer refers to the torrent string of its file.
pub const TORRENT: &str = "aptmesh-torrent";

/// A node waits for another so long at most, in milliseconds.
pub const LONGEST: Millis = 3000;

/// And so long while it does not know what its own mirror takes.
const UNTOLD: Millis = 500;

/// What is expected to take longer, in milliseconds, is not waited for.
const SHORT: Millis = 2000;

/// The longest file, in bytes, that is waited for while nobody knows how fast
/// its mirror is.
const UNKNOWN: u64 = 4 * 1024 * 1024;

/// A file of which nothing more came for so long, in milliseconds, stalls.
const STALLED: Millis = 500;

/// So many bytes, or a quarter of the file, tell how fast a mirror is.
const TELLING: u64 = 128 * 1024;

/// What a LAN brings at least, in bytes a second.
const LAN: f64 = 20_000_000.0;

/// Waiting may take so much longer than doing without, in milliseconds.
const SLACK: Millis = 200;

/// What a node's own mirror takes for a file, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone {
    /// Until it answers.
    pub lag: Millis,
    /// From then on.
    pub body: Millis,
}

/// How long a node waits for another at most, in milliseconds, by its own
/// clock: about as long as it would take without.
#[must_use]
pub fn patience(alone: Option<Alone>) -> Millis {
    let patience = alone.map_or(UNTOLD, |alone| {
        let all = alone.lag.saturating_add(alone.body);
        all.saturating_add(all / 10).saturating_add(SLACK)
    });
    patience.min(LONGEST)
}

/// What a node does about a file that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It asks who has the file, or wants it as well.
    #[default]
    Asking,
    /// It waits for another node.
    Waiting,
    /// It fetches the file, whatever others do.
    Fetching,
}

/// How far a file is on its way to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What the node does about it.
    pub stage: Stage,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes of the whole.
    pub size: u64,
    /// Since it was wanted, in milliseconds.
    pub elapsed: Millis,
    /// Since the last byte came, in milliseconds.
    pub idle: Millis,
}

impl Progress {
    /// As the header has it: a dictionary of RFC 9651.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self {
            stage,
            done,
            size,
            elapsed,
            idle,
        } = self;
        let stage = match stage {
            Stage::Asking => "asking",
            Stage::Waiting => "waiting",
            Stage::Fetching => "fetching",
        };
        format!("stage={stage}, done={done}, size={size}, elapsed={elapsed}, idle={idle}")
    }

    /// Reads what [`Progress::encode`] writes; fields of other names are
    /// passed over.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut progress = Self::default();
        for field in text.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let number = || value.parse::<u64>().ok();
            let time = || number().and_then(|time| Millis::try_from(time).ok());
            match name {
                "stage" => {
                    progress.stage = match value {
                        "asking" => Stage::Asking,
                        "waiting" => Stage::Waiting,
                        "fetching" => Stage::Fetching,
                        _ => return None,
                    }
                }
                "done" => progress.done = number()?,
                "size" => progress.size = number()?,
                "elapsed" => progress.elapsed = time()?,
                "idle" => progress.idle = time()?,
                _ => {}
            }
        }
        (progress.size > 0).then_some(progress)
    }

    /// Bytes a second since its mirror answered, where enough came to tell.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn rate(&self, lag: Millis) -> Option<f64> {
        let is_telling = self.done >= TELLING.min(self.size / 4).max(1) && self.elapsed > 0;
        let since = self.elapsed.saturating_sub(lag).max(1);
        is_telling.then(|| self.done as f64 * 1000.0 / since as f64)
    }

    /// Whether it is worth waiting for the file, `waited` milliseconds after
    /// the wait began. Who gets nothing, or says so for ever, is soon waited
    /// for in vain: its file does not come nearer while time passes.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate"
    )]
    pub fn is_worth_waiting(&self, alone: Option<Alone>, waited: Millis) -> bool {
        if self.done > 0 && self.idle >= STALLED {
            return false;
        }
        let took = |bytes: u64, rate: f64| (bytes as f64 * 1000.0 / rate.max(1.0)) as Millis;
        let lag = alone.map_or(0, |alone| alone.lag);
        let left = match (self.rate(lag), alone) {
            (Some(rate), _) => took(self.size.saturating_sub(self.done), rate),
            (None, Some(alone)) => {
                let lag = lag.saturating_sub(self.elapsed).max(0);
                lag.saturating_add(alone.body)
            }
            (None, None) if self.size <= UNKNOWN => 0,
            (None, None) => return false,
        };
        let left = left.saturating_add(took(self.size, LAN));
        left <= SHORT && waited.saturating_add(left) <= patience(alone)
    }
}

/// Another node that wants the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rival {
    /// Who it is.
    pub node_id: NodeId,
    /// How far it is.
    pub progress: Progress,
}

/// For whom of these `own` waits; `None`: it fetches the file itself.
#[must_use]
pub fn leader<'a>(
    own: &NodeId,
    sha256: &[u8; 32],
    rivals: &'a [Rival],
    alone: Option<Alone>,
) -> Option<&'a Rival> {
    let file = Key::of_hash(sha256);
    let may_lead = |rival: &&Rival| {
        let is_fetching = rival.progress.stage == Stage::Fetching;
        let is_closer = file.distance(&rival.node_id) < file.distance(own);
        rival.node_id != *own
            && (is_fetching || is_closer)
            && rival.progress.is_worth_waiting(alone, 0)
    };
    rivals.iter().filter(may_lead).min_by_key(|rival| {
        let is_fetching = rival.progress.stage == Stage::Fetching;
        let left = rival.progress.size.saturating_sub(rival.progress.done);
        (!is_fetching, left, file.distance(&rival.node_id))
    })
}

#[cfg(test)]
mod tests;
