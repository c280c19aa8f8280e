//! One house over one day, told once for whatever its machines are made of.

use crate::goods::{BAIT, DESKTOP, EAST, Goods, HEAVY, WEST};
use crate::machine::{House, Machine, Taken, neighbours};
use crate::{boxes, engine, mirror, namespaces, spaces, tell, until};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Of a hundred bytes, so many come from peers where peers have them.
const MAINLY: u64 = 80;

/// A line that is slow enough to be cut in the middle of a download, in bits a second.
const SLOW: u64 = 16_000_000;

/// An install that waits for nobody takes no longer on a machine that has other things to do.
const UNHINDERED: Duration = Duration::from_secs(20);

struct Story {
    goods: Goods,
    logs: Arc<TempDir>,
    house: House,
    began: Instant,
}

#[test]
fn a_house_shares_what_one_of_it_has() {
    if let Some(lacking) = namespaces::lacking() {
        panic!("This test can't run: {lacking}");
    }
    let goods = Goods::make();
    let logs = Arc::new(tempfile::tempdir().unwrap());
    let previous = std::env::var_os("PREVIOUS_APTMESH").map(PathBuf::from);
    let previous = previous.map(|path| path.canonicalize().expect("PREVIOUS_APTMESH is a file"));
    let previous = previous.as_deref();
    let house = match engine::lacking() {
        None => {
            tell("a house of containers");
            boxes::house(&goods, &logs, previous)
        }
        Some(lacking) => {
            tell(&format!("a house of network namespaces. {lacking}"));
            spaces::house(&goods, &logs, previous)
        }
    };
    let five = match previous {
        Some(path) => format!("five is of a previous build: {}", path.display()),
        None => "no previous build (PREVIOUS_APTMESH): five is of this one".to_owned(),
    };
    tell(&five);
    let story = Story {
        goods,
        logs,
        house,
        began: Instant::now(),
    };
    story.they_find_each_other();
    story.the_first_one_asks_the_mirror();
    story.the_others_take_it_from_their_peers();
    story.without_the_mirror_a_fifth_gets_what_the_others_have();
    story.a_node_is_killed_while_it_uploads();
    story.the_network_is_parted_and_heals();
    story.a_liar_is_named();
}

impl Story {
    fn node(&self, number: usize) -> &dyn Machine {
        &*self.house.nodes[number]
    }

