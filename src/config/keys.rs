//! The one table of known keys.

use std::fmt::{self, Display, Formatter};

use super::{
    Config, UpstreamAllow,
    bounds::{
        Answering, ConcurrentRequests, Holding, K, MaxFailures, PingInterval, StoreRedundancy,
    },
    draft::MirrorDraft,
    network::{Clients, OriginUrl},
    setting::{CacheSize, Checked, PemFile, Size, Timeout, list, one, some},
    value::Value,
    words::{LogLevel, MirrorName},
};

/// What setting a key does.
pub(super) enum Effect {
    Config(fn(&mut Config, &Value) -> Checked<()>),
    Mirror(fn(&mut MirrorDraft, &Value) -> Checked<()>),
}

/// A known key. Keys outside of sections have the section "".
pub(super) struct Key {
    section: &'static str,
    name: &'static str,
    pub(super) effect: Effect,
}

/// The section of which there may be several.
const MANY: &str = "mirror";

const fn key(
    section: &'static str,
    name: &'static str,
    set: fn(&mut Config, &Value) -> Checked<()>,
) -> Key {
    Key {
        section,
        name,
        effect: Effect::Config(set),
    }
}

const fn mirror(name: &'static str, set: fn(&mut MirrorDraft, &Value) -> Checked<()>) -> Key {
    Key {
        section: MANY,
        name,
        effect: Effect::Mirror(set),
    }
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("", "data_dir", |c, v| { c.data_dir = one(v)?; Ok(()) }),
    key("apt", "listen", |c, v| { c.apt.listen = some(v)?; Ok(()) }),
    key("apt", "allow", |c, v| {
        c.apt.allow = list(v)?.into_iter().flat_map(|Clients(nets)| nets).collect();
        Ok(())
    }),
    key("upstream", "allow", |c, v| { c.upstream.allow = list::<UpstreamAllow>(v)?; Ok(()) }),
    key("upstream", "connect", |c, v| { c.upstream.connect = one(v)?; Ok(()) }),
    key("upstream", "timeout", |c, v| { Timeout(c.upstream.timeout) = one(v)?; Ok(()) }),
    key("upstream", "ca_files", |c, v| {
        c.upstream.ca_files = list(v)?.into_iter().map(|PemFile(path)| path).collect();
        Ok(())
    }),
    mirror("name", |m, v| m.name.set(v, one(v).map(|MirrorName(name)| name))),
    mirror("upstreams", |m, v| {
        m.upstreams.set(v, some(v).map(|urls| urls.into_iter().map(|OriginUrl(url)| url).collect()))
    }),
    key("cache", "max_size", |c, v| { CacheSize(c.cache.max_size) = one(v)?; Ok(()) }),
    key("cache", "min_free", |c, v| { Size(c.cache.min_free) = one(v)?; Ok(()) }),
    key("index", "verify", |c, v| { c.index.verify = one(v)?; Ok(()) }),
    key("index", "keyrings", |c, v| { c.index.keyrings = list(v)?; Ok(()) }),
    key("log", "level", |c, v| { LogLevel(c.log.level) = one(v)?; Ok(()) }),
    key("log", "format", |c, v| { c.log.format = one(v)?; Ok(()) }),

    key("peer", "enabled", |c, v| { c.peer.enabled = one(v)?; Ok(()) }),
    key("peer", "listen", |c, v| { c.peer.listen = some(v)?; Ok(()) }),
    key("peer", "advertise", |c, v| { c.peer.advertise = one(v)?; Ok(()) }),
    key("peer", "upload_limit", |c, v| { Size(c.peer.upload_limit) = one(v)?; Ok(()) }),
    key("peer", "min_peers", |c, v| { c.peer.min_peers = one(v)?; Ok(()) }),
    key("peer", "allow_private", |c, v| { c.peer.allow_private = one(v)?; Ok(()) }),
    key("peer", "map_ports", |c, v| { c.peer.map_ports = one(v)?; Ok(()) }),

    key("dht", "enabled", |c, v| { c.dht.enabled = one(v)?; Ok(()) }),
    key("dht", "listen", |c, v| { c.dht.listen = one(v)?; Ok(()) }),
    key("dht", "bootstrap", |c, v| { c.dht.bootstrap = list(v)?; Ok(()) }),
    key("dht", "k", |c, v| { K(c.dht.k) = one(v)?; Ok(()) }),
    key("dht", "concurrent_requests", |c, v| {
        ConcurrentRequests(c.dht.concurrent_requests) = one(v)?;
        Ok(())
    }),
    key("dht", "store_redundancy", |c, v| {
        StoreRedundancy(c.dht.store_redundancy) = one(v)?;
        Ok(())
    }),
    key("dht", "max_failures", |c, v| { MaxFailures(c.dht.max_failures) = one(v)?; Ok(()) }),
    key("dht", "min_ping_interval", |c, v| {
        PingInterval(c.dht.min_ping_interval) = one(v)?;
        Ok(())
    }),
    key("dht", "bucket_staleness", |c, v| { Holding(c.dht.bucket_staleness) = one(v)?; Ok(()) }),
    key("dht", "key_expire", |c, v| { Holding(c.dht.key_expire) = one(v)?; Ok(()) }),
    key("dht", "key_refresh", |c, v| { Holding(c.dht.key_refresh) = one(v)?; Ok(()) }),
    key("dht", "krpc_timeout", |c, v| { Answering(c.dht.krpc_timeout) = one(v)?; Ok(()) }),
    key("dht", "krpc_initial_delay", |c, v| {
        Answering(c.dht.krpc_initial_delay) = one(v)?;
        Ok(())
    }),

    key("lan", "discover", |c, v| { c.lan.discover = one(v)?; Ok(()) }),
];

