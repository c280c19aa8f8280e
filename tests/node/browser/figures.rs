//! What the page says is what the JSON says, and that is what the database says.

use super::{expect_sections, look, open, row};
use crate::kit::{Browser, Dht, Node, PATIENCE, Peer, Stage, Suite, noise, until, within};
use serde_json::Value;

/// Figures that nobody should have to look for, beside those of [`ROWS`].
const MAIN: [&str; 14] = [
    "/cache/max_bytes",
    "/served/hour/from_cache",
    "/served/hour/from_peers",
    "/served/hour/from_mirrors",
    "/served/day/from_cache",
    "/served/day/from_peers",
    "/served/day/from_mirrors",
    "/served/week/from_cache",
    "/served/week/from_peers",
    "/served/week/from_mirrors",
    "/dht/nodes",
    "/dht/values",
    "/dht/announcements",
    "/dht/estimated_nodes",
];

/// A pointer of the status, and the statement that gives the same from rows.
const ROWS: [(&str, &str); 14] = [
    ("/cache/files", "SELECT count(*) FROM file"),
    ("/cache/bytes", "SELECT coalesce(sum(size), 0) FROM file"),
    (
        "/traffic/from_mirrors",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'from_mirrors'",
    ),
    (
        "/traffic/from_peers",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'from_peers'",
    ),
    (
        "/traffic/to_peers",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'to_peers'",
    ),
    (
        "/traffic/to_clients",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind LIKE 'clients\\_from\\_%' ESCAPE '\\'",
    ),
    (
        "/served/all/from_cache",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'clients_from_cache'",
    ),
    (
        "/served/all/from_peers",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'clients_from_peers'",
    ),
    (
        "/served/all/from_mirrors",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'clients_from_mirrors'",
    ),
    (
        "/cache/hits",
        "SELECT coalesce(sum(amount), 0) FROM traffic WHERE kind = 'hits'",
    ),
    (
        "/clients/0/bytes",
        "SELECT coalesce(sum(bytes), 0) FROM visitor WHERE face = 'apt'",
    ),
    (
        "/clients/0/hits",
        "SELECT coalesce(sum(hits), 0) FROM visitor WHERE face = 'apt'",
    ),
    (
        "/index/packages",
        "SELECT coalesce(sum(packages), 0) FROM list JOIN suite ON suite.id = list.suite_id",
    ),
    (
        "/index/suites/0/packages",
        "SELECT coalesce(sum(packages), 0) FROM list",
    ),
];

/// A figure of the page.
struct Figure {
    pointer: String,
    raw: Option<String>,
    text: String,
}

#[track_caller]
fn figures(browser: &Browser) -> Vec<Figure> {
    let list: Vec<(String, Option<String>, String)> =
        serde_json::from_value(look(browser, "figures()")).unwrap();
    list.into_iter()
        .map(|(pointer, raw, text)| Figure { pointer, raw, text })
        .collect()
}

/// A value as the page writes it into an attribute.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Figure {
    /// Whether this is the value before or after, or, of numbers that change by themselves, between
    /// them.
    fn fits(&self, before: &Value, after: &Value) -> bool {
        let Some(raw) = &self.raw else {
            return false;
        };
        let [one, other] = [before, after].map(|status| status.pointer(&self.pointer));
        let (Some(one), Some(other)) = (one, other) else {
            return false;
        };
        let number = raw.parse::<f64>().ok();
        let between = match (one.as_f64(), other.as_f64(), number) {
            (Some(one), Some(other), Some(it)) => one.min(other) <= it && it <= one.max(other),
            _ => false,
        };
        between || *raw == written(one) || *raw == written(other)
    }
}

/// Fails unless each figure of the page is the one of the JSON; gives their pointers.
#[track_caller]
pub fn expect_figures(browser: &Browser, node: &Node) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut pointers = Vec::new();
    // A figure that is counted in batches changes once when it is due.
    let fits = within(PATIENCE, || {
        let before = node.status();
        browser.open(&node.url());
        let shown = figures(browser);
        let after = node.status();
        pointers = shown.iter().map(|it| it.pointer.clone()).collect();
        wrong = shown
            .iter()
            .filter(|figure| figure.text.is_empty() || !figure.fits(&before, &after))
            .map(|it| {
                let json = after.pointer(&it.pointer);
                format!("{}: {:?} ({:?}) is {json:?}", it.pointer, it.raw, it.text)
            })
            .collect();
        wrong.is_empty()
    });
    assert!(fits, "{wrong:#?}");
    pointers
}

