//! Connections that are opened only to allowed addresses.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt, service_fn};

use super::policy::{Denied, Policy, unbracketed};

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Resolves, checks, connects.
#[derive(Debug, Clone)]
pub(super) struct GuardedConnector(pub(super) Arc<Policy>);

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let usual = if uri.scheme_str() == Some("https") {
                443
            } else {
                80
            };
            let addresses = resolve(&policy, &host, uri.port_u16().unwrap_or(usual)).await?;
            let resolver = service_fn(move |_: Name| {
                let addresses = addresses.clone().into_iter();
                async move { Ok::<_, std::convert::Infallible>(addresses) }
            });
            let mut http = HttpConnector::new_with_resolver(resolver);
            http.enforce_http(false);
            http.set_nodelay(true);
            http.set_connect_timeout(Some(CONNECT_TIMEOUT));
            http.set_keepalive(Some(Duration::from_mins(1)));
            Ok(http.oneshot(uri).await?)
        })
    }
}

/// The addresses of a host that may be asked.
///
/// # Errors
/// [`Denied`] (boxed) where the host has addresses but none that is allowed,
/// else what the resolver says.
pub(super) async fn resolve(
    policy: &Policy,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, BoxError> {
    policy.check_name(host, port)?;
    let (mut allowed, mut refused) = (Vec::new(), None::<Denied>);
    for address in tokio::net::lookup_host((unbracketed(host), port)).await? {
        match policy.check(host, port, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(denied) => refused = Some(denied),
        }
    }
    match refused {
        Some(denied) if allowed.is_empty() => Err(denied.into()),
        _ if allowed.is_empty() => Err(format!("{host} has no address").into()),
        _ => Ok(allowed),
    }
}
