use std::num::NonZeroU16;
use std::time::Instant;

use self::fake::{Ill, Manner, loop_address};
use super::*;
use crate::router::Protocol;
use tokio::time::timeout;

#[path = "../../tests/router/mod.rs"]
#[allow(dead_code, missing_docs)]
mod fake;

const NONCE: [u32; 3] = [1, 2, 3];

fn port(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap()
}

fn wish(protocol: Protocol, internal: u16, external: u16) -> Wish {
    Wish {
        protocol,
        internal: port(internal),
        external: port(external),
    }
}

fn both() -> [Wish; 2] {
    [
        wish(Protocol::Tcp, 9977, 9977),
        wish(Protocol::Udp, 9978, 9978),
    ]
}

/// A fake router, and this node's view of it.
fn router(manner: Manner) -> (fake::Router, Router) {
    let gateway = loop_address();
    let place = Place {
        gateway,
        own: own_address(gateway).unwrap(),
    };
    let fake = fake::Router::at(gateway, manner).unwrap();
    (fake, Router::new(place, NONCE))
}

fn externals(granted: &Granted) -> Vec<u16> {
    let ports = granted.mappings.iter();
    ports.map(|it| it.wish.external.get()).collect()
}

/// A router that speaks this alone forwards both ports, and stops when it is told to.
async fn is_spoken(means: Means, speak: impl FnOnce(&mut Manner)) {
    let mut manner = Manner {
        lifetime: 600,
        ..Manner::default()
    };
    speak(&mut manner);
    let external = manner.external;
    let (fake, mut router) = router(manner);
    let granted = router.map(&both()).await.unwrap();
    assert_eq!(granted.means, means);
    assert_eq!(granted.external, Some(external));
    assert_eq!(externals(&granted), [9977, 9978]);
    assert_eq!(granted.refused, None);
    let held = fake.held();
    let held: Vec<_> = held
        .iter()
        .map(|it| (it.protocol, it.external, it.to.port()))
        .collect();
    assert_eq!(held, [("tcp", 9977, 9977), ("udp", 9978, 9978)]);
    // It is asked for the same once more, even where it forgot everything.
    fake.restart();
    let again = router.map(&both()).await.unwrap();
    assert_eq!(again, granted);
    assert_eq!(fake.held().len(), 2);
    router.unmap().await;
    assert_eq!(fake.held(), []);
}

#[tokio::test]
async fn pcp() {
    is_spoken(Means::Pcp, |manner| manner.pcp = true).await;
}

#[tokio::test]
async fn nat_pmp() {
    is_spoken(Means::NatPmp, |manner| manner.nat_pmp = true).await;
}

#[tokio::test]
async fn upnp() {
    is_spoken(Means::Upnp, |manner| manner.upnp = true).await;
}

#[tokio::test]
async fn of_all_three_pcp_is_spoken_and_no_port_is_asked_for_twice() {
    let (fake, mut router) = router(Manner {
        pcp: true,
        nat_pmp: true,
        upnp: true,
        ..Manner::default()
    });
    let granted = router.map(&both()).await.unwrap();
    assert_eq!(granted.means, Means::Pcp);
    let asked = fake.heard();
    let others = |line: &&String| line.starts_with("upnp") || line.starts_with("nat-pmp t");
    assert_eq!(asked.iter().find(others), None, "{asked:?}");
}

#[tokio::test]
async fn a_lifetime_is_what_the_router_says() {
    let (_fake, mut router) = router(Manner {
        nat_pmp: true,
        lifetime: 120,
        ..Manner::default()
    });
    let granted = router.map(&both()).await.unwrap();
    let of = |mapping: &Mapping| mapping.lifetime == Some(Duration::from_mins(2));
    assert!(granted.mappings.iter().all(of), "{granted:?}");
}

#[tokio::test]
async fn another_port_is_taken_where_ours_is_anothers() {
    for speak in [
        (|manner: &mut Manner| manner.pcp = true) as fn(&mut Manner),
        |manner| manner.nat_pmp = true,
        |manner| manner.upnp = true,
    ] {
        let mut manner = Manner {
            taken: vec![9977, 9978],
            ..Manner::default()
        };
        speak(&mut manner);
        let (fake, mut router) = router(manner);
        let granted = router.map(&both()).await.unwrap();
        let ports = externals(&granted);
        assert!(
            !ports.contains(&9977) && !ports.contains(&9978),
            "{ports:?}"
        );
        assert_eq!(fake.port("tcp"), Some(ports[0]));
        // And kept, when it is wished for again.
        let again = [wish(Protocol::Tcp, 9977, ports[0])];
        assert_eq!(externals(&router.map(&again).await.unwrap()), [ports[0]]);
    }
}

#[tokio::test]
async fn a_gateway_that_knows_no_end_is_told_of_it() {
    let (fake, mut router) = router(Manner {
        upnp: true,
        permanent: true,
        ..Manner::default()
    });
    let granted = router.map(&both()).await.unwrap();
    assert!(granted.mappings.iter().all(|it| it.lifetime.is_none()));
    assert!(fake.held().iter().all(|it| it.lifetime == 0));
    router.unmap().await;
    assert_eq!(fake.held(), []);
}

