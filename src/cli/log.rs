//! The log's form, which README.md documents.

use std::fmt::{self, Debug};
use std::io::IsTerminal;

use anyhow::Context;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::config::{Log, LogFormat};
use crate::human::is_odd;

/// Starts the log, once in a process.
pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).context("log.level")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
    Ok(())
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    if field.name() == "message" {
        // One line is one event, whatever a library writes.
        for c in text.chars() {
            if is_odd(c) {
                write!(writer, "{}", c.escape_default())?;
            } else {
                writer.write_char(c)?;
            }
        }
        return Ok(());
    }
    write!(writer, "{}={}", field.name(), quoted(&text))
}

/// A value such that a reader sees where it ends.
///
/// What others sent stands in values: none of it may look like another field
/// or another line.
fn quoted(text: &str) -> String {
    let bare = |text: &str| {
        let odd = |c: char| c.is_whitespace() || is_odd(c) || matches!(c, '"' | '\\');
        !text.is_empty() && !text.contains(odd)
    };
    // Strings come in quotes, other values as they show themselves.
    let inner = text.strip_prefix('"').and_then(|s| s.strip_suffix('"'));
    match inner {
        Some(inner) if bare(inner) => inner.to_owned(),
        Some(inner) if is_escaped(inner) => text.to_owned(),
        _ if bare(text) => text.to_owned(),
        _ => format!("{text:?}"),
    }
}

/// Whether this may stand between quotes as it is.
fn is_escaped(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_some() => {}
            '\\' | '"' => return false,
            c if is_odd(c) => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_are_quoted_where_their_end_would_not_show() {
        for (value, line) in [
            ("127.0.0.1:3142", "127.0.0.1:3142"),
            ("http://a.example/b?c=d", "http://a.example/b?c=d"),
            ("", r#""""#),
            ("no route to host", r#""no route to host""#),
            ("a\nb=c", r#""a\nb=c""#),
            ("a \"word\"", r#""a \"word\"""#),
            ("abc\u{202e}cba", r#""abc\u{202e}cba""#),
            ("a\u{200b}", r#""a\u{200b}""#),
            ("back\\slash", r#""back\\slash""#),
        ] {
            assert_eq!(quoted(value), line, "as it shows itself");
            assert_eq!(quoted(&format!("{value:?}")), line, "as a string");
        }
    }

    #[test]
    fn nothing_forges_a_field_or_a_line() {
        for value in [
            "\"a\" error=\"b\"",
            "\"a\\\"",
            "\"a\u{1b}[31m\"",
            "\"\n\"",
            "\"\u{2028}\"",
            "\"a\u{202e}b\"",
            "\"",
        ] {
            let line = quoted(value);
            assert!(line.starts_with('"') && line.ends_with('"'), "{line}");
            let inner = &line[1..line.len() - 1];
            assert!(super::is_escaped(inner), "{line}");
            assert!(!line.contains(super::is_odd), "{line}");
        }
    }
}
