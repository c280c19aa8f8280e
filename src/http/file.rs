//! A request for a file: from the store, by joining a flight, or past both.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::answer::{HIT, REVALIDATED, STALE, as_asked, head, miss, part};
use super::body::Body;
use super::direct::{Following, pass_through};
use super::problem::Problem;
use crate::clock::millis;
use crate::core::{Core, Since};
use crate::db::file::FileRow;
use crate::db::suite::SuiteRow;
use crate::debian::archive::ReleaseForm;
use crate::debian::naming::Naming;
use crate::debian::url::RepoUrl;
use crate::meter::Kind;
use crate::store::flight::{Flight, State};
use crate::store::growing::{Break, End, Growing, Whence};
use crate::store::hot::Entry;
use crate::truth::views::Client;
use crate::upstream::Upstream;

/// How long a client that could have a stored copy waits for the origin to
/// say whether it is current.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);

/// Likewise where that copy may well be wrong.
const PREPARING: Duration = Duration::from_secs(10);

/// Serves files.
#[derive(Clone)]
pub struct Files {
    /// Rows and bytes.
    pub core: Arc<Core>,
    /// Origins.
    pub upstream: Upstream,
    /// Tasks that outlive the request that started them.
    pub tasks: TaskTracker,
    /// Whether other nodes are asked for files.
    pub asks_peers: bool,
}

/// A request for a file.
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) method: &'a Method,
    pub(super) url: &'a RepoUrl,
    pub(super) headers: &'a HeaderMap,
    pub(super) naming: Naming,
    /// How things stood when the request came.
    pub(super) since: Since,
}

impl<'a> Asked<'a> {
    /// The same request, by another name of the same file.
    pub(super) fn named(&self, url: &'a RepoUrl) -> Self {
        Self {
            url,
            naming: Naming::of(url.path()),
            ..*self
        }
    }

    /// Somebody else has to answer it.
    pub(super) fn missed(&self) {
        self.client.visitor().missed();
    }

    /// Whether the client wants the origin asked (RFC 9111 §5.2.1). A by-hash
    /// name leaves nothing to ask.
    fn insists(&self) -> bool {
        !matches!(self.naming, Naming::ByHash(_)) && insists(self.headers)
    }
}

/// `Cache-Control: no-cache` or `max-age=0`, as apt sends for indexes.
fn insists(headers: &HeaderMap) -> bool {
    headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("no-cache") || text.contains("max-age=0"))
}

impl Files {
    /// A stored file that needs no question, no statement and no waiting.
    pub fn hit(
        &self,
        client: &Client,
        url: &RepoUrl,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let entry = self.core.hot.get(url.key())?;
        let asks = entry.naming == Naming::Pool && !entry.vouched && insists(headers);
        if !entry.is_settled() || asks || headers.contains_key(header::AUTHORIZATION) {
            return None;
        }
        self.small(&entry, client, (&Method::GET, headers), &How::Stored(HIT))
    }

    /// Begins to fetch a file that a client is about to ask for, unless it is
    /// here or may change until then.
    pub fn expect(&self, url: RepoUrl) {
        let naming = Naming::of(url.path());
        if naming == Naming::Mutable || self.core.hot.get(url.key()).is_some() {
            return;
        }
        let core = Arc::clone(&self.core);
        self.tasks.spawn(async move {
            let since = core.since_now();
            if !matches!(core.find(&url).await, Ok(None)) {
                return;
            }
            let (flight, opened) = core.flights.join(url.key());
            if opened {
                core.expected.insert(url.key().to_owned());
                core.answer(&flight, &url, &naming, since).await;
                if matches!(flight.state(), State::Stored(_)) {
                    // Nothing was fetched: its request is a hit.
                    core.expected.take(url.key());
                }
            }
        });
    }

    /// Answers a request for a file.
    pub async fn serve(
        &self,
        client: &Client,
        method: &Method,
        url: &RepoUrl,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let asked = Asked {
            client,
            method,
            url,
            headers,
            naming: Naming::of(url.path()),
            since: Since {
                insists: insists(headers),
                ..self.core.since_now()
            },
        };
        self.answer(&asked)
            .await
            .unwrap_or_else(Problem::into_response)
    }

