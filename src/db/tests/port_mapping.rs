//! What a home router forwards.

use super::db;
use crate::db::port_mapping::{PortMappingRow, RouterRow};
use crate::router::{Means, Protocol, State};

fn mapping(protocol: Protocol, external_port: u16) -> PortMappingRow {
    PortMappingRow {
        protocol,
        internal_port: 9977,
        external_port,
        expires_at: (protocol == Protocol::Tcp).then_some(7),
    }
}

#[tokio::test]
async fn what_the_router_forwards_is_that_of_the_last_time() {
    let (_folder, db) = db().await;
    assert_eq!(db.router().await.unwrap().state, State::Off);
    let both = [mapping(Protocol::Tcp, 4001), mapping(Protocol::Udp, 4002)];
    for (state, means) in [
        (State::Mapped, Means::Pcp),
        (State::DoubleNat, Means::NatPmp),
        (State::Mapped, Means::Upnp),
    ] {
        let row = RouterRow {
            state,
            gateway: Some([192, 168, 1, 1].into()),
            means: Some(means),
            external_ip: Some([44, 0, 0, 9].into()),
            error: Some("no".to_owned()),
            since: 5,
        };
        db.keep_router(&row, &both).await.unwrap();
        assert_eq!(db.router().await.unwrap(), row);
        assert_eq!(db.port_mappings().await.unwrap(), both);
    }
    // Ports that were granted are remembered, over a restart too.
    for state in [
        State::Searching,
        State::NoGateway,
        State::Unneeded,
        State::Unanswered,
        State::Refused,
    ] {
        let row = RouterRow {
            state,
            ..RouterRow::default()
        };
        db.keep_router(&row, &[]).await.unwrap();
        assert_eq!(db.router().await.unwrap(), row);
    }
    db.forget_router().await.unwrap();
    assert_eq!(db.router().await.unwrap(), RouterRow::default());
    assert_eq!(db.port_mappings().await.unwrap(), both);
}

#[tokio::test]
async fn who_asks_by_pcp_stays_the_same() {
    let (_folder, db) = db().await;
    db.identity("boot", 1).await.unwrap();
    let nonce = db.pcp_nonce().await.unwrap();
    assert_ne!(nonce, [0; 3]);
    assert_eq!(db.pcp_nonce().await.unwrap(), nonce);
    let (_folder, other) = super::db().await;
    other.identity("boot", 1).await.unwrap();
    assert_ne!(other.pcp_nonce().await.unwrap(), nonce);
}
