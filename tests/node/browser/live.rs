//! The page while a file comes from several peers.

use super::look;
use crate::kit::{Browser, Client, Manner, PATIENCE, PIECE, Request, Seeding, Wrong, within};
use crate::swarm::Scene;
use std::collections::BTreeSet;

const HONEST: Seeding = Seeding::Honest;
const LIAR: Seeding = Seeding::Corrupting(Wrong::Every);

/// Of the file that is watched: some seconds for four peers that may give [`PACE`] each.
const SIZE: usize = 16 * PIECE;
const PACE: u64 = 200_000;

/// A cell of a piece map: number, state, peer, and whose bytes were wrong for it.
type Cell = (usize, String, String, Vec<String>);

/// What was seen of a download.
#[derive(Debug, Default)]
struct Seen {
    /// How many pieces were there, each time that this changed.
    verified: Vec<usize>,
    pieces: BTreeSet<usize>,
    states: BTreeSet<String>,
    /// Who some piece came from.
    from: BTreeSet<String>,
    /// Whose pieces were wrong.
    wrong: BTreeSet<String>,
    /// Figures of the download's progress.
    done: BTreeSet<String>,
}

impl Seen {
    fn look(&mut self, browser: &Browser) {
        let cells: Vec<Cell> = serde_json::from_value(look(browser, "cells()")).unwrap();
        if cells.is_empty() {
            return;
        }
        for (piece, state, peer, wrong) in &cells {
            self.states.insert(state.clone());
            self.pieces.insert(*piece);
            self.wrong.extend(wrong.iter().cloned());
            match state.as_str() {
                "verified" => self.from.extend([peer.clone()]),
                "wrong" => self.wrong.extend([peer.clone()]),
                _ => {}
            }
        }
        let verified = cells.iter().filter(|cell| cell.1 == "verified").count();
        if self.verified.last() != Some(&verified) {
            self.verified.push(verified);
        }
        let done = browser.texts(
            "[...document.querySelectorAll('.download [data-json$=\"/done\"]')].map(it => it.dataset.value)",
        );
        self.done.extend(done);
    }
}

#[test]
fn a_person_sees_the_swarm_work() {
    let mut scene = Scene::new(&[SIZE]);
    scene.mirror(0, Manner::good().pace(PACE));
    scene.add(&[LIAR, HONEST, HONEST, HONEST]);
    scene.limit(PACE);
    scene.seed(0);
    let addresses: Vec<String> = scene
        .seeders
        .iter()
        .map(|it| it.addr().to_string())
        .collect();
    let browser = Browser::start();
    browser.open(&scene.node().url());
    // It is this document to the end: nothing is loaded anew.
    browser.run("window.kept = true;");

    let (port, request) = (scene.node().port(), Request::get(&scene.url(0)));
    let client = std::thread::spawn(move || Client::connect(port)?.ask(&request));
    let mut seen = Seen::default();
    let ended = within(3 * PATIENCE, || {
        seen.look(&browser);
        client.is_finished()
    });
    assert!(ended, "the download does not end: {seen:?}");
    client.join().unwrap().unwrap().expect(scene.file(0));

    assert_eq!(seen.pieces, (0..16).collect(), "{seen:?}");
    assert!(
        seen.verified.len() >= 3 && seen.verified.is_sorted(),
        "{seen:?}"
    );
    assert!(seen.done.len() >= 3, "{seen:?}");
    let honest: BTreeSet<String> = addresses[1..].iter().cloned().collect();
    assert!(
        seen.from.len() >= 2 && seen.from.is_subset(&honest),
        "{seen:?} from {honest:?}"
    );
    assert_eq!(seen.wrong, [addresses[0].clone()].into(), "{seen:?}");

    scene.expect_blame(&[0]);
    let row = |seeder: usize| format!("#peers tr[data-peer=\"{}\"]", addresses[seeder]);
    let blame = |seeder: usize| {
        format!(
            "Number(document.querySelector('{} [data-json$=\"/hash_errors_24h\"]').dataset.value)",
            row(seeder)
        )
    };
    browser.until(&format!("document.querySelector('{}')", row(0)));
    browser.until(&format!("{} > 0", blame(0)));
    for honest in 1..4 {
        browser.until(&format!("document.querySelector('{}')", row(honest)));
        assert_eq!(browser.value(&blame(honest)), 0);
    }
    // Nothing is under way any more, and the page knows.
    browser.until("!document.querySelector('.download')");
    assert!(browser.holds("window.kept"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_a_person_opened_and_where_the_keyboard_is_survive_a_refresh() {
    let scene = Scene::new(&[70_000; 2]);
    let browser = Browser::start();
    scene.fetch(0);
    scene.stage.node.settle(&scene.url(0));
    browser.open(&scene.node().url());
    let summaries = browser.value("document.querySelectorAll('details').length");
    let summaries = summaries.as_u64().unwrap();
    assert!(summaries > 1);
    for number in [0, summaries - 1] {
        // All are open, and the keyboard is on one of them.
        browser.run(&format!(
            "document.querySelectorAll('details').forEach(it => {{ it.open = true; }});
             document.querySelectorAll('summary')[{number}].focus();
             scrollTo(0, 300);"
        ));
        let files = "document.querySelector('[data-json=\"/cache/hits\"]').dataset.value";
        let before = browser.text(files);
        scene.fetch(0);
        browser.until(&format!("{files} !== '{before}'"));
        assert!(browser.holds("[...document.querySelectorAll('details')].every(it => it.open)"));
        let focused =
            format!("document.activeElement === document.querySelectorAll('summary')[{number}]");
        assert!(
            browser.holds(&focused),
            "{}",
            browser.text("document.activeElement.outerHTML")
        );
        assert_eq!(browser.value("scrollY"), 300);
    }
    // What was closed stays closed, too.
    browser.run("document.querySelectorAll('details').forEach(it => { it.open = false; });");
    let files = "document.querySelector('[data-json=\"/cache/files\"]').dataset.value";
    let before = browser.text(files);
    scene.fetch(1);
    browser.until(&format!("{files} !== '{before}'"));
    assert!(!browser.holds("document.querySelector('details[open]')"));
}
