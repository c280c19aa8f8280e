//! From a written value to a typed one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{mistake::Origin, size, value::Value};

/// A type that a written value can become, whether it comes from TOML or is loose text.
pub(super) trait Setting: Sized {
    /// Goes on after "wanted": the kind of value, with an example.
    const WANTED: &'static str;

    /// The typed value.
    fn read(value: &Value) -> Result<Self, Refusal>;
}

/// Why a value is not taken.
pub(super) enum Refusal {
    /// It is of another kind.
    Kind,
    /// Goes on after what was found.
    Because(String),
}

impl Refusal {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }
}

/// A refusal with its place, not yet with its key.
pub(super) struct Wrong {
    pub(super) origin: Origin,
    pub(super) message: String,
}

/// A typed value, or all that is wrong with the written one.
pub(super) type Checked<T> = Result<T, Vec<Wrong>>;

/// A single value.
pub(super) fn one<T: Setting>(value: &Value) -> Checked<T> {
    T::read(value).map_err(|refusal| {
        let found = match refusal {
            Refusal::Kind => value.describe(),
            Refusal::Because(reason) => format!("{}, {reason}", value.describe()),
        };
        vec![wrong(value, format!("found {found}; wanted {}", T::WANTED))]
    })
}

/// A list of values, or what is wrong with each entry that is.
pub(super) fn list<T: Setting>(value: &Value) -> Checked<Vec<T>> {
    let Some(entries) = value.entries() else {
        let found = value.describe();
        let message = format!(
            "found {found}; wanted a list in brackets, each entry {}",
            T::WANTED
        );
        return Err(vec![wrong(value, message)]);
    };
    let mut typed = Vec::new();
    let mut mistaken = Vec::new();
    for entry in &entries {
        match one(entry) {
            Ok(entry) => typed.push(entry),
            Err(wrongs) => mistaken.extend(wrongs),
        }
    }
    if mistaken.is_empty() {
        Ok(typed)
    } else {
        Err(mistaken)
    }
}

/// A list of at least one value.
pub(super) fn some<T: Setting>(value: &Value) -> Checked<Vec<T>> {
    let entries = list(value)?;
    if entries.is_empty() {
        let message = format!(
            "found an empty list; wanted at least one entry, {}",
            T::WANTED
        );
        return Err(vec![wrong(value, message)]);
    }
    Ok(entries)
}

fn wrong(value: &Value, message: String) -> Wrong {
    Wrong {
        origin: value.origin.clone(),
        message,
    }
}

/// The text of a value that can only be text.
pub(super) fn text(value: &Value) -> Result<&str, Refusal> {
    value.text().ok_or(Refusal::Kind)
}

/// Any number of bytes.
pub(super) struct Size(pub(super) u64);

/// `cache.max_size`.
pub(super) struct CacheSize(pub(super) u64);

/// `upstream.timeout`.
pub(super) struct Timeout(pub(super) Duration);

/// A file with certificates, readable now.
pub(super) struct PemFile(pub(super) PathBuf);

impl Setting for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &Value) -> Result<Self, Refusal> {
        value.boolean().ok_or(Refusal::Kind)
    }
}

impl Setting for u32 {
    const WANTED: &'static str = "a whole number from 0 on, such as 3";

    fn read(value: &Value) -> Result<Self, Refusal> {
        let number = value.integer().and_then(|n| Self::try_from(n).ok());
        number.ok_or(Refusal::Kind)
    }
}

impl Setting for Duration {
    const WANTED: &'static str = r#"a duration such as "30s" or "2h 30m""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        humantime::parse_duration(written).map_err(|_| Refusal::Kind)
    }
}

impl Setting for Timeout {
    const WANTED: &'static str = r#"a duration from "1s" to "1h", such as "30s""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let timeout = Duration::read(value)?;
        if timeout < Duration::from_secs(1) {
            return Err(Refusal::because("too short: every upstream would fail"));
        }
        if timeout > Duration::from_hours(1) {
            return Err(Refusal::because("too long: no client waits for it"));
        }
        Ok(Self(timeout))
    }
}

impl Setting for Size {
    const WANTED: &'static str = r#"a size such as "512KiB", "20GiB", "5GB" or plain bytes"#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let size = match (value.integer(), value.text()) {
            (Some(bytes), _) => size::from_integer(bytes),
            (None, Some(text)) => size::parse(text),
            (None, None) => return Err(Refusal::Kind),
        };
        size.map(Self).map_err(Refusal::Because)
    }
}

impl Setting for CacheSize {
    const WANTED: &'static str = r#"a size of at least "1MiB", such as "20GiB""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let Size(bytes) = Size::read(value)?;
        if bytes < 1 << 20 {
            return Err(Refusal::because("too small: nothing would stay cached"));
        }
        Ok(Self(bytes))
    }
}

impl Setting for PathBuf {
    const WANTED: &'static str = r#"a path such as "/var/lib/aptmesh""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let written = text(value)?;
        if written.is_empty() || written.contains('\0') {
            return Err(Refusal::Kind);
        }
        if written == "~" || written.starts_with("~/") {
            return Err(Refusal::because("no shell expands the ~ here"));
        }
        let folder = value.origin.folder().unwrap_or(Path::new(""));
        std::path::absolute(folder.join(written))
            .map_err(|error| Refusal::because(error.to_string()))
    }
}

impl Setting for PemFile {
    const WANTED: &'static str =
        r#"a readable PEM file with a certificate, such as "/etc/ssl/certs/repo.pem""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let path = PathBuf::read(value)?;
        match regular_file(&path) {
            Err(error) => Err(Refusal::because(format!("which cannot be read ({error})"))),
            Ok(body) if !contains(&body, b"-----BEGIN CERTIFICATE-----") => {
                Err(Refusal::because("which holds no PEM certificate"))
            }
            Ok(_) => Ok(Self(path)),
        }
    }
}

fn regular_file(path: &Path) -> io::Result<Vec<u8>> {
    // Reading a pipe or a device might never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::read(path)
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}
