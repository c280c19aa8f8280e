//! The HTTP client: one question, its redirects, and the answer's body.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::header::{
    AGE, AUTHORIZATION, CONTENT_RANGE, DATE, ETAG, HOST, LAST_MODIFIED, LOCATION, USER_AGENT, VIA,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustix::net::sockopt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connector::{GuardedConnector, resolve};
use super::policy::{Denied, Policy};
use super::{UpstreamError, innermost};
use crate::clock::{to_millis, uptime};
use crate::debian::url::{RepoUrl, Scheme};
use crate::skew::Skew;

/// Redirects that are followed for one question.
const MAX_REDIRECTS: usize = 5;

/// How long an idle connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(30);

/// The most that is read from an origin at once, in bytes.
const CHUNK: usize = 512 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("aptmesh/", env!("CARGO_PKG_VERSION")));

/// Why a certificate file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("upstream.ca_files: {path} can't be used: {why}")]
pub struct CaFileError {
    path: PathBuf,
    why: String,
}

/// Asks origins.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<GuardedConnector>, Empty<Bytes>>,
    policy: Arc<Policy>,
    patience: Duration,
    skew: Arc<Skew>,
}

impl Upstream {
    /// A client under these rules that waits at most `patience` for any byte.
    ///
    /// # Errors
    /// Where a file of certificates holds none.
    pub fn new(
        policy: Policy,
        patience: Duration,
        ca_files: &[PathBuf],
    ) -> Result<Self, CaFileError> {
        let policy = Arc::new(policy);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CaFileError {
                path: PathBuf::new(),
                why: error.to_string(),
            })?
            .with_root_certificates(roots(ca_files)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(GuardedConnector(Arc::clone(&policy)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(CHUNK)
            .build(connector);
        Ok(Self {
            client,
            policy,
            patience,
            skew: Arc::default(),
        })
    }

    /// What origins' clocks say.
    #[must_use]
    pub fn skew(&self) -> Arc<Skew> {
        Arc::clone(&self.skew)
    }

    /// Asks for `url`, following redirects.
    ///
    /// # Errors
    /// [`UpstreamError`]: not allowed, not reached, silent, or redirected
    /// where this client does not go.
    pub async fn ask(
        &self,
        method: &Method,
        url: &RepoUrl,
        headers: &HeaderMap,
    ) -> Result<Answer, UpstreamError> {
        let (mut url, mut headers) = (url.clone(), headers.clone());
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask_once(method, &url, &headers).await?;
            let Some(next) = answer.redirects_to()? else {
                return Ok(answer);
            };
            if next.origin() != url.origin() {
                // Credentials are for whom they were given to (RFC 9110 §15.4).
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(UpstreamError::Redirect {
            origin: url.origin().to_owned(),
            why: format!("more than {MAX_REDIRECTS} times"),
        })
    }

    async fn ask_once(
        &self,
        method: &Method,
        url: &RepoUrl,
        headers: &HeaderMap,
    ) -> Result<Answer, UpstreamError> {
        let unreachable = |why: String| UpstreamError::Connect {
            origin: url.origin().to_owned(),
            why,
        };
        let uri: Uri = url
            .wire()
            .parse()
            .map_err(|error| unreachable(format!("{error}")))?;
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers.clone();
        if let Some(host) = uri
            .authority()
            .and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            request.headers_mut().insert(HOST, host);
        }
        request.headers_mut().insert(USER_AGENT, AGENT);
        request
            .headers_mut()
            .insert(VIA, HeaderValue::from_static("1.1 aptmesh"));
        *request.uri_mut() = uri;
        match timeout(self.patience, self.client.request(request)).await {
            Err(_) => Err(self.silent(url.origin())),
            Ok(Err(error)) => Err(match denied_in(&error) {
                Some(denied) => denied.into(),
                None => unreachable(innermost(&error)),
            }),
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                let answer = Answer {
                    status: parts.status,
                    headers: parts.headers,
                    url: url.clone(),
                    body,
                    patience: self.patience,
                };
                if let Some(date) = answer.header(DATE) {
                    let age = answer.header(AGE);
                    let now = to_millis(SystemTime::now());
                    self.skew.heard(url.origin(), (date, age), now, uptime());
                }
                Ok(answer)
            }
        }
    }

    fn silent(&self, origin: &str) -> UpstreamError {
        UpstreamError::Silent {
            origin: origin.to_owned(),
            seconds: self.patience.as_secs(),
        }
    }

    /// A bare connection, for a tunnel.
    ///
    /// # Errors
    /// As [`Upstream::ask`].
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
        let unreachable = |why: String| UpstreamError::Connect {
            origin: format!("{host}:{port}"),
            why,
        };
        let attempt = async {
            let addresses = resolve(&self.policy, host, port)
                .await
                .map_err(|error| match error.downcast::<Denied>() {
                    Ok(denied) => UpstreamError::Denied(*denied),
                    Err(other) => unreachable(other.to_string()),
                })?;
            let stream = TcpStream::connect(&*addresses)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            sockopt::set_socket_keepalive(&stream, true)
                .map_err(|error| unreachable(error.to_string()))?;
            Ok(stream)
        };
        timeout(self.patience, attempt)
            .await
            .unwrap_or_else(|_| Err(self.silent(&format!("{host}:{port}"))))
    }
}

