//! Three nodes to look at: nobody uses the first, the second is busy, and on
//! the third much is wrong.

use crate::db::piece::PieceState;
use crate::db::refusal::{Kind, Refused};
use crate::db::view::SuiteStatus;
use crate::http::status::Status;
use crate::http::status::shape::{
    Bin, Bucket, CacheStatus, CachedFile, Client, Dht, Download, FailingMirror, Finding, Health,
    HealthState, History, Index, Lan, Neighbour, Peer, Piece, Served, Split, Traffic, Upload,
};

/// 2026-11-22 14:05 UTC.
const NOW: i64 = 1_795_356_300_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const MIB: u64 = 1 << 20;

/// Fresh from the package.
pub fn empty() -> Status {
    Status {
        version: "0.1.0".into(),
        node_id: "8f14e45fceea167a5a36dedd4bea2543f1a09c3b".into(),
        at: NOW,
        uptime_seconds: 42,
        cache: CacheStatus {
            max_bytes: 20 << 30,
            free_bytes: Some(212 << 30),
            ..CacheStatus::default()
        },
        history: history(|_| 0),
        dht: Dht {
            address: "[::]:9977".into(),
            ..Dht::default()
        },
        ..Status::default()
    }
}

/// A dozen clients, nine peers, three downloads.
pub fn busy() -> Status {
    let split = |scale: u64| Split {
        from_cache: 9_100 * scale,
        from_peers: 2_800 * scale,
        from_mirrors: 400 * scale,
        hits: scale / 300 + 3,
        misses: scale / 2_900 + 1,
    };
    let peers: Vec<Peer> = (0..9).map(peer).collect();
    Status {
        uptime_seconds: 273_912,
        served: Served {
            hour: split(41_000),
            day: split(210_000),
            week: split(640_000),
            all: split(1_074_000),
            since: NOW - 19 * 24 * HOUR,
        },
        history: history(|at| (at * 7 + 3) % 11 * 9 * MIB + at % 5 * MIB / 3),
        cache: cache(),
        traffic: Traffic {
            from_mirrors: 5_217 * MIB,
            from_peers: 3_002 * MIB,
            to_clients: 12_596 * MIB,
            to_peers: 7_812 * MIB,
        },
        index: Index {
            releases: 3,
            index_files: 41,
            packages: 67_214,
            patches: 112,
            suites: suites(),
            refusals: Vec::new(),
            refused_files: Vec::new(),
        },
        dht: dht(),
        lan: Lan {
            discovering: true,
            neighbours: (11..13).map(neighbour).collect(),
        },
        downloads: vec![large(&peers), small(&peers), whole()],
        peers,
        clients: (0..12).map(client).collect(),
        uploads: (1..4).map(upload).collect(),
        ..empty()
    }
}

/// Mirrors that do not answer, wrong signatures, wrong bytes, and names that
/// somebody made up to break pages.
pub fn broken() -> Status {
    let finding = |state, sentence: &str, advice: &str| Finding {
        state,
        sentence: sentence.into(),
        reason: "it is so".into(),
        advice: advice.into(),
    };
    let mut status = busy();
    status.health = Health {
        state: HealthState::Failing,
        findings: vec![
            finding(
                HealthState::Failing,
                "The clock is 3 h 12 min behind that of deb.example.org.",
                "Set this machine's clock, for instance with systemd-timesyncd.",
            ),
            finding(
                HealthState::Degraded,
                "The mirror http://deb.example.org has not answered since 14:02 UTC; stored copies are served.",
                "Look at this machine's network; nothing else has to be done.",
            ),
            finding(
                HealthState::Degraded,
                "The signature of http://ftp.example.net/debian/dists/trixie is by an unknown key.",
                "Put its keyring into a folder of index.keyrings.",
            ),
        ],
    };
    status.failing_mirrors = vec![FailingMirror {
        origin: "http://deb.example.org".into(),
        since: NOW - 3 * MINUTE,
        error: "connection refused".into(),
    }];
    status.index.refusals = (0..31).map(refusal).collect();
    if let Some(suite) = status.index.suites.first_mut() {
        suite.signed = "unknown".into();
        (suite.key, suite.signer) = (None, None);
        suite.valid_until = Some(NOW - HOUR);
        suite.stuck_since = Some(NOW - 26 * HOUR);
        suite.older_since = Some(NOW - 2 * HOUR);
        suite.last_error = Some("503 Service Unavailable".into());
    }
    if let Some(peer) = status.peers.last_mut() {
        peer.last_error = Some("<script>alert(\"1\")</script>".into());
    }
    status.dht.reachable = Some(false);
    status
}

