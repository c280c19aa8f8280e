//! A configuration while its sources are read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Config, Mirror,
    bounds::PAIRS,
    keys::{self, Effect, Place},
    mistake::{Mistake, Mistakes, Origin},
    setting::Checked,
    value::{Value, quote},
};

/// What was set so far, and every mistake so far. A later value replaces an earlier one.
pub(super) struct Draft {
    config: Config,
    mirrors: BTreeMap<usize, MirrorDraft>,
    /// Where the values that hold were written.
    origins: BTreeMap<String, Origin>,
    /// Keys that were set to nothing that can be used.
    mistaken: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

/// One `[[mirror]]` while its parts come together.
pub(super) struct MirrorDraft {
    /// Where it was mentioned first.
    origin: Origin,
    pub(super) name: Part<String>,
    pub(super) upstreams: Part<Vec<String>>,
}

/// A value that nothing stands in for.
pub(super) enum Part<T> {
    Missing,
    /// Set, but to nothing that can be used: not to be called missing as well.
    Mistaken,
    Given(T, Origin),
}

impl<T> Part<T> {
    pub(super) fn set(&mut self, value: &Value, checked: Checked<T>) -> Checked<()> {
        match checked {
            Ok(given) => {
                *self = Self::Given(given, value.origin.clone());
                Ok(())
            }
            Err(wrongs) => {
                *self = Self::Mistaken;
                Err(wrongs)
            }
        }
    }
}

impl Draft {
    pub(super) fn new(defaults: Config) -> Self {
        Self {
            config: defaults,
            mirrors: BTreeMap::new(),
            origins: BTreeMap::new(),
            mistaken: BTreeSet::new(),
            mistakes: Vec::new(),
        }
    }

    pub(super) fn mistake(&mut self, origin: Origin, key: Option<String>, message: String) {
        self.mistakes.push(Mistake {
            origin,
            key,
            message,
        });
    }

    /// A key or section that does not exist, with what may have been meant.
    pub(super) fn unknown(
        &mut self,
        origin: Origin,
        what: &str,
        path: &[&str],
        nearest: Option<String>,
    ) {
        let hint = nearest.map(|nearest| format!("; did you mean {nearest}?"));
        let message = format!("unknown {what}{}", hint.unwrap_or_default());
        self.mistake(origin, Some(written(path)), message);
    }

    /// A mirror exists as soon as it is mentioned, whether or not a part of it is ever set.
    pub(super) fn mirror(&mut self, index: usize, origin: &Origin) -> &mut MirrorDraft {
        self.mirrors.entry(index).or_insert_with(|| MirrorDraft {
            origin: origin.clone(),
            name: Part::Missing,
            upstreams: Part::Missing,
        })
    }

    fn set(&mut self, place: Place, value: &Value) {
        let checked = match place.key.effect {
            Effect::Config(set) => set(&mut self.config, value),
            Effect::Mirror(set) => set(self.mirror(place.index, &value.origin), value),
        };
        if checked.is_ok() {
            self.origins.insert(place.to_string(), value.origin.clone());
        } else {
            self.mistaken.insert(place.to_string());
        }
        for wrong in checked.err().unwrap_or_default() {
            self.mistake(wrong.origin, Some(place.to_string()), wrong.message);
        }
    }

    /// Sets what `path` names, or tells that it names nothing and, in the way of its source, what
    /// may have been meant.
    pub(super) fn assign(
        &mut self,
        path: &[&str],
        place: Option<Place>,
        value: &Value,
        shown: fn(Place) -> String,
    ) {
        if let Some(place) = place {
            self.set(place, value);
        } else {
            let nearest = keys::nearest(path).map(shown);
            self.unknown(value.origin.clone(), "key", path, nearest);
        }
    }

    /// Keys that bound each other; the one that someone set is told of, the first where both were.
    fn compare_pairs(&mut self) {
        for pair in &PAIRS {
            if [pair.low, pair.high]
                .iter()
                .any(|key| self.mistaken.contains(*key))
            {
                continue;
            }
            let Some((at_low, at_high)) = pair.disorder(&self.config) else {
                continue;
            };
            for (key, message) in [(pair.low, at_low), (pair.high, at_high)] {
                if let Some(origin) = self.origins.get(key).cloned() {
                    self.mistake(origin, Some(key.to_owned()), message);
                    break;
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Config, Mistakes> {
        self.compare_pairs();
        let mut taken = BTreeMap::<String, (usize, Origin)>::new();
        for (index, mirror) in std::mem::take(&mut self.mirrors) {
            let wanting = |part: &str| Some(format!("mirror.{index}.{part}"));
            if matches!(mirror.name, Part::Missing) {
                let message = r#"missing; every mirror needs one, such as name = "debian""#;
                self.mistake(mirror.origin.clone(), wanting("name"), message.to_owned());
            }
            if matches!(mirror.upstreams, Part::Missing) {
                let message = "missing; every mirror needs at least one, \
                    such as upstreams = [\"http://ftp.debian.org/debian\"]";
                self.mistake(
                    mirror.origin.clone(),
                    wanting("upstreams"),
                    message.to_owned(),
                );
            }
            let Part::Given(name, origin) = mirror.name else {
                continue;
            };
            if let Some((first, place)) = taken.get(&name) {
                let found = quote(&name);
                let message = format!(
                    "found {found}, the name of mirror.{first} ({place}); wanted another for each"
                );
                self.mistake(origin, wanting("name"), message);
                continue;
            }
            taken.insert(name.clone(), (index, origin));
            if let Part::Given(upstreams, _) = mirror.upstreams {
                self.config.mirrors.push(Mirror { name, upstreams });
            }
        }
        if !self.mistakes.is_empty() {
            return Err(Mistakes::sorted(self.mistakes));
        }
        Ok(self.config)
    }
}

fn written(path: &[&str]) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let parts = path.iter().map(|part| match *part {
        part if !part.is_empty() && part.bytes().all(bare) => part.to_owned(),
        part => quote(part),
    });
    parts.collect::<Vec<_>>().join(".")
}
