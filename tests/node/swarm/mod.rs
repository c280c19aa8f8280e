//! A node that fetches from others, before peers and a mirror of every character.

mod harm;
mod liars;
mod numbers;
mod rounds;
mod shares;
mod traps;
mod trust;
mod unusual;

use crate::kit::krpc::key_of;
use crate::kit::{
    Apt, Client, Dht, Manner, Node, PIECE, Peer, Request, Response, Seeder, Seeding, Stage, Suite,
    noise, path_of, until,
};
use serde_json::Value;
use std::time::Duration;

/// A large file: twelve pieces.
const LARGE: usize = 12 * PIECE;

/// A small one.
const SMALL: usize = 50_000;

/// Bytes a second of a mirror that is no faster than most.
const PACE: u64 = 4_000_000;

/// A node looks every ten seconds at what it may share.
const SHARED: Duration = Duration::from_secs(45);

/// What a test leaves to a machine that has other things to do.
const LOADED: Duration = Duration::from_millis(400);

/// A node that joined a DHT and knows a suite with the files `file0`, `file1` and so on.
pub struct Scene {
    pub stage: Stage,
    /// Who has files, in the order in which they came.
    pub seeders: Vec<Seeder>,
    peers: Vec<Peer>,
    apt: Apt,
}

impl Scene {
    /// With files of these sizes.
    #[track_caller]
    pub fn new(sizes: &[usize]) -> Self {
        Self::with(sizes, |_| {})
    }

    /// With files of these sizes and a configuration of the test's own.
    #[track_caller]
    fn with(sizes: &[usize], change: impl FnOnce(&mut Dht)) -> Self {
        let peers = Peer::network(4);
        let mut suite = Suite::new();
        for (number, size) in (0..).zip(sizes) {
            let content = noise(number + 7000, size - 8);
            suite.package(&format!("file{number}"), "1.0", &content);
        }
        let mut dht = Dht::through(&peers.iter().collect::<Vec<_>>());
        change(&mut dht);
        let stage = Stage::with(suite, dht.into());
        let known = peers.len() as u64;
        until("the DHT is joined", || {
            stage.node.number("/dht/nodes") >= known
        });
        let apt = stage.client();
        apt.update().expect();
        stage.until_current();
        Self {
            stage,
            seeders: Vec::new(),
            peers,
            apt,
        }
    }

    pub fn node(&self) -> &Node {
        &self.stage.node
    }

    pub fn file(&self, number: usize) -> &[u8] {
        self.stage.suite.deb(&format!("file{number}"))
    }

    pub fn url(&self, number: usize) -> String {
        let package = format!("file{number}");
        self.stage.url(&self.stage.suite.pool_path(&package))
    }

    /// Where the origin has it.
    fn path(&self, number: usize) -> String {
        let package = format!("file{number}");
        format!("{}/{}", self.stage.at, self.stage.suite.pool_path(&package))
    }

    /// The mirror treats a file so.
    pub fn mirror(&self, number: usize, manner: Manner) {
        self.stage.origin.behave(&self.path(number), manner);
    }

    /// The mirror gives a file at [`PACE`].
    pub fn slow_mirror(&self, number: usize) {
        self.mirror(number, Manner::good().pace(PACE));
    }

    /// More seeders, without files.
    pub fn add(&mut self, seedings: &[Seeding]) {
        let seeders = seedings.iter().map(|seeding| Seeder::that(*seeding));
        self.seeders.extend(seeders);
    }

    /// All seeders have a file, and the DHT knows it.
    pub fn seed(&self, number: usize) {
        self.seed_by(number, &self.seeders);
    }

    /// These have a file, and the DHT knows it.
    fn seed_by(&self, number: usize, seeders: &[Seeder]) {
        let file = self.file(number);
        for seeder in seeders {
            seeder.add(file);
            seeder.tell(&self.peers, file);
            if file.len() > 4 * PIECE {
                seeder.tell_torrent(&self.peers, file);
            }
        }
    }

