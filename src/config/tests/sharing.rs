//! `[peer]` and `[dht]`.

use std::time::Duration;

use super::{
    load, told,
    values::{refuses, set},
};
use crate::config::{Advertise, Contact};

#[test]
fn the_address_that_others_are_told() {
    let advertise = |written| set("peer.advertise", written).unwrap().peer.advertise;
    let address = |text: &str| Advertise::Address(text.parse().unwrap());
    assert_eq!(advertise("auto"), Advertise::Auto);
    assert_eq!(advertise("203.0.113.7:80"), address("203.0.113.7:80"));
    assert_eq!(
        advertise("[::ffff:203.0.113.7]:80"),
        address("203.0.113.7:80")
    );
    assert_eq!(advertise("[2001:db8::1]:80"), address("[2001:db8::1]:80"));
    let none = [
        "",
        "Auto",
        "203.0.113.7",
        "203.0.113.7:0",
        "[::]:80",
        "node.lan:80",
    ];
    refuses("peer.advertise", &none);
}

#[test]
fn nodes_to_start_from() {
    let file = "[dht]\nbootstrap = ['Node.example.org:9977', '192.0.2.7:1', '[2001:db8::1]:2']\n";
    let contact = |host: &str, port| Contact {
        host: host.to_owned(),
        port,
    };
    let expected = [
        contact("node.example.org", 9977),
        contact("192.0.2.7", 1),
        contact("2001:db8::1", 2),
    ];
    let bootstrap = load(file, &[], &[]).unwrap().dht.bootstrap;
    assert_eq!(bootstrap, expected);
    let written: Vec<_> = bootstrap.iter().map(Contact::to_string).collect();
    let expected = ["node.example.org:9977", "192.0.2.7:1", "[2001:db8::1]:2"];
    assert_eq!(written, expected);
    refuses(
        "dht.bootstrap",
        &["node", "node:0", "http://node:1", "2001:db8::1"],
    );
}

#[test]
fn what_has_its_place_already() {
    let config = load("[peer]\nupload_limit = '2MiB'\nmin_peers = 0\n", &[], &[]).unwrap();
    assert_eq!(
        (config.peer.upload_limit, config.peer.min_peers),
        (2 << 20, 0)
    );
}

#[test]
fn constants_have_bounds() {
    refuses("dht.k", &["0", "20", "-1", "8.0", ""]);
    refuses("dht.concurrent_requests", &["0", "65"]);
    refuses("dht.store_redundancy", &["0", "20"]);
    refuses("dht.max_failures", &["0", "101"]);
    refuses("dht.krpc_timeout", &["99ms", "61s", "9"]);
    refuses("dht.krpc_initial_delay", &["0s", "99ms"]);
    refuses("dht.min_ping_interval", &["0s", "31days"]);
    refuses("dht.bucket_staleness", &["999ms", "31days"]);
    refuses("dht.key_expire", &["0s", "31days"]);
    refuses("dht.key_refresh", &["0s", "1000years"]);
    let pairs = [("dht.k", "19"), ("dht.store_redundancy", "19")];
    assert_eq!(load("", &[], &pairs).unwrap().dht.store_redundancy, 19);
    let config = load("[dht]\nkey_refresh = '2s'\nkey_expire = '3s'\n", &[], &[]).unwrap();
    assert_eq!(config.dht.key_refresh, Duration::from_secs(2));
}

#[test]
fn constants_bound_each_other() {
    let file = "\
[dht]
k = 4
key_refresh = '3h'
krpc_timeout = '1s'
krpc_initial_delay = '1s'
";
    let expected = [
        "aptmesh.toml:2: dht.k: found 4; wanted no less than dht.store_redundancy, which is 6",
        "aptmesh.toml:3: dht.key_refresh: found \"3h\"; wanted less than dht.key_expire, which is \"3h\"",
        "aptmesh.toml:5: dht.krpc_initial_delay: found \"1s\"; wanted less than dht.krpc_timeout, which is \"1s\"",
    ];
    assert_eq!(told(file, &[], &[]), expected);
    let env = [("APTMESH_DHT__STORE_REDUNDANCY", "5")];
    let told_of_both = told("[dht]\nk = 4\n", &env, &[]);
    let start =
        "APTMESH_DHT__STORE_REDUNDANCY: dht.store_redundancy: found 5; wanted no more than dht.k";
    assert!(told_of_both[0].starts_with(start), "{told_of_both:?}");
    // What is no value at all is told once.
    assert_eq!(
        told("[dht]\nk = 0\nstore_redundancy = 9\n", &[], &[]).len(),
        1
    );
}