fn history(amount: impl Fn(u64) -> u64) -> History {
    let bins = |count: i64, step: i64| {
        let last = NOW / step * step;
        let bin = |at: i64| {
            let bytes = amount(at.unsigned_abs());
            Bin {
                at: last - (count - 1 - at) * step,
                split: Split {
                    from_cache: bytes * 6 / 9,
                    from_peers: bytes * 2 / 9,
                    from_mirrors: bytes / 9,
                    hits: bytes / MIB,
                    misses: bytes / MIB / 7,
                },
            }
        };
        (0..count).map(bin).collect()
    };
    History {
        hours: bins(48, HOUR),
        days: bins(30, 24 * HOUR),
    }
}

fn peer(n: u8) -> Peer {
    let k = u64::from(n);
    Peer {
        address: format!("192.0.2.{}:9977", n * 23 + 4),
        score: 0.94 / f64::from(n + 1),
        hash_errors_24h: u64::from(n == 7) * 2,
        bytes_per_second: if n == 8 { 0 } else { 11 * MIB / (k + 1) },
        lag_seconds: 0.011 * f64::from(n * n),
        pending: k % 4,
        connected: n < 6,
        bytes: 2_301 * MIB / (k + 1),
        bytes_sent: 311 * MIB * (k % 3),
        last_error: (n == 7).then(|| "sent wrong bytes for piece 17".into()),
        last_used: NOW - i64::from(n * n) * MINUTE,
    }
}

fn piece(peers: &[Peer], at: u64, who: u64, state: PieceState) -> Piece {
    let peer = usize::try_from(who).ok().and_then(|who| peers.get(who));
    Piece {
        piece: at,
        round: 0,
        peer: peer.map(|peer| peer.address.clone()),
        state,
    }
}

/// 120 pieces from eight peers and the mirror.
fn large(peers: &[Peer]) -> Download {
    let mut pieces = Vec::new();
    for at in 0..92 {
        let (who, state) = match at {
            17 | 40 => {
                pieces.push(piece(peers, at, 7, PieceState::Wrong));
                (1, PieceState::Verified)
            }
            0..6 => (99, PieceState::Verified),
            6..70 => ((at * 5) % 9 % 8, PieceState::Verified),
            71 => (7, PieceState::Wrong),
            73 => (6, PieceState::Failed),
            70..80 => (at % 6, PieceState::Unproved),
            _ => (at % 6, PieceState::Running),
        };
        pieces.push(piece(peers, at, who, state));
    }
    pieces.push(piece(peers, 100, 2, PieceState::Failed));
    Download {
        path: "http://deb.example.org/debian/pool/main/l/linux/linux-image-6.12.57+deb13-amd64_6.12.57-1_amd64.deb".into(),
        size: 120 * 524_288 - 77,
        done: 75 * 524_288,
        bytes_per_second: 23 * MIB,
        piece_size: 524_288,
        pieces,
        source: "mixed".into(),
    }
}

/// Seven pieces from three peers.
fn small(peers: &[Peer]) -> Download {
    let states = [
        PieceState::Verified,
        PieceState::Verified,
        PieceState::Unproved,
        PieceState::Running,
        PieceState::Running,
    ];
    let pieces = (0..).zip(states);
    Download {
        path: "http://deb.example.org/debian/pool/main/g/git/git_2.47.3-0+deb13u1_amd64.deb".into(),
        size: 7 * 524_288 - 4000,
        done: 2 * 524_288,
        bytes_per_second: 3 * MIB,
        piece_size: 524_288,
        pieces: pieces
            .map(|(at, state)| piece(peers, at, at % 3, state))
            .collect(),
        source: "peers".into(),
    }
}

/// A file by one mirror, of unknown length.
fn whole() -> Download {
    Download {
        path: "https://packages.example.org/repository/dists/stable/main/Contents-amd64.gz".into(),
        done: 911_003,
        bytes_per_second: 411_000,
        source: "mirror".into(),
        ..Download::default()
    }
}

