//! An Internet Gateway Device.

use super::{Held, Ill, Shared, Source, TICK, hold, read_request, respond};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

/// What an action is told.
const ACTIONS: [(&str, &[&str]); 3] = [
    ("GetExternalIPAddress", &[]),
    (
        "AddPortMapping",
        &[
            "NewRemoteHost",
            "NewExternalPort",
            "NewProtocol",
            "NewInternalPort",
            "NewInternalClient",
            "NewEnabled",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ],
    ),
    (
        "DeletePortMapping",
        &["NewRemoteHost", "NewExternalPort", "NewProtocol"],
    ),
];

pub(super) fn answer_searches(shared: &Arc<Shared>, source: Source) {
    let Source::Udp(socket) = source else { return };
    shared.packets(&socket, |packet, from| {
        let text = String::from_utf8_lossy(packet);
        let manner = shared.state().manner.clone();
        let is_search = text.starts_with("M-SEARCH * HTTP/1.1\r\n");
        let gateway = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
        if !manner.upnp || !is_search || !text.contains(gateway) {
            return;
        }
        let at = match &manner.ill {
            Ill::Elsewhere(at) => *at,
            _ => shared.http,
        };
        let answer = match &manner.ill {
            Ill::Noise => vec![0xff; 1400],
            _ => format!(
                "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nST: {gateway}\r\n\
                 USN: uuid:0::{gateway}\r\nLOCATION: http://{at}/root.xml\r\n\r\n"
            )
            .into_bytes(),
        };
        shared.state().heard.push("search".to_owned());
        let _ = socket.send_to(&answer, from);
    });
}