    async fn answer(&self, asked: &Asked<'_>) -> Result<Response<Body>, Problem> {
        if asked.headers.contains_key(header::AUTHORIZATION) {
            // What one client may see, another may not (RFC 9111 §3.5).
            return self.direct(asked).await;
        }
        if asked.naming == Naming::Mutable {
            let suite = self.core.truth.book.suite_of(asked.url.key());
            if let Some((folder, form)) = ReleaseForm::split(asked.url.key())
                && !self.is_listed(suite.as_ref()).await
            {
                return self.release_file(asked, folder, form).await;
            }
            if let Some((suite, path)) = suite {
                return self.index_file(asked, &suite, path).await;
            }
        }
        self.plain(asked).await
    }

    /// Whether a file of this name is an index like others: a Release lists
    /// `main/binary-amd64/Release`, which has no suite of its own.
    async fn is_listed(&self, suite: Option<&(Arc<SuiteRow>, &str)>) -> bool {
        let Some((suite, path)) = suite.filter(|(_, path)| path.contains('/')) else {
            return false;
        };
        let Some(release) = suite.release_id else {
            return false;
        };
        matches!(self.core.db.index_file(release, path).await, Ok(Some(_)))
    }

    /// Answers with what this very address has.
    pub(super) async fn plain(&self, asked: &Asked<'_>) -> Result<Response<Body>, Problem> {
        if self.is_on_its_way(asked) {
            return self.fetched(asked).await;
        }
        let found = self.core.find(asked.url).await.unwrap_or_else(|error| {
            tracing::error!(url = asked.url.key(), %error, "a request goes on without the cache");
            None
        });
        let Some(entry) = found else {
            if *asked.method == Method::HEAD {
                return self.direct(asked).await;
            }
            return match self.far_range(asked) {
                Some(range) => self.far(asked, range).await,
                None => self.fetched(asked).await,
            };
        };
        if entry.is_settled() && (entry.vouched || !asked.insists()) {
            return self.settled(asked, &entry).await;
        }
        self.revalidated(asked, entry).await
    }

    /// Whether a file that does not change is being fetched, so that looking
    /// for it in the store is in vain.
    fn is_on_its_way(&self, asked: &Asked<'_>) -> bool {
        asked.naming != Naming::Mutable
            && self.core.hot.get(asked.url.key()).is_none()
            && matches!(
                self.core.flights.peek(asked.url.key()),
                Some(State::Streaming(_))
            )
            && self.far_range(asked).is_none()
    }

    /// Nothing is stored: joins the flight that fetches it, or opens one.
    async fn fetched(&self, asked: &Asked<'_>) -> Result<Response<Body>, Problem> {
        let (state, late) = self.join(asked).await.answerable().await;
        self.landed(asked, state, late, None).await
    }

    /// A copy is stored that may be out of date.
    async fn revalidated(
        &self,
        asked: &Asked<'_>,
        entry: Arc<Entry>,
    ) -> Result<Response<Body>, Problem> {
        let core = &self.core;
        let origins = core.mirrors.origins(asked.url);
        if origins
            .iter()
            .all(|origin| core.health.is_down(origin.origin(), asked.since.at))
        {
            core.want_later(asked.url, asked.since.at + millis(PATIENCE))
                .await;
            return self.stored(asked, &entry, How::Stored(STALE)).await;
        }
        let joined = async { self.join(asked).await.answerable().await };
        // A pool file whose archive has a list that is not read yet may be
        // another one by now: the copy is no stand-in while its origin is well.
        let patience = match asked.naming {
            Naming::Pool => PREPARING,
            Naming::ByHash(_) | Naming::Mutable => PATIENCE,
        };
        if let Ok((state, late)) = timeout(patience, joined).await {
            return self.landed(asked, state, late, Some(entry)).await;
        }
        for origin in &origins {
            core.health.slow(origin.origin(), asked.since.at);
        }
        self.stored(asked, &entry, How::Stored(STALE)).await
    }