#[tokio::test]
async fn who_refuses_is_not_who_is_silent() {
    let (_fake, mut silent) = router(Manner::default());
    assert_eq!(silent.map(&both()).await, Err(PortmapError::Silent));
    for (speak, said) in [
        (
            (|manner: &mut Manner| manner.pcp = true) as fn(&mut Manner),
            "PCP: ",
        ),
        (|manner| manner.nat_pmp = true, "NAT-PMP: "),
        (|manner| manner.upnp = true, "UPnP: not authorized"),
    ] {
        let mut manner = Manner {
            refuses: true,
            ..Manner::default()
        };
        speak(&mut manner);
        let (_fake, mut router) = router(manner);
        let error = router.map(&both()).await.unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[tokio::test]
async fn who_refuses_since_another_router_stands_before_it_says_so() {
    for speak in [
        (|manner: &mut Manner| manner.nat_pmp = true) as fn(&mut Manner),
        |manner| manner.upnp = true,
    ] {
        let mut manner = Manner {
            refuses: true,
            external: [100, 64, 0, 9].into(),
            ..Manner::default()
        };
        speak(&mut manner);
        let (fake, mut router) = router(manner);
        let error = router.map(&both()).await.unwrap_err().to_string();
        assert!(error.contains("100.64.0.9 is private"), "{error}");
        fake.behave(|manner| manner.external = Ipv4Addr::UNSPECIFIED);
        let error = router.map(&both()).await.unwrap_err().to_string();
        let is_upnp = fake.heard().contains(&"search".to_owned());
        let hint = "another router may stand before it";
        assert_eq!(error.contains(hint), is_upnp, "{error}");
    }
}

#[tokio::test]
async fn who_was_killed_asks_by_the_same_nonce() {
    let (fake, mut router) = router(Manner {
        pcp: true,
        ..Manner::default()
    });
    router.map(&both()).await.unwrap();
    let place = router.place;
    let mut again = Router::new(place, NONCE);
    again.map(&both()).await.unwrap();
    let mut other = Router::new(place, [7; 3]);
    let error = other.map(&both()).await.unwrap_err();
    assert!(matches!(error, PortmapError::Refused(_)), "{error}");
    assert_eq!(fake.held().len(), 2);
}

/// Asks until the router holds a port, and then listens to no answer.
async fn map_until_held(fake: &fake::Router, router: &mut Router, wishes: &[Wish]) {
    let held = async {
        while fake.held().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        () = held => {}
        granted = router.map(wishes) => panic!("it was faster: {granted:?}"),
    }
}

#[tokio::test]
async fn who_stops_in_the_middle_takes_back_what_was_granted() {
    let (fake, mut router) = router(Manner {
        nat_pmp: true,
        most: 1,
        ..Manner::default()
    });
    map_until_held(&fake, &mut router, &both()).await;
    router.unmap().await;
    assert_eq!(fake.held(), []);
}

#[tokio::test]
async fn who_stops_before_the_answer_takes_back_what_it_asked_for() {
    for permanent in [false, true] {
        let (fake, mut router) = router(Manner {
            upnp: true,
            permanent,
            keeps_quiet: true,
            ..Manner::default()
        });
        map_until_held(&fake, &mut router, &both()).await;
        router.unmap().await;
        assert_eq!(fake.held(), []);
    }
}

#[tokio::test]
async fn a_gateway_that_refuses_what_this_node_has_leaves_it_there() {
    let (fake, mut router) = router(Manner {
        upnp: true,
        permanent: true,
        jealous: true,
        ..Manner::default()
    });
    for _ in 0..2 {
        let granted = router.map(&both()).await.unwrap();
        assert_eq!(externals(&granted), [9977, 9978]);
    }
    let held = fake.held();
    assert_eq!(held.len(), 2, "{held:?}");
    // Another port takes the place of the one before.
    fake.behave(|manner| manner.taken = vec![9977]);
    router.map(&both()).await.unwrap();
    let held = fake.held();
    assert_eq!(held.len(), 2, "{held:?}");
    router.unmap().await;
    assert_eq!(fake.held(), []);
}

#[tokio::test]
async fn what_was_granted_by_other_means_is_taken_back_too() {
    let upnp = |manner: &mut Manner| (manner.upnp, manner.pcp) = (true, false);
    let pcp = |manner: &mut Manner| (manner.upnp, manner.pcp) = (false, true);
    for (first, second) in [
        (upnp as fn(&mut Manner), pcp as fn(&mut Manner)),
        (pcp, upnp),
    ] {
        for other_port in [false, true] {
            let (fake, mut router) = router(Manner {
                apart: true,
                permanent: true,
                ..Manner::default()
            });
            fake.behave(first);
            router.map(&both()).await.unwrap();
            fake.behave(second);
            if other_port {
                fake.behave(|manner| manner.taken = vec![9977, 9978]);
            }
            let by_second = router.map(&both()).await.unwrap();
            assert_eq!(externals(&by_second).contains(&9977), !other_port);
            // Both would listen again.
            fake.behave(|manner| (manner.upnp, manner.pcp) = (true, true));
            if other_port {
                router.map(&both()).await.unwrap();
                let held = fake.held();
                assert_eq!(held.len(), 2, "{held:?}");
            }
            router.unmap().await;
            assert_eq!(fake.held(), []);
        }
    }
}

#[tokio::test]
async fn who_has_another_address_now_takes_nothing_back() {
    let (fake, mut router) = router(Manner {
        upnp: true,
        ..Manner::default()
    });
    router.map(&both()).await.unwrap();
    // Nobody's: of documentation.
    router.place.own = [192, 0, 2, 77].into();
    router.unmap().await;
    assert_eq!(fake.held().len(), 2);
}

#[tokio::test]
async fn an_address_that_is_not_told_once_is_the_one_of_before() {
    for speak in [
        (|manner: &mut Manner| manner.nat_pmp = true) as fn(&mut Manner),
        |manner| manner.upnp = true,
    ] {
        let mut manner = Manner {
            external: [100, 64, 0, 9].into(),
            ..Manner::default()
        };
        speak(&mut manner);
        let (fake, mut router) = router(manner);
        let granted = router.map(&both()).await.unwrap();
        fake.behave(|manner| manner.hides_address = true);
        assert_eq!(router.map(&both()).await.unwrap(), granted);
    }
}

#[tokio::test]
async fn a_port_for_no_time_at_all_is_none() {
    for speak in [
        (|manner: &mut Manner| manner.nat_pmp = true) as fn(&mut Manner),
        |manner| manner.pcp = true,
    ] {
        let mut manner = Manner {
            lifetime: 0,
            ..Manner::default()
        };
        speak(&mut manner);
        let (_fake, mut router) = router(manner);
        let error = router.map(&both()).await.unwrap_err().to_string();
        assert!(error.contains("for no time"), "{error}");
    }
}

/// Nothing comes of such a router, within the time of a slow one, and what it is stays unharmed.
async fn is_withstood(ill: Ill) -> fake::Router {
    let (fake, mut router) = router(Manner {
        upnp: true,
        nat_pmp: ill == Ill::Noise,
        ill,
        ..Manner::default()
    });
    let began = Instant::now();
    let asked = router.map(&both()).await;
    assert!(asked.is_err(), "{asked:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    fake
}

#[tokio::test]
async fn noise() {
    is_withstood(Ill::Noise).await;
}

#[tokio::test]
async fn a_description_that_never_ends() {
    let fake = is_withstood(Ill::Endless).await;
    assert!(fake.heard().contains(&"description".to_owned()));
}

#[tokio::test]
async fn a_description_that_comes_a_byte_at_a_time() {
    let fake = is_withstood(Ill::Slow).await;
    assert!(fake.heard().contains(&"description".to_owned()));
}

#[tokio::test]
async fn a_description_of_no_end_of_levels() {
    let fake = is_withstood(Ill::Deep).await;
    assert!(fake.heard().contains(&"description".to_owned()));
}

#[tokio::test]
async fn nobody_is_asked_but_the_router() {
    // A machine of the house that a router could send this node to.
    let other = std::net::TcpListener::bind((loop_address(), 0)).unwrap();
    other.set_nonblocking(true).unwrap();
    is_withstood(Ill::Elsewhere(other.local_addr().unwrap())).await;
    let error = other.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_description_as_wide_as_it_is_long() {
    let fake = is_withstood(Ill::Wide).await;
    assert!(fake.heard().contains(&"description".to_owned()));
}

#[tokio::test]
async fn a_description_of_entities() {
    let fake = is_withstood(Ill::Entities).await;
    assert!(fake.heard().contains(&"description".to_owned()));
}

#[tokio::test]
async fn answers_without_an_end() {
    let fake = is_withstood(Ill::Talkative).await;
    let asked = fake.heard();
    assert!(asked.iter().any(|line| line.starts_with("upnp tcp")));
}

#[tokio::test]
async fn nobody_is_heard_but_the_router() {
    // Somebody else on the link answers what was asked of all.
    let gateway = loop_address();
    let fake = fake::Router::at(gateway, Manner::default()).unwrap();
    let own = own_address(gateway).unwrap();
    let socket = tokio::net::UdpSocket::bind((own, 0)).await.unwrap();
    let to = socket.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nLOCATION: http://{}/root.xml\r\n\r\n",
        fake.http()
    );
    let say = async |ip: Ipv4Addr| {
        let sender = tokio::net::UdpSocket::bind((ip, 0)).await.unwrap();
        sender.send_to(answer.as_bytes(), to).await.unwrap();
    };
    say(loop_address()).await;
    let heard = timeout(Duration::from_millis(300), upnp::found(&socket, gateway)).await;
    assert!(heard.is_err(), "{heard:?}");
    assert_eq!(fake.heard(), [""; 0]);
    say(gateway).await;
    upnp::found(&socket, gateway).await.unwrap();
}

#[test]
fn this_machine_is_somewhere() {
    // Whatever it is, it can be read.
    if let Some(place) = place().unwrap() {
        assert_ne!(place.own, place.gateway);
    }
}
