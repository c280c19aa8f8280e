use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use super::{OWN, T, rng};
use crate::bencode::{self, Value};

fn queries() -> impl Strategy<Value = Query> {
    let id = any::<[u8; 20]>().prop_map(NodeId);
    prop_oneof![
        Just(Query::Ping),
        Just(Query::Join),
        id.clone().prop_map(|target| Query::FindNode { target }),
        id.clone().prop_map(|key| Query::FindValue { key }),
        (id.clone(), any::<u32>()).prop_map(|(key, num)| Query::GetValue { key, num }),
        (id, vec(any::<u8>(), 0..1500), vec(any::<u8>(), 0..40))
            .prop_map(|(key, value, token)| Query::StoreValue { key, value, token }),
    ]
}

fn contacts() -> impl Strategy<Value = Vec<Contact>> {
    let contact = (any::<[u8; 20]>(), any::<std::net::IpAddr>(), any::<u16>())
        .prop_map(|(id, ip, port)| Contact::new(NodeId(id), SocketAddr::new(ip, port)));
    vec(contact, 0..60)
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Ping),
        Just(Reply::StoreValue),
        (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(ip, port)| Reply::Join {
            seen: SocketAddr::new(ip, port)
        }),
        (contacts(), any::<[u8; 20]>()).prop_map(|(nodes, token)| Reply::FindNode { nodes, token }),
        (contacts(), any::<u32>()).prop_map(|(nodes, num)| Reply::FindValue { nodes, num }),
        vec(vec(any::<u8>(), 0..300), 0..40).prop_map(|values| Reply::GetValue {
            values: values.into_iter().map(Arc::from).collect(),
        }),
    ]
}

proptest! {
    #[test]
    fn queries_come_back(t: TransactionId, id: [u8; 20], asked in queries()) {
        let id = NodeId(id);
        if let Some(packet) = query(&t, &id, &asked) {
            prop_assert!(packet.len() <= MAX_PACKET);
            prop_assert_eq!(decode(&packet), Some(Incoming::Query { t, id, query: asked }));
        } else {
            let Query::StoreValue { value, token, .. } = asked else {
                panic!("{asked:?}");
            };
            prop_assert!(value.len() + token.len() > 1200);
        }
    }

    #[test]
    fn responses_come_back(t: TransactionId, id: [u8; 20], given in replies(), with_nodes6: bool, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let packet = reply(&t, &NodeId(id), &given, with_nodes6, &mut rng);
        prop_assert!(packet.len() <= MAX_PACKET);
        let read = decode(&packet);
        if read == Some(Incoming::Error { t, code: 206 }) {
            let (Reply::FindNode { nodes, .. } | Reply::FindValue { nodes, .. }) = given else {
                panic!("{given:?}");
            };
            prop_assert!(nodes.len() > 32);
            return Ok(());
        }
        let Some(Incoming::Answer { t: same, answer }) = read else {
            panic!("{read:?}");
        };
        prop_assert_eq!((same, answer.id.0), (t, id));
        let sorted = |nodes: &[Contact]| {
            let (v4, v6): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.addr.is_ipv4());
            if with_nodes6 { [v4, v6].concat() } else { v4 }
        };
        match given {
            Reply::Ping | Reply::StoreValue => {}
            Reply::Join { seen } => {
                let seen = SocketAddr::new(seen.ip().to_canonical(), seen.port());
                prop_assert_eq!(answer.seen, Some(seen));
            }
            Reply::FindNode { nodes, token } => {
                prop_assert_eq!(answer.nodes, sorted(&nodes));
                prop_assert_eq!(answer.token, Some(token.to_vec()));
            }
            Reply::FindValue { nodes, num } => {
                prop_assert_eq!(answer.nodes, sorted(&nodes));
                prop_assert_eq!(answer.num, Some(num));
            }
            Reply::GetValue { values } => {
                let mut values: Vec<_> = values.iter().map(|value| value.to_vec()).collect();
                let weight = |value: &[u8]| format!("{}:", value.len()).len() + value.len();
                let all: usize = values.iter().map(|value| weight(value)).sum();
                let frame = reply(&t, &NodeId(id), &Reply::GetValue { values: Vec::new() }, false, &mut rng).len();
                let taken = answer.values.unwrap();
                if frame + all <= MAX_PACKET {
                    prop_assert_eq!(&taken, &values);
                }
                for value in &taken {
                    let at = values.iter().position(|other| other == value);
                    values.swap_remove(at.unwrap());
                }
                let rest = MAX_PACKET - packet.len();
                prop_assert!(values.iter().all(|left| weight(left) > rest));
            }
        }
    }

    #[test]
    fn errors_come_back(t: TransactionId, code: i64, text in ".{0,60}", at_most in 0..200_usize) {
        if let Some(packet) = error(&t, code, &text, at_most) {
            prop_assert!(packet.len() <= at_most);
            prop_assert_eq!(decode(&packet), Some(Incoming::Error { t, code }));
        } else {
            prop_assert_eq!(error(&t, code, "", at_most), None);
        }
    }

    #[test]
    fn no_bytes_are_dangerous(bytes in vec(any::<u8>(), 0..1600)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_is_dangerous(
        asked in queries(),
        given in replies(),
        damage in vec((any::<prop::sample::Index>(), prop::sample::select(&b"delit0123456789:-\xff"[..])), 1..4),
    ) {
        for mut packet in query(&T, &OWN, &asked).into_iter().chain([reply(&T, &OWN, &given, true, &mut rng())]) {
            for (at, byte) in &damage {
                let at = at.index(packet.len());
                packet[at] = *byte;
            }
            let _ = decode(&packet);
        }
    }

    #[test]
    fn the_order_of_keys_says_nothing(asked in queries(), order: u64) {
        let Some(packet) = query(&T, &OWN, &asked) else { return Ok(()) };
        prop_assert_eq!(decode(&shuffled(&packet, order)), decode(&packet));
    }
}

/// The same dictionaries with their keys in another order.
fn shuffled(packet: &[u8], seed: u64) -> Vec<u8> {
    fn write(value: Value, rng: &mut StdRng) -> Vec<u8> {
        let Value::Dict(dict) = value else {
            return bencode::encode(&value);
        };
        let mut items: Vec<_> = dict.into_iter().collect();
        items.sort_by(|one, other| one.0.cmp(&other.0));
        rand::seq::SliceRandom::shuffle(items.as_mut_slice(), rng);
        let written = items.into_iter().flat_map(|(key, value)| {
            [bencode::encode(&Value::Bytes(key)), write(value, rng)].concat()
        });
        let inner: Vec<u8> = written.collect();
        [b"d", inner.as_slice(), b"e"].concat()
    }
    let mut rng = StdRng::seed_from_u64(seed);
    write(bencode::decode(packet).unwrap(), &mut rng)
}