    /// Answers with what a flight brought. `late`: it was over when the client
    /// came, but for its rows.
    pub(super) async fn landed(
        &self,
        asked: &Asked<'_>,
        state: State,
        late: bool,
        copy: Option<Arc<Entry>>,
    ) -> Result<Response<Body>, Problem> {
        match (state, copy) {
            (State::Streaming(growing), _) => Ok(self.coming(asked, &growing)),
            (State::Stored(entry), _) => self.settled(asked, &entry).await,
            (State::Fetched(entry, _), _) if late => self.settled(asked, &entry).await,
            (State::Fetched(entry, whence), _) => {
                self.stored(asked, &entry, How::Fetched(whence)).await
            }
            (State::Unchanged(entry), _) => {
                self.stored(asked, &entry, How::Stored(REVALIDATED)).await
            }
            (State::Refused(refusal), Some(entry)) if refusal.stale_may_serve => {
                self.stored(asked, &entry, How::Stored(STALE)).await
            }
            (State::Refused(refusal), _) => {
                asked.missed();
                Err(refusal.into())
            }
            (State::Waiting | State::Uncached, _) => self.direct(asked).await,
        }
    }

    /// Joins the flight for an address, or opens one. One whose body is all
    /// here was asked before this client came: for a name that can change it
    /// is waited out, so that nobody gets yesterday's answer.
    pub(super) async fn join(&self, asked: &Asked<'_>) -> Joined {
        loop {
            let (flight, opened) = self.core.flights.join(asked.url.key());
            let mut state = flight.watch();
            if opened {
                self.open(Arc::clone(&flight), asked);
                return Joined {
                    flight,
                    state,
                    late: false,
                };
            }
            let late =
                matches!(&*state.borrow(), State::Streaming(growing) if is_complete(growing));
            if !late || asked.naming != Naming::Mutable {
                return Joined {
                    flight,
                    state,
                    late,
                };
            }
            drop(flight);
            let _ = state.changed().await;
        }
    }

    /// Sees to a new flight in a task of its own: who opened it may leave.
    fn open(&self, flight: Arc<Flight>, asked: &Asked<'_>) {
        let (core, url) = (Arc::clone(&self.core), asked.url.clone());
        let (naming, since) = (asked.naming.clone(), asked.since);
        self.tasks
            .spawn(async move { core.answer(&flight, &url, &naming, since).await });
    }

    pub(super) async fn direct(&self, asked: &Asked<'_>) -> Result<Response<Body>, Problem> {
        asked.missed();
        self.past_store(asked).await
    }

    /// Asks the origins for this client alone.
    pub(super) async fn past_store(&self, asked: &Asked<'_>) -> Result<Response<Body>, Problem> {
        pass_through(
            &self.core,
            &self.upstream,
            asked.client.visitor(),
            (asked.method, asked.url, asked.headers),
        )
        .await
    }

    /// Answers with a stored file; if it was fetched ahead for this very
    /// request, that is a miss.
    async fn settled(
        &self,
        asked: &Asked<'_>,
        entry: &Arc<Entry>,
    ) -> Result<Response<Body>, Problem> {
        let ahead = self.core.expected.take(&entry.key);
        let how = ahead.map_or(How::Stored(HIT), How::Fetched);
        self.stored(asked, entry, how).await
    }

    /// Answers with a stored file.
    pub(super) async fn stored(
        &self,
        asked: &Asked<'_>,
        entry: &Arc<Entry>,
        how: How,
    ) -> Result<Response<Body>, Problem> {
        let request = (asked.method, asked.headers);
        if let Some(response) = self.small(entry, asked.client, request, &how) {
            return Ok(as_asked(response, asked.method));
        }
        let Some(growing) = self.opened(entry).await? else {
            return self.direct(asked).await;
        };
        if let How::Fetched(whence) = &how {
            growing.set_whence(whence);
        }
        self.count(entry, asked.client, &how);
        Ok(self.follow(asked, &growing, &how))
    }

    /// Answers with what is coming in.
    fn coming(&self, asked: &Asked<'_>, growing: &Arc<Growing>) -> Response<Body> {
        if matches!(asked.naming, Naming::ByHash(_)) {
            self.core.truth.note_use(asked.url.key());
        }
        self.core.expected.take(asked.url.key());
        asked.missed();
        self.follow(asked, growing, &How::Fetched(growing.whence()))
    }

    /// Answers with a body on disk, whole or growing.
    fn follow(&self, asked: &Asked<'_>, growing: &Arc<Growing>, how: &How) -> Response<Body> {
        let (described, total) = (&growing.described, growing.total);
        let part = part(asked.method, asked.headers, described, total);
        let Some((start, end)) = part.span(total) else {
            return head(part, described, total, how.status(), Body::empty());
        };
        let following = Following {
            core: Arc::clone(&self.core),
            upstream: self.upstream.clone(),
            url: asked.url.clone(),
            visitor: Arc::clone(asked.client.visitor()),
            is_hit: how.is_hit(),
            described: described.clone(),
            reader: growing.reader(start, end),
            end,
        };
        let body = Body::frames(following.frames(), end.map(|end| end - start));
        let response = head(part, described, total, how.status(), body);
        as_asked(response, asked.method)
    }

