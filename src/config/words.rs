//! Values that are names and words.

use tracing_subscriber::EnvFilter;

use super::{
    LogFormat, Verify,
    setting::{Refusal, Setting, text},
    value::Value,
};

/// `mirror.name`.
pub(super) struct MirrorName(pub(super) String);

/// `log.level`.
pub(super) struct LogLevel(pub(super) String);

impl Setting for MirrorName {
    const WANTED: &'static str = r#"a path segment of a-z, 0-9, ".", "_" and "-" that starts with a letter or digit, such as "debian""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        // The first segments that the apt face answers itself; `HTTPS` starts a TLS upstream.
        const TAKEN: &[&str] = &[
            "api",
            "metrics",
            "healthz",
            "acng-report.html",
            "favicon.ico",
            "status.css",
            "status.js",
            "icon.svg",
            "https",
            "~",
        ];
        let name = text(value)?;
        if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
            return Err(Refusal::because("which the node answers itself"));
        }
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let safe = name.bytes().all(|b| letter(b) || b"._-".contains(&b));
        if safe && name.bytes().next().is_some_and(letter) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Refusal::Kind)
        }
    }
}

impl Setting for LogLevel {
    const WANTED: &'static str =
        r#"error, warn, info, debug, trace, or directives such as "info,aptmesh::upstream=debug""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        let level = text(value)?.trim();
        // To `EnvFilter` a mistyped level is the name of a target.
        let words = ["off", "error", "warn", "info", "debug", "trace"];
        let known = |part: &str| {
            let part = part.trim();
            part.contains(['=', '[']) || words.iter().any(|word| word.eq_ignore_ascii_case(part))
        };
        if level.split(',').all(known) && EnvFilter::builder().parse(level).is_ok() {
            Ok(Self(level.to_owned()))
        } else {
            Err(Refusal::Kind)
        }
    }
}

impl Setting for LogFormat {
    const WANTED: &'static str = r#""text" or "json""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        match text(value)? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Refusal::Kind),
        }
    }
}

impl Setting for Verify {
    const WANTED: &'static str = r#""off", "auto" or "require""#;

    fn read(value: &Value) -> Result<Self, Refusal> {
        match text(value)? {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "require" => Ok(Self::Require),
            _ => Err(Refusal::Kind),
        }
    }
}
