//! Keeps a home router forwarding this node's ports, and rows, log and DHT told
//! of what it does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::{Millis, jittered, millis, uptime};
use crate::core::Core;
use crate::db::port_mapping::{PortMappingRow, RouterRow};
use crate::overlay::Overlay;
use crate::portmap::{self, Granted, Mapping, PortmapError, Router};
use crate::router::schedule::Schedule;
use crate::router::{Place, Protocol, State, Wanted, Way, Wish, is_public, verdict};

/// How often it is looked whether this machine is somewhere else, which asks
/// nobody, and whether the router is to be asked again.
const LOOK: Duration = Duration::from_secs(5);

/// A router that is slow at everything is listened to for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a stop waits for the router, and who comes to another one for that
/// of before.
const LEAVING: Duration = Duration::from_secs(1);

/// What a router is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where this node listens.
    pub wanted: Wanted,
    /// By which ports of a router others came before.
    pub last: Vec<PortMappingRow>,
    /// As whom PCP is spoken.
    pub nonce: [u32; 3],
}

/// Asks until `stop`, and takes it back then. That there is no router, or none
/// that listens, harms nothing.
pub async fn run(core: Arc<Core>, ask: Ask, overlay: Overlay, stop: CancellationToken) {
    let mut mapper = Mapper {
        core,
        ask,
        overlay,
        schedule: Schedule::default(),
        router: None,
        row: RouterRow::default(),
        is_unwritten: false,
        lease: None,
    };
    mapper.settle(State::Searching, None, None).await;
    loop {
        tokio::select! {
            () = mapper.look() => {}
            () = stop.cancelled() => break,
        }
        tokio::select! {
            () = sleep(jittered(LOOK)) => {}
            () = stop.cancelled() => break,
        }
    }
    mapper.leave().await;
}

struct Mapper {
    core: Arc<Core>,
    ask: Ask,
    overlay: Overlay,
    schedule: Schedule,
    router: Option<Router>,
    /// What log and DHT know, and rows unless they could not be written.
    row: RouterRow,
    is_unwritten: bool,
    /// Others come by a port of this gateway's until then, whether it answers
    /// now or not; in milliseconds of [`uptime`].
    lease: Option<(Ipv4Addr, Millis)>,
}

impl Mapper {
    async fn look(&mut self) {
        let place = portmap::place().unwrap_or_else(|error| {
            tracing::debug!(%error, "this machine's routes can't be read");
            None
        });
        let look = self.schedule.look(place, uptime());
        if look.is_moved {
            self.leave().await;
        }
        match place {
            None => self.settle(State::NoGateway, None, None).await,
            Some(place) if is_public(place.own) => {
                self.settle(State::Unneeded, Some(place), None).await;
            }
            Some(place) if look.is_due => match self.wishes(place) {
                // What comes by this router is not listened for.
                wishes if wishes.is_empty() => self.settle(State::NoGateway, None, None).await,
                wishes => self.ask(place, &wishes).await,
            },
            Some(_) => {}
        }
    }

    /// Takes back what a router was asked for, as far as it listens.
    async fn leave(&mut self) {
        if let Some(mut router) = self.router.take() {
            let _ = timeout(LEAVING, router.unmap()).await;
        }
    }

    fn wishes(&self, place: Place) -> Vec<Wish> {
        self.ask.wanted.at(place.own, &ports_of(&self.ask.last))
    }

    async fn ask(&mut self, place: Place, wishes: &[Wish]) {
        let nonce = self.ask.nonce;
        // It stays where it is if this is broken off: what it granted until
        // then is taken back at the stop.
        let router = self.router.get_or_insert_with(|| Router::new(place, nonce));
        let asked = timeout(PATIENCE, router.map(wishes)).await;
        match asked.unwrap_or(Err(PortmapError::Silent)) {
            Ok(granted) => self.forwards(place, granted).await,
            Err(error) => {
                tracing::debug!(gateway = %place.gateway, %error, "the router forwards no port");
                if self.schedule.failed(uptime()) {
                    let state = match error {
                        PortmapError::Silent => State::Unanswered,
                        PortmapError::Refused(_) => State::Refused,
                    };
                    self.settle(state, Some(place), Some(error)).await;
                }
            }
        }
    }