    /// Opens a body on disk. One that is missing is forgotten with its rows,
    /// so that the next request fetches it.
    async fn opened(&self, entry: &Arc<Entry>) -> Result<Option<Arc<Growing>>, Problem> {
        let file = FileRow {
            id: entry.file_id,
            sha256: entry.sha256,
            size: entry.size,
        };
        let opened = self.core.open_body(file).await.map_err(|error| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("The cached file can't be opened: {error}."),
            )
        })?;
        let described = entry.described.clone();
        Ok(opened.map(|file| Growing::whole(described, entry.size, file)))
    }

    /// Answers with a file that is in memory.
    fn small(
        &self,
        entry: &Arc<Entry>,
        client: &Client,
        (method, headers): (&Method, &HeaderMap),
        how: &How,
    ) -> Option<Response<Body>> {
        let bytes = entry.body.as_ref()?;
        let (described, size) = (&entry.described, Some(entry.size));
        let part = part(method, headers, described, size);
        let body = Body::full(part.of(bytes));
        let body = match how {
            How::Stored(_) => body.counted(client.visitor(), Kind::ClientsFromCache),
            How::Fetched(whence) => {
                let (from, to) = part.span(size).unwrap_or_default();
                let from_peers = whence.from_peers(from, to.unwrap_or(entry.size));
                body.counted(client.visitor(), Kind::ClientsFromMirrors)
                    .from_peers(from_peers)
            }
        };
        self.count(entry, client, how);
        Some(head(part, described, size, how.status(), body))
    }

    fn count(&self, entry: &Arc<Entry>, client: &Client, how: &How) {
        if how.is_hit() {
            client.visitor().hit();
        } else {
            client.visitor().missed();
        }
        self.core.note_use(entry);
    }
}

/// How a file came to be there for a client.
#[derive(Debug)]
pub(super) enum How {
    /// It was stored before; with what `Cache-Status` says of that.
    Stored(HeaderValue),
    /// It was fetched for this client.
    Fetched(Whence),
}

impl How {
    fn status(&self) -> HeaderValue {
        match self {
            Self::Stored(status) => status.clone(),
            Self::Fetched(whence) => miss(whence.came),
        }
    }

    const fn is_hit(&self) -> bool {
        matches!(self, Self::Stored(_))
    }
}

/// A flight that a client waits for.
pub(super) struct Joined {
    pub(super) flight: Arc<Flight>,
    state: watch::Receiver<State>,
    /// Whether its body was all here when the client came.
    late: bool,
}

impl Joined {
    /// Waits until a client can be answered: with a body, from its first byte
    /// on, so that head and small body are one packet. A body that is complete
    /// while its rows are being written is a hit in a moment, and one that
    /// broke may come from another origin: both are waited for.
    async fn answerable(self) -> (State, bool) {
        self.answerable_at(|_| Some(0)).await
    }

    /// Likewise, from another byte on; `None` where none is to be sent.
    pub(super) async fn answerable_at(
        mut self,
        first: impl Fn(&Growing) -> Option<u64>,
    ) -> (State, bool) {
        loop {
            let known = self
                .state
                .wait_for(|state| match state {
                    State::Waiting => false,
                    State::Streaming(growing) => !is_over(growing),
                    _ => true,
                })
                .await
                .map_or(State::Uncached, |state| state.clone());
            let State::Streaming(growing) = known else {
                return (known, self.late);
            };
            if let Some(at) = first(&growing) {
                growing.begun(at).await;
            }
            if !is_over(&growing) || is_complete(&growing) {
                return (State::Streaming(growing), self.late);
            }
        }
    }
}

/// Whether nothing more will come this way.
fn is_over(growing: &Growing) -> bool {
    match growing.progress().end {
        End::Broken(cause) => cause != Break::StoreFull,
        End::Open | End::Whole => is_complete(growing),
    }
}

fn is_complete(growing: &Growing) -> bool {
    let progress = growing.progress();
    progress.end == End::Whole || growing.total == Some(progress.len)
}
