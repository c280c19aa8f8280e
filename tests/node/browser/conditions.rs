//! An empty node, a busy one and a broken one: what their pages say first, and how they look.
//!
//! `APTMESH_PICTURES=FOLDER cargo test --test node browser::conditions` also writes a picture of each
//! in three widths and both themes into a folder that exists.

use super::figures::expect_figures;
use super::{change, expect_none, expect_sections, look};
use crate::kit::{
    Browser, Client, Config, Key, Manner, Node, PIECE, Request, Seeding, Stage, Suite, Theme,
    Wrong, until,
};
use crate::swarm::Scene;
use serde_json::json;
use std::path::PathBuf;

const WIDTHS: [u32; 3] = [400, 900, 1600];

/// A month of three sources, each with its days.
const MONTH: &str = "
    WITH RECURSIVE ago (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM ago WHERE n < 720)
    INSERT INTO traffic (hour, kind, amount)
    SELECT unixepoch() / 3600 - n, kind, (n * share) % 97 * 300000
    FROM ago, (SELECT 'clients_from_cache' AS kind, 31 AS share UNION SELECT 'clients_from_peers', 17
               UNION SELECT 'clients_from_mirrors', 5) WHERE n % 24 < 16;";

/// Fails unless the page reads well in every width and theme.
#[track_caller]
fn expect_sound(browser: &Browser, node: &Node, condition: &str) {
    browser.open(&node.url());
    browser.run("document.querySelectorAll('details').forEach(it => { it.open = true; });");
    expect_sections(browser);
    for theme in Theme::BOTH {
        browser.prefer(theme);
        for width in WIDTHS {
            browser.resize(width, 900);
            let when = format!("{condition}, {}, {width}", theme.name());
            for look in ["faint()", "lost()", "wide()", "nameless()", "disorder()"] {
                expect_none(browser, look, &when);
            }
            if let Some(folder) = std::env::var_os("APTMESH_PICTURES").map(PathBuf::from) {
                std::fs::create_dir_all(&folder).unwrap();
                browser.picture(
                    width,
                    &folder.join(format!("{condition}-{}-{width}.png", theme.name())),
                );
            }
        }
    }
    // The themes are two.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let dark = browser.text(ground);
    browser.prefer(Theme::Light);
    assert_ne!(browser.text(ground), dark);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// What the page says of the node's health.
#[track_caller]
fn headline(browser: &Browser) -> String {
    browser.text("document.querySelector('#health').innerText")
}

#[test]
fn an_empty_node_says_that_it_is_well_and_what_to_do() {
    let node = Node::start();
    let browser = Browser::start();
    expect_figures(&browser, &node);
    expect_sound(&browser, &node, "empty");
    let headline = headline(&browser);
    assert!(headline.contains("Healthy"), "{headline}");
    assert!(headline.contains("Nobody has asked"), "{headline}");
    assert!(
        browser.holds("document.querySelector('#apt-line').textContent.includes(location.host)")
    );
}

#[test]
fn a_busy_node_reads_well() {
    let mut scene = Scene::new(&[32 * PIECE, 12 * PIECE, 60_000, 60_000]);
    scene.slow_mirror(1);
    scene.add(&[
        Seeding::Corrupting(Wrong::Piece(3)),
        Seeding::Honest,
        Seeding::Honest,
        Seeding::Honest,
    ]);
    scene.seed(1);
    for number in [1, 2, 3, 3] {
        scene.fetch(number);
    }
    scene.stage.node.calm();
    // A node reads its sums when it starts.
    scene.stage.node.stop();
    change(scene.node(), MONTH);
    scene.stage.node.launch();
    until("the DHT is known again", || {
        scene.node().number("/dht/nodes") > 0
    });
    // As long as this test looks.
    scene.mirror(0, Manner::good().pace(50_000));
    scene.limit(100_000);
    scene.seed(0);
    let (port, request) = (scene.node().port(), Request::get(&scene.url(0)));
    std::thread::spawn(move || Client::connect(port)?.ask(&request));
    until("pieces come", || {
        let status = scene.node().status();
        let pieces = status["downloads"][0]["pieces"].as_array();
        pieces.is_some_and(|pieces| pieces.iter().any(|it| it["state"] == "verified"))
    });
    let browser = Browser::start();
    expect_sound(&browser, scene.node(), "busy");
    assert!(browser.holds("document.querySelector('svg.pieces')"));
    // Three layers of most of 48 hours and of 30 days.
    let bars = look(&browser, "all('#served svg rect, #served svg path').length");
    assert!(bars.as_u64() > Some(120), "{bars} bars");
    let headline = headline(&browser);
    assert!(headline.contains("Healthy"), "{headline}");
}

#[test]
fn a_broken_node_says_what_is_wrong_first() {
    let config = Config {
        verify: Some("require"),
        timeout: "1s".to_owned(),
        ..Config::default()
    };
    let mut stage = Stage::with(Suite::new(), config);
    stage.client().update().expect();
    stage.until_current();
    stage.suite.sign_by(&[Key::other()]);
    stage.advance();
    let _ = stage.get("InRelease");
    stage.until_refused("signature", "InRelease");
    stage.origin.close();
    until("the mirror is known to fail", || {
        let _ = stage.get("InRelease");
        stage.node.status()["failing_mirrors"] != json!([])
    });
    let browser = Browser::start();
    expect_sound(&browser, &stage.node, "broken");
    let headline = headline(&browser);
    let status = stage.node.status();
    let findings = status["health"]["findings"].as_array().unwrap();
    for finding in findings {
        for text in ["sentence", "reason", "advice"] {
            let text = finding[text].as_str().unwrap();
            assert!(headline.contains(text), "{text:?} is not in {headline:?}");
        }
    }
    assert!(!headline.contains("Healthy"), "{headline}");
    assert!(headline.contains(&stage.origin.host()), "{headline}");
    assert!(headline.contains("ignature"), "{headline}");
    // Nothing above it but the title.
    assert_eq!(look(&browser, "all('section')[0].id"), "health");
}
