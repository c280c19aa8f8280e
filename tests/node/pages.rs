//! The status page as a browser gets it. What it draws is tested beside its
//! views; here are the fields and files around it.

use crate::kit::{Node, Request};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The path in the first attribute of the page that begins with `start`.
fn address(page: &str, start: &str) -> String {
    let at = page.find(&format!("\"{start}")).expect("no such address");
    let rest = &page[at + 1..];
    rest[..rest.find('"').unwrap()].to_owned()
}

#[test]
fn the_page_is_fresh_and_may_load_only_from_its_node() {
    let node = Node::start();
    for path in ["/", "/acng-report.html"] {
        let page = node.get(path).expect_status(200);
        assert_eq!(page.header("Content-Security-Policy"), Some(POLICY));
        assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(page.header("Referrer-Policy"), Some("no-referrer"));
        assert_eq!(page.header("Cache-Control"), Some("no-store"));
        assert!(page.text().contains("<title>Apt-cacher"), "{}", page.text());
    }
    let head = node.ask(&Request::new("HEAD", "/")).expect_status(200);
    assert!(head.body.is_empty() && head.header("Content-Security-Policy").is_some());
}

#[test]
fn what_the_page_needs_is_there_and_kept_by_browsers() {
    let node = Node::start();
    let page = node.get("/").text();
    for (start, kind) in [
        ("/status.css", "text/css"),
        ("/status.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let path = address(&page, start);
        let file = node.get(&path).expect_status(200);
        assert!(file.header("Content-Type").unwrap().starts_with(kind));
        assert!(file.header("Cache-Control").unwrap().contains("max-age"));
        assert!(file.body.len() > 100, "{path}");
        let tag = file.header("ETag").unwrap();
        let again = Request::get(start).header("If-None-Match", tag);
        assert!(node.ask(&again).expect_status(304).body.is_empty());
        let other = Request::get(start).header("If-None-Match", "\"other\"");
        node.ask(&other).expect_status(200);
        assert!(path.contains(tag.trim_matches('"')), "{path} {tag}");
    }
}

#[test]
fn the_line_for_apt_names_the_node_as_its_reader_does() {
    let node = Node::start();
    let asked = Request::get("/").header("Host", "cache.lan:3142");
    let page = node.ask(&asked).expect_status(200).text();
    assert!(page.contains("Acquire::http::Proxy \"http://cache.lan:3142\";"));
    assert!(page.contains("<title>Apt-cacher: aptmesh at cache.lan</title>"));
}

/// Many viewers cost no more than one, and each sees what was there when it asked.
#[test]
fn many_viewers_at_once_are_served_what_is_there() {
    let node = Node::start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut last = 0;
                for _ in 0..10 {
                    let asked = std::time::SystemTime::now();
                    let asked = asked.duration_since(std::time::UNIX_EPOCH).unwrap();
                    let at = node.status()["at"].as_u64().unwrap();
                    assert!(u128::from(at) >= asked.as_millis(), "it was made before");
                    assert!(at >= last, "{at} after {last}");
                    last = at;
                }
            });
        }
    });
}
