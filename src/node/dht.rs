//! The node's place in the DHT.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::StartError;
use crate::clock::millis;
use crate::config::{Advertise, Config};
use crate::core::Core;
use crate::dht::engine::{Engine, Settings};
use crate::dht::id::NodeId;
use crate::overlay::{self, Contact, Overlay};

/// Binds the DHT's socket. Where nobody chose its port, another one is as good
/// if that is taken: apt is served in any case.
fn listen_for_dht(address: SocketAddr) -> io::Result<UdpSocket> {
    match overlay::listen(address) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && address == Config::default().dht.listen =>
        {
            tracing::warn!(%address, "the DHT's port is taken by another program: any other is used (dht.listen)");
            overlay::listen(SocketAddr::new(address.ip(), 0))
        }
        result => result,
    }
}

/// Takes the node's place in the DHT, as its rows describe it. Others are told
/// to come to the first of `peer_addresses`.
pub(super) async fn open_overlay(
    config: &Config,
    core: &Core,
    node_id: [u8; 20],
    peer_addresses: &[SocketAddr],
) -> Result<Option<Overlay>, StartError> {
    if !config.dht.enabled {
        return Ok(None);
    }
    let saved = core.db.load_dht(core.now()).await?;
    let failed = |error| StartError::Dht(config.dht.listen, error);
    let socket = listen_for_dht(config.dht.listen).map_err(failed)?;
    let (dht, peer) = (&config.dht, &config.peer);
    let settings = Settings {
        k: dht.k,
        concurrent_requests: dht.concurrent_requests,
        store_redundancy: dht.store_redundancy,
        max_failures: dht.max_failures,
        min_ping_interval: millis(dht.min_ping_interval),
        bucket_staleness: millis(dht.bucket_staleness),
        key_expire: millis(dht.key_expire),
        krpc_timeout: millis(dht.krpc_timeout),
        krpc_initial_delay: millis(dht.krpc_initial_delay),
        allow_private: peer.allow_private,
        families: overlay::families(&socket).map_err(failed)?,
    };
    let contact = match peer.advertise {
        Advertise::Address(address) => Contact::Fixed(address),
        Advertise::Auto => Contact::Seen {
            port: peer_addresses
                .first()
                .or(peer.listen.first())
                .map_or(0, SocketAddr::port),
        },
    };
    let engine = Engine::new(NodeId(node_id), settings, saved, rand::random(), core.now());
    let overlay = Overlay::open(socket, contact, core.now(), engine).map_err(failed)?;
    tracing::info!(address = %overlay.address(), "the DHT is reached");
    Ok(Some(overlay))
}
