#![no_main]
//! Packets of the DHT. What is understood is written again, and says the same.

use aptmesh::dht::contact::{Contact, usable};
use aptmesh::dht::id::NodeId;
use aptmesh::dht::krpc::{
    Answer, Incoming, MAX_PACKET, Reply, TransactionId, decode, error, query, reply,
};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

fuzz_target!(|packet: &[u8]| {
    match decode(packet) {
        None => {}
        Some(read @ Incoming::Query { .. }) => {
            let Incoming::Query {
                t,
                id,
                query: asked,
            } = &read
            else {
                return;
            };
            let written = query(t, id, asked).unwrap();
            assert!(written.len() <= packet.len());
            assert_eq!(decode(&written), Some(read));
        }
        Some(Incoming::Refused { t, code, text }) => {
            assert!((202..=204).contains(&code));
            if let Some(written) = error(&t, code, text, packet.len()) {
                assert!(written.len() <= packet.len());
                assert_eq!(decode(&written), Some(Incoming::Error { t, code }));
            }
        }
        Some(Incoming::Error { t, code }) => {
            let written = error(&t, code, "", packet.len()).unwrap();
            assert_eq!(decode(&written), Some(Incoming::Error { t, code }));
        }
        Some(Incoming::Answer { t, answer }) => check(t, &answer),
    }
});

fn check(t: TransactionId, read: &Answer) {
    let (v4, v6): (Vec<Contact>, Vec<Contact>) =
        read.nodes.iter().partition(|node| node.addr.is_ipv4());
    let nodes = [v4, v6].concat();
    for node in &nodes {
        assert!(!usable(&node.addr, false) || usable(&node.addr, true));
    }
    let num = read.num.unwrap_or(0);
    let found = Reply::FindValue {
        nodes: nodes.clone(),
        num,
    };
    if let Some(answer) = written(t, read.id, &found) {
        assert_eq!((answer.nodes, answer.num), (nodes, Some(num)));
    }
    if let Some(values) = read.values.clone() {
        let values = values.into_iter().map(Into::into).collect();
        let answer = written(t, read.id, &Reply::GetValue { values }).unwrap();
        assert_eq!(answer.values, read.values);
    }
    if let Some(seen) = read.seen {
        let answer = written(t, read.id, &Reply::Join { seen }).unwrap();
        assert_eq!(answer.seen, Some(seen));
    }
}

/// What a reply says once it is a packet; `None` where it was too long.
fn written(t: TransactionId, own: NodeId, said: &Reply) -> Option<Answer> {
    let packet = reply(&t, &own, said, true, &mut StdRng::seed_from_u64(0));
    assert!(packet.len() <= MAX_PACKET);
    match decode(&packet) {
        Some(Incoming::Answer { t: same, answer }) => {
            assert_eq!((same, answer.id), (t, own));
            Some(answer)
        }
        read => {
            assert_eq!(read, Some(Incoming::Error { t, code: 206 }));
            None
        }
    }
}
