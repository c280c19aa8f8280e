//! The status page of live nodes, in a browser.

mod conditions;
mod figures;
mod hands;
mod live;

use crate::kit::{Browser, Node, with_database};
use serde_json::Value;

/// What the scripts of these tests are made of.
const LOOK: &str = include_str!("look.js");

/// The parts of the page, in their order.
const SECTIONS: [&str; 9] = [
    "health",
    "setup",
    "served",
    "downloads",
    "peers",
    "dht",
    "suites",
    "cache",
    "clients",
];

/// The page of a node, as it is when it was just loaded.
#[track_caller]
fn open(browser: &Browser, node: &Node) {
    browser.open(&node.url());
    browser.value("performance.clearResourceTimings()");
}

/// The value of an expression that may use what `look.js` has.
#[track_caller]
fn look(browser: &Browser, expression: &str) -> Value {
    browser.run(&format!("{LOOK}\nreturn {expression};"))
}

/// Fails unless the page has all its parts, in their order; there may be more of them.
#[track_caller]
fn expect_sections(browser: &Browser) {
    let mut parts = browser.texts("[...document.querySelectorAll('section')].map(it => it.id)");
    parts.retain(|part| SECTIONS.contains(&part.as_str()));
    assert_eq!(parts, SECTIONS);
}

/// Fails unless such an expression gives nothing to complain of.
#[track_caller]
fn expect_none(browser: &Browser, expression: &str, when: &str) {
    let found = look(browser, expression);
    assert_eq!(found, Value::Array(Vec::new()), "{expression}, {when}");
}

/// The number that a statement gives.
#[track_caller]
fn row(node: &Node, statement: &'static str) -> i64 {
    with_database(node, |mut rows| async move {
        sqlx::query_scalar(statement).fetch_one(&mut rows).await
    })
}

/// Changes rows.
#[track_caller]
fn change(node: &Node, statements: &'static str) {
    with_database(node, |mut rows| async move {
        sqlx::raw_sql(statements).execute(&mut rows).await?;
        Ok(())
    });
}