/// A node that is in a DHT and has served a suite and two packages, one of them twice.
#[track_caller]
fn served() -> (Vec<Peer>, Stage) {
    let peers = Peer::network(3);
    let mut suite = Suite::new();
    for number in 0..2 {
        suite.package(&format!("file{number}"), "1.0", &noise(number + 90, 70_000));
    }
    let dht = Dht::through(&peers.iter().collect::<Vec<_>>());
    let stage = Stage::with(suite, dht.into());
    stage.client().update().expect();
    stage.until_current();
    for package in ["file0", "file1"] {
        let url = stage.url(&stage.suite.pool_path(package));
        stage.node.get(&url).expect(stage.suite.deb(package));
    }
    let url = stage.url(&stage.suite.pool_path("file0"));
    stage.node.settle(&url);
    stage.node.calm();
    (peers, stage)
}

#[test]
fn every_figure_is_that_of_the_json_and_of_the_rows() {
    let (_peers, stage) = served();
    let browser = Browser::start();
    for (pointer, statement) in ROWS {
        // Rows are written in batches.
        let mut found = (0, 0);
        let same = within(PATIENCE, || {
            found = (stage.node.number(pointer), row(&stage.node, statement));
            i64::try_from(found.0) == Ok(found.1)
        });
        assert!(same, "{pointer} is {} and {} by rows", found.0, found.1);
    }
    assert!(row(&stage.node, ROWS[2].1) > 0 && row(&stage.node, ROWS[6].1) > 0);
    let shown = expect_figures(&browser, &stage.node);
    for pointer in MAIN.iter().copied().chain(ROWS.map(|(pointer, _)| pointer)) {
        assert!(
            shown.iter().any(|it| it == pointer),
            "no {pointer}: {shown:?}"
        );
    }
    let status = stage.node.status();
    let suite = status["index"]["suites"][0]["folder"].as_str().unwrap();
    let client = status["clients"][0]["address"].as_str().unwrap();
    for row in [
        format!("#suites tr[data-suite=\"{suite}\"]"),
        format!("#clients tr[data-client=\"{client}\"]"),
    ] {
        assert!(
            browser.holds(&format!("document.querySelector('{row}')")),
            "{row}"
        );
    }
}

#[test]
fn without_scripts_the_page_is_complete() {
    let (_peers, stage) = served();
    let browser = Browser::start();
    open(&browser, &stage.node);
    let words = |browser: &Browser| {
        browser.texts("[...document.querySelectorAll('main h2, main th, main summary')].map(it => it.textContent)")
    };
    expect_sections(&browser);
    let with = (words(&browser), pointers(&browser));
    browser.without_scripts();
    open(&browser, &stage.node);
    assert!(browser.holds("document.querySelector('noscript meta[http-equiv=refresh]')"));
    expect_sections(&browser);
    let without = (words(&browser), pointers(&browser));
    assert_eq!(with, without);
    expect_figures(&browser, &stage.node);
    // What only a script could do is not offered.
    let copy = "document.querySelector('#copy')";
    assert!(!browser.holds(&format!("{copy} && {copy}.checkVisibility()")));
}

#[track_caller]
fn pointers(browser: &Browser) -> Vec<String> {
    figures(browser).into_iter().map(|it| it.pointer).collect()
}

#[test]
fn nothing_is_loaded_from_elsewhere_and_nothing_complains() {
    let (_peers, stage) = served();
    let browser = Browser::start();
    browser.open(&stage.node.url());
    // Two refreshes.
    let fetched =
        "performance.getEntriesByType('resource').filter(it => it.initiatorType === 'fetch')";
    browser.until(&format!("{fetched}.length >= 2"));
    let hosts: Vec<String> = serde_json::from_value(look(&browser, "hosts()")).unwrap();
    let own = format!("127.0.0.1:{}", stage.node.port());
    assert!(
        hosts.len() >= 4 && hosts.iter().all(|host| *host == own),
        "{hosts:?}"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let page = stage.node.get("/");
    let policy = page.header("Content-Security-Policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    // What gets in all the same does nothing.
    let ran = browser.run(
        "const script = document.createElement('script');
         script.textContent = 'window.foreign = true';
         document.body.append(script);
         const handler = document.createElement('div');
         handler.setAttribute('onclick', 'window.foreign = true');
         document.body.append(handler);
         handler.click();
         return !!window.foreign;",
    );
    assert_eq!(ran, false);
    until("the browser says so", || {
        browser
            .complaints()
            .iter()
            .any(|it| it.contains("Content Security Policy"))
    });
}