    /// A chapter's end.
    fn tell(&self, text: &str) {
        tell(&format!(
            "{:>6.1} s  {text}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Installs a package at a node, mainly from peers.
    fn share(&self, number: usize, package: &str) -> Taken {
        let node = self.node(number);
        let taken = node.install(&self.goods, package);
        self.tell(&format!(
            "{} installs {package}, {} % of {:.1} MB from peers",
            node.name(),
            taken.share(),
            // Shown with one digit.
            megabytes(taken.sum()),
        ));
        assert!(taken.share() >= MAINLY, "{}: {taken:?}", node.name());
        taken
    }

    #[track_caller]
    fn expect_mirror(&self, number: usize, reached: bool) {
        let node = self.node(number);
        let mirror = self.house.mirror.address();
        let name = node.name();
        if reached {
            // Each try has an end of its own, which a busy machine may come to.
            until(&format!("{name} reaches the mirror"), || {
                node.reaches(mirror)
            });
        } else {
            assert!(!node.reaches(mirror), "{name} reaches the mirror");
        }
    }

    fn all_find_each_other(&self) {
        let everybody: Vec<_> = self.house.nodes.iter().map(|it| it.address()).collect();
        for (number, node) in self.house.nodes.iter().enumerate() {
            // A node of the machine that tests may be there too.
            until(&format!("{} finds all others", node.name()), || {
                let seen = neighbours(&node.status());
                let mut others = (0..everybody.len()).filter(|other| *other != number);
                others.all(|other| seen.contains(&everybody[other]))
            });
        }
    }

    fn they_find_each_other(&self) {
        let mirror = self.house.mirror.address();
        for node in &self.house.nodes {
            node.wait();
        }
        self.all_find_each_other();
        for node in &self.house.nodes {
            node.point_apt(mirror);
            node.update();
        }
        self.tell("five nodes found each other and know the archive");
    }

    fn the_first_one_asks_the_mirror(&self) {
        let taken = self.node(0).install(&self.goods, DESKTOP);
        assert_eq!(taken.peers, 0, "nobody has it yet");
        self.tell("one installs desktop from the mirror");
    }

    fn the_others_take_it_from_their_peers(&self) {
        for number in 1..4 {
            let taken = self.share(number, DESKTOP);
            // The mirror's own word for it.
            let sent = mirror::sent(self.logs.path(), self.node(number).address());
            let at_most = taken.sum() * (100 - MAINLY) / 100;
            assert!(sent <= at_most, "the mirror sent {sent} of {taken:?}");
        }
    }

    fn without_the_mirror_a_fifth_gets_what_the_others_have(&self) {
        let [net, island] = &self.house.switches;
        let cable = self.house.mirror.cable();
        cable.plug(island);
        self.expect_mirror(4, false);
        let taken = self.share(4, DESKTOP);
        assert_eq!(taken.mirrors, 0, "the mirror can't be reached");
        cable.plug(net);
        self.expect_mirror(4, true);
    }

    fn a_node_is_killed_while_it_uploads(&self) {
        let goods = &self.goods;
        self.node(0).install(goods, HEAVY);
        let [one, two] = [0, 1].map(|number| self.node(number));
        two.cable().limit(SLOW);
        let taken = std::thread::scope(|scope| {
            let install = scope.spawn(|| two.install(goods, HEAVY));
            until("one uploads", || {
                assert!(!install.is_finished(), "it came too fast");
                is_uploading(one, &two.status())
            });
            one.kill();
            let downloads = two.status()["downloads"].take();
            let downloads = downloads.as_array().unwrap().iter();
            let mut left = downloads.map(|it| (it["done"].as_u64(), it["size"].as_u64()));
            assert!(left.any(|(done, size)| done < size), "all came before");
            install.join().unwrap()
        });
        assert!(taken.peers > 0 && taken.mirrors > 0, "{taken:?}");
        two.cable().lift_limit();
        self.tell("one is killed while two takes heavy from it; two installs it all the same");
        one.start();
        one.wait();
        self.all_find_each_other();
        self.share(2, HEAVY);
    }

    fn the_network_is_parted_and_heals(&self) {
        let [net, island] = &self.house.switches;
        self.node(4).install(&self.goods, EAST);
        let parted = [3, 4].map(|number| self.node(number).cable());
        for cable in &parted {
            cable.plug(island);
        }
        self.tell("four and five are parted from the others and the mirror");
        self.expect_mirror(4, false);
        self.expect_mirror(0, true);
        let taken = self.share(3, EAST);
        assert_eq!(taken.mirrors, 0, "the mirror is on the other side");
        let began = Instant::now();
        let taken = self.node(0).install(&self.goods, WEST);
        let took = began.elapsed();
        assert_eq!(taken.peers, 0, "nobody has it yet");
        self.tell(&format!("one installs west from the mirror in {took:.1?}"));
        assert!(took < UNHINDERED, "{took:?}: it waits for who is not there");
        // What nodes know of each other lasts for minutes. One that begins while the net is parted
        // knows its own side alone, and has to find the other one anew.
        let three = self.node(2);
        three.kill();
        three.start();
        three.wait();
        let [here, there] = [[0, 1], [3, 4]].map(|side| side.map(|it| self.node(it).address()));
        until("three finds its own side", || {
            let seen = neighbours(&three.status());
            here.iter().all(|it| seen.contains(it))
        });
        let seen = neighbours(&three.status());
        assert!(!there.iter().any(|it| seen.contains(it)), "{seen:?}");
        self.tell("three begins anew and finds one and two alone");
        for cable in &parted {
            cable.plug(net);
        }
        self.all_find_each_other();
        self.share(4, WEST);
        self.share(1, EAST);
    }

    fn a_liar_is_named(&self) {
        let [three, four] = [2, 3].map(|number| self.node(number));
        four.install(&self.goods, BAIT);
        four.corrupt(&self.goods, BAIT);
        three.install(&self.goods, BAIT);
        let row = |status: &Value| {
            let peers = status["peers"].as_array().unwrap();
            let row = peers.iter().find(|row| four.is_at(&row["address"]));
            row.cloned().unwrap_or_default()
        };
        until("the liar is named", || {
            row(&three.status())["hash_errors_24h"].as_u64() > Some(0)
        });
        let status = three.status();
        let blamed = status["peers"].as_array().unwrap().iter();
        let blamed = blamed.filter(|row| row["hash_errors_24h"].as_u64() > Some(0));
        assert_eq!(blamed.count(), 1, "{status}");
        let errors = row(&status)["hash_errors_24h"].take();
        self.tell(&format!("four serves bait corrupted: three names it ({errors} hash errors) and installs the right one"));
    }
}

/// Whether a node took a piece of something from another, and takes one more.
fn is_uploading(from: &dyn Machine, status: &Value) -> bool {
    let downloads = status["downloads"].as_array().unwrap();
    let pieces = downloads
        .iter()
        .flat_map(|it| it["pieces"].as_array().unwrap());
    let of_it: Vec<_> = pieces
        .filter(|piece| from.is_at(&piece["peer"]))
        .map(|piece| piece["state"].as_str().unwrap())
        .collect();
    of_it.contains(&"running") && (of_it.contains(&"verified") || of_it.contains(&"unproved"))
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
