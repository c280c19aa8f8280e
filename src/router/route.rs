//! The table of IPv4 routes as Linux shows it.
//!
//! Its form has been the same for thirty years (`proc_net(5)`), which is less
//! than any crate that asks the kernel by netlink would bring along.

use std::net::Ipv4Addr;

/// The route is in use.
const UP: u32 = 1;

/// It leads to another machine.
const GATEWAY: u32 = 2;

/// Of the routes to everywhere, the gateway of the one that is taken first; the
/// text is that of `/proc/net/route`, and lines that can't be read count for
/// nothing.
#[must_use]
pub fn default_gateway(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(route);
    // Of equal metrics the kernel takes the first.
    routes.min_by_key(|(metric, _)| *metric).map(|(_, ip)| ip)
}

fn route(line: &str) -> Option<(u32, Ipv4Addr)> {
    let mut words = line.split_whitespace().skip(1);
    let mut hex = || u32::from_str_radix(words.next()?, 16).ok();
    let (destination, gateway, flags) = (hex()?, hex()?, hex()?);
    let mut words = words.skip(2);
    let metric = words.next()?.parse().ok()?;
    let mask = u32::from_str_radix(words.next()?, 16).ok()?;
    // The kernel prints the address's bytes as one number of the machine's.
    let ip = Ipv4Addr::from(gateway.to_ne_bytes());
    let is_default = destination == 0 && mask == 0 && flags & (UP | GATEWAY) == UP | GATEWAY;
    (is_default && !ip.is_unspecified()).then_some((metric, ip))
}
