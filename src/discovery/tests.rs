use super::*;

const OWN: NodeId = NodeId([1; 20]);
const OTHER: NodeId = NodeId([2; 20]);

fn known() -> Known {
    Known {
        own: OWN,
        names: HashMap::new(),
    }
}

/// A machine at 192.168.1.5.
fn links() -> Links {
    Links::of(&[(2, "192.168.1.5/24"), (2, "2001:db8:1::5/64")])
}

fn heard(name: &str, ip: &str, port: u16, texts: &[(&str, String)]) -> ResolvedService {
    let info = ServiceInfo::new(NODES, name, "x.local.", ip, port, texts).unwrap();
    info.as_resolved_service()
}

fn named(id: NodeId) -> Vec<(&'static str, String)> {
    vec![("id", id.to_string()), ("dht", "7".to_owned())]
}

#[test]
fn a_node_comes_moves_and_leaves() {
    let mut known = known();
    let service = heard(
        "a",
        "192.168.1.9,2001:db8:1::9,10.0.0.1",
        9977,
        &named(OTHER),
    );
    let Some(News::Here(here)) = known.resolved(&service, &links()) else {
        panic!("it is not heard")
    };
    let addresses = ["192.168.1.9:9977", "[2001:db8:1::9]:9977"];
    assert_eq!(here.addresses, addresses.map(|at| at.parse().unwrap()));
    assert_eq!((here.node_id, here.dht), (OTHER, Some(7)));
    // It answers to another name from now on: the end of the first says nothing.
    let again = heard("b", "192.168.1.10", 9977, &named(OTHER));
    assert!(matches!(
        known.resolved(&again, &links()),
        Some(News::Here(_))
    ));
    assert_eq!(known.removed(&service.fullname), None);
    let away = heard("b", "10.0.0.10", 9977, &named(OTHER));
    assert_eq!(known.resolved(&away, &links()), Some(News::Gone(OTHER)));
    assert_eq!(known.removed(&again.fullname), None);
}

#[test]
fn what_is_no_node_of_another_is_not_heard() {
    let mut known = known();
    let long = vec![("id", "ab".repeat(30))];
    let none = [
        heard("own", "192.168.1.9", 9977, &named(OWN)),
        heard("nameless", "192.168.1.9", 9977, &[]),
        heard("long", "192.168.1.9", 9977, &long),
        heard("word", "192.168.1.9", 9977, &[("id", "z".repeat(40))]),
        heard("far", "8.8.8.8", 9977, &named(OTHER)),
        heard("loop", "127.0.0.1", 9977, &named(OTHER)),
        heard("portless", "192.168.1.9", 0, &named(OTHER)),
    ];
    for service in none {
        let name = service.fullname.clone();
        assert_eq!(known.resolved(&service, &links()), None, "{name}");
    }
    assert!(known.names.is_empty());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut known = known();
    for number in 0..2000_u32 {
        let id = NodeId::of_hash(&number.to_be_bytes());
        let service = heard(&number.to_string(), "192.168.1.9", 9977, &named(id));
        known.resolved(&service, &links());
    }
    assert_eq!(known.names.len(), MOST);
}

#[tokio::test]
async fn what_opens_closes_in_time() {
    let told = Told {
        node_id: OWN,
        peer: None,
        dht: None,
        apt: None,
    };
    // Where the port is taken that is no fault of ours.
    if let Ok(discovery) = Discovery::open(&told) {
        let soon = std::time::Duration::from_secs(3);
        tokio::time::timeout(soon, discovery.close()).await.unwrap();
    }
}
