//! Keeps rows and memory told who is on the same link.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::db::DbError;
use crate::discovery::{Discovery, News, Told};
use crate::overlay::Overlay;

/// Tells others of this node and listens to them, until `stop`, and says
/// goodbye then. `overlay`: the DHT, where nodes on a private network may be in
/// it. A machine on which nobody can be found does without.
pub async fn run(core: Arc<Core>, told: Told, overlay: Option<Overlay>, stop: CancellationToken) {
    let mut discovery = match Discovery::open(&told) {
        Ok(discovery) => discovery,
        Err(error) => {
            tracing::warn!(%error, "nodes on the LAN can't be found, everything else works (lan.discover)");
            return stop.cancelled().await;
        }
    };
    loop {
        let news = tokio::select! {
            news = discovery.next() => news,
            () = stop.cancelled() => break,
        };
        if let Err(error) = take(&core, news).await {
            tracing::warn!(%error, "who is on the LAN can't be written down");
        }
        if let Some(overlay) = &overlay {
            let in_dht = core.neighbours().in_dht();
            overlay.bootstrap_through(in_dht);
        }
    }
    discovery.close().await;
}

async fn take(core: &Core, news: News) -> Result<(), DbError> {
    match news {
        News::Here(neighbour) => {
            let (id, addresses) = (neighbour.node_id, neighbour.addresses.clone());
            let (is_new, is_taken) = {
                let mut neighbours = core.neighbours();
                (
                    neighbours.addresses(&id).is_empty(),
                    neighbours.here(neighbour),
                )
            };
            if !is_taken {
                return Ok(());
            }
            if is_new {
                tracing::info!(peer = %id, "a node on the LAN is found");
            }
            core.db.keep_neighbour(id.0, &addresses, core.now()).await
        }
        News::Gone(id) => {
            if !core.neighbours().gone(&id) {
                return Ok(());
            }
            tracing::info!(peer = %id, "a node on the LAN is gone");
            core.db.forget_neighbour(id.0).await
        }
    }
}
