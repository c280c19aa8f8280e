use proptest::prelude::*;

use super::route::default_gateway;
use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// As Linux prints an address.
fn hex(text: &str) -> String {
    format!("{:08X}", u32::from_ne_bytes(ip(text).octets()))
}

fn table(routes: &[(&str, &str, u32, u32, &str)]) -> String {
    let head =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    let line = |(to, gateway, flags, metric, mask): &(&str, &str, u32, u32, &str)| {
        let (to, gateway, mask) = (hex(to), hex(gateway), hex(mask));
        format!("eth0\t{to}\t{gateway}\t{flags:04X}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
    };
    head.to_owned() + &routes.iter().map(line).collect::<String>()
}

#[test]
fn the_way_out_is_the_default_route_that_is_taken_first() {
    let (all, lan) = ("0.0.0.0", "192.168.1.0");
    let net = (lan, all, 1, 0, "255.255.255.0");
    let wifi = (all, "192.168.2.1", 3, 600, all);
    let cable = (all, "192.168.1.1", 3, 100, all);
    let found = |routes: &[_]| default_gateway(&table(routes));
    assert_eq!(found(&[net, wifi, cable]), Some(ip("192.168.1.1")));
    assert_eq!(found(&[wifi, net]), Some(ip("192.168.2.1")));
    assert_eq!(found(&[net]), None);
    // On the link itself, down, or to a part of the world.
    assert_eq!(found(&[(all, all, 1, 0, all)]), None);
    assert_eq!(found(&[(all, "10.0.0.1", 2, 0, all)]), None);
    assert_eq!(found(&[(all, "10.0.0.1", 3, 0, "128.0.0.0")]), None);
    assert_eq!(default_gateway(""), None);
}

#[test]
fn a_table_of_a_real_machine_is_read() {
    let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n\
         wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0                                                                               \n\
         wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0                                                                               \n";
    let gateway = default_gateway(table);
    assert_eq!(
        gateway,
        cfg!(target_endian = "little")
            .then(|| ip("192.168.1.1"))
            .or(gateway)
    );
}

fn asked(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

fn ports(wanted: Wanted, own: &str) -> Vec<(Protocol, u16, u16)> {
    let wishes = wanted.at(ip(own), &[]);
    let ports = wishes.iter();
    ports
        .map(|it| (it.protocol, it.internal.get(), it.external.get()))
        .collect()
}

const OWN: &str = "192.168.1.5";

#[test]
fn both_ports_are_asked_for_where_others_hear_of_this_node() {
    let (peer, dht) = ([addr("[::]:9977"), addr("[::]:1")], Some(addr("[::]:9988")));
    let wanted = |config: &Config| Wanted::of(config, &peer, dht);
    let all = [(Protocol::Tcp, 9977, 9977), (Protocol::Udp, 9988, 9988)];
    let config = Config::default();
    assert_eq!(ports(wanted(&config), OWN), all);
    assert_eq!(ports(Wanted::of(&config, &[], dht), OWN), all[1..]);
    assert!(Wanted::of(&config, &peer, None).is_empty());
    assert!(wanted(&asked(|it| it.peer.map_ports = false)).is_empty());
    let fixed = Advertise::Address(addr("192.0.2.1:9977"));
    assert!(wanted(&asked(|it| it.peer.advertise = fixed)).is_empty());
}

#[test]
fn what_nobody_outside_could_come_to_is_not_asked_for() {
    let config = Config::default();
    for (listening, is_asked) in [
        ("0.0.0.0:9977", true),
        ("[::]:9977", true),
        ("192.168.1.5:9977", true),
        ("[::ffff:192.168.1.5]:9977", true),
        // Another of this machine's addresses.
        ("10.0.0.5:9977", false),
        ("127.0.0.1:9977", false),
        ("[::1]:9977", false),
        ("[fd00::1]:9977", false),
    ] {
        let wanted = Wanted::of(&config, &[addr(listening)], Some(addr(listening)));
        assert_eq!(
            ports(wanted, OWN).len(),
            if is_asked { 2 } else { 0 },
            "{listening}"
        );
    }
}

#[test]
fn the_port_of_before_is_asked_for_first() {
    let wanted = Wanted::of(
        &Config::default(),
        &[addr("[::]:9977")],
        Some(addr("[::]:9977")),
    );
    let wishes = wanted.at(ip(OWN), &[(Protocol::Tcp, 4001), (Protocol::Udp, 0)]);
    let external: Vec<_> = wishes.iter().map(|it| it.external.get()).collect();
    assert_eq!(external, [4001, 9977]);
}

#[test]
fn a_router_with_a_private_address_is_behind_another() {
    for private in [
        "192.168.0.2",
        "10.1.2.3",
        "172.16.0.1",
        "100.64.0.1",
        "100.127.255.254",
        "169.254.1.1",
    ] {
        assert_eq!(verdict(Some(ip(private))), State::DoubleNat, "{private}");
    }
    for public in ["44.0.0.9", "100.63.255.255", "100.128.0.0", "172.32.0.1"] {
        assert_eq!(verdict(Some(ip(public))), State::Mapped, "{public}");
    }
    assert_eq!(verdict(None), State::Mapped);
}

#[test]
fn others_are_told_the_port_by_which_they_come() {
    let forwarded = |external: Option<&str>| Way::Forwarded {
        external: external.map(ip),
        port: 4001,
    };
    let port = |way: Way, seen: &str| way.port(seen.parse().unwrap(), 9977);
    let (router, other) = ("44.0.0.9", "44.0.0.10");
    assert_eq!(port(Way::Direct, router), Some(9977));
    assert_eq!(port(Way::Unknown, router), None);
    assert_eq!(port(Way::Unknown, "2a01::1"), Some(9977));
    let way = forwarded(Some(router));
    assert_eq!(port(way, router), Some(4001));
    assert_eq!(port(way, "::ffff:44.0.0.9"), Some(4001));
    assert_eq!(port(way, other), Some(9977), "by another way out");
    assert_eq!(port(way, OWN), Some(9977), "on the link");
    assert_eq!(port(way, "2a01::1"), Some(9977));
    // A second router before it, whose owner forwards there.
    let double = forwarded(Some("100.64.0.9"));
    assert_eq!(port(double, other), Some(4001));
    assert_eq!(port(double, "100.64.0.9"), Some(4001));
    assert_eq!(port(double, OWN), Some(9977));
    assert_eq!(port(forwarded(None), other), Some(4001));
    assert_eq!(port(forwarded(None), OWN), Some(9977));
}

proptest! {
    #[test]
    fn no_table_does_harm(table in any::<String>(), lines in prop::collection::vec("[0-9A-F\\t ]{0,80}", 0..9)) {
        let _ = default_gateway(&table);
        let _ = default_gateway(&format!("head\n{}", lines.join("\n")));
    }
}

#[test]
fn an_address_of_the_providers_own_network_is_not_public() {
    for (text, public) in [
        ("192.0.0.2", false),
        ("198.18.0.1", false),
        ("198.19.255.1", false),
        ("192.0.1.1", true),
        ("198.20.0.1", true),
    ] {
        assert_eq!(is_public(ip(text)), public, "{text}");
    }
}
