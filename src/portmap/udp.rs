//! PCP and NAT-PMP, which share a port of the router. The sockets are connected
//! to it, so that nobody else can answer who does not pose as it, and an answer
//! is one datagram into a buffer of its greatest length.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crab_nat::natpmp::{self, Failure as NatPmpFailure};
use crab_nat::pcp::{self, BaseMapRequest, DropMappingRange, Failure as PcpFailure};
use crab_nat::{GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, TimeoutConfig};

use super::{Mapping, PortmapError};
use crate::router::schedule::LEASE;
use crate::router::{Place, Protocol, Wish};

/// A router on the same link answers within milliseconds: it is asked three
/// times within 1.75 s.
const PATIENCE: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 2,
    max_retry_timeout: Some(Duration::from_secs(1)),
};

/// At a stop: twice within 0.75 s.
const HASTE: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 1,
    max_retry_timeout: Some(Duration::from_millis(500)),
};

/// What both call a network failure.
const NO_NETWORK: &str = "it has no public address itself, or no connection";

impl From<PcpFailure> for PortmapError {
    fn from(failure: PcpFailure) -> Self {
        match failure {
            // Nobody is at that port of its, or one that knows NAT-PMP alone.
            PcpFailure::Socket(_) | PcpFailure::Timeout | PcpFailure::UnsupportedVersion(_) => {
                Self::Silent
            }
            PcpFailure::NetworkFailure(_) => Self::Refused(format!("PCP: {NO_NETWORK}")),
            failure => Self::Refused(format!("PCP: {failure}")),
        }
    }
}

impl From<NatPmpFailure> for PortmapError {
    fn from(failure: NatPmpFailure) -> Self {
        match failure {
            NatPmpFailure::Socket(_)
            | NatPmpFailure::Timeout
            | NatPmpFailure::UnsupportedVersion(_) => Self::Silent,
            NatPmpFailure::NetworkFailure => Self::Refused(format!("NAT-PMP: {NO_NETWORK}")),
            failure => Self::Refused(format!("NAT-PMP: {failure}")),
        }
    }
}

fn protocol(wish: Wish) -> InternetProtocol {
    match wish.protocol {
        Protocol::Tcp => InternetProtocol::Tcp,
        Protocol::Udp => InternetProtocol::Udp,
    }
}

/// Never with the lifetime that was granted last, as the library would do by
/// itself: no lifetime at all means removal.
fn options(wish: Wish) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(wish.external),
        lifetime_seconds: u32::try_from(LEASE.as_secs()).ok(),
        timeout_config: Some(PATIENCE),
    }
}

fn granted(wish: Wish, mapping: &PortMapping) -> Result<Mapping, PortmapError> {
    if mapping.lifetime() == 0 {
        return Err(PortmapError::Refused(
            "it grants a port for no time at all".to_owned(),
        ));
    }
    Ok(Mapping {
        wish: Wish {
            external: mapping.external_port(),
            ..wish
        },
        lifetime: Some(Duration::from_secs(mapping.lifetime().into())),
    })
}

/// An address that means one.
fn known(ip: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(ip).filter(|ip| !ip.is_unspecified())
}

/// Asks for a port; with the router's own address.
pub(super) async fn map_by_pcp(
    place: Place,
    nonce: [u32; 3],
    wish: Wish,
) -> Result<(Mapping, Option<Ipv4Addr>), PortmapError> {
    let base = BaseMapRequest::new(
        GatewayAddress::IpV4(place.gateway),
        place.own.into(),
        protocol(wish),
        wish.internal,
    );
    let mapping = pcp::port_mapping(base, Some(nonce), None, options(wish)).await?;
    let external = match mapping.mapping_type() {
        crab_nat::PortMappingType::Pcp {
            external_ip: IpAddr::V4(ip),
            ..
        } => known(ip),
        _ => None,
    };
    Ok((granted(wish, &mapping)?, external))
}

/// Asks for a port.
pub(super) async fn map_by_nat_pmp(gateway: Ipv4Addr, wish: Wish) -> Result<Mapping, PortmapError> {
    let gateway = GatewayAddress::IpV4(gateway);
    let asked = natpmp::port_mapping(gateway, protocol(wish), wish.internal, options(wish));
    granted(wish, &asked.await?)
}

/// Asks a router that knows NAT-PMP for its own address; `None`: it knows none.
pub(super) async fn external_address(gateway: Ipv4Addr) -> Result<Option<Ipv4Addr>, PortmapError> {
    let gateway = GatewayAddress::IpV4(gateway);
    let asked = natpmp::external_address(gateway, Some(PATIENCE));
    Ok(known(asked.await?))
}

pub(super) async fn unmap_by_pcp(
    place: Place,
    nonce: [u32; 3],
    wish: Wish,
) -> Result<(), PortmapError> {
    let range = DropMappingRange::Single {
        protocol: protocol(wish),
        internal_port: wish.internal,
    };
    let gateway = GatewayAddress::IpV4(place.gateway);
    let own = place.own.into();
    Ok(pcp::try_drop_mapping(gateway, own, nonce, range, Some(HASTE)).await?)
}

pub(super) async fn unmap_by_nat_pmp(gateway: Ipv4Addr, wish: Wish) -> Result<(), PortmapError> {
    let gateway = GatewayAddress::IpV4(gateway);
    let port = Some(wish.internal);
    Ok(natpmp::try_drop_mapping(gateway, protocol(wish), port, Some(HASTE)).await?)
}