    /// All seeders have at most so many bytes a second to give.
    pub fn limit(&self, bytes: u64) {
        self.seeders.iter().for_each(|seeder| seeder.limit(bytes));
    }

    /// A GET through the node.
    #[track_caller]
    fn get(&self, number: usize) -> Response {
        self.node().get(&self.url(number))
    }

    /// A GET through the node that brings the right bytes.
    #[track_caller]
    pub fn fetch(&self, number: usize) -> Response {
        self.get(number).expect(self.file(number))
    }

    /// How long the mirror itself takes for a file.
    #[track_caller]
    fn direct(&self, number: usize) -> Duration {
        let host = self.stage.origin.host();
        let port = host.rsplit(':').next().unwrap().parse().unwrap();
        let request = Request::get(&self.path(number));
        let answer = Client::connect(port).unwrap().ask(&request).unwrap();
        answer.expect(self.file(number)).took
    }

    /// Fails unless the node is no slower for a file than the mirror itself, and right.
    #[track_caller]
    fn expect_no_harm(&self, number: usize) {
        let direct = self.direct(number);
        let took = self.fetch(number).took;
        let allowed = direct.mul_f64(1.1) + Duration::from_millis(200) + LOADED;
        assert!(
            took <= allowed,
            "{took:?} where the mirror takes {direct:?}"
        );
    }

    /// Bytes of bodies from peers and from mirrors so far.
    #[track_caller]
    fn traffic(&self) -> (u64, u64) {
        let status = self.node().status();
        let number = |key: &str| status["traffic"][key].as_u64().unwrap();
        (number("from_peers"), number("from_mirrors"))
    }

    /// What each seeder sent of a file.
    fn sent(&self, number: usize) -> Vec<usize> {
        let file = self.file(number);
        self.seeders.iter().map(|it| it.sent(file)).collect()
    }

    /// Whether the node gives a file to other nodes, as it is.
    #[track_caller]
    fn shares(&self, number: usize) -> bool {
        let file = self.file(number);
        let mut face = Client::to(self.node().peer_addr()).unwrap();
        let answer = face.ask(&Request::get(&path_of(file))).unwrap();
        if answer.status != 404 {
            answer.expect(file);
            return true;
        }
        false
    }

    /// Fails unless something was asked of the seeders.
    #[track_caller]
    fn expect_asked(&self) {
        let asked = self.seeders.iter().any(|it| it.connections() > 0);
        assert!(asked, "no peer was asked");
    }

    /// What the node says of a seeder.
    #[track_caller]
    fn row(&self, seeder: usize) -> Option<Value> {
        let address = self.seeders[seeder].addr().to_string();
        let status = self.node().status();
        let rows = status["peers"].as_array().unwrap();
        rows.iter().find(|row| row["address"] == *address).cloned()
    }

    /// Wrong bytes that the node has of a seeder.
    #[track_caller]
    fn errors(&self, seeder: usize) -> u64 {
        let row = self.row(seeder);
        row.map_or(0, |row| row["hash_errors_24h"].as_u64().unwrap())
    }

    /// Waits until these seeders are blamed; fails where another one is.
    #[track_caller]
    pub fn expect_blame(&self, liars: &[usize]) {
        until("the liars are blamed", || {
            liars.iter().all(|liar| self.errors(*liar) > 0)
        });
        self.expect_honest(liars);
    }

    /// Fails where a seeder other than these is blamed.
    #[track_caller]
    fn expect_honest(&self, liars: &[usize]) {
        for seeder in (0..self.seeders.len()).filter(|it| !liars.contains(it)) {
            assert_eq!(self.errors(seeder), 0, "{:?}", self.row(seeder));
        }
    }

    /// Whether the DHT was asked who has a file.
    fn was_looked_for(&self, file: &[u8]) -> bool {
        let key = key_of(file);
        let asked = |peer: &Peer| {
            let finds = [peer.heard("find_value"), peer.heard("get_value")].concat();
            finds.iter().any(|heard| heard.target() == Some(key))
        };
        self.peers.iter().any(asked)
    }
}