pub(super) fn serve(shared: &Arc<Shared>, source: Source) {
    let Source::Tcp(listener) = source else {
        return;
    };
    while !shared.is_over() {
        match listener.accept() {
            Ok((stream, from)) => {
                let shared = Arc::clone(shared);
                std::thread::spawn(move || {
                    stream.set_nonblocking(false).unwrap();
                    // Who asked may be gone.
                    let _ = talk(&shared, stream, from);
                });
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn talk(shared: &Arc<Shared>, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
    let (head, body) = read_request(&mut stream)?;
    let line = head.lines().next().unwrap_or_default();
    let ill = shared.state().manner.ill.clone();
    if line.starts_with("GET /root.xml ") {
        shared.state().heard.push("description".to_owned());
        return match ill {
            Ill::Endless => endless(shared, &mut stream, &vec![b' '; 1 << 16], Duration::ZERO),
            Ill::Slow => endless(shared, &mut stream, b" ", TICK * 5),
            Ill::Deep => respond(&mut stream, "200 OK", &"<a>".repeat(300_000)),
            Ill::Wide => {
                let space = "x".repeat(1 << 19);
                let inside = "<b/>".repeat(1 << 17);
                let body = format!("<root xmlns:a=\"{space}\">{inside}</root>");
                respond(&mut stream, "200 OK", &body)
            }
            Ill::Entities => {
                let (entity, many) = ("x".repeat(1 << 14), "&e;".repeat(1 << 13));
                let body = format!(
                    "<!DOCTYPE root [<!ENTITY e \"{entity}\">]><root x=\"{many}\">{many}</root>"
                );
                respond(&mut stream, "200 OK", &body)
            }
            Ill::Noise => stream.write_all(&[0x80; 5000]),
            _ => respond(&mut stream, "200 OK", &description()),
        };
    }
    if line.starts_with("GET /wan.xml ") {
        return respond(&mut stream, "200 OK", &actions());
    }
    let action = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_action = name.eq_ignore_ascii_case("soapaction");
        is_action.then(|| value.trim().trim_matches('"').rsplit('#').next())?
    });
    let action = action.unwrap_or_default().to_owned();
    let done = act(shared, &action, &body, from);
    let manner = shared.state().manner.clone();
    if ill == Ill::Talkative {
        return endless(shared, &mut stream, b"<b x=\"\"/>", Duration::ZERO);
    }
    if manner.hides_address && action == "GetExternalIPAddress" {
        std::thread::sleep(TICK * 200);
    }
    if manner.keeps_quiet && action == "AddPortMapping" && done.is_ok() {
        std::thread::sleep(TICK * 25);
    }
    match done {
        Ok(inner) => {
            let inner =
                format!("<u:{action}Response xmlns:u=\"{SERVICE}\">{inner}</u:{action}Response>");
            respond(&mut stream, "200 OK", &envelope(&inner))
        }
        Err(code) => {
            let inner = format!(
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>\
                 <detail><UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\">\
                 <errorCode>{code}</errorCode><errorDescription>no</errorDescription>\
                 </UPnPError></detail></s:Fault>"
            );
            respond(&mut stream, "500 Internal Server Error", &envelope(&inner))
        }
    }
}

/// A body without an end, until the client has enough of it.
fn endless(
    shared: &Shared,
    stream: &mut TcpStream,
    part: &[u8],
    pause: Duration,
) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<root>")?;
    while !shared.stop.load(Ordering::Relaxed) {
        stream.write_all(part)?;
        std::thread::sleep(pause);
    }
    Ok(())
}

fn act(shared: &Arc<Shared>, action: &str, body: &str, from: SocketAddr) -> Result<String, u16> {
    let field = |name: &str| {
        let rest = body.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let number = |name: &str| field(name).and_then(|text| text.parse::<u32>().ok());
    let port = |name: &str| number(name).and_then(|port| u16::try_from(port).ok());
    let protocol = match field("NewProtocol").as_deref() {
        Some("TCP") => "tcp",
        Some("UDP") => "udp",
        _ => "",
    };
    let manner = shared.state().manner.clone();
    if action == "GetExternalIPAddress" {
        shared.state().heard.push("upnp address".to_owned());
        let ip = manner.external;
        return Ok(format!("<NewExternalIPAddress>{ip}</NewExternalIPAddress>"));
    }
    let external = port("NewExternalPort")
        .filter(|port| *port != 0)
        .ok_or(402_u16)?;
    if manner.refuses {
        return Err(606);
    }
    if action == "DeletePortMapping" {
        shared
            .state()
            .heard
            .push(format!("upnp end {protocol} {external}"));
        let mut state = shared.state();
        let held = state.held.len();
        let is_it = |it: &Held| {
            it.protocol == protocol
                && it.external == external
                && it.to.ip() == from.ip()
                && (it.is_upnp || !manner.apart)
        };
        state.held.retain(|it| !is_it(it));
        return if state.held.len() < held {
            Ok(String::new())
        } else {
            Err(714)
        };
    }
    let lifetime = number("NewLeaseDuration").ok_or(402_u16)?;
    let internal = port("NewInternalPort")
        .filter(|port| *port != 0)
        .ok_or(402_u16)?;
    let client = field("NewInternalClient")
        .and_then(|ip| ip.parse().ok())
        .ok_or(402_u16)?;
    let to = SocketAddr::new(client, internal);
    let said = format!("upnp {protocol} {internal} {external} for {lifetime}");
    shared.state().heard.push(said);
    if client != from.ip() {
        return Err(606);
    }
    if manner.permanent && lifetime != 0 {
        return Err(725);
    }
    let is_others = |it: &Held| {
        it.protocol == protocol && it.external == external && (it.to != to || manner.jealous)
    };
    if manner.taken.contains(&external) || shared.state().held.iter().any(is_others) {
        return Err(718);
    }
    let lifetime = lifetime.min(manner.lifetime);
    let nonce = [0; 12];
    hold(
        shared,
        Held {
            protocol,
            external,
            to,
            lifetime,
            nonce,
            is_upnp: true,
        },
    );
    Ok(String::new())
}

fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>{inner}</s:Body></s:Envelope>"
    )
}

fn description() -> String {
    let device = |kind: &str, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>\
             <friendlyName>a router</friendlyName>{inner}</device>"
        )
    };
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType>\
         <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/wan.xml</SCPDURL>\
         <controlURL>/control</controlURL><eventSubURL>/event</eventSubURL></service></serviceList>"
    );
    let within = |inner: &str| format!("<deviceList>{inner}</deviceList>");
    let connection = within(&device("WANConnectionDevice", &service));
    let wan = within(&device("WANDevice", &connection));
    let root = device("InternetGatewayDevice", &wan);
    format!("<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{root}</root>")
}

fn actions() -> String {
    let argument =
        |name: &&str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
    let action = |(name, arguments): &(&str, &[&str])| {
        let arguments: String = arguments.iter().map(argument).collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let actions: String = ACTIONS.iter().map(action).collect();
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">\
         <actionList>{actions}</actionList></scpd>"
    )
}
