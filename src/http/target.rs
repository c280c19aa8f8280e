//! What a request line asks for.

use axum::http::{Method, StatusCode, Uri};

use super::problem::Problem;
use crate::debian::url::{RepoUrl, Scheme, split_port};
use crate::mirrors::Mirrors;

/// Paths of the node's own; no mirror may have the name of one.
pub const OWN_PATHS: [&str; 9] = [
    "/",
    "/api/status",
    "/metrics",
    "/healthz",
    "/acng-report.html",
    "/favicon.ico",
    "/status.css",
    "/status.js",
    "/icon.svg",
];

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A page of the node itself.
    Own,
    /// A file of an archive.
    File(RepoUrl),
    /// A tunnel to a host and port.
    Tunnel(String, u16),
}

/// Reads the target of a request, in any of the forms of the apt face.
///
/// # Errors
/// A 400 or 404 that says what is wrong.
pub fn parse(method: &Method, uri: &Uri, mirrors: &Mirrors) -> Result<Target, Problem> {
    if method == Method::CONNECT {
        return tunnel(uri);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let Some(authority) = uri.authority() else {
        return origin_form(path, mirrors);
    };
    if authority.as_str().eq_ignore_ascii_case("HTTPS") {
        return over_tls(path.trim_start_matches('/'));
    }
    let scheme = match uri.scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    Ok(Target::File(RepoUrl::from_parts(
        scheme,
        authority.as_str(),
        path,
    )?))
}

fn tunnel(uri: &Uri) -> Result<Target, Problem> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match split_port(authority)? {
        (host, Some(port)) => Ok(Target::Tunnel(host.to_ascii_lowercase(), port)),
        (_, None) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "CONNECT needs a host and a port, such as example.org:443.",
        )),
    }
}

/// `/HTTPS///host/path`: the rest after the slashes.
fn over_tls(rest: &str) -> Result<Target, Problem> {
    let (host, _) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok(Target::File(RepoUrl::from_parts(
        Scheme::Https,
        host,
        &rest[host.len()..],
    )?))
}

fn origin_form(path: &str, mirrors: &Mirrors) -> Result<Target, Problem> {
    let bare = path.split('?').next().unwrap_or(path);
    if OWN_PATHS.contains(&bare) {
        return Ok(Target::Own);
    }
    let rest = path.trim_start_matches('/');
    let (first, below) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if first.eq_ignore_ascii_case("HTTPS") && below.starts_with("///") {
        return over_tls(below.trim_start_matches('/'));
    }
    if let Some(address) = mirrors.address(first, below.trim_start_matches('/')) {
        return Ok(Target::File(address?));
    }
    let host = split_port(first).map_or(first, |(host, _)| host);
    if host.contains(['.', '[']) || host == "localhost" {
        return Ok(Target::File(RepoUrl::from_parts(
            Scheme::Http,
            first,
            below,
        )?));
    }
    let names: Vec<_> = mirrors.names().collect();
    let known = if names.is_empty() {
        "no [[mirror]] is configured".to_owned()
    } else {
        format!("the configured mirrors are {}", names.join(", "))
    };
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        format!(
            "There is no mirror and no page named {first:?} here ({known}); other archives are at /HOST/PATH."
        ),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Config, Mirror, Sources};

    fn target(method: &Method, uri: &str) -> Result<Target, Problem> {
        let mirrors = Mirrors::new(&[Mirror {
            name: "debian".into(),
            upstreams: vec!["http://a.example/debian".into()],
        }])
        .unwrap();
        parse(method, &uri.parse().unwrap(), &mirrors)
    }

    fn key(uri: &str) -> String {
        match target(&Method::GET, uri).unwrap() {
            Target::File(url) => url.key().to_owned(),
            other => panic!("{uri} is {other:?}"),
        }
    }

    #[test]
    fn every_form_of_one_address_is_one_address() {
        for uri in [
            "http://h.example/d/g%2b.deb",
            "/h.example/d/g+.deb",
            "http://H.example:80/d/g%2B.deb",
        ] {
            assert_eq!(key(uri), "http://h.example/d/g+.deb");
        }
        for uri in [
            "http://HTTPS///h.example/d",
            "/HTTPS///h.example/d",
            "/https///h.example/d",
            "https://h.example/d",
        ] {
            assert_eq!(key(uri), "https://h.example/d", "{uri}");
        }
        assert_eq!(key("/debian/dists/x"), "http://a.example/debian/dists/x");
        assert_eq!(key("/127.0.0.1:8080/x?y=1"), "http://127.0.0.1:8080/x?y=1");
    }

    #[test]
    fn own_pages_are_only_the_nodes_own() {
        assert_eq!(target(&Method::GET, "/").unwrap(), Target::Own);
        assert_eq!(target(&Method::GET, "/api/status?x").unwrap(), Target::Own);
        assert_eq!(key("http://h.example/"), "http://h.example/");
        assert_eq!(key("http://h.example/metrics"), "http://h.example/metrics");
    }

    #[test]
    fn no_mirror_may_have_the_name_of_an_own_page() {
        for path in OWN_PATHS.iter().filter(|path| path.len() > 1) {
            let name = path.split('/').nth(1).unwrap();
            let keys = [
                ("mirror.0.name", name),
                ("mirror.0.upstreams", "http://a.example/debian"),
            ];
            let sources = Sources {
                set: keys.map(|(key, value)| (key.into(), value.into())).into(),
                ..Sources::default()
            };
            let mistakes = Config::load(&sources).unwrap_err().to_string();
            assert!(mistakes.contains("answers itself"), "{name}: {mistakes}");
        }
    }

    #[test]
    fn tunnels_name_host_and_port() {
        let tunnel = target(&Method::CONNECT, "H.example:443").unwrap();
        assert_eq!(tunnel, Target::Tunnel("h.example".into(), 443));
    }

    #[test]
    fn unknown_names_are_told_from_hosts() {
        let problem = target(&Method::GET, "/ubuntu/dists").unwrap_err();
        assert_eq!(problem.status, StatusCode::NOT_FOUND);
        assert!(problem.sentence.contains("debian"), "{}", problem.sentence);
        assert_eq!(
            target(&Method::GET, "/h.example/a/../b")
                .unwrap_err()
                .status,
            StatusCode::BAD_REQUEST
        );
    }
}
