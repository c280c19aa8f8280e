//! Keeps rows and memory told who is on the same link.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::{Millis, jittered};
use crate::core::Core;
use crate::db::neighbour::NeighbourRow;
use crate::dht::id::NodeId;
use crate::discovery::{Discovery, News, Told};
use crate::overlay::Overlay;

/// How often rows, log and DHT are told of changes at most: anybody on the link
/// can make as many as they like.
const APART: Duration = Duration::from_secs(1);

/// How long until what could not be opened is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Tells others of this node and listens to them, until `stop`, and says
/// goodbye then. `overlay`: the DHT, where nodes on a private network may be in
/// it. A machine on which nobody can be found does without until one can be.
pub async fn run(core: Arc<Core>, told: Told, overlay: Option<Overlay>, stop: CancellationToken) {
    let mut discovery = tokio::select! {
        discovery = open(&told) => discovery,
        () = stop.cancelled() => return,
    };
    core.neighbours().are_sought = !told.peer.is_empty();
    let mut lan = Lan {
        core,
        overlay,
        heard: HashMap::new(),
        settled: HashSet::new(),
    };
    let mut due = None;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            news = discovery.next() => {
                if lan.take(news) {
                    due = due.or(Some(next));
                }
            }
            () = sleep_until(due.unwrap_or(next)), if due.is_some() => {
                lan.settle().await;
                due = None;
                next = Instant::now() + APART;
            }
            () = stop.cancelled() => break,
        }
    }
    discovery.close().await;
}

/// Tries until it works, and says once why it does not.
async fn open(told: &Told) -> Discovery {
    let mut is_said = false;
    loop {
        match Discovery::open(told) {
            Ok(discovery) => return discovery,
            Err(error) if !is_said => {
                tracing::warn!(%error, "nodes on the LAN can't be found, everything else works (lan.discover)");
                is_said = true;
            }
            Err(error) => tracing::debug!(%error, "nodes on the LAN still can't be found"),
        }
        sleep(jittered(PAUSE)).await;
    }
}

/// Who is on the link, and what rows, log and DHT know of it.
struct Lan {
    core: Arc<Core>,
    overlay: Option<Overlay>,
    /// When each was last heard of.
    heard: HashMap<NodeId, Millis>,
    /// Of whom the log knows.
    settled: HashSet<NodeId>,
}

impl Lan {
    /// Whether something changed by this.
    fn take(&mut self, news: News) -> bool {
        let mut neighbours = self.core.neighbours();
        match news {
            News::Here(neighbour) => {
                let id = neighbour.node_id;
                let is_change = neighbours.here(neighbour);
                if !neighbours.addresses(&id).is_empty() {
                    self.heard.insert(id, self.core.now());
                }
                is_change
            }
            News::Gone(id) => {
                self.heard.remove(&id);
                neighbours.gone(&id)
            }
        }
    }

    /// Passes on who is there now.
    async fn settle(&mut self) {
        let (all, in_dht) = {
            let neighbours = self.core.neighbours();
            (neighbours.all().collect::<Vec<_>>(), neighbours.in_dht())
        };
        let now: HashSet<_> = all.iter().map(|(id, _)| *id).collect();
        for id in now.difference(&self.settled) {
            tracing::info!(peer = %id, "a node on the LAN is found");
        }
        for id in self.settled.difference(&now) {
            tracing::info!(peer = %id, "a node on the LAN is gone");
        }
        self.settled = now;
        let row = |(id, address): &(NodeId, _)| NeighbourRow {
            node_id: id.0,
            address: *address,
            seen_at: self.heard.get(id).copied().unwrap_or_default(),
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        if let Err(error) = self.core.db.keep_neighbours(&rows).await {
            tracing::warn!(%error, "who is on the LAN can't be written down");
        }
        if let Some(overlay) = &self.overlay {
            overlay.bootstrap_through(in_dht);
        }
    }
}