/// A key, and of which `[[mirror]]`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: &'static Key,
    /// Counted from 0; 0 for keys of which there is one.
    pub(super) index: usize,
}

impl Display for Place {
    /// As in flags, `mirror.0.name`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Key { section, name, .. } = self.key;
        match *section {
            "" => f.write_str(name),
            MANY => write!(f, "{MANY}.{}.{name}", self.index),
            _ => write!(f, "{section}.{name}"),
        }
    }
}

/// How often a section may stand in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Once,
    Many,
}

impl Shape {
    /// As its header is written in the file.
    pub(super) fn header(self, section: &str) -> String {
        match self {
            Self::Once => format!("[{section}]"),
            Self::Many => format!("[[{section}]]"),
        }
    }
}

fn shape(section: &str) -> Shape {
    if section == MANY {
        Shape::Many
    } else {
        Shape::Once
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    let mut seen = "";
    KEYS.iter().filter_map(move |key| {
        let new = key.section != std::mem::replace(&mut seen, key.section);
        (new && !key.section.is_empty()).then_some(key.section)
    })
}

/// The shape of a known section.
pub(super) fn section(name: &str) -> Option<Shape> {
    sections().find(|section| *section == name).map(shape)
}

/// The key of that name in that section.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

/// The place that a path of segments names, such as `mirror`, `0`, `name`.
pub(super) fn place(path: &[&str]) -> Option<Place> {
    let (section, index, name) = match *path {
        [name] => ("", 0, name),
        [section, name] if shape(section) == Shape::Once => (section, 0, name),
        [MANY, index, name] => (MANY, position(index)?, name),
        _ => return None,
    };
    find(section, name).map(|key| Place { key, index })
}

/// An index as it is written in one way only: neither `+1` nor `01`.
fn position(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|index: &usize| index.to_string() == text)
}

/// The known place that is most like a path of segments that names none.
pub(super) fn nearest(path: &[&str]) -> Option<Place> {
    let index = path.iter().find_map(|part| position(part));
    let written: Vec<&str> = path
        .iter()
        .copied()
        .filter(|part| position(part).is_none())
        .collect();
    let (joined, name) = (
        written.join("."),
        written.last().copied().unwrap_or_default(),
    );
    let slips = |key: &&Key| {
        let whole = match key.section {
            "" => key.name.to_owned(),
            section => format!("{section}.{}", key.name),
        };
        // The right name in a wrong section counts as two slips.
        let elsewhere = strsim::damerau_levenshtein(name, key.name) + 2;
        strsim::damerau_levenshtein(&joined, &whole).min(elsewhere)
    };
    KEYS.iter().min_by_key(slips).map(|key| Place {
        key,
        index: index.unwrap_or_default(),
    })
}

/// The header of the known section that is most like `name`.
pub(super) fn nearest_section(name: &str) -> Option<String> {
    sections()
        .min_by_key(|section| strsim::damerau_levenshtein(name, section))
        .map(|section| shape(section).header(section))
}
