//! A headless Chromium, driven through `WebDriver` as a person would use it.

use super::{Client, PATIENCE, Request, free_port, within};
use serde_json::{Value, json};
use std::future::Future;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use thirtyfour::error::WebDriverResult;
use thirtyfour::{
    BrowserLogEntry, ChromeCapabilities, ChromiumLikeCapabilities as _, LoggingPrefsLogLevel,
    WebDriver,
};
use tokio::runtime::{Builder, Runtime};

const MISSING: &str = "the browser tests need Chromium and its WebDriver: \
                       apt-get install chromium chromium-driver";

/// A name of this machine that a browser does not take for a safe origin, as it takes 127.0.0.1:
/// what a person in the network sees.
pub const FAR: &str = "node.test";

const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// What a person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub const BOTH: [Self; 2] = [Self::Light, Self::Dark];

    /// As `prefers-color-scheme` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A session with a profile of its own; it ends, with all its processes, when this is dropped.
pub struct Browser {
    runtime: Runtime,
    session: WebDriver,
    // Dropped after the session, which it ends.
    _driver: Driver,
}

/// The process of chromedriver, and the browser's profile.
struct Driver {
    process: Child,
    profile: TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// An empty window of 1280 by 900 points.
    #[track_caller]
    pub fn start() -> Self {
        let port = free_port();
        let driver = Driver::start(port);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let session = runtime.block_on(WebDriver::new(url, driver.capabilities()));
        let browser = Self {
            session: session.unwrap_or_else(|error| panic!("{MISSING}: {error}")),
            runtime,
            _driver: driver,
        };
        browser.resize(1280, 900);
        browser
    }

    #[track_caller]
    fn wait<T>(&self, what: impl Future<Output = WebDriverResult<T>>) -> T {
        let done = self.runtime.block_on(what);
        done.unwrap_or_else(|error| panic!("the browser: {error}"))
    }

    /// Loads a page and everything that belongs to it.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.wait(self.session.goto(url));
    }

    /// What a function with this body gives.
    #[track_caller]
    pub fn run(&self, body: &str) -> Value {
        let done = self.wait(self.session.execute(body, Vec::new()));
        done.json().clone()
    }

    /// The value of an expression.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression});"))
    }

    /// An expression that is a text; empty where it is nothing.
    #[track_caller]
    pub fn text(&self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_default().to_owned()
    }

    /// An expression that is a list of texts.
    #[track_caller]
    pub fn texts(&self, expression: &str) -> Vec<String> {
        let list = self.value(&format!("[...{expression}].map(String)"));
        serde_json::from_value(list).unwrap()
    }

    /// Whether an expression holds.
    #[track_caller]
    pub fn holds(&self, expression: &str) -> bool {
        self.value(&format!("!!({expression})")) == true
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let held = within(PATIENCE, || self.holds(expression));
        assert!(held, "not within {PATIENCE:?}: {expression}");
    }

    /// A command of the browser's own protocol for developers.
    #[track_caller]
    fn tools(&self, command: &str, parameters: Value) {
        let cdp = self.session.cdp();
        self.wait(cdp.send_raw(command, parameters));
    }

    /// A window of so many points, however small.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tools("Emulation.setDeviceMetricsOverride", size);
    }

    /// The person prefers this theme.
    #[track_caller]
    pub fn prefer(&self, theme: Theme) {
        let feature = json!({"name": "prefers-color-scheme", "value": theme.name()});
        self.tools("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Pages opened from now on run no script of their own.
    #[track_caller]
    pub fn without_scripts(&self) {
        let off = json!({"value": true});
        self.tools("Emulation.setScriptExecutionDisabled", off);
    }

    /// Presses a key, or a letter, with the keys in `held` down.
    #[track_caller]
    pub fn press(&self, held: &[char], key: char) {
        let mut chain = self.session.action_chain();
        for key in held {
            chain = chain.key_down(*key);
        }
        chain = chain.key_down(key).key_up(key);
        for key in held {
            chain = chain.key_up(*key);
        }
        self.wait(chain.perform());
    }

    /// A click in the middle of an element.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let by = thirtyfour::By::Css(selector.to_owned());
        let element = self.wait(self.session.find(by));
        self.wait(element.click());
    }

    /// What the console and the browser itself complained of since the last call.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.wait(self.session.browser_log());
        let line = |entry: BrowserLogEntry| format!("{} {}", entry.level, entry.message);
        log.into_iter().map(line).collect()
    }

    /// The whole page, as wide as this.
    #[track_caller]
    pub fn picture(&self, width: u32, path: &Path) {
        self.resize(width, 900);
        let height = self.value("document.documentElement.scrollHeight");
        self.resize(width, u32::try_from(height.as_u64().unwrap()).unwrap());
        self.wait(self.session.screenshot(path));
        self.resize(width, 900);
    }
}

impl Driver {
    #[track_caller]
    fn start(port: u16) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING}: chromedriver: {error}"));
        let driver = Self { process, profile };
        let request = Request::get("/status").header("Host", "127.0.0.1");
        let ready = within(PATIENCE, || {
            Client::connect(port)
                .and_then(|mut client| client.ask(&request))
                .is_ok_and(|answer| answer.status == 200)
        });
        assert!(ready, "chromedriver never got ready");
        driver
    }

    fn capabilities(&self) -> ChromeCapabilities {
        let mut wanted = ChromeCapabilities::new();
        let profile = self.profile.path().display();
        let own = [
            format!("--user-data-dir={profile}"),
            format!("--host-resolver-rules=MAP {FAR} 127.0.0.1"),
        ];
        for flag in FLAGS.map(str::to_owned).iter().chain(&own) {
            wanted.add_arg(flag).unwrap();
        }
        wanted
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .unwrap();
        wanted
    }
}
