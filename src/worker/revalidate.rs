//! Asks a suite's origins whether there is a new generation, and takes it up
//! once it is complete.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::dispatcher::Work;
use crate::clock::{jittered, millis};
use crate::config::Verify;
use crate::core::{Core, CoreError};
use crate::db::DbError;
use crate::db::refusal::Kind;
use crate::db::release::ReleaseRow;
use crate::db::suite::SuiteClaim;
use crate::debian::archive::ReleaseForm;
use crate::debian::url::RepoUrl;
use crate::health::pause;
use crate::store::flight::{Refusal, State};
use crate::store::hot::Entry;
use crate::truth::SuiteState;
use crate::truth::accept::{Accepted, Found};
use crate::truth::gather::Gathered;

/// Suites asked after at the same time: each waits for downloads, of which
/// there are as many, and a silent origin holds only its share of those.
const SLOTS: usize = 64;

/// How often the origins are asked again at once because what they sent was of
/// two generations: they are changing at this very moment.
const ROUNDS: usize = 4;

/// Pause between these rounds.
const SETTLING: Duration = Duration::from_millis(100);

/// The longest pause before a generation that is not complete is tried again.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The shortest pause and the longest before origins that send an older
/// generation are asked again.
const LAGGING: [Duration; 2] = [LONGEST_PAUSE, Duration::from_hours(1)];

/// Origins that answer, and for so long not with all of a new generation, will
/// never have all of it: it is taken up as it is.
const INCOMPLETE: Duration = Duration::from_hours(1);

/// How long a question may take with all that is to be fetched.
const QUESTION: Duration = Duration::from_mins(3);

/// How long after a client asked for `Release` the pair is fetched too.
const PAIR_WANTED: Duration = Duration::from_hours(7 * 24);

/// A suite that could not be asked so often is left as it is until a client
/// asks for it.
const MAX_FAILURES: i64 = 60;

/// The worker.
pub struct Revalidate {
    /// Rows and bytes.
    pub core: Arc<Core>,
}

/// How a question ended, and why it is to be asked again.
struct Outcome {
    state: SuiteState,
    again: Option<String>,
    /// The shortest pause before that, and the longest.
    pauses: [Duration; 2],
}

impl From<SuiteState> for Outcome {
    fn from(state: SuiteState) -> Self {
        Self {
            state,
            again: None,
            pauses: [Duration::ZERO, LONGEST_PAUSE],
        }
    }
}

impl Work for Revalidate {
    type Claim = SuiteClaim;
    const NAME: &'static str = "revalidate";

    fn slots(&self) -> usize {
        SLOTS
    }

    fn born_leased(&self) -> (Vec<SuiteClaim>, bool) {
        (Vec::new(), true)
    }

    async fn claim(&self, free: usize) -> Result<Vec<SuiteClaim>, DbError> {
        let free = i64::try_from(free).unwrap_or(i64::MAX);
        self.core.db.claim_suites(self.core.now(), free).await
    }

    fn id(claim: &SuiteClaim) -> i64 {
        claim.lease.id
    }

    async fn run(&self, claim: SuiteClaim) {
        let asked = tokio::time::timeout(QUESTION, self.ask(&claim)).await;
        let asked = asked.unwrap_or_else(|_| Ok(again("its origin takes too long".to_owned())));
        let outcome = asked.unwrap_or_else(|error| {
            tracing::error!(suite = claim.folder, %error, "a suite can't be asked after");
            let refusal = Refusal::own_fault("the suite can't be asked after; the log says more");
            Outcome {
                again: Some(error.to_string()),
                ..SuiteState::Refused(refusal).into()
            }
        });
        self.settle(claim, outcome).await;
    }

    async fn abandoned(&self, claim: SuiteClaim) {
        let refusal =
            Refusal::own_fault("asking after the suite failed inside aptmesh; its log says more");
        self.settle(claim, SuiteState::Refused(refusal).into())
            .await;
    }

