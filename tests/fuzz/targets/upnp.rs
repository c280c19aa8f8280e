//! What a router says as a `UPnP` gateway: where it is found, its description, its answers.
#![no_main]

use aptmesh::igd::{location, service, text};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

fuzz_target!(|data: &[u8]| {
    let asked = b"LOCATION: http://192.168.1.1:5000/root.xml";
    let at = location(asked, GATEWAY).unwrap();
    if let Some(found) = location(data, GATEWAY) {
        assert_eq!(found.address.ip(), GATEWAY);
    }
    let said = String::from_utf8_lossy(data);
    let _ = text(&said, "errorCode");
    if let Some(found) = service(&said, &at) {
        assert_eq!(found.control.address.ip(), GATEWAY);
        assert!(!found.control.path.contains(['\r', '\n']));
    }
});
