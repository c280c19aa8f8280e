//! A status in which every list has something and nothing is `null` or zero.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::db::refusal::{Kind, RefusedFiles};
use crate::router::{Means, Protocol, State};

const GIB: u64 = 1 << 30;
/// 2026-11-23 06:00 UTC.
const NOW: Millis = 1_795_413_600_000;
const HOUR: Millis = 3_600_000;

const fn split(from_cache: u64, from_peers: u64, from_mirrors: u64) -> Split {
    Split {
        from_cache,
        from_peers,
        from_mirrors,
        hits: 90,
        misses: 10,
    }
}

impl Status {
    /// A node that has much to tell.
    pub(crate) fn example() -> Self {
        let all = split(60 * GIB, 30 * GIB, 10 * GIB);
        let bin = Bin {
            at: NOW,
            split: split(6, 3, 1),
        };
        Self {
            version: "9.9.9".to_owned(),
            node_id: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            at: NOW,
            uptime_seconds: 273_600,
            health: Health {
                state: HealthState::Failing,
                findings: findings(),
            },
            cache: cache(),
            traffic: Traffic {
                from_mirrors: 11 * GIB,
                from_peers: 31 * GIB,
                to_clients: 100 * GIB,
                to_peers: 5 * GIB,
            },
            served: Served {
                hour: split(3 << 20, 1 << 20, 0),
                day: split(6 * GIB, 3 * GIB, GIB),
                week: split(12 * GIB, 6 * GIB, 2 * GIB),
                all,
                since: NOW - 400 * HOUR,
            },
            history: History {
                hours: vec![bin],
                days: vec![bin],
            },
            index: index(),
            dht: dht(),
            peer_face: PeerFace {
                addresses: vec!["[::]:9977".parse().unwrap()],
            },
            port_mapping: PortMapping {
                state: State::Mapped,
                gateway: Some([192, 168, 1, 1].into()),
                means: Some(Means::NatPmp),
                external_ip: Some([203, 0, 113, 5].into()),
                error: Some("UPnP: error 501".to_owned()),
                since: NOW - HOUR,
                ports: vec![MappedPort {
                    protocol: Protocol::Tcp,
                    internal_port: 9977,
                    external_port: 9977,
                    expires_at: Some(NOW + HOUR),
                }],
            },
            peers: vec![
                peer("192.168.1.11:9977", 0.93, 0),
                peer("198.51.100.7:9977", 0.0, 4),
            ],
            lan: Lan {
                discovering: true,
                neighbours: vec![Neighbour {
                    node_id: "b".repeat(40),
                    address: "192.168.1.11:9977".to_owned(),
                    last_seen: NOW,
                }],
            },
            downloads: vec![download()],
            failing_mirrors: vec![FailingMirror {
                origin: "http://mirror.example:8080".to_owned(),
                since: NOW - HOUR,
                error: "connection \"refused\"".to_owned(),
            }],
            clients: vec![Client {
                address: "192.168.1.20".to_owned(),
                hits: 90,
                misses: 10,
                bytes: GIB,
                last_seen: NOW,
            }],
            uploads: vec![Upload {
                address: "192.168.1.11".to_owned(),
                requests: 7,
                bytes: GIB,
                last_seen: NOW,
            }],
        }
    }
}

fn findings() -> Vec<Finding> {
    let finding = |state, sentence: &str, reason: &str, advice: &str| Finding {
        state,
        sentence: sentence.to_owned(),
        reason: reason.to_owned(),
        advice: advice.to_owned(),
    };
    vec![
        finding(
            HealthState::Failing,
            "The disk is full: nothing more is kept.",
            "",
            "Make room, or lower cache.max_size.",
        ),
        finding(
            HealthState::Degraded,
            "Mirror mirror.example:8080 is unreachable since 05:00, stored copies are served.",
            "Connection refused",
            "Look whether it is up; it is asked again by itself.",
        ),
    ]
}