    async fn next_in(&self) -> Result<Option<Duration>, DbError> {
        let next = self.core.db.next_suite_at().await?;
        Ok(next.map(|at| Duration::from_millis(u64::try_from(at - self.core.now()).unwrap_or(0))))
    }

    async fn upkeep(&self, running: &[i64]) -> Result<(), DbError> {
        self.core.db.renew_suites(running, self.core.now()).await
    }

    fn wanted(&self) -> &Notify {
        &self.core.truth.suite_wanted
    }
}

impl Revalidate {
    /// Writes how it ended, then tells who waits.
    async fn settle(&self, claim: SuiteClaim, outcome: Outcome) {
        let core = &self.core;
        let written = match outcome.again {
            None => core.db.rest_suite(&claim.lease).await,
            Some(_) if claim.release_id.is_none() || claim.lease.failures >= MAX_FAILURES => {
                core.db.rest_suite(&claim.lease).await
            }
            Some(error) => {
                let failures = u32::try_from(claim.lease.failures + 1).unwrap_or(u32::MAX);
                let [shortest, longest] = outcome.pauses;
                let pause = pause(failures, longest).max(shortest);
                let at = core.now() + millis(jittered(pause));
                core.db.postpone_suite(&claim.lease, at, &error).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(suite = claim.folder, %error, "the end of a question can't be written down");
        }
        let (flight, _) = core.truth.flights.join(&claim.folder);
        core.truth.flights.land(&flight, outcome.state);
    }

    async fn ask(&self, claim: &SuiteClaim) -> Result<Outcome, CoreError> {
        let mut missing = None;
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(jittered(SETTLING)).await;
            }
            let fetched = self.fetch_forms(claim).await;
            if let Some(failed) = fetched.failed {
                return Ok(failed_to_ask(claim, failed));
            }
            if fetched.mixed {
                continue;
            }
            if fetched.found.is_empty() {
                return Ok(SuiteState::Opaque(fetched.states).into());
            }
            let candidate = match self.core.accept(claim, &fetched.found).await? {
                Accepted::InUse => {
                    if claim.older_since.is_some() || claim.stuck_since.is_some() {
                        self.core
                            .db
                            .note_trouble(claim.lease.id, None, None)
                            .await?;
                    }
                    return Ok(SuiteState::InUse { changed: false }.into());
                }
                Accepted::Mixed => continue,
                Accepted::Refused(kind, reason) => {
                    return Ok(self.refused(claim, fetched, kind, reason).await);
                }
                Accepted::Candidate(candidate) => candidate,
            };
            self.tell_preparing(claim);
            match self
                .core
                .gather((claim.lease.id, &claim.folder), &candidate, false)
                .await?
            {
                Gathered::All => return self.take_up(claim, &candidate).await,
                Gathered::Missing { path, reason } => {
                    if self.is_given_up(claim) {
                        tracing::warn!(
                            suite = claim.folder,
                            path,
                            error = reason,
                            "a generation is taken up without this file, which its origins don't have"
                        );
                        return self.take_up(claim, &candidate).await;
                    }
                    missing = Some((candidate, path, reason));
                }
            }
        }
        self.incomplete(claim, missing).await
    }

    /// Whether there is no point in waiting for what a new generation lacks.
    fn is_given_up(&self, claim: &SuiteClaim) -> bool {
        let core = &self.core;
        let now = core.now();
        let is_late = |since| now - since > millis(INCOMPLETE);
        let answers = |origin: &RepoUrl| !core.health.is_down(origin.origin(), now);
        claim.stuck_since.is_some_and(is_late)
            && RepoUrl::parse(&claim.folder)
                .is_ok_and(|folder| core.mirrors.origins(&folder).iter().any(answers))
    }

    /// The origins went on changing, or have a generation some of whose files
    /// they don't have (yet).
    async fn incomplete(
        &self,
        claim: &SuiteClaim,
        missing: Option<(ReleaseRow, String, String)>,
    ) -> Result<Outcome, CoreError> {
        let Some((candidate, path, reason)) = missing else {
            let reason = "its origin sends files of two generations";
            return Ok(again(reason.to_owned()));
        };
        if claim.release_id.is_none() {
            // There is no other one to give.
            return self.take_up(claim, &candidate).await;
        }
        let stuck_since = claim.stuck_since.unwrap_or_else(|| self.core.now());
        let trouble = self
            .core
            .db
            .note_trouble(claim.lease.id, None, Some(stuck_since));
        trouble.await?;
        if let Ok(url) = RepoUrl::parse(&format!("{}{path}", claim.folder)) {
            self.core
                .note_refusal(Kind::Incomplete, &url, &reason)
                .await;
        }
        Ok(again(format!("{path}: {reason}")))
    }

    fn tell_preparing(&self, claim: &SuiteClaim) {
        let (flight, _) = self.core.truth.flights.join(&claim.folder);
        flight.tell(SuiteState::Preparing);
    }

    async fn take_up(
        &self,
        claim: &SuiteClaim,
        release: &ReleaseRow,
    ) -> Result<Outcome, CoreError> {
        let core = &self.core;
        core.db
            .take_up(claim.lease.id, release.id, core.now())
            .await?;
        core.want_stored_lists(claim.lease.id, release.id).await?;
        core.reload_truth().await?;
        core.truth.list_wanted.notify_one();
        tracing::info!(
            suite = claim.folder,
            generation = release.id,
            "a new generation is in use"
        );
        Ok(SuiteState::InUse { changed: true }.into())
    }

    async fn refused(
        &self,
        claim: &SuiteClaim,
        fetched: Fetched,
        kind: Kind,
        reason: String,
    ) -> Outcome {
        let required = self.core.truth.judge.verify == Verify::Require;
        let form = match fetched.found.inrelease {
            Some(_) => ReleaseForm::InRelease,
            None => ReleaseForm::Release,
        };
        if let Some(url) = address(&claim.folder, form) {
            self.core.note_refusal(kind, &url, &reason).await;
        }
        if kind == Kind::Malformed && claim.release_id.is_none() && !required {
            // It is served as any file that may change.
            return SuiteState::Opaque(fetched.states).into();
        }
        if kind == Kind::Older {
            let since = claim.older_since.unwrap_or_else(|| self.core.now());
            let trouble = self.core.db.note_trouble(claim.lease.id, Some(since), None);
            if let Err(error) = trouble.await {
                tracing::warn!(suite = claim.folder, %error, "a lagging origin can't be noted");
            }
            return Outcome {
                again: Some(reason),
                pauses: LAGGING,
                ..SuiteState::InUse { changed: false }.into()
            };
        }
        let refusal = Refusal {
            status: 502,
            reason: format!(
                "the {} of {} is refused: {reason}",
                form.name(),
                claim.folder
            ),
            stale_may_serve: false,
        };
        if claim.release_id.is_none() {
            self.forget_unbelieved(claim, &fetched.found).await;
        }
        SuiteState::NotBelieved(refusal).into()
    }

    /// What is not believed is no stored copy that might stand in.
    async fn forget_unbelieved(&self, claim: &SuiteClaim, found: &Found) {
        for entry in [&found.inrelease, &found.release, &found.signature]
            .into_iter()
            .flatten()
        {
            self.core.hot.forget(&entry.key);
            if let Err(error) = self.core.db.forget_url(&entry.key).await {
                tracing::warn!(suite = claim.folder, %error, "what is not believed stays in the rows");
            }
        }
    }

    /// Fetches what carries a generation: `InRelease`, and the pair where
    /// clients ask for it or there is no `InRelease`.
    async fn fetch_forms(&self, claim: &SuiteClaim) -> Fetched {
        let [clear, text, signature] = [
            ReleaseForm::InRelease,
            ReleaseForm::Release,
            ReleaseForm::Signature,
        ];
        let mut fetched = Fetched::default();
        if self.core.now() - claim.pair_asked_at < millis(PAIR_WANTED) {
            // At once, so that they cost no time beside an InRelease.
            let (inrelease, _, _) = tokio::join!(
                self.fetch(claim, clear),
                self.fetch(claim, text),
                self.fetch(claim, signature)
            );
            fetched.found.inrelease = fetched.take(clear, inrelease);
            if fetched.found.inrelease.is_some() {
                // What does not fit is left out when they are judged.
                fetched.found.release = self.stored(claim, text).await;
                fetched.found.signature = self.stored(claim, signature).await;
                return fetched;
            }
        } else {
            fetched.found.inrelease = fetched.take(clear, self.fetch(claim, clear).await);
        }
        if fetched.failed.is_some() || fetched.found.inrelease.is_some() {
            return fetched;
        }
        let Some(release) = fetched.take(text, self.fetch(claim, text).await) else {
            return fetched;
        };
        fetched.found.signature = fetched.take(signature, self.fetch(claim, signature).await);
        // A signature that came after its text may be that of the next text:
        // then there is that text by now.
        let now = entry(&self.fetch(claim, text).await);
        fetched.mixed = now.is_none_or(|now| now.sha256 != release.sha256);
        fetched.found.release = Some(release);
        fetched
    }

    /// What was fetched a moment ago.
    async fn stored(&self, claim: &SuiteClaim, form: ReleaseForm) -> Option<Arc<Entry>> {
        let url = address(&claim.folder, form)?;
        self.core.find(&url).await.unwrap_or_default()
    }

    async fn fetch(&self, claim: &SuiteClaim, form: ReleaseForm) -> State {
        match address(&claim.folder, form) {
            Some(url) => {
                // From its first byte on, an answer is worth waiting for.
                let begun = || self.tell_preparing(claim);
                self.core.obtain_and_tell(&url, begun).await
            }
            None => State::Uncached,
        }
    }
}

