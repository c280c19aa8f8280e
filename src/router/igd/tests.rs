use proptest::prelude::*;

use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

fn at(path: &str) -> Location {
    Location {
        address: (GATEWAY, 5000).into(),
        path: path.to_owned(),
    }
}

fn description(base: &str, control: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{base}<device>\
         <serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>\
         <controlURL>/wrong</controlURL></service></serviceList><deviceList><device><serviceList><service>\
         <serviceType> {}\n</serviceType><SCPDURL>/x.xml</SCPDURL><controlURL>{control}</controlURL>\
         <eventSubURL/></service></serviceList></device></deviceList></device></root>",
        SERVICES[1]
    )
}

fn control(base: &str, control: &str) -> Option<Location> {
    let found = service(&description(base, control), &at("/upnp/root.xml"))?;
    assert_eq!(found.kind, SERVICES[1]);
    Some(found.control)
}

#[test]
fn the_service_that_forwards_is_found() {
    assert_eq!(control("", "/ctl?a=1&amp;b"), Some(at("/ctl?a=1&b")));
    assert_eq!(control("", "ctl"), Some(at("/upnp/ctl")));
    let other = Location {
        address: (GATEWAY, 49_000).into(),
        path: "/ctl".to_owned(),
    };
    let base = "<URLBase>http://192.168.1.1:49000</URLBase>";
    assert_eq!(control(base, "ctl"), Some(other.clone()));
    let absolute = "http://192.168.1.1:49000/ctl";
    assert_eq!(control("", absolute), Some(other));
}

#[test]
fn nobody_is_named_but_the_router() {
    for elsewhere in [
        "http://192.168.1.2/ctl",
        "https://192.168.1.1/",
        "http://a.example.org/",
    ] {
        assert_eq!(control("", elsewhere), None);
        let base = format!("<URLBase>{elsewhere}</URLBase>");
        assert_eq!(control(&base, "/ctl"), None);
        let answer = format!("HTTP/1.1 200 OK\r\nLocation: {elsewhere}\r\n\r\n");
        assert_eq!(location(answer.as_bytes(), GATEWAY), None);
    }
    let answer = b"HTTP/1.1 200 OK\r\nST: x\r\nlocation:http://192.168.1.1:5000/a\r\n\r\n";
    assert_eq!(location(answer, GATEWAY), Some(at("/a")));
}

#[test]
fn what_brings_words_of_its_own_is_not_read() {
    let xml = "<!DOCTYPE a [<!ENTITY e \"44.0.0.9\">]><a><b>&e;</b></a>";
    assert_eq!(text(xml, "b"), None);
    assert_eq!(text("<a><b>&e;</b></a>", "b"), None);
    assert_eq!(text("<a><s:b>4&lt;5</s:b></a>", "b").unwrap(), "4<5");
    assert_eq!(text("<a><b>Bob&#39;s</b></a>", "b").unwrap(), "Bob's");
}

#[test]
fn an_action_is_xml_that_says_what_it_is_told() {
    let arguments = [("NewExternalPort", "9977".to_owned())];
    let xml = action(SERVICES[0], "AddPortMapping", &arguments);
    assert_eq!(text(&xml, "NewExternalPort").unwrap(), "9977");
    assert_eq!(text(&xml, "AddPortMapping").unwrap(), "");
}

proptest! {
    #[test]
    fn whatever_is_sent_can_be_read(noise in ".{0,200}", xml in "(<[a-c/!?]{1,3}>|&[a#]{1,2};|x){0,40}") {
        for sent in [noise, xml] {
            let _ = texts(&sent);
            let _ = service(&sent, &at("/"));
            let _ = location(format!("a\r\nLocation: {sent}").as_bytes(), GATEWAY);
            let _ = at("/").join(&sent);
        }
    }
}
