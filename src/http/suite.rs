//! Release files and indexes by path: of one generation for one client.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Response, StatusCode, header};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{HIT, MISS, REVALIDATED, STALE};
use super::body::Body;
use super::file::{Asked, Files, How, PATIENCE};
use super::problem::Problem;
use crate::clock::millis;
use crate::config::Verify;
use crate::core::CoreError;
use crate::db::suite::SuiteRow;
use crate::debian::archive::{ReleaseForm, root_of};
use crate::debian::url::RepoUrl;
use crate::store::flight::{Refusal, State};
use crate::store::growing::Whence;
use crate::store::hot::Entry;
use crate::truth::SuiteState;
use crate::truth::gather::Gathered;

/// How long a client that could have the old generation waits for a new one
/// that is on its way: apt gives a silent proxy up after 30 seconds.
const PREPARING: Duration = Duration::from_secs(12);

/// A new generation of which nothing comes for so long does not move: the old
/// one goes out.
const STANDSTILL: Duration = Duration::from_millis(400);

/// How often a newcomer's indexes may slip away.
const NEWCOMER_ROUNDS: usize = 3;

/// What a client gets of a suite.
enum Given {
    /// The generation in use.
    InUse(Arc<SuiteRow>, HeaderValue),
    /// What any file is that may change.
    Opaque(Vec<(ReleaseForm, State)>),
    /// Nothing.
    Nothing(Refusal),
}

impl Files {
    /// Answers a request for a Release file: with the one of the generation in
    /// use, after its origins were asked whether there is a newer one.
    pub(super) async fn release_file(
        &self,
        asked: &Asked<'_>,
        folder: &str,
        form: ReleaseForm,
    ) -> Result<Response<Body>, Problem> {
        // A signature is of the text that this client has.
        if form == ReleaseForm::Signature
            && let Some(suite) = self.core.truth.book.suite(folder)
            && let Some(release) = self
                .core
                .truth
                .views
                .of(asked.client, suite.id, asked.since.at)
        {
            let suite = SuiteRow {
                release_id: Some(release),
                ..(*suite).clone()
            };
            return self.give(asked, &suite, form, HIT).await;
        }
        let pair = form != ReleaseForm::InRelease;
        if self.core.truth.book.suite(folder).is_none() && !self.is_strict() {
            let copy = self.core.find(asked.url).await.unwrap_or_default();
            if let Some(copy) = copy {
                return self.unread_release(asked, folder, form, copy).await;
            }
        }
        match self.ask_suite(asked, folder, pair).await {
            Given::InUse(suite, status) => {
                let newest = (Arc::clone(&suite), status.clone());
                let ready = self.for_newcomer(asked, suite, status);
                let (mut suite, mut status) = timeout(PREPARING, ready).await.unwrap_or(newest);
                if pair && !self.has(&suite, form).await {
                    // The question under way did not ask for the pair.
                    if let Given::InUse(again, said) = self.ask_suite(asked, folder, pair).await {
                        (suite, status) = (again, said);
                    }
                }
                self.give(asked, &suite, form, status).await
            }
            Given::Nothing(refusal) => Err(refusal.into()),
            Given::Opaque(states) => self.opaque(asked, states, form, None).await,
        }
    }

