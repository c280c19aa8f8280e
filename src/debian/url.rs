//! The address of a file in an archive, in one canonical spelling.
//!
//! One file must be one row however a client spells it: apt sends `+` as
//! `%2b`, browsers send it as it is, flat repositories come with `/./` in
//! their paths. [`RepoUrl::key`] is the spelling that rows and caches use.

use std::fmt::{self, Write as _};

/// The longest canonical path with query that is accepted, in bytes.
pub const MAX_PATH: usize = 4096;

/// The scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme means when it names none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why a text is not the address of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("`{0}` is not an http or https URL")]
    Scheme(String),
    /// A host that is empty or has characters no host name has.
    #[error("`{0}` is not a host name or address")]
    Host(String),
    /// A port that is not a number from 1 to 65535.
    #[error("`{0}` is not a port")]
    Port(String),
    /// User name and password in a URL are never stored.
    #[error("a URL with a user name or password can't be cached; use apt's auth.conf")]
    UserInfo,
    /// `%` without two hexadecimal digits.
    #[error("the path has a `%` that is not followed by two hexadecimal digits")]
    Percent,
    /// Control characters, NUL or a backslash, plain or percent-encoded.
    #[error("the path has a control character or a backslash")]
    Control,
    /// A `..` segment, in any spelling.
    #[error("the path climbs with `..`")]
    Climbs,
    /// Longer than [`MAX_PATH`].
    #[error("the path is longer than {MAX_PATH} bytes")]
    Long,
    /// Nothing, or a folder.
    #[error("the path names no file")]
    NoFile,
}

/// The canonical address of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoUrl {
    scheme: Scheme,
    port: u16,
    key: String,
    host: std::ops::Range<usize>,
    path_start: usize,
}

impl RepoUrl {
    /// Parses an absolute `http://` or `https://` URL.
    ///
    /// # Errors
    /// Says what in the text is wrong; see [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = split_scheme(text).ok_or_else(|| UrlError::Scheme(text.into()))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Self::from_parts(scheme, &rest[..end], &rest[end..])
    }

    /// Puts together scheme, `host[:port]` and a raw path (with its query).
    ///
    /// # Errors
    /// Says which part is wrong; see [`UrlError`].
    pub fn from_parts(scheme: Scheme, authority: &str, path: &str) -> Result<Self, UrlError> {
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(scheme.default_port());
        let host = canonical_host(host)?;
        let mut key = format!("{}://", scheme.as_str());
        let host_start = key.len();
        key.push_str(&host);
        let host = host_start..key.len();
        if port != scheme.default_port() {
            let _ = write!(key, ":{port}");
        }
        let path_start = key.len();
        append_canonical_path(&mut key, path)?;
        Ok(Self {
            scheme,
            port,
            key,
            host,
            path_start,
        })
    }

    /// The one spelling of this address: what rows and caches are keyed by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address in lower case; an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.key[self.host.clone()]
    }

    /// The port, the scheme's own where the URL named none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `scheme://host[:port]`: the origin that answers for this address.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.key[..self.path_start]
    }

    /// The canonical path, with its query where there is one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.key[self.path_start..]
    }

    /// The address as it is sent upstream: `+` as `%2b`, as apt itself sends
    /// it, because object stores read a plain `+` as a blank.
    #[must_use]
    pub fn wire(&self) -> String {
        match self.key.split_once('?') {
            Some((path, query)) => format!("{}?{query}", path.replace('+', "%2b")),
            None => self.key.replace('+', "%2b"),
        }
    }

    /// The address that a `Location` header names, seen from this one.
    ///
    /// # Errors
    /// As [`RepoUrl::parse`].
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        if has_scheme(location) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.as_str()));
        }
        let authority = &self.origin()[self.scheme.as_str().len() + 3..];
        if location.starts_with('/') {
            return Self::from_parts(self.scheme, authority, location);
        }
        let path = self.path().split('?').next().unwrap_or("/");
        let folder = &path[..=path.rfind('/').unwrap_or(0)];
        Self::from_parts(self.scheme, authority, &format!("{folder}{location}"))
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// The canonical path of a file that an index names, relative to whatever the
/// index's names are relative to: `pool/main/g/g++-12/g++-12_12.2.0-14_amd64.deb`.
///
/// A `Filename` (Debian wiki, `RepositoryFormat`), or a name in a `Release`
/// or `Sources` file, is a plain path and no URL: its `%`, `?` and `#` are
/// characters of a name. The result is spelt as [`RepoUrl`] spells what apt
/// sends for that name, so that one can be compared with the other. What
/// leads to the archive's root (`./`, `/`) is dropped.
///
/// # Errors
/// `..` segments, control characters, backslashes, names of folders, no name
/// at all, and paths of [`MAX_PATH`] bytes or more.
pub fn path_of_filename(name: &str) -> Result<String, UrlError> {
    let mut path = String::with_capacity(name.len());
    let mut segments = name.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            ".." => return Err(UrlError::Climbs),
            "." => continue,
            "" if path.is_empty() => continue,
            _ => {}
        }
        for byte in segment.bytes() {
            append_byte(&mut path, byte)?;
        }
        if segments.peek().is_some() {
            path.push('/');
        }
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(UrlError::NoFile);
    }
    // Its URL has a slash before it.
    if path.len() >= MAX_PATH {
        return Err(UrlError::Long);
    }
    Ok(path)
}

fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme.eq_ignore_ascii_case("http") {
        Some((Scheme::Http, rest))
    } else if scheme.eq_ignore_ascii_case("https") {
        Some((Scheme::Https, rest))
    } else {
        None
    }
}

/// Whether a text starts with any scheme (RFC 3986 §3.1), known or not.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// Splits `host[:port]`, leaving the brackets of an IPv6 address where they are.
///
/// # Errors
/// [`UrlError::Port`] for a port that is no number from 1 to 65535.
pub fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_brackets..].find(':') {
        None => Ok((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at(after_brackets + at);
            let number: u16 = port[1..].parse().unwrap_or(0);
            if number == 0 {
                return Err(UrlError::Port(port[1..].into()));
            }
            Ok((host, Some(number)))
        }
    }
}

fn canonical_host(host: &str) -> Result<String, UrlError> {
    let bad = || UrlError::Host(host.into());
    if let Some(inner) = host.strip_prefix('[') {
        let address: std::net::Ipv6Addr = inner
            .strip_suffix(']')
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad)?;
        return Ok(format!("[{address}]"));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let fits = !name.is_empty() && name.len() <= 253;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let labels = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    if fits && labels && name.bytes().all(legal) {
        Ok(name)
    } else {
        Err(bad())
    }
}

/// Appends `raw` (path and query of a request target) in canonical spelling:
/// what may stand plain stands plain, everything else as `%XX`, no `.`
/// segments, no fragment.
fn append_canonical_path(key: &mut String, raw: &str) -> Result<(), UrlError> {
    let raw = raw.split('#').next().unwrap_or("");
    let (path, query) = match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    };
    let start = key.len();
    if query.is_none() && is_canonical(path) {
        key.push_str(path);
        return if path.len() > MAX_PATH {
            Err(UrlError::Long)
        } else {
            Ok(())
        };
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut segments = path.split('/').peekable();
    key.push('/');
    while let Some(segment) = segments.next() {
        let at = key.len();
        append_canonical_text(key, segment)?;
        if climbs(&key[at..]) {
            return Err(UrlError::Climbs);
        }
        if &key[at..] == "." {
            key.truncate(at);
        } else if segments.peek().is_some() {
            key.push('/');
        }
    }
    if let Some(query) = query {
        key.push('?');
        append_query(key, query)?;
    }
    if key.len() - start > MAX_PATH {
        return Err(UrlError::Long);
    }
    Ok(())
}

/// Whether a path certainly is in canonical spelling already, as nearly all are.
fn is_canonical(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'/')
        && bytes.iter().all(|byte| *byte == b'/' || is_plain(*byte))
        && !bytes.windows(2).any(|pair| pair == b"/.")
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*,;=:@+".contains(&byte)
}

fn climbs(segment: &str) -> bool {
    segment == ".." || (segment.contains("%2F") && segment.split("%2F").any(|part| part == ".."))
}

/// Appends a query as it came, for it may be signed: only what no URL may
/// hold is refused or encoded.
fn append_query(key: &mut String, raw: &str) -> Result<(), UrlError> {
    for byte in raw.bytes() {
        if byte.is_ascii_control() || byte == b'\\' {
            return Err(UrlError::Control);
        }
        if byte.is_ascii_graphic() {
            key.push(char::from(byte));
        } else {
            let _ = write!(key, "%{byte:02X}");
        }
    }
    Ok(())
}

fn append_canonical_text(key: &mut String, raw: &str) -> Result<(), UrlError> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let mut byte = bytes[at];
        if byte == b'%' {
            let digits = raw.get(at + 1..at + 3).ok_or(UrlError::Percent)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(UrlError::Percent);
            }
            byte = u8::from_str_radix(digits, 16).map_err(|_| UrlError::Percent)?;
            at += 2;
        }
        at += 1;
        append_byte(key, byte)?;
    }
    Ok(())
}

/// Appends a byte of a segment: an encoded `/` or `?` is data and stays so.
fn append_byte(key: &mut String, byte: u8) -> Result<(), UrlError> {
    if byte.is_ascii_control() || byte == b'\\' {
        return Err(UrlError::Control);
    }
    if is_plain(byte) {
        key.push(char::from(byte));
    } else {
        let _ = write!(key, "%{byte:02X}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
