//! The suites as memory holds them, to be found by any address below them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Millis;
use crate::db::suite::SuiteRow;
use crate::debian::archive::{ReleaseForm, root_of};

/// Suites that have a generation, by their folders.
#[derive(Debug, Default)]
pub struct Book(RwLock<HashMap<String, Arc<SuiteRow>>>);

/// The suites of one archive that may speak of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speakers {
    /// The archive's root, with a slash at the end.
    pub root: String,
    /// Row ids of the suites.
    pub suites: Vec<i64>,
    /// Since when a list of one of them is behind.
    pub pending_since: Option<Millis>,
}

impl Book {
    /// Takes the rows as they are now.
    pub fn load(&self, rows: Vec<SuiteRow>) {
        let suites = rows
            .into_iter()
            .map(|row| (row.folder.clone(), Arc::new(row)))
            .collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = suites;
    }

    /// The suite with this folder.
    #[must_use]
    pub fn suite(&self, folder: &str) -> Option<Arc<SuiteRow>> {
        let suites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        suites.get(folder).cloned()
    }

    /// The suite that an address lies below, and its path there.
    #[must_use]
    pub fn suite_of<'a>(&self, address: &'a str) -> Option<(Arc<SuiteRow>, &'a str)> {
        let suites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if suites.is_empty() {
            return None;
        }
        address
            .rmatch_indices('/')
            .find_map(|(at, _)| Some((suites.get(&address[..=at])?.clone(), &address[at + 1..])))
    }

    /// Who may speak of an address. A Packages vouches for what lies in its own
    /// archive: not for the signed files above it, and that of a flat
    /// repository, which may be one of many strangers' on a host, not for what
    /// lies beside its folder.
    #[must_use]
    pub fn speakers_of(&self, address: &str) -> Vec<Speakers> {
        if ReleaseForm::split(address).is_some() {
            return Vec::new();
        }
        let suites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Speakers> = Vec::new();
        for suite in suites.values() {
            let speaks = if root_of(&suite.folder) == suite.folder {
                address.starts_with(&suite.folder)
            } else {
                address
                    .strip_prefix(&suite.root)
                    .is_some_and(|path| !path.starts_with("dists/"))
            };
            if !speaks {
                continue;
            }
            let pending_since = suite.pending.then_some(suite.taken_up_at);
            match found.iter_mut().find(|of| of.root == suite.root) {
                Some(of) => {
                    of.suites.push(suite.id);
                    of.pending_since = of.pending_since.max(pending_since);
                }
                None => found.push(Speakers {
                    root: suite.root.clone(),
                    suites: vec![suite.id],
                    pending_since,
                }),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn book() -> Book {
        let suite = |id, folder: &str, root: &str, pending| SuiteRow {
            id,
            folder: folder.into(),
            root: root.into(),
            release_id: Some(id),
            taken_up_at: id * 10,
            pending,
        };
        let book = Book::default();
        book.load(vec![
            suite(1, "http://h/d/dists/sid/", "http://h/d/", false),
            suite(2, "http://h/d/dists/sid/updates/", "http://h/d/", true),
            suite(3, "http://h/flat/", "http://h/flat/", false),
        ]);
        book
    }

    #[test]
    fn an_address_belongs_to_the_nearest_suite() {
        let book = book();
        let of = |address: &str| {
            let (suite, path) = book.suite_of(address)?;
            Some((suite.id, path.to_owned()))
        };
        assert_eq!(
            of("http://h/d/dists/sid/main/Packages"),
            Some((1, "main/Packages".into()))
        );
        assert_eq!(
            of("http://h/d/dists/sid/updates/main/Packages"),
            Some((2, "main/Packages".into()))
        );
        assert_eq!(of("http://h/d/pool/x.deb"), None);
        assert!(book.suite("http://h/flat/").is_some());
    }

    #[test]
    fn an_address_is_pending_where_any_suite_is_that_speaks_of_it() {
        let mut of = book().speakers_of("http://h/d/pool/x.deb");
        assert_eq!(of.len(), 1);
        let mut speakers = of.remove(0);
        speakers.suites.sort_unstable();
        assert_eq!(
            (speakers.suites, speakers.pending_since),
            (vec![1, 2], Some(20))
        );
        let flat = book().speakers_of("http://h/flat/x.deb");
        assert_eq!(flat.first().unwrap().pending_since, None);
    }

    #[test]
    fn nobody_speaks_of_what_is_not_his() {
        let flat = SuiteRow {
            id: 4,
            folder: "http://h/~one/dir/".into(),
            root: "http://h/".into(),
            release_id: Some(4),
            taken_up_at: 0,
            pending: false,
        };
        assert!(book().speakers_of("http://h/d/dists/sid/x").is_empty());
        let book = Book::default();
        book.load(vec![flat]);
        assert_eq!(book.speakers_of("http://h/~one/dir/x.deb").len(), 1);
        for other in [
            "http://h/debian/pool/x.deb",
            "http://h/~one/dir/InRelease",
            "http://other/x.deb",
        ] {
            assert!(book.speakers_of(other).is_empty(), "{other}");
        }
    }
}