    /// A client that names no date has no indexes that patches could bring up
    /// to date. Of an origin without by-hash names, the whole ones must be here
    /// before it hears of the generation: once there is the next one, they
    /// can't be had any more. Where it is too late for that, there is the next.
    async fn for_newcomer(
        &self,
        asked: &Asked<'_>,
        mut suite: Arc<SuiteRow>,
        mut status: HeaderValue,
    ) -> (Arc<SuiteRow>, HeaderValue) {
        let core = &self.core;
        let knows = [header::IF_MODIFIED_SINCE, header::IF_NONE_MATCH];
        if knows.iter().any(|name| asked.headers.contains_key(name)) || status == STALE {
            return (suite, status);
        }
        for _ in 0..NEWCOMER_ROUNDS {
            let release = match suite.release_id {
                Some(id) => core.db.release(id).await.unwrap_or_default(),
                None => None,
            };
            let Some(release) = release.filter(|release| !release.by_hash) else {
                break;
            };
            let gathered = core.gather((suite.id, &suite.folder), &release, true);
            if !matches!(gathered.await, Ok(Gathered::Missing { .. })) {
                break;
            }
            match self.ask_suite(asked, &suite.folder, false).await {
                Given::InUse(next, said) => (suite, status) = (next, said),
                Given::Opaque(_) | Given::Nothing(_) => break,
            }
        }
        (suite, status)
    }

    /// Answers a request for a Release file of which there is a copy, but that
    /// was none that could be read.
    async fn unread_release(
        &self,
        asked: &Asked<'_>,
        folder: &str,
        form: ReleaseForm,
        copy: Arc<Entry>,
    ) -> Result<Response<Body>, Problem> {
        let origins = self.core.mirrors.origins(asked.url);
        if self.are_down(asked, &origins) {
            self.core
                .want_later(asked.url, asked.since.at + millis(PATIENCE))
                .await;
            return self.stored(asked, &copy, How::Stored(STALE)).await;
        }
        let mut state = self.join_suite(folder, form != ReleaseForm::InRelease);
        let Ok(state) = timeout(PATIENCE, over(&mut state)).await else {
            self.are_slow(asked, &origins);
            return self.stored(asked, &copy, How::Stored(STALE)).await;
        };
        match given(state, self.core.truth.book.suite(folder)) {
            Given::InUse(suite, status) => self.give(asked, &suite, form, status).await,
            Given::Nothing(refusal) if refusal.stale_may_serve => {
                self.stored(asked, &copy, How::Stored(STALE)).await
            }
            Given::Nothing(refusal) => Err(refusal.into()),
            Given::Opaque(states) => self.opaque(asked, states, form, Some(copy)).await,
        }
    }

    async fn opaque(
        &self,
        asked: &Asked<'_>,
        states: Vec<(ReleaseForm, State)>,
        form: ReleaseForm,
        copy: Option<Arc<Entry>>,
    ) -> Result<Response<Body>, Problem> {
        match states.into_iter().find(|(of, _)| *of == form) {
            Some((_, state @ State::Refused(_))) => self.landed(asked, state, false, copy).await,
            _ if self.is_strict() => Err(unproved(asked)),
            Some((_, state)) => self.landed(asked, state, false, copy).await,
            None => self.plain(asked).await,
        }
    }

    /// Whether only what a known key signed is given.
    fn is_strict(&self) -> bool {
        self.core.truth.judge.verify == Verify::Require
    }

    fn are_down(&self, asked: &Asked<'_>, origins: &[RepoUrl]) -> bool {
        let is_down = |origin: &RepoUrl| self.core.health.is_down(origin.origin(), asked.since.at);
        origins.iter().all(is_down)
    }

    fn are_slow(&self, asked: &Asked<'_>, origins: &[RepoUrl]) {
        for origin in origins {
            self.core.health.slow(origin.origin(), asked.since.at);
        }
    }

