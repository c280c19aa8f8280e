use super::super::NODES;
use super::super::links::tests::links_of;
use super::*;
use mdns_sd::ServiceInfo;

const OWN: NodeId = NodeId([1; 20]);
const OTHER: NodeId = NodeId([2; 20]);

fn known() -> Known {
    Known::new(OWN)
}

/// A machine at 192.168.1.5.
fn links() -> Links {
    links_of(&[(2, "192.168.1.5/24"), (2, "2001:db8:1::5/64")])
}

fn heard(name: &str, ip: &str, port: u16, texts: &[(&str, String)]) -> ResolvedService {
    let info = ServiceInfo::new(NODES, name, "x.local.", ip, port, texts).unwrap();
    info.as_resolved_service()
}

fn named(id: NodeId) -> Vec<(&'static str, String)> {
    vec![("id", id.to_string()), ("dht", "7".to_owned())]
}

/// What is told of a node, in short.
fn told(news: &[News]) -> Vec<(NodeId, Vec<String>)> {
    let one = |news: &News| match news {
        News::Here(it) => {
            let addresses = it.addresses.iter().map(SocketAddr::to_string);
            (it.node_id, addresses.collect())
        }
        News::Gone(id) => (*id, Vec::new()),
    };
    news.iter().map(one).collect()
}

fn here(id: NodeId, addresses: &[&str]) -> (NodeId, Vec<String>) {
    let addresses = addresses.iter().copied().map(str::to_owned);
    (id, addresses.collect())
}

#[test]
fn a_node_comes_moves_and_leaves() {
    let mut known = known();
    let all = "192.168.1.9,2001:db8:1::9,10.0.0.1";
    let service = heard("a", all, 9977, &named(OTHER));
    let news = known.resolved(&service, &links());
    let addresses = ["192.168.1.9:9977", "[2001:db8:1::9]:9977"];
    assert_eq!(told(&news), [here(OTHER, &addresses)]);
    assert!(matches!(&news[0], News::Here(it) if it.dht == Some(7)));
    let moved = heard("a", "192.168.1.10", 9977, &named(OTHER));
    let news = known.resolved(&moved, &links());
    assert_eq!(told(&news), [here(OTHER, &["192.168.1.10:9977"])]);
    let away = heard("a", "10.0.0.10", 9977, &named(OTHER));
    assert_eq!(known.resolved(&away, &links()), [News::Gone(OTHER)]);
    assert_eq!(known.removed(&service.fullname), None);
}

#[test]
fn who_takes_the_name_of_a_node_does_not_take_its_place() {
    let mut known = known();
    let node = heard("a", "192.168.1.9,2001:db8:1::9", 9977, &named(OTHER));
    let liar = heard("evil", "192.168.1.66", 1, &named(OTHER));
    known.resolved(&node, &links());
    let news = known.resolved(&liar, &links());
    let both = ["192.168.1.9:9977", "192.168.1.66:1", "[2001:db8:1::9]:9977"];
    assert_eq!(told(&news), [here(OTHER, &both)]);
    // What the node says again does not put it behind the other.
    let news = known.resolved(&node, &links());
    assert_eq!(told(&news), [here(OTHER, &both)]);
    let news = known.removed(&liar.fullname).unwrap();
    let own = ["192.168.1.9:9977", "[2001:db8:1::9]:9977"];
    assert_eq!(told(&[news]), [here(OTHER, &own)]);
    assert_eq!(known.removed(&node.fullname), Some(News::Gone(OTHER)));
}

#[test]
fn a_name_stands_for_one_node_at_a_time() {
    let mut known = known();
    let third = NodeId([3; 20]);
    known.resolved(&heard("a", "192.168.1.9", 1, &named(OTHER)), &links());
    let news = known.resolved(&heard("a", "192.168.1.9", 1, &named(third)), &links());
    let expected = [here(OTHER, &[]), here(third, &["192.168.1.9:1"])];
    assert_eq!(told(&news), expected);
    let own = heard("a", "192.168.1.9", 1, &named(OWN));
    assert_eq!(known.resolved(&own, &links()), [News::Gone(third)]);
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
        assert_eq!(known.resolved(&service, &links()), [], "{name}");
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
