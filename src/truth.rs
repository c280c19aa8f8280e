//! What signed indexes say, kept current: generations of suites, which client
//! has which, and what every path must be.
//!
//! *Generations.* A client that asks for a suite's `InRelease` causes one
//! question to its origins ([`crate::worker::revalidate`]). Another text is
//! another generation. It is judged ([`accept`]), what clients use of it is
//! fetched ([`gather`]), and only then it is taken up: until that moment every
//! client gets the old one.
//!
//! *One client, one generation.* An index asked for by its path is an alias
//! for the by-hash name that it has in the generation that this client was
//! last given ([`views`]). So it is cached, verified and kept under that name,
//! whether the origin has it there or not.
//!
//! *Lists.* Packages and Sources of the generation in use are read into rows
//! ([`ingest`]), made from the one before by the archive's own patches where
//! that is possible ([`patch`]). While a list is behind, what its archive's
//! paths must be is not known, and whoever asks for one gets it checked.

pub mod accept;
pub mod book;
pub mod gather;
pub mod ingest;
pub mod learn;
pub mod lookup;
pub mod patch;
pub mod views;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

use self::book::Book;
use self::lookup::Claims;
use self::views::Views;
use crate::config::Verify;
use crate::debian::archive::ReleaseForm;
use crate::signature::Keyrings;
use crate::store::flight::{Flights, Refusal, State};

/// What is known of the question whether a suite has a new generation.
#[derive(Debug, Clone, Default)]
pub enum SuiteState {
    /// Nothing yet.
    #[default]
    Waiting,
    /// There is one; what clients use of it is being fetched.
    Preparing,
    /// The generation in use is current; whether it was taken up just now.
    InUse {
        /// It was.
        changed: bool,
    },
    /// Its files are no Release: they are what any file is that may change.
    /// What came of those that were asked for.
    Opaque(Vec<(ReleaseForm, State)>),
    /// It could not be asked.
    Refused(Refusal),
    /// What came was not believed.
    NotBelieved(Refusal),
}

/// How signatures are judged.
#[derive(Debug)]
pub struct Judge {
    /// `index.verify`
    pub verify: Verify,
    /// `index.keyrings`
    pub keyrings: Keyrings,
}

/// What memory holds of the rows, and who waits for them.
#[derive(Debug)]
pub struct Truth {
    /// How signatures are judged.
    pub judge: Judge,
    /// Suites.
    pub book: Book,
    /// Which client has which generation.
    pub views: Views,
    /// Who waits to hear whether a suite has a new generation, by its folder.
    pub flights: Flights<SuiteState>,
    /// Rung after a suite was wanted.
    pub suite_wanted: Notify,
    /// Rung after a list was wanted.
    pub list_wanted: Notify,
    /// Places for Releases that are being judged.
    judging: Semaphore,
    /// The one place for work on a list's text, so that a core is left for
    /// clients.
    working: Semaphore,
    claims: Claims,
    /// Held while suites are read from rows.
    reading: tokio::sync::Mutex<()>,
    /// By-hash addresses that clients used, until rows learn of it.
    used: Mutex<HashSet<String>>,
}

impl Truth {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(judge: Judge) -> Self {
        Self {
            judge,
            book: Book::default(),
            views: Views::default(),
            flights: Flights::default(),
            suite_wanted: Notify::new(),
            list_wanted: Notify::new(),
            judging: Semaphore::new(2),
            working: Semaphore::new(1),
            claims: Claims::default(),
            reading: tokio::sync::Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Notes that a client used an index, by its by-hash address.
    pub fn note_use(&self, address: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.contains(address) {
            used.insert(address.to_owned());
        }
    }

    fn take_uses(&self) -> HashSet<String> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
