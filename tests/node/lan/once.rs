//! Two nodes that want the same cold file at the same time.

use super::{LARGE, SMALL, fetch, suite};
use crate::kit::{Link, Manner, Node, neighbours, on_link};
use rustix::process::{Signal, kill_process};
use std::time::{Duration, Instant};

/// A mirror that takes its time.
fn slow() -> Manner {
    let delay = Duration::from_millis(250);
    Manner::good().delay(delay).pace(4_000_000)
}

/// Both want a file at the same time, and get it. How long each took.
#[track_caller]
fn both(link: &Link, nodes: &[Node], file: &str) -> Vec<Duration> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || fetch(link, node, file).took))
            .collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

/// Each has fetched a file of its own, `file0` and so on, and knows the mirror's pace.
fn acquaint(link: &Link, nodes: &[Node]) {
    for (number, node) in (0..).zip(nodes) {
        fetch(link, node, &format!("file{number}"));
    }
}

#[test]
fn they_ask_the_mirror_once() {
    let sizes = [LARGE, LARGE, SMALL, SMALL, 300_000, 600_000, LARGE, LARGE];
    on_link(2, suite(&sizes), |link| {
        let nodes = link.nodes();
        link.origin.behave_all(slow());
        acquaint(link, &nodes);
        let mut twice = 0;
        for number in 2..sizes.len() {
            let file = format!("file{number}");
            let took = both(link, &nodes, &file);
            let longest = Duration::from_millis(2 * (250 + 525) + 600);
            assert!(took.iter().all(|took| *took < longest), "{file}: {took:?}");
            if link.origin.hits(&link.path(&file)) > 1 {
                println!("{file} was asked for twice");
                twice += 1;
                // Who answers late, for others have the machine, is spared for a while.
                std::thread::sleep(Duration::from_millis(2500));
            }
        }
        assert!(twice <= 1, "{twice} of 6 were asked for twice");
    });
}

#[test]
fn who_comes_a_moment_later_waits_as_well() {
    on_link(2, suite(&[LARGE, LARGE, LARGE, LARGE]), |link| {
        let nodes = link.nodes();
        link.origin.behave_all(slow());
        acquaint(link, &nodes);
        let hits = ["file2", "file3"].map(|file| {
            std::thread::scope(|scope| {
                let first = scope.spawn(|| fetch(link, &nodes[0], file));
                link.origin.wait_for(&link.path(file), 1);
                std::thread::sleep(Duration::from_millis(350));
                fetch(link, &nodes[1], file);
                first.join().unwrap();
            });
            let hits = link.origin.hits(&link.path(file));
            if hits > 1 {
                std::thread::sleep(Duration::from_millis(2500));
            }
            hits
        });
        // One of them for what a loaded machine does.
        assert!(hits.contains(&1), "{hits:?}");
    });
}

#[test]
fn what_takes_long_is_fetched_by_each() {
    on_link(2, suite(&[LARGE]), |link| {
        let nodes = link.nodes();
        // Five seconds.
        link.origin.behave_all(Manner::good().pace(400_000));
        let took = both(link, &nodes, "file0");
        assert_eq!(link.origin.hits(&link.path("file0")), 2);
        let longest = Duration::from_millis(5250).mul_f64(1.1) + Duration::from_secs(1);
        assert!(took.iter().all(|took| *took < longest), "{took:?}");
    });
}

#[test]
fn who_is_killed_while_another_waits_for_it_does_no_harm() {
    on_link(2, suite(&[LARGE, LARGE, LARGE, SMALL]), |link| {
        let nodes = link.nodes();
        let [doomed, other] = &nodes[..] else {
            unreachable!("two nodes")
        };
        // A second and a half.
        link.origin.behave_all(Manner::good().pace(1_400_000));
        acquaint(link, &nodes);
        std::thread::scope(|scope| {
            scope.spawn(|| doomed.try_get(&link.url("file2")));
            link.origin.wait_for(&link.path("file2"), 1);
            let began = Instant::now();
            let second = scope.spawn(|| fetch(link, other, "file2"));
            std::thread::sleep(Duration::from_millis(400));
            assert_eq!(link.origin.hits(&link.path("file2")), 1, "nobody waits");
            kill_process(doomed.pid(), Signal::KILL).unwrap();
            second.join().unwrap();
            let took = began.elapsed();
            assert!(took < Duration::from_millis(400 + 1500 + 1000), "{took:?}");
        });
        assert_eq!(link.origin.hits(&link.path("file2")), 2);
        // It said no goodbye.
        assert_eq!(neighbours(other).len(), 1);
        let took = fetch(link, other, "file3").took;
        assert!(took < Duration::from_millis(500), "{took:?}");
    });
}