    async fn forwards(&mut self, place: Place, granted: Granted) {
        let lifetimes = granted.mappings.iter().filter_map(|it| it.lifetime);
        self.schedule.mapped(lifetimes.min(), uptime());
        let now = self.core.now();
        let row = |mapping: &Mapping| PortMappingRow {
            protocol: mapping.wish.protocol,
            internal_port: mapping.wish.internal.get(),
            external_port: mapping.wish.external.get(),
            expires_at: mapping.lifetime.map(|it| now.saturating_add(millis(it))),
        };
        let rows: Vec<_> = granted.mappings.iter().map(row).collect();
        let external = granted.external;
        let router = RouterRow {
            state: verdict(external),
            gateway: Some(place.gateway),
            means: Some(granted.means),
            external_ip: external,
            error: granted.refused.map(|error| error.to_string()),
            since: now,
        };
        let is_same = ports_of(&rows) == ports_of(&self.ask.last);
        self.ask.last.clone_from(&rows);
        self.keep(router, &rows, is_same).await;
        let mut tcp = granted.mappings.iter();
        let tcp = tcp.find(|mapping| mapping.wish.protocol == Protocol::Tcp);
        self.lease = tcp.map(|mapping| {
            let lifetime = mapping.lifetime.map_or(Millis::MAX, millis);
            (place.gateway, uptime().saturating_add(lifetime))
        });
        let mut tcp = rows.iter().filter(|row| row.protocol == Protocol::Tcp);
        self.overlay
            .set_way(tcp.next().map_or(Way::Direct, |row| Way::Forwarded {
                external,
                port: row.external_port,
            }));
    }

    /// The router does not forward.
    async fn settle(&mut self, state: State, place: Option<Place>, error: Option<PortmapError>) {
        let row = RouterRow {
            state,
            gateway: place.map(|place| place.gateway),
            error: error.map(|error| error.to_string()),
            since: self.core.now(),
            ..RouterRow::default()
        };
        self.keep(row, &[], true).await;
        // A router that is being started anew, or a cable that is out for a
        // moment: others were told of the port, and find it there again.
        let is_leased = self.lease.is_some_and(|(gateway, until)| {
            uptime() < until && place.is_none_or(|place| place.gateway == gateway)
        });
        if is_leased && matches!(state, State::NoGateway | State::Unanswered) {
            return;
        }
        self.lease = None;
        self.overlay.set_way(if state == State::Searching {
            Way::Unknown
        } else {
            Way::Direct
        });
    }

    /// Writes down how it stands, and says so where it came to stand so now:
    /// another port at the router, which is not of the row, is news too.
    async fn keep(&mut self, mut row: RouterRow, mappings: &[PortMappingRow], is_same: bool) {
        let now = std::mem::replace(&mut row.since, self.row.since);
        if !is_same || row != self.row {
            row.since = now;
            let before = std::mem::replace(&mut self.row, row);
            self.say(&before, mappings);
        } else if mappings.is_empty() && !self.is_unwritten {
            return;
        }
        let written = self.core.db.keep_router(&self.row, mappings).await;
        self.is_unwritten = written.is_err();
        if let Err(error) = written {
            tracing::warn!(%error, "what the router forwards can't be written down");
        }
    }

    fn say(&self, before: &RouterRow, mappings: &[PortMappingRow]) {
        let row = &self.row;
        let gateway = row.gateway.map_or_else(String::new, |ip| ip.to_string());
        let error = row.error.as_deref().unwrap_or_default();
        let at = row.external_ip.or(row.gateway).map(IpAddr::V4);
        let address = mappings
            .first()
            .and_then(|mapping| Some(SocketAddr::new(at?, mapping.external_port)));
        match (row.state, address) {
            (State::DoubleNat, Some(address)) => {
                tracing::info!(gateway, %address, "the router forwards ports to this node, but its own address is private: another router stands before it");
            }
            (_, Some(address)) => {
                tracing::info!(gateway, %address, "the router forwards ports to this node");
            }
            _ if before.state.is_mapped() && row.gateway == before.gateway => {
                tracing::warn!(
                    gateway,
                    error,
                    "the router forwards no ports to this node any more"
                );
            }
            (State::Unanswered | State::Refused, _) if row.gateway != before.gateway => {
                tracing::info!(
                    gateway,
                    error,
                    "the router forwards no ports to this node: others come if somebody sets it up there (peer.map_ports)"
                );
            }
            (State::Searching, _) => {}
            _ => tracing::debug!("no ports are forwarded to this node"),
        }
    }
}

/// Ports at the router.
fn ports_of(rows: &[PortMappingRow]) -> Vec<(Protocol, u16)> {
    let ports = rows.iter().map(|row| (row.protocol, row.external_port));
    ports.collect()
}