fn again(reason: String) -> Outcome {
    let refusal = Refusal {
        status: 502,
        reason: reason.clone(),
        stale_may_serve: true,
    };
    Outcome {
        again: Some(reason),
        ..SuiteState::Refused(refusal).into()
    }
}

fn address(folder: &str, form: ReleaseForm) -> Option<RepoUrl> {
    RepoUrl::parse(&format!("{folder}{}", form.name())).ok()
}

fn entry(state: &State) -> Option<Arc<Entry>> {
    match state {
        State::Stored(entry) | State::Fetched(entry, _) | State::Unchanged(entry) => {
            Some(Arc::clone(entry))
        }
        State::Waiting | State::Streaming(_) | State::Uncached | State::Refused(_) => None,
    }
}

/// What came of asking for the files that carry a generation.
#[derive(Default)]
struct Fetched {
    found: Found,
    states: Vec<(ReleaseForm, State)>,
    /// Text and signature are not of one time.
    mixed: bool,
    /// The origins could not be asked, or what they sent can't be kept.
    failed: Option<State>,
}

impl Fetched {
    fn take(&mut self, form: ReleaseForm, state: State) -> Option<Arc<Entry>> {
        let entry = entry(&state);
        let is_absent = matches!(&state, State::Refused(refusal) if !refusal.stale_may_serve);
        if entry.is_none() && !is_absent {
            self.failed = Some(state.clone());
        }
        self.states.push((form, state));
        entry
    }
}

/// A suite with a generation is asked after again by itself; what has none is
/// asked for again as any file is.
fn failed_to_ask(claim: &SuiteClaim, state: State) -> Outcome {
    let State::Refused(refusal) = state else {
        return SuiteState::Opaque(Vec::new()).into();
    };
    Outcome {
        again: claim.release_id.map(|_| refusal.reason.clone()),
        ..SuiteState::Refused(refusal).into()
    }
}
