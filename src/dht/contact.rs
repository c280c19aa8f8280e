//! Where nodes and peers are reached, and which addresses may be believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;

use super::id::{ID_LEN, NodeId};

/// The protocol that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, or IPv4 mapped into IPv6.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address; an IPv4-mapped one counts as IPv4.
    #[must_use]
    pub fn of(addr: &SocketAddr) -> Self {
        match addr.ip().to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bytes of a contact in compact form: 26 or 38.
    #[must_use]
    pub const fn compact_len(self) -> usize {
        match self {
            Self::V4 => ID_LEN + 6,
            Self::V6 => ID_LEN + 18,
        }
    }
}

/// A node and where it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contact {
    /// The node.
    pub id: NodeId,
    /// Its UDP address, canonical: see [`canonical`].
    pub addr: SocketAddr,
}

/// A contact as it lies on the wire: 26 or 38 bytes, read as a slice.
#[derive(Debug, Clone, Copy)]
pub struct Compact {
    bytes: [u8; ID_LEN + 18],
    len: usize,
}

impl Deref for Compact {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl Contact {
    /// A contact, its address made canonical.
    #[must_use]
    pub fn new(id: NodeId, addr: SocketAddr) -> Self {
        Self {
            id,
            addr: canonical(addr),
        }
    }

    /// The protocol that it is reached by.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.addr {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        }
    }

    /// Id, address and port (big-endian): 26 bytes for IPv4, 38 for IPv6.
    #[must_use]
    pub fn to_compact(&self) -> Compact {
        let mut bytes = [0; ID_LEN + 18];
        let (id, addr) = bytes.split_at_mut(ID_LEN);
        id.copy_from_slice(&self.id.0);
        let len = ID_LEN + write_addr(self.addr, addr);
        Compact { bytes, len }
    }

    /// Reads the compact form of one family; `None` where the length is
    /// another's. Whether the address is [`usable`] is not looked at.
    #[must_use]
    pub fn from_compact(family: Family, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != family.compact_len() {
            return None;
        }
        let (id, addr) = bytes.split_first_chunk()?;
        Some(Self::new(NodeId(*id), addr_from_compact(addr)?))
    }
}

/// The one form of an address: IPv4 where it is IPv4 mapped into IPv6, and
/// without flow information and scope.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// An address and port (big-endian) as it stands in values: 6 bytes for IPv4,
/// 18 for IPv6.
#[must_use]
pub fn addr_to_compact(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = [0; 18];
    let len = write_addr(canonical(addr), &mut bytes);
    bytes.into_iter().take(len).collect()
}

/// Reads what [`addr_to_compact`] writes, into canonical form; `None` where
/// there are neither 6 nor 18 bytes.
#[must_use]
pub fn addr_from_compact(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk()?;
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, u16::from_be_bytes(*port))))
}

/// Writes address and port to the start of `to`, which has room for 18 bytes,
/// and tells how many it took.
fn write_addr(addr: SocketAddr, to: &mut [u8]) -> usize {
    let mut written = 0;
    let mut write = |bytes: &[u8]| {
        for (to, from) in to.iter_mut().skip(written).zip(bytes) {
            *to = *from;
        }
        written += bytes.len();
    };
    match addr.ip() {
        IpAddr::V4(ip) => write(&ip.octets()),
        IpAddr::V6(ip) => write(&ip.octets()),
    }
    write(&addr.port().to_be_bytes());
    written
}

/// Whether a node or peer at this address may be believed and asked.
///
/// Addresses that only this machine or its own network reaches (RFC 1918,
/// link-local, loopback, RFC 6598, unique local) need `allow_private`: a
/// stranger that names one would turn our queries against our own network.
/// Addresses that nobody answers from are refused always.
#[must_use]
pub fn usable(addr: &SocketAddr, allow_private: bool) -> bool {
    addr.port() != 0
        && match addr.ip().to_canonical() {
            IpAddr::V4(ip) => usable_v4(ip, allow_private),
            IpAddr::V6(ip) => usable_v6(ip, allow_private),
        }
}

fn usable_v4(ip: Ipv4Addr, allow_private: bool) -> bool {
    let [first, second, ..] = ip.octets();
    let shared = first == 100 && second & 0xc0 == 64; // RFC 6598
    let private = ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared;
    // 224.0.0.0/4 is multicast, 240.0.0.0/4 reserved, broadcast within it.
    let nobody = first == 0 || first >= 224 || ip.is_documentation();
    !nobody && (allow_private || !private)
}

fn usable_v6(ip: Ipv6Addr, allow_private: bool) -> bool {
    let [first, second, third, ..] = ip.segments();
    if ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() {
        return allow_private;
    }
    let global_unicast = first & 0xe000 == 0x2000;
    // RFC 3849 and RFC 9637.
    let documentation = matches!((first, second), (0x2001, 0xdb8) | (0x3fff, 0..0x1000));
    // RFC 3056: 6to4 leads to the IPv4 address within.
    let by_6to4 = first == 0x2002 && {
        let [a, b] = second.to_be_bytes();
        let [c, d] = third.to_be_bytes();
        !usable_v4(Ipv4Addr::new(a, b, c, d), false)
    };
    global_unicast && !documentation && !by_6to4
}

