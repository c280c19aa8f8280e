//! NAT-PMP and PCP.

use super::{Held, Ill, Shared, Source, hold};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What a PCP answer begins with, and the length of the whole.
const PCP_HEAD: usize = 24;
const PCP: usize = 60;

pub(super) fn serve(shared: &Arc<Shared>, source: Source) {
    let Source::Udp(socket) = source else { return };
    shared.packets(&socket, |packet, from| {
        let ill = shared.state().manner.ill.clone();
        let answer = match ill {
            Ill::Noise => Some(vec![0xa5; packet.len() % 7 * 9 + 3]),
            _ => answer(shared, packet, from),
        };
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, from);
        }
    });
}

fn answer(shared: &Arc<Shared>, packet: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let manner = shared.state().manner.clone();
    match packet {
        [2, ..] if manner.pcp => pcp(shared, packet, from),
        // RFC 6886, 3.5: the version is one that it does not know.
        [2, op, ..] if manner.nat_pmp => Some(vec![0, op | 0x80, 0, 1, 0, 0, 0, 0]),
        [0, ..] if manner.nat_pmp => nat_pmp(shared, packet, from),
        _ => None,
    }
}

fn epoch(shared: &Shared) -> [u8; 4] {
    let since = shared.state().started.elapsed().as_secs();
    u32::try_from(since).unwrap().to_be_bytes()
}

fn u16_at(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn u32_at(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(packet[at..at + 4].try_into().unwrap())
}

/// The port for who suggests one: that, where it is free.
fn free(shared: &Shared, protocol: &str, suggested: u16, internal: u16, to: SocketAddr) -> u16 {
    let state = shared.state();
    let is_free = |port: u16| {
        let is_others = |it: &Held| it.protocol == protocol && it.external == port && it.to != to;
        port != 0 && !state.manner.taken.contains(&port) && !state.held.iter().any(is_others)
    };
    let first = if suggested == 0 { internal } else { suggested };
    (first..=u16::MAX).find(|port| is_free(*port)).unwrap()
}

fn nat_pmp(shared: &Arc<Shared>, packet: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let op = *packet.get(1)?;
    let manner = shared.state().manner.clone();
    // Its address is no secret to those whom it refuses everything else.
    let result = if manner.refuses && op != 0 { 2 } else { 0 };
    let mut answer = vec![0, op | 0x80, 0, result];
    answer.extend(epoch(shared));
    if op == 0 && packet.len() == 2 {
        if manner.hides_address {
            return None;
        }
        shared.state().heard.push("nat-pmp address".to_owned());
        answer.extend(manner.external.octets());
        return Some(answer);
    }
    let protocol = match op {
        1 => "udp",
        2 => "tcp",
        _ => return None,
    };
    if packet.len() != 12 {
        return None;
    }
    let (internal, suggested, asked) = (u16_at(packet, 4), u16_at(packet, 6), u32_at(packet, 8));
    let to = SocketAddr::new(from.ip(), internal);
    let said = format!("nat-pmp {protocol} {internal} {suggested} for {asked}");
    shared.state().heard.push(said);
    let (mut external, mut lifetime) = (0, 0);
    if asked == 0 {
        let mut state = shared.state();
        state
            .held
            .retain(|it| it.is_upnp || (it.protocol, it.to) != (protocol, to));
    } else if shared.state().held.len() >= manner.most {
        return None;
    } else if !manner.refuses {
        external = free(shared, protocol, suggested, internal, to);
        lifetime = asked.min(manner.lifetime);
        let nonce = [0; 12];
        hold(
            shared,
            Held {
                protocol,
                external,
                to,
                lifetime,
                nonce,
                is_upnp: false,
            },
        );
    }
    answer.extend(internal.to_be_bytes());
    answer.extend(external.to_be_bytes());
    answer.extend(lifetime.to_be_bytes());
    Some(answer)
}

fn pcp(shared: &Arc<Shared>, packet: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    if packet.len() != PCP || packet[1] != 1 {
        return None;
    }
    let manner = shared.state().manner.clone();
    let mapped = |ip: Ipv4Addr| ip.to_ipv6_mapped().octets();
    let std::net::IpAddr::V4(client) = from.ip() else {
        return None;
    };
    let nonce: [u8; 12] = packet[PCP_HEAD..PCP_HEAD + 12].try_into().unwrap();
    let protocol = match packet[36] {
        6 => "tcp",
        17 => "udp",
        _ => return None,
    };
    let (asked, internal, suggested) = (u32_at(packet, 4), u16_at(packet, 40), u16_at(packet, 42));
    let to = SocketAddr::new(from.ip(), internal);
    let said = format!("pcp {protocol} {internal} {suggested} for {asked}");
    shared.state().heard.push(said);
    let apart = manner.apart;
    let of = |it: &Held| (it.protocol, it.to) == (protocol, to) && !(apart && it.is_upnp);
    let is_anothers = shared
        .state()
        .held
        .iter()
        .any(|it| of(it) && it.nonce != nonce);
    let (mut external, mut lifetime) = (suggested, 0);
    let result = if packet[8..24] != mapped(client) {
        12
    } else if manner.refuses || is_anothers {
        2
    } else if asked == 0 {
        shared.state().held.retain(|it| !of(it));
        0
    } else {
        external = free(shared, protocol, suggested, internal, to);
        lifetime = asked.min(manner.lifetime);
        hold(
            shared,
            Held {
                protocol,
                external,
                to,
                lifetime,
                nonce,
                is_upnp: false,
            },
        );
        0
    };
    let mut answer = vec![2, 0x81, 0, result];
    answer.extend(lifetime.to_be_bytes());
    answer.extend(epoch(shared));
    answer.extend([0; 12]);
    answer.extend(&packet[PCP_HEAD..42]);
    answer.extend(external.to_be_bytes());
    answer.extend(mapped(manner.external));
    Some(answer)
}
