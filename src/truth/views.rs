//! Which client was last given which generation.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Millis, millis};
use crate::db::view::ViewRow;
use crate::visitors::Visitor;

/// How long the generation that an address was given speaks for its other
/// connections. An update that takes longer keeps its connection.
const MEMORY: Duration = Duration::from_mins(15);

/// Clients remembered at once; beyond that all are forgotten, and get what is
/// in use.
const MOST: usize = 10_000;

/// One connection: the one thing that surely belongs to one client.
#[derive(Debug)]
pub struct Client {
    visitor: Arc<Visitor>,
    given: Mutex<HashMap<i64, i64>>,
}

impl Client {
    /// A connection of this visitor's, as yet given nothing.
    #[must_use]
    pub fn new(visitor: Arc<Visitor>) -> Self {
        Self {
            visitor,
            given: Mutex::default(),
        }
    }

    /// Whose connection it is.
    #[must_use]
    pub const fn visitor(&self) -> &Arc<Visitor> {
        &self.visitor
    }
}

#[derive(Debug, Clone, Copy)]
struct View {
    release: i64,
    given_at: Millis,
    written: bool,
}

/// What every address was last given, for those whose connection broke.
#[derive(Debug, Default)]
pub struct Views(Mutex<HashMap<(IpAddr, i64), View>>);

impl Views {
    /// Takes the rows as they are at the start.
    pub fn load(&self, rows: Vec<ViewRow>) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let Ok(address) = row.client.parse() else {
                continue;
            };
            let view = View {
                release: row.release_id,
                given_at: row.given_at,
                written: true,
            };
            views.insert((address, row.suite_id), view);
        }
    }

    /// A client is given this generation of a suite.
    pub fn give(&self, client: &Client, suite: i64, release: i64, now: Millis) {
        let mut given = client.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(suite, release);
        drop(given);
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if views.len() >= MOST {
            views.clear();
        }
        let view = View {
            release,
            given_at: now,
            written: false,
        };
        views.insert((client.visitor.address(), suite), view);
    }

    /// The generation of a suite that a client has: by its connection, else by
    /// its address.
    #[must_use]
    pub fn of(&self, client: &Client, suite: i64, now: Millis) -> Option<i64> {
        let given = client.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(release) = given.get(&suite) {
            return Some(*release);
        }
        drop(given);
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let view = views.get(&(client.visitor.address(), suite))?;
        (now - view.given_at < millis(MEMORY)).then_some(view.release)
    }

    /// What rows do not know yet, and from when on views count.
    #[must_use]
    pub fn unwritten(&self, now: Millis) -> (Vec<ViewRow>, Millis) {
        let since = now - millis(MEMORY);
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|_, view| view.given_at >= since);
        let rows =
            views
                .iter_mut()
                .filter(|(_, view)| !view.written)
                .map(|((address, suite), view)| {
                    view.written = true;
                    ViewRow {
                        client: address.to_string(),
                        suite_id: *suite,
                        release_id: view.release,
                        given_at: view.given_at,
                    }
                });
        (rows.collect(), since)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::visitors::{Face, Visitors};

    fn client(address: &str) -> Client {
        let visitors = Visitors::new(Arc::default());
        Client::new(visitors.of(Face::Apt, address.parse().unwrap()))
    }

    #[test]
    fn the_connection_outweighs_the_address_and_time_forgets() {
        let views = Views::default();
        let [one, other, third] = [(); 3].map(|()| client("192.0.2.1"));
        views.give(&one, 7, 1, 1000);
        views.give(&other, 7, 2, 2000);
        assert_eq!(views.of(&one, 7, 3000), Some(1));
        assert_eq!(views.of(&other, 7, 3000), Some(2));
        assert_eq!(views.of(&third, 7, 3000), Some(2));
        assert_eq!(views.of(&third, 8, 3000), None);
        assert_eq!(views.of(&third, 7, 2000 + millis(MEMORY)), None);
        assert_eq!(views.of(&one, 7, 2000 + millis(MEMORY)), Some(1));
    }

    #[test]
    fn rows_learn_of_each_view_once() {
        let views = Views::default();
        let client = client("2001:db8::1");
        views.give(&client, 7, 1, 1000);
        let (rows, _) = views.unwritten(1000);
        assert_eq!(rows.len(), 1);
        assert!(views.unwritten(1000).0.is_empty());
        let again = Views::default();
        again.load(rows);
        assert_eq!(again.of(&client, 7, 1000), Some(1));
        assert!(again.unwritten(1000).0.is_empty());
    }
}
