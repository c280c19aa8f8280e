//! `UPnP` Internet Gateway Devices. Only the router itself is listened to and
//! asked, every question has a time, and every answer a greatest length.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, HOST};
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_ip_multicast_if;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Mapping, PortmapError};
use crate::router::igd::{self, Location, Service};
use crate::router::schedule::LEASE;
use crate::router::{Place, Wish};

/// Where gateways listen for questions, SSDP.
const SSDP: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1900);

/// Until a gateway is found, with all that has to be read of it.
const SEARCH: Duration = Duration::from_secs(4);

/// Until it answers a question.
const ANSWER: Duration = Duration::from_secs(3);

/// Longest body of an answer, in bytes: descriptions take a tenth of that.
const LONGEST: usize = 64 * 1024;

/// Longest head of an answer, in bytes.
const HEAD: usize = 16 * 1024;

/// Ports that are tried where those before are taken.
const OTHERS: usize = 6;

/// They are drawn from these.
const RANGE: std::ops::Range<u16> = 20_000..60_000;

/// Longest SSDP packet that is read, in bytes.
const PACKET: usize = 1500;

/// As what the router shows its owner the ports.
const NAME: &str = "aptmesh";

/// Errors by which another port may be granted: taken, or to be the same as
/// this machine's.
const OTHER_PORT: [u16; 2] = [718, 724];

/// It knows no end of a mapping.
const PERMANENT: u16 = 725;

/// Not authorized.
const UNAUTHORIZED: u16 = 606;

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There was no answer.
    Silent,
    /// There was one that can't be read.
    Unreadable,
    /// The number of an error. Its own words, which may be a whole page, are
    /// not told.
    Code(u16),
}

impl Refusal {
    /// Whether another port may be granted.
    pub(super) fn is_of_port(self) -> bool {
        matches!(self, Self::Code(code) if OTHER_PORT.contains(&code))
    }
}

impl From<Refusal> for PortmapError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(match refusal {
            Refusal::Silent => return Self::Silent,
            Refusal::Unreadable => "UPnP: an answer that can't be read".to_owned(),
            Refusal::Code(UNAUTHORIZED) => "UPnP: not authorized".to_owned(),
            Refusal::Code(_) if refusal.is_of_port() => {
                "UPnP: every port that was tried is taken".to_owned()
            }
            Refusal::Code(code) => format!("UPnP: error {code}"),
        })
    }
}

/// A gateway that was found.
#[derive(Debug, Clone)]
pub(super) struct Igd {
    service: Service,
    own: Ipv4Addr,
    is_permanent: bool,
}

/// Looks whether the router is a `UPnP` gateway.
pub(super) async fn search(place: Place) -> Option<Igd> {
    let found = async {
        let socket = UdpSocket::bind((place.own, 0)).await?;
        set_ip_multicast_if(&socket, &place.own)?;
        // Some miss what is sent to all.
        for to in [SSDP, (place.gateway, SSDP.1)] {
            for target in igd::TARGETS {
                let question = igd::search(target);
                if let Err(error) = socket.send_to(question.as_bytes(), to).await {
                    tracing::trace!(%error, "a question for UPnP gateways is lost");
                }
            }
        }
        found(&socket, place.gateway).await
    };
    let service = timeout(SEARCH, found).await.ok()?;
    let service =
        service.inspect_err(|error| tracing::debug!(%error, "no UPnP gateway can be looked for"));
    Some(Igd {
        service: service.ok()?,
        own: place.own,
        is_permanent: false,
    })
}

/// Waits for an answer of the router. The senders of packets are easily made
/// up: it is not asked anywhere but at its own address either.
pub(super) async fn found(socket: &UdpSocket, gateway: Ipv4Addr) -> io::Result<Service> {
    let mut packet = [0; PACKET];
    loop {
        let (len, from) = socket.recv_from(&mut packet).await?;
        if from.ip() != IpAddr::V4(gateway) {
            continue;
        }
        let Some(at) = igd::location(&packet[..len], gateway) else {
            continue;
        };
        let asked = timeout(ANSWER, ask(&at, Request::get(&at.path), String::new())).await;
        if let Ok(Some((StatusCode::OK, description))) = asked
            && let Some(service) = igd::service(&description, &at)
        {
            return Ok(service);
        }
    }
}