fn suites() -> Vec<SuiteStatus> {
    let suite = |folder: &str, name: &str, codename: &str, packages| SuiteStatus {
        folder: folder.into(),
        suite: Some(name.into()),
        codename: Some(codename.into()),
        date: Some(NOW - 31 * HOUR),
        valid_until: Some(NOW + 6 * 24 * HOUR),
        signed: "good".into(),
        key: Some("4d64fec119c2029067d6e791f8d2585b8783d481".into()),
        signer: Some("Debian Archive Automatic Signing Key (12/bookworm)".into()),
        generations: 2,
        packages,
        patches_applied: packages / 4000,
        taken_up_at: Some(NOW - 29 * HOUR),
        asked_at: NOW - 12 * MINUTE,
        next_check_at: Some(NOW + 18 * MINUTE),
        ..SuiteStatus::default()
    };
    vec![
        suite(
            "http://deb.example.org/debian/dists/trixie",
            "stable",
            "trixie",
            63_214,
        ),
        suite(
            "http://deb.example.org/debian-security/dists/trixie-security",
            "stable-security",
            "trixie-security",
            812,
        ),
        SuiteStatus {
            signed: "unchecked".into(),
            key: None,
            signer: None,
            ..suite(
                "https://packages.example.org/repository/dists/stable",
                "stable",
                "stable",
                188,
            )
        },
    ]
}

fn cache() -> CacheStatus {
    let file = |name: &str, bytes, hours| CachedFile {
        url: format!("http://deb.example.org/debian/pool/main/{name}"),
        bytes,
        added_at: NOW - hours * HOUR,
        last_use: NOW - hours * MINUTE,
    };
    CacheStatus {
        files: 4_211,
        bytes: 14_821 * MIB,
        hits: 3_583,
        misses: 371,
        max_bytes: 20 << 30,
        free_bytes: Some(212 << 30),
        eviction_age_seconds: Some(11 * 86_400 + 7200),
        largest: vec![
            file(
                "c/chromium/chromium_142.0.7444.59-1_amd64.deb",
                78 * MIB,
                30,
            ),
            file(
                "l/linux/linux-image-6.12.48+deb13-amd64_6.12.48-1_amd64.deb",
                70 * MIB,
                99,
            ),
            file(
                "f/firefox-esr/firefox-esr_140.5.0esr-1_amd64.deb",
                66 * MIB,
                12,
            ),
        ],
        latest: vec![
            file("c/curl/curl_8.14.1-2+deb13u2_amd64.deb", 269_104, 0),
            file(
                "f/firefox-esr/firefox-esr_140.5.0esr-1_amd64.deb",
                66 * MIB,
                12,
            ),
        ],
    }
}

fn dht() -> Dht {
    let bucket = |(family, shared_bits, nodes, confirmed)| Bucket {
        family,
        shared_bits,
        nodes,
        confirmed,
    };
    let four = (0..14_u16).map(|bits| {
        let nodes = if bits < 10 { 8 } else { 13 - u64::from(bits) };
        (4, bits, nodes, nodes * u64::from(bits % 3 + 2) / 5)
    });
    let six = (0..4_u16).map(|bits| (6, bits, 7 - u64::from(bits) * 2, u64::from(bits == 0) * 3));
    Dht {
        nodes: 102,
        keys: 611,
        values: 1_902,
        estimated_nodes: 8_140,
        confirmed_nodes: 44,
        address: "[::]:9977".into(),
        contact: "198.51.100.7:9977".into(),
        lookups: 2,
        first_values_ms: Some(212),
        complete_ms: Some(1_904),
        bytes_per_second: 1_204,
        bytes_in: 48 * MIB,
        bytes_out: 39 * MIB,
        announcements: 4_102,
        announced: 3_977,
        buckets: four.chain(six).map(bucket).collect(),
        reachable: Some(true),
    }
}

fn client(n: u8) -> Client {
    let k = u64::from(n);
    Client {
        address: format!("192.168.1.{}", n + 20),
        hits: 400 / (k + 1),
        misses: 13 * (k % 3),
        bytes: 1_900 * MIB / (k + 1),
        last_seen: NOW - i64::from(n) * 37 * MINUTE,
    }
}

fn neighbour(n: u8) -> Neighbour {
    Neighbour {
        node_id: "c3".repeat(20),
        address: format!("192.168.1.{n}:9977"),
        last_seen: NOW - i64::from(n) * MINUTE,
    }
}

fn upload(n: u8) -> Upload {
    Upload {
        address: format!("192.0.2.{}", n * 23 + 4),
        requests: u64::from(n) * 311,
        bytes: u64::from(n) * 77 * MIB,
        last_seen: NOW - i64::from(n) * HOUR,
    }
}

fn refusal(n: i64) -> Refused {
    Refused {
        kind: Kind::Signature,
        url: format!("http://ftp.example.net/debian/dists/trixie-{n}/InRelease"),
        origin: "http://ftp.example.net".into(),
        reason: "its signature is by the key 1234 5678 9ABC DEF0, which no keyring has".into(),
        times: n + 1,
        last_at: NOW - n * HOUR,
    }
}