fn cache() -> CacheStatus {
    let file = CachedFile {
        url: "http://deb.example/pool/main/l/linux/linux-image_1_amd64.deb".to_owned(),
        bytes: GIB,
        added_at: NOW - HOUR,
        last_use: NOW,
    };
    CacheStatus {
        files: 12_345,
        bytes: 15 * GIB,
        hits: 900,
        misses: 100,
        max_bytes: 20 * GIB,
        free_bytes: Some(50 * GIB),
        eviction_age_seconds: Some(864_000),
        largest: vec![file.clone()],
        latest: vec![file],
    }
}

fn index() -> Index {
    Index {
        releases: 1,
        index_files: 40,
        packages: 63_000,
        patches: 12,
        suites: vec![SuiteStatus {
            folder: "http://deb.example/debian/dists/bookworm".to_owned(),
            suite: Some("stable".to_owned()),
            codename: Some("bookworm".to_owned()),
            date: Some(NOW - 24 * HOUR),
            valid_until: Some(NOW + 24 * HOUR),
            signed: "good".to_owned(),
            key: Some("0123456789ABCDEF0123456789ABCDEF01234567".to_owned()),
            signer: Some("An Archive <archive@deb.example>".to_owned()),
            generations: 3,
            packages: 63_000,
            patches_applied: 4,
            taken_up_at: Some(NOW - 23 * HOUR),
            asked_at: NOW - HOUR,
            next_check_at: Some(NOW + HOUR),
            stuck_since: Some(NOW - 2 * HOUR),
            older_since: Some(NOW - 3 * HOUR),
            last_error: Some("the origin answered 503".to_owned()),
        }],
        refusals: vec![Refused {
            kind: Kind::Mismatch,
            url: "http://deb.example/pool/main/h/hello/hello_1_all.deb".to_owned(),
            origin: "http://deb.example".to_owned(),
            reason: "Its SHA-256 is not the one that the index lists.".to_owned(),
            times: 2,
            last_at: NOW - HOUR,
        }],
        refused_files: vec![RefusedFiles {
            kind: Kind::Mismatch,
            files: 70,
        }],
    }
}

fn dht() -> Dht {
    Dht {
        nodes: 160,
        keys: 300,
        values: 900,
        estimated_nodes: 10_000,
        confirmed_nodes: 80,
        address: "[::]:9977".to_owned(),
        contact: "203.0.113.5:9977".to_owned(),
        lookups: 2,
        first_values_ms: Some(130),
        complete_ms: Some(580),
        bytes_per_second: 152,
        bytes_in: GIB,
        bytes_out: 2 * GIB,
        announcements: 12_000,
        announced: 11_900,
        buckets: vec![Bucket {
            family: 4,
            shared_bits: 1,
            nodes: 8,
            confirmed: 4,
        }],
        reachable: Some(true),
    }
}

fn peer(address: &str, score: f64, hash_errors_24h: u64) -> Peer {
    Peer {
        address: address.to_owned(),
        score,
        hash_errors_24h,
        bytes_per_second: 11 << 20,
        lag_seconds: 0.02,
        pending: 3,
        connected: true,
        bytes: 20 * GIB,
        bytes_sent: GIB,
        last_error: Some("no byte for 10 s".to_owned()),
        last_used: NOW,
    }
}

fn download() -> Download {
    let piece = |piece, peer: Option<&str>, state| Piece {
        piece,
        round: 1,
        peer: peer.map(str::to_owned),
        state,
    };
    Download {
        path: "http://deb.example/pool/main/f/firefox/firefox_1_amd64.deb".to_owned(),
        size: 60 << 20,
        done: 15 << 20,
        bytes_per_second: 5 << 20,
        piece_size: 512 << 10,
        pieces: vec![
            piece(0, None, PieceState::Verified),
            piece(1, Some("192.168.1.11:9977"), PieceState::Running),
        ],
        source: "mixed".to_owned(),
    }
}