/// One question over a connection of its own; `None`: there is no answer, or
/// too long a one.
async fn ask(at: &Location, request: Builder, body: String) -> Option<(StatusCode, String)> {
    let stream = TcpStream::connect(at.address).await.ok()?;
    let mut http = http1::Builder::new();
    let shaken = http
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = shaken.ok()?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = request
        .header(HOST, at.address.to_string())
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)));
    let (head, body) = sender.send_request(request.ok()?).await.ok()?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.ok()?;
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Some((head.status, body))
}

fn protocol(wish: Wish) -> String {
    wish.protocol.to_string()
}

impl Igd {
    /// Ports to ask for: the one that is wished for, then that of this machine,
    /// then any.
    pub(super) fn ports(wish: Wish) -> Vec<NonZeroU16> {
        let drawn = [(); OTHERS].map(|()| rand::random_range(RANGE));
        let drawn = drawn.into_iter().filter_map(NonZeroU16::new);
        let mut ports = vec![wish.external];
        for port in std::iter::once(wish.internal).chain(drawn) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    /// Asks for this very port.
    pub(super) async fn map(&mut self, wish: Wish) -> Result<Mapping, Refusal> {
        match self.add(wish).await {
            Err(Refusal::Code(PERMANENT)) if !self.is_permanent => {
                self.is_permanent = true;
                self.add(wish).await?;
            }
            added => added?,
        }
        let lifetime = Some(LEASE).filter(|_| !self.is_permanent);
        Ok(Mapping { wish, lifetime })
    }

    async fn add(&self, wish: Wish) -> Result<(), Refusal> {
        let lease = if self.is_permanent {
            0
        } else {
            LEASE.as_secs()
        };
        let arguments = [
            ("NewRemoteHost", String::new()),
            ("NewExternalPort", wish.external.to_string()),
            ("NewProtocol", protocol(wish)),
            ("NewInternalPort", wish.internal.to_string()),
            ("NewInternalClient", self.own.to_string()),
            ("NewEnabled", "1".to_owned()),
            ("NewPortMappingDescription", NAME.to_owned()),
            ("NewLeaseDuration", lease.to_string()),
        ];
        self.act("AddPortMapping", &arguments).await.map(drop)
    }

    /// The router's own address; `None`: it has none.
    pub(super) async fn external_address(&self) -> Result<Option<Ipv4Addr>, Refusal> {
        let answer = self.act("GetExternalIPAddress", &[]).await?;
        let ip = igd::text(&answer, "NewExternalIPAddress").unwrap_or_default();
        let ip = ip.parse().ok();
        Ok(ip.filter(|ip: &Ipv4Addr| !ip.is_unspecified()))
    }

    pub(super) async fn unmap(&self, wish: Wish) -> Result<(), Refusal> {
        let arguments = [
            ("NewRemoteHost", String::new()),
            ("NewExternalPort", wish.external.to_string()),
            ("NewProtocol", protocol(wish)),
        ];
        self.act("DeletePortMapping", &arguments).await.map(drop)
    }

    async fn act(&self, name: &str, arguments: &[(&str, String)]) -> Result<String, Refusal> {
        let Service { kind, control } = &self.service;
        let request = Request::post(&control.path)
            .header("SOAPAction", format!("\"{kind}#{name}\""))
            .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"");
        let asked = ask(control, request, igd::action(kind, name, arguments));
        match timeout(ANSWER, asked).await {
            Ok(Some((StatusCode::OK, answer))) => Ok(answer),
            Ok(Some((_, answer))) => {
                let code = igd::text(&answer, "errorCode").and_then(|code| code.parse().ok());
                Err(code.map_or(Refusal::Unreadable, Refusal::Code))
            }
            _ => Err(Refusal::Silent),
        }
    }
}