    /// Answers a request for an index by its path: with the one of the
    /// generation that this client was last given.
    pub(super) async fn index_file(
        &self,
        asked: &Asked<'_>,
        suite: &SuiteRow,
        path: &str,
    ) -> Result<Response<Body>, Problem> {
        let truth = &self.core.truth;
        let mut release = truth.views.of(asked.client, suite.id, asked.since.at);
        if release.is_none() {
            // Nobody told this client of a generation: it gets the newest.
            release = suite.release_id;
            if let Given::InUse(newest, _) = self.ask_suite(asked, &suite.folder, false).await {
                release = newest.release_id;
            }
        }
        let alias = self.alias(asked, suite, release, path).await;
        let alias = alias.unwrap_or_else(|error| {
            tracing::error!(url = asked.url.key(), %error, "an index is not looked up");
            None
        });
        match alias {
            Some(url) => {
                let named = asked.named(&url);
                let answered = self.plain(&named).await;
                if answered
                    .as_ref()
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    truth.note_use(url.key());
                }
                answered
            }
            None => self.plain(asked).await,
        }
    }

    async fn alias(
        &self,
        asked: &Asked<'_>,
        suite: &SuiteRow,
        release: Option<i64>,
        path: &str,
    ) -> Result<Option<RepoUrl>, CoreError> {
        for release in [release, suite.release_id].into_iter().flatten() {
            // A generation that was given long ago may be forgotten by now.
            if self.core.db.release(release).await?.is_some() {
                return Ok(self.core.alias(release, asked.url, path).await?);
            }
        }
        Ok(None)
    }

    /// Whether the generation in use has this form.
    async fn has(&self, suite: &SuiteRow, form: ReleaseForm) -> bool {
        let Some(id) = suite.release_id else {
            return false;
        };
        let release = self.core.db.release(id).await.unwrap_or_default();
        release.is_some_and(|release| release.forms.of(form).is_some())
    }

    /// A Release file of the generation in use.
    async fn give(
        &self,
        asked: &Asked<'_>,
        suite: &SuiteRow,
        form: ReleaseForm,
        status: HeaderValue,
    ) -> Result<Response<Body>, Problem> {
        let failed =
            |error: CoreError| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        let core = &self.core;
        let release = match suite.release_id {
            Some(id) => core
                .db
                .release(id)
                .await
                .map_err(|error| failed(error.into()))?,
            None => None,
        };
        let Some(release) = release else {
            return self.opaque(asked, Vec::new(), form, None).await;
        };
        let Some(hash) = release.forms.of(form) else {
            let sentence = format!(
                "The generation of {} in use has no {}.",
                suite.folder,
                form.name()
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, sentence));
        };
        let Some(entry) = core.form(&suite.folder, form, hash).await.map_err(failed)? else {
            if self.is_strict() {
                return Err(unproved(asked));
            }
            return self.direct(asked).await;
        };
        core.truth
            .views
            .give(asked.client, suite.id, release.id, asked.since.at);
        let how = if status == MISS {
            // Peers have no Release files.
            How::Fetched(Whence::default())
        } else {
            How::Stored(status)
        };
        self.stored(asked, &entry, how).await
    }

    /// Has a suite's origins asked whether there is a newer generation, and
    /// waits for that as long as a client should.
    async fn ask_suite(&self, asked: &Asked<'_>, folder: &str, pair: bool) -> Given {
        let core = &self.core;
        let book = &core.truth.book;
        let before = book.suite(folder);
        let origins = core.mirrors.origins(asked.url);
        if let Some(suite) = &before
            && self.are_down(asked, &origins)
        {
            let later = asked.since.at + millis(PATIENCE);
            if let Err(error) = core.db.want_suite_later(suite.id, later).await {
                tracing::warn!(suite = folder, %error, "a later question can't be noted");
            }
            core.truth.suite_wanted.notify_one();
            return Given::InUse(Arc::clone(suite), STALE);
        }
        let mut state = self.join_suite(folder, pair);
        let Some(before) = before else {
            let _ = state
                .wait_for(|state| !matches!(state, SuiteState::Waiting))
                .await;
            // What can't be prepared in time goes out as it came.
            let state = timeout(PREPARING, over(&mut state)).await;
            return given(
                state.unwrap_or_else(|_| SuiteState::Opaque(Vec::new())),
                book.suite(folder),
            );
        };
        let begun = state.wait_for(|state| !matches!(state, SuiteState::Waiting));
        if timeout(PATIENCE, begun).await.is_err() {
            self.are_slow(asked, &origins);
            return Given::InUse(before, STALE);
        }
        match timeout(PREPARING, self.over_while_it_moves(folder, &mut state)).await {
            Ok(Some(state)) => given(state, book.suite(folder).or(Some(before))),
            Ok(None) | Err(_) => Given::InUse(before, STALE),
        }
    }

    /// Waits for the last word for as long as something of the suite comes in;
    /// `None` where nothing does.
    async fn over_while_it_moves(
        &self,
        folder: &str,
        state: &mut watch::Receiver<SuiteState>,
    ) -> Option<SuiteState> {
        let here = || {
            let flights = self.core.flights.all().into_iter();
            let states = flights
                .filter(|flight| flight.key().starts_with(folder))
                .map(|flight| flight.state());
            states.fold((0, 0), |(flights, bytes), state| match state {
                State::Streaming(growing) => (flights + 1, bytes + growing.written()),
                _ => (flights + 1, bytes),
            })
        };
        loop {
            let before = here();
            if let Ok(state) = timeout(STANDSTILL, over(state)).await {
                return Some(state);
            }
            if here() == before {
                return None;
            }
        }
    }

    /// Joins the question for a suite, or has it asked.
    fn join_suite(&self, folder: &str, pair: bool) -> watch::Receiver<SuiteState> {
        let (flight, opened) = self.core.truth.flights.join(folder);
        let state = flight.watch();
        if opened {
            let (core, folder) = (Arc::clone(&self.core), folder.to_owned());
            // In a task of its own: who opened it may leave.
            self.tasks.spawn(async move {
                let root = core
                    .truth
                    .book
                    .suite(&folder)
                    .map(|suite| suite.root.clone());
                let root = root.unwrap_or_else(|| root_of(&folder).to_owned());
                match core.db.want_suite(&folder, &root, pair, core.now()).await {
                    Ok(()) => core.truth.suite_wanted.notify_one(),
                    Err(error) => {
                        tracing::error!(suite = folder, %error, "a request goes on without the cache");
                        core.truth
                            .flights
                            .land(&flight, SuiteState::Opaque(Vec::new()));
                    }
                }
            });
        }
        state
    }
}

