//! Values that name hosts, networks and URLs.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    Advertise, Contact, UpstreamAllow,
    setting::{Refusal, Setting, text},
    value::Value,
};

/// One entry of `apt.allow`: an address, a network, or a word for several networks.
pub(super) struct Clients(pub(super) Vec<IpNet>);

/// One origin of a mirror.
pub(super) struct OriginUrl(pub(super) String);

/// What the word `loopback` means.
pub(super) fn loopback() -> Vec<IpNet> {
    vec![v4([127, 0, 0, 0], 8), v6([0, 0, 0, 0, 0, 0, 0, 1], 128)]
}

/// What the word `private` means: RFC 1918, link-local and unique local addresses.
pub(super) fn private() -> Vec<IpNet> {
    vec![
        v4([10, 0, 0, 0], 8),
        v4([172, 16, 0, 0], 12),
        v4([192, 168, 0, 0], 16),
        v4([169, 254, 0, 0], 16),
        v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ]
}

fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(octets.into(), prefix))
}

fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(segments.into(), prefix))
}

/// A network, or an address as a network of one.
fn net(text: &str) -> Option<IpNet> {
    let alone = text.parse::<IpAddr>().ok();
    alone
        .map(|address| IpNet::from(address.to_canonical()))
        .or_else(|| text.parse::<IpNet>().ok().map(|net| net.trunc()))
}

/// A host name in lower case, without the dot that may end it.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // A last label of digits alone is what remains of a mistyped address.
    let last = name.rsplit('.').next().unwrap_or_default();
    let named = last.bytes().any(|b| !b.is_ascii_digit());
    (name.len() <= 253 && named && name.split('.').all(label)).then_some(name)
}

/// `host:port` or `address:port`; the host in lower case and without brackets.
fn host_port(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let host = address.ip().to_canonical().to_string();
        return (address.port() != 0).then(|| (host, address.port()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host_name(host)?, port))
}

impl Setting for SocketAddr {
    const WANTED: &'static str =
        r#"an address with a port, such as "127.0.0.1:3142" or "[::]:3142""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        written.parse().map_err(|_| {
            if host_port(written).is_some() {
                Refusal::because("a name is no address")
            } else if written.parse::<IpAddr>().is_ok() {
                Refusal::because("the port is missing")
            } else {
                Refusal::Kind
            }
        })
    }
}

impl Setting for Clients {
    const WANTED: &'static str =
        r#""loopback", "private", or a network or address, such as "192.0.2.0/24""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        Ok(Self(match text(value)? {
            "loopback" => loopback(),
            "private" => private(),
            other => vec![net(other).ok_or(Refusal::Kind)?],
        }))
    }
}

impl Setting for UpstreamAllow {
    const WANTED: &'static str = r#"a host, a host with a port, or a network, such as "repo.lan", "repo.lan:8080" or "10.0.0.0/8""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        if written.contains("://") {
            return Err(Refusal::because("not a URL, the host alone"));
        }
        let bare = written.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(net) = net(bare.unwrap_or(written)) {
            return Ok(Self::Net(net));
        }
        host_port(written)
            .map(|(host, port)| Self::HostPort(host, port))
            .or_else(|| host_name(written).map(Self::Host))
            .ok_or(Refusal::Kind)
    }
}

impl Setting for OriginUrl {
    const WANTED: &'static str = r#"an http or https URL, such as "http://ftp.debian.org/debian""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        // `Uri` drops a fragment in silence.
        if written.contains('#') {
            return Err(Refusal::because("a fragment has no place here"));
        }
        let uri: Uri = written.parse().map_err(|_| Refusal::Kind)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let Some(authority) = uri
            .authority()
            .filter(|_| matches!(scheme, "http" | "https"))
        else {
            return Err(Refusal::Kind);
        };
        if authority.as_str().contains('@') {
            return Err(Refusal::because("a user or password has no place here"));
        }
        if uri.query().is_some() {
            return Err(Refusal::because("a query has no place here"));
        }
        if uri
            .path()
            .split('/')
            .any(|part| part == "." || part == "..")
        {
            return Err(Refusal::because("a path with dots alone has no place here"));
        }
        let host = authority.host().to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let known = bare.map_or_else(
            || host_name(&host).is_some() || host.parse::<IpAddr>().is_ok(),
            |address| address.parse::<IpAddr>().is_ok(),
        );
        if !known {
            return Err(Refusal::because("the host is no name and no address"));
        }
        // `Uri` takes any digits for a port and tells none where they are too many.
        let port = match (authority.as_str().len() > host.len(), authority.port_u16()) {
            (false, _) => String::new(),
            (true, Some(port)) if port != 0 => format!(":{port}"),
            (true, _) => return Err(Refusal::because("the port is no port")),
        };
        let path = uri.path().trim_end_matches('/');
        Ok(Self(format!("{scheme}://{host}{port}{path}")))
    }
}

impl Setting for Contact {
    const WANTED: &'static str =
        r#"a host or address with a port, such as "node.example.org:9977""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let (host, port) = host_port(text(value)?).ok_or(Refusal::Kind)?;
        Ok(Self { host, port })
    }
}

impl Setting for Advertise {
    const WANTED: &'static str = r#""auto", or an address with a port, such as "192.0.2.7:9977""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        if written == "auto" {
            return Ok(Self::Auto);
        }
        let address = written.parse::<SocketAddr>().ok();
        address
            .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
            .filter(|address| address.port() != 0 && !address.ip().is_unspecified())
            .map(Self::Address)
            .ok_or(Refusal::Kind)
    }
}
