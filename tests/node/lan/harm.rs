//! Neighbours that are worth nothing cost nothing.

use super::{LARGE, SMALL, fetch, suite};
use crate::kit::{
    Client, HUB, Manner, Node, Request, Seeder, Seeding, Wrong, hex, krpc, neighbours, on_link,
    until,
};
use mdns_sd::{ServiceDaemon, ServiceInfo};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Bytes a second of the mirror.
const PACE: u64 = 4_000_000;

/// What a test leaves to a machine that has other things to do.
const LOADED: Duration = Duration::from_millis(600);

/// What a neighbour takes from the files that it never brings, once.
const TRUSTING: Duration = Duration::from_millis(450);

/// A node of another make on the link, that tells of itself as ours do.
pub(super) struct Stranger {
    pub(super) seeder: Seeder,
    mdns: ServiceDaemon,
}

impl Stranger {
    fn that(seeding: Seeding) -> Self {
        Self::named(&hex(&krpc::fresh_id()), seeding)
    }

    /// One that says that this is its id.
    pub(super) fn named(id: &str, seeding: Seeding) -> Self {
        let seeder = Seeder::at(HUB.into(), seeding);
        let mdns = ServiceDaemon::new().unwrap();
        let service = ServiceInfo::new(
            "_aptmesh._tcp.local.",
            id,
            &format!("{id}.local."),
            IpAddr::from(HUB),
            seeder.addr().port(),
            &[("id", id)][..],
        );
        mdns.register(service.unwrap()).unwrap();
        Self { seeder, mdns }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.mdns.shutdown();
    }
}

/// Fails unless files come as fast as from the mirror alone, and right, with three such neighbours.
#[track_caller]
fn expect_no_harm(seeding: Seeding) {
    expect_no_harm_and(seeding, |_, _| {});
}

#[track_caller]
fn expect_no_harm_and(seeding: Seeding, look: impl FnOnce(&Node, &[Stranger]) + Send) {
    let allowed = |direct: Duration| direct.mul_f64(1.1) + LOADED;
    expect_all_within(seeding, allowed, look);
}

#[track_caller]
fn expect_all_within(
    seeding: Seeding,
    allowed: impl Fn(Duration) -> Duration + Sync,
    look: impl FnOnce(&Node, &[Stranger]) + Send,
) {
    let sizes = [SMALL, LARGE, SMALL];
    on_link(1, suite(&sizes), |link| {
        let strangers: Vec<_> = (0..3).map(|_| Stranger::that(seeding)).collect();
        let node = link.node(0);
        until("the strangers are found", || neighbours(&node).len() == 3);
        link.learn(&node);
        link.origin.behave_all(Manner::good().pace(PACE));
        for number in 0..sizes.len() {
            let file = format!("file{number}");
            for stranger in &strangers {
                stranger.seeder.add(link.suite.deb(&file));
            }
            let host = link.origin.host().parse().unwrap();
            let mut direct = Client::to(host).unwrap();
            let direct = direct.ask(&Request::get(&link.path(&file))).unwrap().took;
            let took = fetch(link, &node, &file).took;
            let allowed = allowed(direct);
            assert!(took <= allowed, "{file}: {took:?}, alone {direct:?}");
        }
        look(&node, &strangers);
    });
}

#[test]
fn dead_neighbours() {
    expect_no_harm(Seeding::Dead);
}

#[test]
fn neighbours_that_have_nothing() {
    expect_no_harm(Seeding::Refusing);
}

#[test]
fn silent_neighbours() {
    expect_no_harm_and(Seeding::Silent, |node, strangers| {
        assert!(strangers.iter().all(|it| it.seeder.connections() > 0));
        std::thread::sleep(Duration::from_millis(1200));
        // Who has no ear for questions may be a good source all the same.
        let status = node.status();
        let mut peers = status["peers"].as_array().unwrap().iter();
        let is_blamed = peers.any(|row| row["last_error"].is_string());
        assert!(!is_blamed, "{status}");
    });
}

#[test]
fn neighbours_that_answer_after_a_while() {
    expect_no_harm(Seeding::Lagging(Duration::from_secs(3)));
}

