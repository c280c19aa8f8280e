//! One request to the daemon, over TCP or its control socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, bail};
use axum::http::{Request, Response, header};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::owner::Owner;
use crate::http::control;

/// A body that is sent to the daemon.
pub(super) type Upload = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

/// Sends a request over a connection of its own.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Upload>,
) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Asks the apt face for a page.
pub(super) async fn ask(listen: &[SocketAddr], path: &str) -> anyhow::Result<Response<Incoming>> {
    let Some(address) = listen.first().map(reachable) else {
        bail!("apt.listen names no address");
    };
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("no daemon answers at {address}: is `aptmesh serve` running"))?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .body(Upload::default())?;
    send(stream, request).await
}

/// The address that this machine reaches a listener by.
pub(super) fn reachable(listen: &SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // A dual-stack listener answers on IPv4, which every machine has.
        IpAddr::V6(ip) if ip == Ipv6Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, listen.port())
}

/// Connects to the control socket of the daemon that holds a data folder. Root
/// talks to a daemon of the folder's owner only, who may have put a link to
/// somebody else's socket there.
pub(super) async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let (_folder, path) = control::socket(data_dir)?;
    let stream = UnixStream::connect(path).await?;
    let user = stream.peer_cred()?.uid();
    match Owner::behind_root(data_dir) {
        Some(owner) if owner.uid != user => Err(io::Error::other(format!(
            "control.sock is of user {user}, not of the folder's owner"
        ))),
        _ => Ok(stream),
    }
}

/// Asks the daemon that holds a data folder.
pub(super) async fn control(
    data_dir: &Path,
    request: Request<Upload>,
) -> anyhow::Result<Response<Incoming>> {
    let stream = connect(data_dir).await.with_context(|| {
        format!(
            "the daemon that holds {} can't be reached",
            data_dir.display()
        )
    })?;
    let response = send(stream, request).await?;
    if !response.status().is_success() {
        bail!("the daemon answered {}", response.status());
    }
    Ok(response)
}
