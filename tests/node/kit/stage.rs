//! A suite at an origin, and a node before it.

use super::{Apt, Config, Files, Key, Node, Origin, Request, Response, Suite};
use serde_json::Value;

/// The suite's archive is one folder of the origin.
pub struct Stage {
    /// That folder: `/debian` at first.
    pub at: String,
    /// What is published there.
    pub suite: Suite,
    /// The generation that the origin shows.
    pub shown: Files,
    pub origin: Origin,
    pub node: Node,
}

impl Stage {
    /// Shows the suite's first generation to a node that never saw it. The node reads the test's
    /// own keys and no others.
    pub fn new(suite: Suite) -> Self {
        Self::with(suite, Config::default())
    }

    /// As [`Self::new`], with a configuration of the test's own.
    pub fn with(mut suite: Suite, mut config: Config) -> Self {
        let keyrings = config.keyrings.take();
        config.keyrings = Some(keyrings.unwrap_or_else(|| vec![Key::good().file()]));
        let origin = Origin::start();
        let shown = suite.publish();
        let at = "/debian".to_owned();
        origin.show(&at, &shown);
        Self {
            at,
            suite,
            shown,
            origin,
            node: Node::with(config),
        }
    }

    /// Publishes the next generation and shows it; gives its number.
    pub fn advance(&mut self) -> u64 {
        let next = self.suite.publish();
        self.show(&next);
        self.suite.number()
    }

    /// Shows a file set.
    pub fn show(&mut self, files: &Files) {
        self.shown = files.clone();
        self.origin.show(&self.at, files);
    }

    /// Moves the archive to another folder, of which the node knows nothing. What is shown there
    /// is left to the test.
    pub fn move_to(&mut self, at: &str) {
        at.clone_into(&mut self.at);
    }

    /// A client that trusts the good key, through the node.
    pub fn client(&self) -> Apt {
        self.client_of(Key::good(), true)
    }

    /// A client that asks the origin itself.
    pub fn direct(&self) -> Apt {
        self.client_of(Key::good(), false)
    }

    /// A client that trusts this key.
    pub fn client_of(&self, key: Key, proxied: bool) -> Apt {
        let lines = self.suite.source_lines(&self.origin.url(&self.at));
        let proxy = proxied.then(|| self.node.url());
        Apt::new(&key.file(), &lines, proxy.as_deref())
    }

    /// The proxy form of a path below the archive's root.
    pub fn url(&self, below: &str) -> String {
        self.origin.url(&format!("{}/{below}", self.at))
    }

    /// The proxy form of a path below the suite's folder.
    pub fn index_url(&self, below: &str) -> String {
        self.url(&(self.suite.folder().to_owned() + below))
    }

    /// A GET of a path below the suite's folder, as apt asks for indexes.
    pub fn ask(&self, below: &str) -> Request {
        Request::get(&self.index_url(below)).header("Cache-Control", "max-age=0")
    }

    /// [`Self::ask`] on a connection of its own.
    #[track_caller]
    pub fn get(&self, below: &str) -> Response {
        self.node.ask(&self.ask(below))
    }

    /// The bytes that the origin shows at a path below the suite's folder.
    #[track_caller]
    pub fn bytes(&self, below: &str) -> &[u8] {
        self.shown.get(&(self.suite.folder().to_owned() + below))
    }

    /// Whether the origin shows a path below the suite's folder.
    pub fn shows(&self, below: &str) -> bool {
        let path = self.suite.folder().to_owned() + below;
        self.shown.iter().any(|(shown, ..)| shown == path)
    }

    /// The by-hash path, below the suite's folder, of an index that the origin shows.
    #[track_caller]
    pub fn by_hash(&self, index: &str) -> String {
        let folder = index.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!(
            "{folder}/by-hash/SHA256/{}",
            super::sha256(self.bytes(index))
        )
    }

    /// How often the origin was asked for a path below the archive's root.
    pub fn hits(&self, below: &str) -> usize {
        self.origin.hits(&format!("{}/{below}", self.at))
    }

    /// The suite's row in the node's status, where there is one.
    pub fn row(&self) -> Option<Value> {
        let status = self.node.status();
        let suites = status["index"]["suites"].as_array();
        let suites = suites.unwrap_or_else(|| panic!("no index.suites in {status}"));
        let folder = self.index_url("");
        let row = suites.iter().find(|row| row["folder"] == folder.as_str());
        row.cloned()
    }

    /// Waits until a text of the suite's row is this one.
    #[track_caller]
    pub fn until_row(&self, key: &str, wanted: &str) {
        let mut last = None;
        let reached = super::within(super::PATIENCE, || {
            last = self.row();
            last.as_ref().is_some_and(|row| row[key] == wanted)
        });
        assert!(reached, "{key:?} is not {wanted:?} in {last:?}");
    }

    /// Waits until the package rows in use are those of the generation that the suite published
    /// last.
    #[track_caller]
    pub fn until_current(&self) {
        let packages = self.suite.count();
        self.node.until_number("/index/packages", packages);
    }

    /// Waits for a refusal of this kind (or one of these, with `|` between) that names `file`; it
    /// stands in the log with its reason.
    #[track_caller]
    pub fn until_refused(&self, kind: &str, file: &str) -> Value {
        let mut last = Value::Null;
        let mut found = None;
        super::within(super::PATIENCE, || {
            last = self.node.status()["index"]["refusals"].take();
            let rows = last.as_array().into_iter().flatten();
            let named = rows.into_iter().find(|row| {
                let url = row["url"].as_str().unwrap_or_default();
                kind.split('|').any(|kind| row["kind"] == kind) && url.contains(file)
            });
            found = named.cloned();
            found.is_some()
        });
        let row = found.unwrap_or_else(|| panic!("no {kind:?} of {file:?} in {last}"));
        let (url, reason) = (row["url"].as_str(), row["reason"].as_str());
        let (url, reason) = (url.unwrap_or_default(), reason.unwrap_or_default());
        assert!(!reason.is_empty(), "a refusal without reason: {row}");
        let log = self.node.log();
        let line = log
            .lines()
            .find(|line| line.contains(url) && line.contains(reason));
        assert!(line.is_some(), "the log does not tell of {row}");
        row
    }
}

/// Whole indexes that an origin was asked for, by name or by hash.
pub fn full_indexes(origin: &Origin) -> Vec<String> {
    let seen = origin.all_seen().into_iter().map(|seen| seen.path);
    let index = |path: &String| {
        let parts = [
            "/binary-amd64/",
            "/source/",
            "/main/Contents",
            "/main/by-hash/",
        ];
        parts.iter().any(|part| path.contains(part)) && !path.contains(".diff/")
    };
    seen.filter(index).collect()
}
