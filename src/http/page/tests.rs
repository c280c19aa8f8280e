#![allow(clippy::unwrap_used)]

mod nodes;

use askama::Template;
use serde_json::Value;

use super::Page;
use crate::http::status::Status;
use crate::http::status::shape::{Download, Finding, HealthState};

const HOST: Option<&str> = Some("cache.lan:3142");

fn html(status: &Status) -> String {
    Page::new(status, HOST).render().unwrap()
}

fn all() -> [Status; 3] {
    [nodes::empty(), nodes::busy(), nodes::broken()]
}

/// What stands between `before` and the next quotation mark, each time.
fn attributes<'a>(html: &'a str, before: &str) -> Vec<&'a str> {
    let found = html.split(before).skip(1);
    found.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_figure_is_that_of_the_json() {
    for status in all() {
        let html = html(&status);
        let json = serde_json::to_value(&status).unwrap();
        let figures = attributes(&html, "data-json=\"");
        for pointer in &figures {
            assert!(json.pointer(pointer).is_some(), "{pointer} names nothing");
        }
        let told = html.split("data-json=\"").skip(1).map(|rest| {
            let pointer = rest.split('"').next().unwrap();
            let value = attributes(rest, "data-value=\"")[0];
            (pointer, value)
        });
        for (pointer, value) in told {
            let wanted = json.pointer(pointer).map(Value::to_string);
            assert_eq!(wanted.as_deref(), Some(value), "{pointer}");
        }
        assert!(figures.len() > 20, "{figures:?}");
    }
}

#[test]
fn every_section_is_there_in_its_place() {
    for status in all() {
        let html = html(&status);
        assert_eq!(
            attributes(&html, "<section id=\""),
            [
                "health",
                "setup",
                "served",
                "downloads",
                "peers",
                "dht",
                "suites",
                "cache",
                "refusals",
                "clients",
                "uploads"
            ]
        );
        assert!(html.contains("<title>Apt-cacher: aptmesh at cache.lan</title>"));
    }
}

#[test]
fn a_notice_stands_below_a_healthy_headline() {
    let mut status = nodes::busy();
    status.health.findings = vec![Finding {
        state: HealthState::Notice,
        sentence: "A door is shut.".into(),
        reason: String::new(),
        advice: "Open it.".into(),
    }];
    let html = html(&status);
    let health = &html[html.find("<section id=\"health\"").unwrap()..];
    let health = &health[..health.find("</section>").unwrap()];
    assert!(
        health.contains("<section id=\"health\" class=\"healthy\""),
        "{health}"
    );
    let headline = &health[..health.find("</h2>").unwrap()];
    assert!(
        headline.contains("Healthy:</span> Every mirror"),
        "{headline}"
    );
    let notice = "<li class=\"notice\"><span class=\"word\">Notice:</span> A door is shut.";
    assert!(
        health.contains(notice) && health.contains("Open it."),
        "{health}"
    );
}

#[test]
fn nothing_stands_inline_that_the_policy_forbids() {
    for status in all() {
        let html = html(&status);
        assert!(!html.contains(" style="));
        assert!(!html.contains("<style"));
        assert!(!html.contains("javascript:"));
        assert_eq!(html.matches("<script").count(), 1);
        assert!(!html.contains(" onclick") && !html.contains(" onload"));
        for address in attributes(&html, "src=\"")
            .into_iter()
            .chain(attributes(&html, "href=\""))
        {
            assert!(address.starts_with(['/', '#']), "{address} is elsewhere");
        }
    }
}

#[test]
fn hostile_words_stay_words() {
    let mut status = nodes::broken();
    let hostile = "\"><img src=x onerror=alert(1)>";
    status.peers[0].address = hostile.into();
    status.downloads[0].path = format!("http://x/{hostile}");
    status.downloads[0].pieces[0].peer = Some(hostile.into());
    status.clients[0].address = hostile.into();
    status.index.suites[0].signer = Some(hostile.into());
    status.health.findings[0].sentence = hostile.into();
    let html = html(&status);
    assert!(!html.contains("<img src=x"));
    assert!(!html.contains("<script>alert"));
    assert!(html.contains("&#60;script&#62;alert"));
}

#[test]
fn a_host_that_would_leave_the_line_is_not_repeated() {
    let status = nodes::empty();
    let line = |host| {
        let html = Page::new(&status, host).render().unwrap();
        let line = html.split("id=\"apt-line\">").nth(1).unwrap();
        line.split('<').next().unwrap().to_owned()
    };
    let wanted = |host: &str| format!("Acquire::http::Proxy \"http://{host}\";");
    for good in ["cache.lan:3142", "10.0.0.7:3142", "[fd00::1]:3142", "cache"] {
        assert_eq!(line(Some(good)), wanted(good));
    }
    for bad in ["a\"b", "", "a b", "x@y", "a/b", "[::1", "a:b:c"] {
        assert_eq!(line(Some(bad)), wanted("localhost:3142"), "{bad}");
    }
    assert_eq!(line(None), wanted("localhost:3142"));
}

