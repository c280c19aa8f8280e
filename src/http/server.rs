//! Accepts connections and never dies of them.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ahead::{Ahead, Cold};
use super::body::Body;
use super::front::{Front, stranger};

/// How long a client may take for a request's head; also how long it may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take nothing of what is sent to it: the kernel ends
/// the connection then (tcp(7), `TCP_USER_TIMEOUT`).
const STALLED: Duration = Duration::from_mins(1);

/// The largest head of a request in bytes; also what is read ahead.
const HEAD_SIZE: usize = 64 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Pause after a failed accept: most likely no file descriptors are left, and
/// some connection has to end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a face is shut: no new requests, then no connections.
#[derive(Debug, Clone)]
pub struct Stops {
    /// Finish the request under way and close.
    pub soft: CancellationToken,
    /// Close.
    pub hard: CancellationToken,
}

/// The apt face on one address.
pub struct Face {
    /// Who answers.
    pub front: Front,
    /// Whose requests are answered.
    pub allow: Arc<[IpNet]>,
    /// Places for connections, shared by all faces.
    pub connections: Arc<Semaphore>,
    /// Where connections run, to be waited for at a stop.
    pub tasks: TaskTracker,
    /// When to stop.
    pub stops: Stops,
}

/// Opens an address to listen on. Where the machine has no IPv6, the
/// unspecified IPv6 address stands for the IPv4 one.
///
/// # Errors
/// What the system says, for instance that the port is taken.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match bind(address) {
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            tracing::warn!(%address, "this machine has no IPv6: listening on IPv4 only");
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        other => other,
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Face {
    /// Serves until told to stop.
    pub async fn serve(self, listener: TcpListener) {
        let face = Arc::new(self);
        let take = |(stream, peer, permit)| {
            let mine = Arc::clone(&face);
            face.tasks.spawn(async move {
                mine.connection(stream, peer).await;
                drop(permit);
            });
        };
        keep_accepting(&face.stops, || face.accept(&listener), take).await;
    }

    /// The next connection, once there is a place for it.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.connections)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer.ip().to_canonical(), permit))
    }

    async fn connection(&self, stream: TcpStream, peer: IpAddr) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(client = %peer, %error, "a connection ended before it began");
            return;
        }
        if self.allow.iter().any(|net| net.contains(&peer)) {
            let (front, cold) = (self.front.clone(), Cold::default());
            let expecting = self.front.clone();
            let stream = Ahead::new(stream, cold.clone(), move |target: &Uri| {
                expecting.expect(target);
            });
            let client = Arc::new(self.front.client(peer));
            let answer = move |request| {
                let (front, cold, client) = (front.clone(), cold.clone(), Arc::clone(&client));
                async move {
                    let response = front.call(&client, request).await;
                    response.inspect(|response| cold.answered(response))
                }
            };
            connection(stream, answer, &self.stops).await;
        } else {
            let answer = move |_| std::future::ready(Ok(stranger(peer)));
            connection(stream, answer, &self.stops).await;
        }
    }
}

/// Hands what `accept` brings to `take` until the soft stop. A failure is
/// followed by a pause, and by nothing else.
pub async fn keep_accepting<T, R>(stops: &Stops, accept: impl Fn() -> R, take: impl Fn(T))
where
    R: Future<Output = io::Result<T>>,
{
    loop {
        let accepted = tokio::select! {
            accepted = accept() => accepted,
            () = stops.soft.cancelled() => return,
        };
        match accepted {
            Ok(accepted) => take(accepted),
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Sees that a connection waits for nothing but its client, and not for long
/// for one that is gone.
///
/// # Errors
/// Where it ended already.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    let stalled = u32::try_from(STALLED.as_millis()).unwrap_or(u32::MAX);
    stream.set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(stream, stalled)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Serves one connection to its end.
pub async fn connection<S, F, R>(stream: S, answer: F, stops: &Stops)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Result<Response<Body>, Infallible>>,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades();
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stops.soft.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = stops.hard.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