/// Fails unless such neighbours cost little the first time, and nothing at all after it.
#[track_caller]
fn expect_hardly_any_harm(seeding: Seeding) {
    const FILES: u32 = 60;
    let sizes = [SMALL; FILES as usize];
    on_link(2, suite(&sizes), |link| {
        let mut config = link.config(1);
        config.discovers = false;
        let hermit = Node::with(config);
        let strangers: Vec<_> = (0..2).map(|_| Stranger::that(seeding)).collect();
        let node = link.node(0);
        until("the strangers are found", || neighbours(&node).len() == 2);
        for stranger in &strangers {
            for number in 0..FILES {
                let file = link.suite.deb(&format!("file{number}"));
                stranger.seeder.add(file);
            }
        }
        let took = [&hermit, &node].map(|node| {
            link.learn(node);
            let began = Instant::now();
            for number in 0..FILES {
                fetch(link, node, &format!("file{number}"));
            }
            began.elapsed()
        });
        let [alone, asking] = took;
        println!("{alone:?} alone, {asking:?} with two such neighbours");
        // Of these they are spared most of the time.
        let most = alone.mul_f64(1.1) + TRUSTING * 2 + FILES * Duration::from_millis(10);
        assert!(asking <= most, "{asking:?}, alone {alone:?}");
    });
}

#[test]
fn neighbours_that_are_always_slow_to_answer() {
    expect_hardly_any_harm(Seeding::Lagging(Duration::from_millis(120)));
}

#[test]
fn neighbours_that_promise_and_never_deliver() {
    expect_hardly_any_harm(Seeding::Promising(0));
}

#[test]
fn neighbours_that_are_nearly_there_for_ever() {
    expect_hardly_any_harm(Seeding::Promising(99));
}

#[test]
fn what_is_promised_is_waited_for_no_longer_than_it_takes_alone() {
    for percent in [0, 99] {
        let allowed = |direct: Duration| direct.mul_f64(2.1) + TRUSTING + LOADED;
        expect_all_within(Seeding::Promising(percent), allowed, |_, strangers| {
            let waits = strangers.iter().any(|it| it.seeder.uploads().len() > 3);
            assert!(waits, "nobody was waited for");
        });
    }
}

#[test]
fn neighbours_that_fall_silent() {
    expect_no_harm(Seeding::Stalling(1000));
}

#[test]
fn neighbours_that_break_off() {
    expect_no_harm(Seeding::Breaking(1000));
}

#[test]
fn lying_neighbours_are_named() {
    expect_no_harm_and(Seeding::Corrupting(Wrong::Every), |node, strangers| {
        let liars: Vec<_> = strangers
            .iter()
            .map(|it| it.seeder.addr().to_string())
            .collect();
        until("a liar is named", || {
            let status = node.status();
            let peers = status["peers"].as_array().unwrap();
            peers.iter().any(|row| {
                let is_liar = liars.iter().any(|liar| row["address"] == **liar);
                is_liar && row["hash_errors_24h"].as_u64().unwrap() > 0
            })
        });
    });
}

#[test]
fn files_that_no_neighbour_has_cost_a_moment_each() {
    const FILES: u32 = 120;
    let sizes = [SMALL; FILES as usize];
    on_link(6, suite(&sizes), |link| {
        let nodes: Vec<_> = (0..5).map(|host| link.node(host)).collect();
        let mut config = link.config(5);
        config.discovers = false;
        let hermit = Node::with(config);
        until("the neighbours are found", || {
            neighbours(&nodes[0]).len() == 4
        });
        let took = [&hermit, &nodes[0]].map(|node| {
            link.learn(node);
            let began = Instant::now();
            for number in 0..FILES {
                fetch(link, node, &format!("file{number}"));
            }
            began.elapsed()
        });
        let [alone, asking] = took;
        println!("{alone:?} alone, {asking:?} with four neighbours");
        let most = alone.mul_f64(1.1) + FILES * Duration::from_millis(10);
        assert!(asking <= most, "{asking:?}, alone {alone:?}");
    });
}
