//! What is said between this node and a `UPnP` Internet Gateway Device: where
//! it is found, and what its answers mean. Of XML no more is read than the texts
//! of elements: no types of documents, no entities but those of XML itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::Uri;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// What gateways are looked for as: some answer to the one, some to another.
pub const TARGETS: [&str; 3] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    SERVICES[0],
    SERVICES[2],
];

/// Services that forward ports, which all do alike.
const SERVICES: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// Something at the router, by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The router's.
    pub address: SocketAddr,
    /// Of a request, with the query.
    pub path: String,
}

impl Location {
    /// An absolute address; `None` where that is not of HTTP, or anybody's but
    /// the router's.
    fn absolute(text: &str, gateway: Ipv4Addr) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_http = uri.scheme_str() == Some("http");
        let ip: Ipv4Addr = uri.host()?.parse().ok()?;
        (is_http && ip == gateway).then(|| Self {
            address: (ip, uri.port_u16().unwrap_or(80)).into(),
            path: uri.path_and_query().map_or("/", |it| it.as_str()).into(),
        })
    }

    /// What a page at `self` calls `text`.
    fn join(&self, text: &str) -> Option<Self> {
        if text.contains("://") {
            let IpAddr::V4(gateway) = self.address.ip() else {
                return None;
            };
            return Self::absolute(text, gateway);
        }
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if text.starts_with('/') {
            text.to_owned()
        } else {
            format!("{folder}/{text}")
        };
        // As a request can have it.
        path.parse::<Uri>().ok()?;
        Some(Self {
            address: self.address,
            path,
        })
    }
}

/// Who forwards ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its type, in whose name actions are asked for.
    pub kind: &'static str,
    /// Where they are.
    pub control: Location,
}

/// The question to all for one of [`TARGETS`] (SSDP): answers may take two
/// seconds.
#[must_use]
pub fn search(target: &str) -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: {target}\r\n\r\n"
    )
}

/// Where the description is of whom an answer to [`search`] tells.
#[must_use]
pub fn location(answer: &[u8], gateway: Ipv4Addr) -> Option<Location> {
    let text = std::str::from_utf8(answer).ok()?;
    let location = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("location");
        is_it.then(|| value.trim())
    });
    Location::absolute(location?, gateway)
}

/// The first service in the description at `at` that forwards ports.
#[must_use]
pub fn service(description: &str, at: &Location) -> Option<Service> {
    let (mut base, mut kind, mut control) = (at.clone(), None, None);
    for (name, text) in texts(description)? {
        match name.as_str() {
            "URLBase" => base = at.join(&text)?,
            "serviceType" => kind = SERVICES.into_iter().find(|it| *it == text),
            "controlURL" => control = base.join(&text),
            "service" => {
                if let (Some(kind), Some(control)) = (kind.take(), control.take()) {
                    return Some(Service { kind, control });
                }
            }
            _ => {}
        }
    }
    None
}

/// The question to do something. Names and values are no XML.
#[must_use]
pub fn action(kind: &str, name: &str, arguments: &[(&str, String)]) -> String {
    let argument = |(name, value): &(&str, String)| format!("<{name}>{value}</{name}>");
    let arguments: String = arguments.iter().map(argument).collect();
    format!(
        "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
         <u:{name} xmlns:u=\"{kind}\">{arguments}</u:{name}></s:Body></s:Envelope>\r\n"
    )
}

/// The first text of an element of this name.
#[must_use]
pub fn text(xml: &str, of: &str) -> Option<String> {
    let texts = texts(xml)?.into_iter();
    let mut texts = texts.filter_map(|(name, text)| (name == of).then_some(text));
    texts.next()
}

/// Names and texts of elements, each where it ends; of those that hold others,
/// what stands behind the last of them. `None`: it is no XML, or brings words
/// of its own.
fn texts(xml: &str) -> Option<Vec<(String, String)>> {
    let mut reader = Reader::from_str(xml);
    let (mut found, mut text) = (Vec::new(), String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(_) | Event::Empty(_) => text.clear(),
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().ok()? {
                Some(char) => text.push(char),
                None => text.push_str(resolve_predefined_entity(&entity)?),
            },
            Event::End(end) => {
                let name = end.local_name().as_ref().to_owned();
                found.push((name, text.trim().to_owned()));
                text.clear();
            }
            Event::DocType(_) => return None,
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
