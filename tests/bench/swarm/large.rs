//! Rows of one file of 60 MB.

use crate::archive::{ALL_HONEST, LARGE, Package, THREE_HAVE, TWO_LIE};
use crate::node::{Node, within};
use crate::options::Options;
use crate::scene::{LIARS, LINK, PIECE, SEEDS, Scene};
use crate::table::{Bar, Row};

/// One download by a node that is new.
struct Run {
    /// Seconds to the last byte, and to the first.
    total: f64,
    first_byte: f64,
    from_peers: u64,
    from_mirror: u64,
    /// Links that brought a piece or more: those of peers, and the mirror's.
    links: u64,
    /// Who has a score of zero after it.
    distrusted: Vec<String>,
}

impl Run {
    /// Downloads one of the large files; `lies` says that somebody is to be found out.
    fn of(scene: &Scene, number: usize, lies: bool) -> Self {
        let (node, _) = scene.client();
        let given = || scene.seeds.iter().map(|seed| traffic_of(seed, "to_peers"));
        let gave: Vec<_> = given().collect();
        let [peers, mirror] = ["from_peers", "from_mirrors"].map(|key| traffic_of(&node, key));
        let Package { path, sha256, .. } = scene.archive.large(number);
        let answer = node.fetch(scene.mirror.address, path, sha256);
        let from_mirror = traffic_of(&node, "from_mirrors") - mirror;
        let bytes = given().zip(gave).map(|(now, before)| now - before);
        let links = bytes.chain([from_mirror]);
        if lies {
            within(5, || distrusted(&node).len() >= LIARS);
        }
        let run = Self {
            total: answer.total,
            first_byte: answer.first_byte,
            from_peers: traffic_of(&node, "from_peers") - peers,
            from_mirror,
            // The one piece that is compared with the mirror's is no use of its link.
            links: links.filter(|bytes| *bytes > PIECE).count() as u64,
            distrusted: distrusted(&node),
        };
        eprintln!("  {}, {}", run.told(), answer.cache_status);
        run
    }

    fn told(&self) -> String {
        format!(
            "{:.2} s, first byte {:.0} ms, {} links, {:.1} MB from peers, {:.1} MB from the mirror",
            self.total,
            self.first_byte * 1e3,
            self.links,
            self.from_peers as f64 / 1e6,
            self.from_mirror as f64 / 1e6,
        )
    }

    /// Of what the links in use could carry.
    fn use_of_links(&self) -> f64 {
        LARGE as f64 * 8.0 / self.total / (LINK * self.links) as f64
    }

    fn share_of_peers(&self) -> f64 {
        self.from_peers as f64 / (self.from_peers + self.from_mirror) as f64
    }
}

fn traffic_of(node: &Node, key: &str) -> u64 {
    node.number(&format!("/traffic/{key}"))
}

/// Addresses of peers with a score of zero.
fn distrusted(node: &Node) -> Vec<String> {
    let status = node.status();
    let peers = status["peers"].as_array().unwrap().iter();
    let zeros = peers.filter(|peer| peer["score"] == 0.0);
    zeros
        .filter_map(|peer| peer["address"].as_str().map(str::to_owned))
        .collect()
}

/// All eight honest, and two of them not, in turns.
pub fn measure_eight(scene: &Scene, options: &Options) -> Vec<Row> {
    let mut uses = Row::new(
        "60 MB from 8 peers of 20 Mbit/s each, mirror of 20 Mbit/s",
        Bar::AtLeast(0.9),
        "of the sum of the links in use, which are 8 at least",
    );
    let mut ratios = Row::new(
        "60 MB when 2 of 8 peers corrupt every piece",
        Bar::AtMost(1.35),
        "× the honest time, those two and nobody else at score zero",
    );
    let mut liars = scene.liars();
    liars.sort();
    for round in 0..options.rounds {
        eprintln!("60 MB from 8 peers, round {}", round + 1);
        // Who goes first changes, so that a drift of the machine favours neither.
        let mut works = [(ALL_HONEST, false), (TWO_LIE, true)];
        works.rotate_left(round % 2);
        let mut runs = works.map(|(number, lies)| Run::of(scene, number, lies));
        runs.rotate_left(round % 2);
        let [honest, mut lied] = runs;
        lied.distrusted.sort();
        ratios.demand(lied.distrusted == liars && honest.distrusted.is_empty());
        ratios.push(lied.total / honest.total, lied.told());
        uses.demand(honest.links >= SEEDS as u64);
        uses.push(honest.use_of_links(), honest.told());
    }
    vec![uses, ratios]
}

/// Three of the eight have it.
pub fn measure_share(scene: &Scene, options: &Options) -> Row {
    let mut row = Row::new(
        "60 MB of which 3 peers have a copy",
        Bar::AtLeast(0.95),
        "of the bytes from peers",
    );
    for round in 0..options.rounds {
        eprintln!("60 MB from 3 peers, round {}", round + 1);
        let run = Run::of(scene, THREE_HAVE, false);
        row.push(run.share_of_peers(), run.told());
    }
    row
}

/// As fast as the peers' links go.
pub fn measure_first_byte(scene: &Scene, options: &Options) -> Row {
    let mut row = Row::new(
        "first byte of 60 MB from 8 peers on the LAN",
        Bar::AtMost(100.0),
        "ms, most bytes from peers",
    );
    for round in 0..options.rounds {
        eprintln!("first byte, round {}", round + 1);
        let run = Run::of(scene, ALL_HONEST, false);
        row.demand(run.share_of_peers() > 0.5);
        row.push(run.first_byte * 1e3, run.told());
    }
    row
}