fn roots(ca_files: &[PathBuf]) -> Result<RootCertStore, CaFileError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::warn!(
            "no system root certificates found: https upstreams will fail; install ca-certificates"
        );
    }
    for path in ca_files {
        let fails = |why: String| CaFileError {
            path: path.clone(),
            why,
        };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| fails(error.to_string()))?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(fails("there is no certificate in it".to_owned()));
        }
    }
    Ok(roots)
}

fn denied_in(error: &(dyn std::error::Error + 'static)) -> Option<Denied> {
    let mut error = Some(error);
    while let Some(here) = error {
        if let Some(denied) = here.downcast_ref::<Denied>() {
            return Some(denied.clone());
        }
        error = here.source();
    }
    None
}

/// An origin's answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code; never a redirect.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub url: RepoUrl,
    body: Incoming,
    patience: Duration,
}

impl Answer {
    /// One header field as text.
    #[must_use]
    pub fn header(&self, name: axum::http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether this is the rest, from byte `at` on, of a body that began with
    /// these validators: nothing in it may be of another version, and it must
    /// reach to the end (RFC 9110 §15.3.7).
    #[must_use]
    pub fn is_rest(
        &self,
        at: u64,
        total: Option<u64>,
        etag: Option<&str>,
        modified: Option<&str>,
    ) -> bool {
        let Some((first, end, whole)) = self.extent() else {
            return false;
        };
        first == at
            && end == whole
            && total.is_none_or(|total| total == whole)
            && self.is_version(etag, modified)
    }

    /// Whether this is exactly the part from byte `from` up to before `to` of
    /// a body of `total` bytes.
    #[must_use]
    pub fn is_part(&self, from: u64, to: u64, total: u64) -> bool {
        self.extent() == Some((from, to, total))
    }

    /// First byte, end and complete length of a part (RFC 9110 §15.3.7).
    fn extent(&self) -> Option<(u64, u64, u64)> {
        let covers = self.header(CONTENT_RANGE).and_then(parse_content_range);
        let (first, last, whole) = covers?;
        let is_part = self.status == StatusCode::PARTIAL_CONTENT;
        is_part.then_some((first, last.checked_add(1)?, whole))
    }

    /// Whether this is of the version with these validators, as far as the
    /// origin says.
    #[must_use]
    pub fn is_version(&self, etag: Option<&str>, modified: Option<&str>) -> bool {
        let same = |theirs: Option<&str>, ours: Option<&str>| match (theirs, ours) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => true,
        };
        same(self.header(ETAG), etag) && same(self.header(LAST_MODIFIED), modified)
    }

    /// The next bytes of the body, `None` at its end.
    ///
    /// # Errors
    /// Where the body breaks off before its announced end, or stalls.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let frame = timeout(self.patience, self.body.frame())
                .await
                .map_err(|_| UpstreamError::Silent {
                    origin: self.url.origin().to_owned(),
                    seconds: self.patience.as_secs(),
                })?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| UpstreamError::Broken {
                origin: self.url.origin().to_owned(),
                why: innermost(&error),
            })?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    fn redirects_to(&self) -> Result<Option<RepoUrl>, UpstreamError> {
        let follows = [301, 302, 303, 307, 308];
        if !follows.contains(&self.status.as_u16()) {
            return Ok(None);
        }
        let refused = |why: String| UpstreamError::Redirect {
            origin: self.url.origin().to_owned(),
            why,
        };
        let to = self
            .header(LOCATION)
            .ok_or_else(|| refused("without saying where".to_owned()))?;
        let next = self
            .url
            .join(to)
            .map_err(|error| refused(format!("to a place that is none: {error}")))?;
        if self.url.scheme() == Scheme::Https && next.scheme() == Scheme::Http {
            return Err(refused(format!(
                "from https to http ({next}), which is not followed"
            )));
        }
        Ok(Some(next))
    }
}

/// First and last byte and complete length of `bytes FIRST-LAST/LENGTH`
/// (RFC 9110 §14.4).
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, whole.parse().ok()?))
}
