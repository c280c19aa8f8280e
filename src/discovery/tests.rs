use super::*;

fn told() -> Told {
    Told {
        node_id: NodeId([1; 20]),
        peer: Vec::new(),
        dht: None,
        apt: Vec::new(),
        clients: Vec::new(),
    }
}

#[tokio::test]
async fn what_opens_closes_in_time() {
    let discovery = Discovery::open(&told()).unwrap();
    let soon = Duration::from_secs(3);
    tokio::time::timeout(soon, discovery.close()).await.unwrap();
}

#[tokio::test]
async fn who_is_not_answered_once_still_hears_and_asks_again_soon() {
    let daemon = ServiceDaemon::new().unwrap();
    let (now, refused) = (Instant::now(), || Err(mdns_sd::Error::Again));
    let mut ear = Ear {
        events: Some(daemon.browse(NODES).unwrap()),
        again: now,
    };
    ear.take(refused());
    assert!(ear.events.is_some(), "it is deaf");
    assert!(now < ear.again && ear.again <= Instant::now() + SOON);
    ear.take(daemon.browse(NODES));
    assert!(ear.events.is_some() && ear.again > now + AGAIN / 2);
    // Who tells nothing any more is not asked without end.
    daemon.shutdown().unwrap().recv_async().await.unwrap();
    while hear(ear.events.as_ref()).await.is_some() {}
    ear.take(refused());
    assert!(ear.events.is_none() && ear.again <= Instant::now() + SOON);
}