/// What budgets and quotas count by: the address itself for IPv4, the /48 for
/// IPv6, which is what a site is given (RFC 6177): somebody may have all of it.
#[must_use]
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let network = ip.to_bits() >> 80 << 80;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

/// Whom an address stands for. On this very network every address is somebody
/// else; of others one may have a whole site's.
#[must_use]
pub fn household_of(address: IpAddr) -> IpAddr {
    if is_near(address) {
        address
    } else {
        network_of(address)
    }
}

/// A household as people read it: `192.0.2.1`, `fd00::1`, `2001:db8:1::/48`.
#[must_use]
pub fn household_name(household: IpAddr) -> String {
    if household.is_ipv4() || is_near(household) {
        household.to_string()
    } else {
        format!("{household}/48")
    }
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
        IpAddr::V4(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn compact_forms_have_these_bytes() {
        let id = NodeId(*b"abcdefghij0123456789");
        let v4 = Contact::new(id, addr("1.2.3.4:9977"));
        assert_eq!(
            *v4.to_compact(),
            *b"abcdefghij0123456789\x01\x02\x03\x04\x26\xf9"
        );
        let v6 = Contact::new(id, addr("[2001:db8::7]:258"));
        let bytes = b"abcdefghij0123456789\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x01\x02";
        assert_eq!(*v6.to_compact(), *bytes);
        for (contact, family, other) in [(v4, Family::V4, Family::V6), (v6, Family::V6, Family::V4)]
        {
            let compact = contact.to_compact();
            assert_eq!(compact.len(), family.compact_len());
            assert_eq!(Contact::from_compact(family, &compact), Some(contact));
            assert_eq!(Contact::from_compact(other, &compact), None);
            assert_eq!(contact.family(), family);
            assert_eq!(addr_to_compact(contact.addr), compact[20..]);
        }
        for len in [0, 1, 2, 5, 7, 17, 19, 26] {
            assert_eq!(addr_from_compact(&vec![1; len]), None, "{len}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        let id = NodeId([0; 20]);
        let mapped = addr("[::ffff:1.2.3.4]:5");
        assert_eq!(
            Contact::new(id, mapped),
            Contact::new(id, addr("1.2.3.4:5"))
        );
        assert_eq!(Family::of(&mapped), Family::V4);
        assert_eq!(Family::of(&addr("[::1]:5")), Family::V6);
        let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 5, 6, 7);
        assert_eq!(Contact::new(id, scoped.into()).addr, addr("[fe80::1]:5"));
        assert_eq!(addr_to_compact(mapped), b"\x01\x02\x03\x04\0\x05");
    }

    #[test]
    fn only_addresses_that_somebody_answers_from_are_usable() {
        for public in [
            "1.2.3.4",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.1.1.1",
            "128.0.0.1",
            "169.253.1.1",
            "169.255.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "192.169.1.1",
            "223.255.255.254",
            "2001:4860::1",
            "2003::1",
            "2a00::1",
            "3ffe::1",
            "3fff:1000::1",
            "2001:db9::1",
            "::ffff:1.2.3.4",
            "2002:102:304::1",
        ] {
            let at = SocketAddr::new(public.parse().unwrap(), 1);
            assert!(usable(&at, false) && usable(&at, true), "{public}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            let at = SocketAddr::new(private.parse().unwrap(), 65535);
            assert!(!usable(&at, false) && usable(&at, true), "{private}");
        }
        for nobody in [
            "0.0.0.0",
            "0.1.2.3",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1.2.3.4",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "64:ff9b::102:304",
            "1fff::1",
            "4000::1",
            "fec0::1",
            "2002:a00:1::1",
            "2002:7f00:1::1",
            "2002:e000:1::1",
            "::ffff:0.0.0.0",
        ] {
            let at = SocketAddr::new(nobody.parse().unwrap(), 9977);
            assert!(!usable(&at, false) && !usable(&at, true), "{nobody}");
        }
        assert!(!usable(&addr("1.2.3.4:0"), true) && !usable(&addr("[2a00::1]:0"), true));
    }

    #[test]
    fn a_network_is_what_one_site_has() {
        for (ip, network) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("2a00:1:2:3:4:5:6:7", "2a00:1:2::"),
            ("2a00:1:2:ffff::", "2a00:1:2::"),
            ("2a00:1:3::", "2a00:1:3::"),
        ] {
            let expected: IpAddr = network.parse().unwrap();
            assert_eq!(network_of(ip.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_household_is_a_network_unless_it_is_near() {
        for (ip, name) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("fd00::1", "fd00::1"),
            ("fe80::1", "fe80::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(household_name(household_of(ip.parse().unwrap())), name);
        }
    }

    proptest! {
        #[test]
        fn contacts_come_back(id: [u8; 20], ip: IpAddr, port: u16) {
            let contact = Contact::new(NodeId(id), SocketAddr::new(ip, port));
            let compact = contact.to_compact();
            prop_assert_eq!(Contact::from_compact(contact.family(), &compact), Some(contact));
            prop_assert_eq!(addr_from_compact(&addr_to_compact(contact.addr)), Some(contact.addr));
            prop_assert!(!usable(&contact.addr, false) || usable(&contact.addr, true));
        }
    }
}
