//! The page by keyboard, and its button.

use super::{expect_none, look, open};
use crate::kit::{Browser, FAR, Node, Stage, Suite};
use thirtyfour::Key;

/// More than a page has to reach.
const MANY: usize = 200;

/// Presses Tab from the beginning of the page to its end; gives the places of [`reachable`] that it
/// came by.
///
/// [`reachable`]: the function in `look.js`
#[track_caller]
fn tab_through(browser: &Browser) -> Vec<u64> {
    let mut places = Vec::new();
    for _ in 0..MANY {
        browser.press(&[], Key::Tab.into());
        let (place, faults): (Option<i64>, Vec<String>) =
            serde_json::from_value(look(browser, "focused()")).unwrap();
        let Some(place) = place else {
            return places;
        };
        assert_eq!(faults, Vec::<String>::new());
        let place = u64::try_from(place).expect("nothing else takes the keyboard");
        if places.first() == Some(&place) {
            return places;
        }
        places.push(place);
    }
    panic!("no end of what Tab reaches: {places:?}");
}

#[test]
fn the_keyboard_reaches_everything_in_order() {
    let stage = Stage::new(Suite::new());
    stage.client().update().expect();
    let browser = Browser::start();
    for width in [400, 1280] {
        browser.resize(width, 900);
        // A browser begins where it last was.
        browser.open("about:blank");
        open(&browser, &stage.node);
        browser.run("document.querySelectorAll('details').forEach(it => { it.open = true; });");
        let count = look(&browser, "reachable().length").as_u64().unwrap();
        let names = look(&browser, "reachable().map(name)");
        assert!(count >= 4, "{names}");
        let all: Vec<u64> = (0..count).collect();
        assert_eq!(tab_through(&browser), all, "{width}: {names}");
        expect_none(&browser, "disorder()", "");
        expect_none(&browser, "nameless()", "");
    }
}

#[test]
fn the_first_link_leads_to_the_content() {
    let node = Node::start();
    let browser = Browser::start();
    open(&browser, &node);
    browser.press(&[], Key::Tab.into());
    let target = browser.text("document.activeElement.getAttribute('href')");
    assert!(target.starts_with('#'), "{target:?}");
    assert!(browser.holds("document.activeElement.checkVisibility()"));
    browser.press(&[], Key::Enter.into());
    browser.until(&format!("location.hash === '{target}'"));
    assert!(browser.holds(&format!(
        "document.querySelector('{target}').closest('main')"
    )));
}

#[test]
fn the_button_copies_the_line() {
    let node = Node::start();
    // The first is an address that browsers trust; at the other there is no `navigator.clipboard`.
    for host in ["127.0.0.1", FAR] {
        let browser = Browser::start();
        browser.open(&format!("http://{host}:{}/", node.port()));
        assert_eq!(browser.holds("navigator.clipboard"), host != FAR);
        let line = browser.text("document.querySelector('#apt-line').textContent.trim()");
        let wanted = format!("Acquire::http::Proxy \"http://{host}:{}\";", node.port());
        assert_eq!(line, wanted);
        browser.click("#copy");
        // The button tells of it, and the keyboard stays where it was.
        browser.until("/copied/i.test(document.querySelector('#setup').textContent)");
        assert_eq!(browser.text("document.activeElement.id"), "copy");
        browser.run(
            "const field = document.createElement('textarea');
             field.id = 'field';
             document.body.append(field);
             field.focus();",
        );
        browser.press(&[Key::Control.into()], 'v');
        browser.until("document.querySelector('#field').value !== ''");
        assert_eq!(
            browser.text("document.querySelector('#field').value"),
            wanted
        );
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}