/// Where `index.verify` is `require`, what was not verified is not given.
fn unproved(asked: &Asked<'_>) -> Problem {
    let sentence = format!(
        "The signature of {} could not be checked in time, and index.verify is require: try again.",
        asked.url
    );
    Problem::new(StatusCode::BAD_GATEWAY, sentence)
}

/// Waits for the last word.
async fn over(state: &mut watch::Receiver<SuiteState>) -> SuiteState {
    let over =
        state.wait_for(|state| !matches!(state, SuiteState::Waiting | SuiteState::Preparing));
    over.await
        .map_or_else(|_| SuiteState::Opaque(Vec::new()), |state| state.clone())
}

fn given(state: SuiteState, suite: Option<Arc<SuiteRow>>) -> Given {
    match (state, suite) {
        (SuiteState::InUse { changed: true }, Some(suite)) => Given::InUse(suite, MISS),
        (SuiteState::InUse { changed: false }, Some(suite)) => Given::InUse(suite, REVALIDATED),
        (SuiteState::Refused(refusal), Some(suite)) if refusal.stale_may_serve => {
            Given::InUse(suite, STALE)
        }
        (SuiteState::NotBelieved(_), Some(suite)) => Given::InUse(suite, STALE),
        (SuiteState::Refused(refusal) | SuiteState::NotBelieved(refusal), _) => {
            Given::Nothing(refusal)
        }
        // The origins have no Release any more, or it can't be kept now.
        (SuiteState::Opaque(states), Some(suite)) if states.is_empty() => Given::InUse(suite, HIT),
        (SuiteState::Opaque(states), _) => Given::Opaque(states),
        (SuiteState::InUse { .. } | SuiteState::Waiting | SuiteState::Preparing, _) => {
            Given::Opaque(Vec::new())
        }
    }
}
