//! `aptmesh apt-conf`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use crate::config::Config;

#[allow(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(super) fn run(config: &Config, local: bool) -> anyhow::Result<ExitCode> {
    if local {
        let listen = config.apt.listen.first();
        let address = listen.map_or_else(default, super::client::reachable);
        println!("{address}");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "Acquire::http::Proxy \"http://{}\";",
        address(&config.apt.listen, outbound())
    );
    Ok(ExitCode::SUCCESS)
}

fn default() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 3142))
}

/// The address that other machines reach this node by: the first one that is
/// listened on, with an unspecified one replaced by this machine's own.
fn address(listen: &[SocketAddr], own: Option<IpAddr>) -> SocketAddr {
    let first = listen.first().copied().unwrap_or_else(default);
    if first.ip().is_unspecified() {
        SocketAddr::new(own.unwrap_or(Ipv4Addr::LOCALHOST.into()), first.port())
    } else {
        first
    }
}

/// The address that this machine would send from. Nothing is sent: a UDP
/// socket is only pointed at a documentation address (RFC 5737, RFC 3849).
fn outbound() -> Option<IpAddr> {
    let sources: [(IpAddr, SocketAddr); 2] = [
        (
            Ipv4Addr::UNSPECIFIED.into(),
            (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
        ),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
        ),
    ];
    sources.into_iter().find_map(|(any, far)| {
        let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
        socket.connect(far).ok()?;
        Some(socket.local_addr().ok()?.ip())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn unspecified_addresses_become_this_machines_own() {
        let own = Some(IpAddr::from([10, 0, 0, 7]));
        let told = |listen: &str| address(&[listen.parse().unwrap()], own).to_string();
        assert_eq!(told("[::]:3142"), "10.0.0.7:3142");
        assert_eq!(told("0.0.0.0:80"), "10.0.0.7:80");
        assert_eq!(told("127.0.0.1:3142"), "127.0.0.1:3142");
        assert_eq!(told("[fd00::1]:3142"), "[fd00::1]:3142");
        assert_eq!(
            address(&["[::]:1".parse().unwrap()], None).to_string(),
            "127.0.0.1:1"
        );
    }
}
