//! An archive that the test writes field by field, in memory: one file set a generation.

use super::key::Signing;
use super::packing::{Hash, Packing, by_hash};
use super::pdiff::Diffs;
use super::stanza::{Deb, binary, contents, sources, written};
use super::{Files, Key, key, noise, pdiff};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Indexes beside `Packages`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Also {
    Sources,
    Contents,
}

/// A suite and its pool. Every generation has one package more than the last, and the package
/// `tick` of the generation's number as version in each component, and as a source package where
/// there are sources.
pub struct Suite {
    keys: Vec<Key>,
    flat: bool,
    components: Vec<&'static str>,
    by_hash: bool,
    hashes: Vec<Hash>,
    signing: Signing,
    packings: Vec<Packing>,
    diffs: Option<Diffs>,
    keep: usize,
    also: Vec<Also>,
    date: Option<SystemTime>,
    valid_until: Option<SystemTime>,
    number: u64,
    debs: BTreeMap<String, Deb>,
    replaced: BTreeMap<String, Vec<u8>>,
    past: Vec<Past>,
    last: Files,
}

/// What a generation leaves to the next ones.
struct Past {
    plain: BTreeMap<String, Vec<u8>>,
    hashed: Vec<(String, Vec<u8>)>,
}

impl Suite {
    /// `dists/stable` with `main` for amd64: signed inline, by hash, xz and gz, all by-hash files
    /// of old generations kept.
    pub fn new() -> Self {
        let mut suite = Self {
            keys: vec![Key::good()],
            flat: false,
            components: vec!["main"],
            by_hash: true,
            hashes: vec![Hash::Sha256],
            signing: Signing::Inline,
            packings: vec![Packing::Xz, Packing::Gz],
            diffs: None,
            keep: usize::MAX,
            also: Vec::new(),
            date: None,
            valid_until: None,
            number: 0,
            debs: BTreeMap::new(),
            replaced: BTreeMap::new(),
            past: Vec::new(),
            last: Files::default(),
        };
        for seed in 0..30 {
            suite.package(&format!("fill{seed:02}"), "1.0", &noise(seed + 1, 300));
        }
        suite
    }

    /// A repository with everything in one folder, without by-hash.
    pub fn flat() -> Self {
        let mut suite = Self::new().by_hash(false);
        suite.flat = true;
        let packages = std::mem::take(&mut suite.debs);
        for (name, deb) in packages {
            suite.package(&name, &deb.version, &deb.body[8..]);
        }
        suite
    }

    /// Whether `Release` offers by-hash.
    pub fn by_hash(mut self, offered: bool) -> Self {
        self.by_hash = offered;
        self
    }

    /// `Release` lists files by these hashes.
    pub fn hashes(mut self, hashes: &[Hash]) -> Self {
        self.hashes = hashes.to_vec();
        self
    }

    /// `main` and `contrib`, each with an index of its own.
    pub fn two_components(mut self) -> Self {
        self.components = vec!["main", "contrib"];
        self
    }

    /// With source packages: `tick`, whose one file is republished under its name.
    pub fn sources(mut self) -> Self {
        self.also.push(Also::Sources);
        self
    }

    /// With `Contents-amd64`.
    pub fn contents(mut self) -> Self {
        self.also.push(Also::Contents);
        self
    }

    /// In these packings only.
    pub fn packings(mut self, packings: &[Packing]) -> Self {
        self.packings = packings.to_vec();
        self
    }

    /// With patches for every index.
    pub fn diffs(mut self, kind: Diffs) -> Self {
        self.diffs = Some(kind);
        self
    }

    /// By-hash files of so many old generations stay.
    pub fn keep(mut self, generations: usize) -> Self {
        self.keep = generations;
        self
    }

    /// Signed so.
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Signed by these keys from the next generation on.
    pub fn sign_by(&mut self, keys: &[Key]) {
        self.keys = keys.to_vec();
    }

    /// `Date` of the next generation; without it one hour after the last.
    pub fn dated(&mut self, date: SystemTime) {
        self.date = Some(date);
    }

    /// `Valid-Until` from the next generation on.
    pub fn valid_until(&mut self, end: SystemTime) {
        self.valid_until = Some(end);
    }

    /// Adds or replaces a package of `main`; it appears with the next [`Self::publish`].
    pub fn package(&mut self, name: &str, version: &str, content: &[u8]) {
        let file = format!("{name}_{version}_amd64.deb");
        let path = self.pool_name("main", name, &file);
        let deb = Deb {
            path,
            version: version.to_owned(),
            body: [b"!<arch>\n", content].concat(),
        };
        self.debs.insert(name.to_owned(), deb);
    }

