use super::*;
use crate::discovery::links::tests::links_of;

#[test]
fn who_took_a_file_from_outside_proves_that_the_node_is_reached() {
    let links = || {
        links_of(&[
            (2, "192.168.1.5/24"),
            (2, "2a01:4f8:1:2::5/128"),
            (2, "203.0.114.9/28"),
        ])
    };
    let took = |address: &str, age: Millis| {
        let upload = shape::Upload {
            address: address.to_owned(),
            last_seen: 2 * PROOF - age,
            ..shape::Upload::default()
        };
        let status = Status {
            at: 2 * PROOF,
            uploads: vec![upload],
            ..Status::default()
        };
        took_a_file(&status, links)
    };
    for stranger in ["8.8.8.8", "2a01:4f8:1:3::9", "203.0.114.17"] {
        assert_eq!(took(stranger, 0), Some(true), "{stranger}");
        assert_eq!(took(stranger, PROOF), None, "{stranger}, long ago");
    }
    for near in [
        "192.168.1.9",
        "10.0.0.1",
        "2a01:4f8:1:2::9",
        "203.0.114.8",
        "::ffff:203.0.114.8",
    ] {
        assert_eq!(took(near, 0), None, "{near}");
    }
}