#[test]
fn the_box_for_newcomers_closes_once_the_node_is_used() {
    assert!(html(&nodes::empty()).contains("<details open>\n<summary><h2 id=\"setup-title\""));
    assert!(html(&nodes::busy()).contains("<details>\n<summary><h2 id=\"setup-title\""));
}

#[test]
fn the_gravest_finding_is_the_headline() {
    let html = html(&nodes::broken());
    let headline = html.split("id=\"health-title\"").nth(1).unwrap();
    let headline = headline.split("</h2>").next().unwrap();
    assert!(
        headline.contains("Failing:") && headline.contains("clock"),
        "{headline}"
    );
    assert!(html.contains("has not answered since"));
    assert!(html.contains("systemd-timesyncd"));
}

#[test]
fn pieces_say_who_sends_them_and_what_was_wrong() {
    let status = nodes::busy();
    let html = html(&status);
    assert_eq!(html.matches("<rect data-piece=").count(), 127);
    assert_eq!(html.matches("data-state=\"missing\"").count(), 29);
    assert_eq!(html.matches("data-wrong=\"").count(), 3);
    assert!(html.contains("data-state=\"verified\" data-peer=\"mirror\""));
    assert_eq!(html.matches("<tr data-peer=").count(), 9);
}

#[test]
fn long_lists_unfold() {
    let html = html(&nodes::broken());
    assert!(html.contains("<summary>6 more</summary>"));
    assert!(html.contains("trixie-30/"));
}

/// Many clients at once are no reason for a page that nobody can load.
#[test]
fn five_hundred_downloads_fit_into_a_page() {
    let mut status = nodes::busy();
    let large = status.downloads[0].clone();
    status.downloads = (0..500)
        .map(|n| Download {
            path: format!("{}?{n}", large.path),
            ..large.clone()
        })
        .collect();
    let page = html(&status);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("<article class=\"download\"").count(), 25);
    assert_eq!(page.matches("<li data-path=").count(), 475);
    assert_eq!(page.matches("<svg class=\"pieces\"").count(), 25);

    // Nothing is known of these yet.
    for download in &mut status.downloads[10..] {
        *download = Download {
            path: download.path.clone(),
            source: "mirror".into(),
            ..Download::default()
        };
    }
    let page = html(&status);
    assert_eq!(page.matches("<article class=\"download\"").count(), 10);
    assert!(page.contains("<summary>490 waiting for a first byte</summary>"));
    status.downloads = vec![status.downloads[0].clone(); 2000];
    assert!(html(&status).len() < 1_000_000);
}

#[test]
fn a_list_that_is_cut_says_so() {
    let mut status = nodes::busy();
    let tally = |status: &Status, id: &str| {
        let html = html(status);
        let heading = html.split(&format!("id=\"{id}-title\">")).nth(1).unwrap();
        let tally = heading.split("class=\"tally\">").nth(1).unwrap();
        tally.split('<').next().unwrap().to_owned()
    };
    assert_eq!(tally(&status, "clients"), "12");
    let (client, upload) = (status.clients[0].clone(), status.uploads[0].clone());
    status.clients = vec![client; 100];
    status.uploads = vec![upload; 100];
    status.index.refusals = vec![nodes::broken().index.refusals[0].clone(); 50];
    assert_eq!(tally(&status, "clients"), "latest 100");
    assert_eq!(tally(&status, "uploads"), "latest 100");
    assert_eq!(tally(&status, "refusals"), "latest 50");
}

#[test]
fn the_local_network_is_told_of_as_it_is() {
    let mut status = nodes::empty();
    let section = |status: &Status| {
        let html = html(status);
        let section = html.split("<section id=\"peers\"").nth(1).unwrap();
        section.split("</section>").next().unwrap().to_owned()
    };
    assert!(section(&status).contains("not looked for"));
    assert!(!html(&status).contains("found by themselves"));
    status.lan.discovering = true;
    assert!(section(&status).contains("none was found yet"));
    assert!(html(&status).contains("found by themselves"));
    let busy = section(&nodes::busy());
    assert!(busy.contains("192.168.1.11:9977") && busy.contains("On the local network: 2"));
    assert!(busy.contains("data-json=\"/lan/neighbours/1/last_seen\""));
}