    /// These bytes instead of what the next generation (and only that one) would have at this path
    /// below the suite's folder. `Release` lists what is served. An unpacked index of other text
    /// is packed as usual.
    pub fn replace(&mut self, path: &str, bytes: &[u8]) {
        self.replaced.insert(path.to_owned(), bytes.to_vec());
    }

    /// The number of the last generation.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many packages all indexes of the present generation list.
    pub fn count(&self) -> u64 {
        self.debs.len() as u64 + self.components.len() as u64
    }

    /// How many indexes a client of [`Self::source_lines`] has.
    pub fn indexes(&self) -> usize {
        self.components.len() + usize::from(self.has(Also::Sources))
    }

    /// The path of a package's file below the archive's root.
    #[track_caller]
    pub fn pool_path(&self, package: &str) -> String {
        let deb = self.debs.get(package);
        let path = &deb.unwrap_or_else(|| panic!("no {package}")).path;
        path.trim_start_matches("./").to_owned()
    }

    /// The bytes of a package's file.
    pub fn deb(&self, package: &str) -> &[u8] {
        &self.debs[package].body
    }

    /// The folder of `Release` below the archive's root: empty, or with a slash at its end.
    pub fn folder(&self) -> &'static str {
        if self.flat { "" } else { "dists/stable/" }
    }

    /// The lines of a `sources.list` for an archive at this URL; see [`super::Apt::new`].
    pub fn source_lines(&self, url: &str) -> Vec<String> {
        if self.flat {
            return vec![format!("{url} ./")];
        }
        let binary = format!("{url} stable {}", self.components.join(" "));
        let source = self
            .has(Also::Sources)
            .then(|| format!("deb-src {url} stable main"));
        [binary].into_iter().chain(source).collect()
    }

    /// The next generation, with the pool of all generations.
    pub fn publish(&mut self) -> Files {
        self.publish_as(|release| release)
    }

    /// The next generation, its `Release` rewritten before it is signed.
    pub fn publish_as(&mut self, rewrite: impl FnOnce(String) -> String) -> Files {
        self.number += 1;
        let number = self.number;
        self.package(&format!("new{number:02}"), "1.0", &noise(number + 100, 300));
        let plain = self.texts();
        let mut served = BTreeMap::new();
        let mut listed = BTreeMap::new();
        for (path, text) in &plain {
            listed.insert(path.clone(), text.clone());
            for packing in &self.packings {
                let name = format!("{path}{}", packing.ending());
                served.insert(name, packing.pack(text));
            }
            if let Some(kind) = self.diffs {
                let olds = self.past.iter().filter_map(|past| past.plain.get(path));
                let history: Vec<_> = olds.chain([text]).cloned().collect();
                for (name, bytes) in pdiff::folder(&history, kind) {
                    served.insert(format!("{path}.diff/{name}"), bytes);
                }
            }
        }
        served.append(&mut std::mem::take(&mut self.replaced));
        for (path, bytes) in &served {
            if !path.contains(".diff/") || path.ends_with("/Index") {
                listed.insert(path.clone(), bytes.clone());
            }
        }
        let named = |hash: &Hash| by_hash(*hash, &served, &listed);
        let hashed = self.hashes.iter().flat_map(named).collect();
        let release = rewrite(self.release(&listed));
        self.sign(&mut served, release.as_bytes());
        self.past.push(Past { plain, hashed });
        self.assemble(served)
    }

    fn assemble(&mut self, served: BTreeMap<String, Vec<u8>>) -> Files {
        let mut below: Vec<(String, Vec<u8>)> = served.into_iter().collect();
        if self.by_hash {
            let recent = self.past.iter().rev().take(self.keep.saturating_add(1));
            below.extend(recent.flat_map(|past| past.hashed.clone()));
        }
        let mut files = Files::default();
        let ends = if self.flat { ".deb" } else { "" };
        let begins = if self.flat { "" } else { "pool/" };
        let pool = self.last.iter();
        let pool = pool.filter(|(path, ..)| path.starts_with(begins) && path.ends_with(ends));
        for (path, body, changed) in pool {
            files.put_at(path, body, changed);
        }
        // A generation has a time of its own, so that no server takes two for one.
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.number * 3600);
        let below = below.into_iter();
        let below = below.map(|(path, bytes)| (format!("{}{path}", self.folder()), bytes));
        for (path, bytes) in below.chain(self.pool()) {
            let old = self.last.iter().find(|(old, ..)| *old == path);
            let same = old.filter(|(_, body, _)| ***body == *bytes);
            files.put_at(&path, &bytes, same.map_or(now, |(.., changed)| changed));
        }
        self.last = files.clone();
        self.date = None;
        files
    }

    /// The pool: all packages, `tick` of each component, and the source file of `tick`.
    fn pool(&self) -> Vec<(String, Vec<u8>)> {
        let debs = self.debs.values().cloned().chain(self.ticks());
        let mut pool: Vec<_> = debs
            .map(|deb| (deb.path.trim_start_matches("./").to_owned(), deb.body))
            .collect();
        if self.has(Also::Sources) {
            pool.push(("pool/main/t/tick/tick.dsc".to_owned(), self.dsc()));
        }
        pool
    }

    fn ticks(&self) -> Vec<Deb> {
        let tick = |component: &&str| {
            let file = format!("tick_{}_amd64.deb", self.number);
            Deb {
                path: self.pool_name(component, "tick", &file),
                version: self.number.to_string(),
                body: format!("!<arch>\n{component} {}", self.number).into_bytes(),
            }
        };
        self.components.iter().map(tick).collect()
    }

    /// What `Filename` says of a package's file.
    fn pool_name(&self, component: &str, package: &str, file: &str) -> String {
        if self.flat {
            return format!("./{file}");
        }
        format!("pool/{component}/{}/{package}/{file}", &package[..1])
    }

    fn has(&self, also: Also) -> bool {
        self.also.contains(&also)
    }

    fn dsc(&self) -> Vec<u8> {
        format!("the source of generation {}\n", self.number).into_bytes()
    }

    /// The unpacked indexes by their path below the suite's folder.
    fn texts(&mut self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for (component, tick) in self.components.iter().zip(self.ticks()) {
            let debs = self.debs.iter().filter(|_| *component == "main");
            let debs = debs.map(|(name, deb)| (name.as_str(), deb));
            let stanzas = debs.chain([("tick", &tick)]).map(binary);
            let path = if self.flat {
                "Packages".to_owned()
            } else {
                format!("{component}/binary-amd64/Packages")
            };
            all.insert(path, stanzas.collect::<String>().into_bytes());
        }
        if self.has(Also::Sources) {
            let text = sources(self.number, &self.dsc()).into_bytes();
            all.insert("main/source/Sources".to_owned(), text);
        }
        if self.has(Also::Contents) {
            let text = contents(self.number);
            all.insert("main/Contents-amd64".to_owned(), text.into_bytes());
        }
        for (path, text) in &mut all {
            if let Some(other) = self.replaced.remove(path) {
                *text = other;
            }
        }
        all
    }

    fn release(&self, listed: &BTreeMap<String, Vec<u8>>) -> String {
        let fields = [
            Some("Origin: Testbed\nLabel: Testbed\nSuite: stable\nCodename: stable".to_owned()),
            Some(format!("Date: {}", written(self.date()))),
            self.valid_until
                .map(|end| format!("Valid-Until: {}", written(end))),
            self.by_hash.then(|| "Acquire-By-Hash: yes".to_owned()),
            Some("Architectures: amd64".to_owned()),
            (!self.flat).then(|| format!("Components: {}", self.components.join(" "))),
            Some(format!("Description: generation {}", self.number)),
        ];
        let lines = fields.into_iter().flatten().map(|line| line + "\n");
        let files = self.hashes.iter().map(|hash| hash.field(listed));
        lines.chain(files).collect()
    }

    fn sign(&self, served: &mut BTreeMap<String, Vec<u8>>, release: &[u8]) {
        match self.signing {
            Signing::Inline => {
                served.insert("InRelease".to_owned(), Key::inline(&self.keys, release));
            }
            Signing::Detached => {
                served.insert("Release.gpg".to_owned(), Key::detached(&self.keys, release));
            }
            Signing::Unsigned => {}
        }
        served.insert("Release".to_owned(), release.to_vec());
    }

    fn date(&self) -> SystemTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let first = Duration::from_secs(now.as_secs() / 86_400 * 86_400 - 20 * 86_400);
        let hours = Duration::from_secs(self.number * 3600);
        self.date.unwrap_or(UNIX_EPOCH + first + hours)
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        key::end_agent();
    }
}
