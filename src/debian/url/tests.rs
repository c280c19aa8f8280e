#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn key(text: &str) -> String {
    RepoUrl::parse(text).unwrap().key().to_owned()
}

#[test]
fn plus_and_its_percent_code_are_one_path() {
    assert_eq!(
        key("http://h.example/g%2b%2B+.deb"),
        "http://h.example/g+++.deb"
    );
    let url = RepoUrl::parse("http://h.example/g++_1.deb").unwrap();
    assert_eq!(url.wire(), "http://h.example/g%2b%2b_1.deb");
}

#[test]
fn spellings_of_one_host_are_one() {
    assert_eq!(key("HTTP://H.Example.:80"), "http://h.example/");
    assert_eq!(key("https://h:443/x"), "https://h/x");
    assert_eq!(key("http://h:8080/x"), "http://h:8080/x");
    assert_eq!(key("http://[::0001]:81/x"), "http://[::1]:81/x");
}

#[test]
fn dot_segments_of_flat_repositories_vanish() {
    assert_eq!(key("http://h/repo/./Packages"), "http://h/repo/Packages");
    assert_eq!(key("http://h/./"), "http://h/");
    assert_eq!(key("http://h/repo/."), "http://h/repo/");
    assert_eq!(key("http://h/a//b"), "http://h/a//b");
}

#[test]
fn path_tricks_are_refused() {
    for (text, error) in [
        ("http://h/a/../b", UrlError::Climbs),
        ("http://h/a/%2e%2E/b", UrlError::Climbs),
        ("http://h/a/..%2fb", UrlError::Climbs),
        ("http://h/a%00b", UrlError::Control),
        ("http://h/a%5cb", UrlError::Control),
        ("http://h/a\\b", UrlError::Control),
        ("http://h/a%", UrlError::Percent),
        ("http://h/a%zz", UrlError::Percent),
        ("http://h/a%+1", UrlError::Percent),
        ("http://u:p@h/a", UrlError::UserInfo),
        ("http://h:0/a", UrlError::Port("0".into())),
        ("http:///a", UrlError::Host(String::new())),
        ("http://h../a", UrlError::Host("h..".into())),
        ("ftp://h/a", UrlError::Scheme("ftp://h/a".into())),
    ] {
        assert_eq!(RepoUrl::parse(text).unwrap_err(), error, "{text}");
    }
    assert_eq!(
        RepoUrl::parse(&format!("http://h/{}", "a".repeat(MAX_PATH))).unwrap_err(),
        UrlError::Long
    );
}

#[test]
fn encoded_slashes_and_questions_stay_data() {
    assert_eq!(key("http://h/a%2fb%3fc?d=/e"), "http://h/a%2Fb%3Fc?d=/e");
}

#[test]
fn queries_stay_as_they_are_signed() {
    let signed = "http://h/a%2bb?d=attachment%3B+x%26y%2B&sig=a+b/c%3D";
    let url = RepoUrl::parse(signed).unwrap();
    assert_eq!(
        url.key(),
        "http://h/a+b?d=attachment%3B+x%26y%2B&sig=a+b/c%3D"
    );
    assert_eq!(url.wire(), signed);
}

#[test]
fn redirects_are_seen_from_where_they_came() {
    let base = RepoUrl::parse("https://h:8443/a/b?x").unwrap();
    assert_eq!(base.join("c").unwrap().key(), "https://h:8443/a/c");
    assert_eq!(base.join("/c").unwrap().key(), "https://h:8443/c");
    assert_eq!(base.join("//o/c").unwrap().key(), "https://o/c");
    for foreign in [
        "file:///etc/passwd",
        "ftp://o/c",
        "data:text/plain,x",
        "HTTPS:c",
    ] {
        assert!(base.join(foreign).is_err(), "{foreign}");
    }
    assert_eq!(base.join("./c:d").unwrap().key(), "https://h:8443/a/c:d");
    assert_eq!(base.join("http://o/c").unwrap().key(), "http://o/c");
}

#[test]
fn file_names_of_indexes_become_canonical_paths() {
    for (name, path) in [
        (
            "pool/main/g/g++-12/g++-12_12.2.0-14_amd64.deb",
            "pool/main/g/g++-12/g++-12_12.2.0-14_amd64.deb",
        ),
        ("./hello_1%3a2_all.deb", "hello_1%253a2_all.deb"),
        ("/./a/./b", "a/b"),
        (".//a//b", "a//b"),
        ("a b/\u{fc}~.deb", "a%20b/%C3%BC~.deb"),
        ("a?b#c", "a%3Fb%23c"),
        ("%2e%2e/x", "%252e%252e/x"),
        ("...", "..."),
    ] {
        assert_eq!(path_of_filename(name).as_deref(), Ok(path), "{name}");
    }
    for (name, error) in [
        ("", UrlError::NoFile),
        ("./", UrlError::NoFile),
        ("pool/", UrlError::NoFile),
        ("pool/.", UrlError::NoFile),
        ("../etc/passwd", UrlError::Climbs),
        ("pool/../../x", UrlError::Climbs),
        ("pool/..", UrlError::Climbs),
        ("a\\b", UrlError::Control),
        ("a\0b", UrlError::Control),
        ("a\u{7f}b", UrlError::Control),
    ] {
        assert_eq!(path_of_filename(name), Err(error), "{name:?}");
    }
    assert_eq!(
        path_of_filename(&"a/".repeat(MAX_PATH)[1..]),
        Err(UrlError::NoFile)
    );
    assert_eq!(path_of_filename(&"a".repeat(MAX_PATH)), Err(UrlError::Long));
}

/// What apt makes of a path (`pkgAcquire::URIEncode`, `QuoteString`).
fn as_apt_sends(name: &str) -> String {
    name.bytes().fold(String::new(), |text, byte| {
        if b"+~ %".contains(&byte) || !byte.is_ascii_graphic() {
            text + &format!("%{byte:02x}")
        } else {
            text + &char::from(byte).to_string()
        }
    })
}

proptest! {
    #[test]
    fn a_file_name_is_spelt_as_what_apt_sends(name in "([a-z.]{0,3}|[^?#]{0,12})(/([a-z.]{0,3}|[^?#]{0,12})){0,4}") {
        let url = RepoUrl::parse(&format!("http://h/{}", as_apt_sends(&name)));
        match path_of_filename(&name) {
            Ok(path) => {
                let root = url.as_ref().unwrap().path();
                prop_assert_eq!(root.trim_start_matches('/'), path);
            }
            Err(UrlError::NoFile) => {
                prop_assert!(url.unwrap().path().ends_with('/'));
            }
            Err(error) => prop_assert_eq!(url.unwrap_err(), error),
        }
    }

    #[test]
    fn any_text_is_a_file_name_or_an_error(name in any::<String>()) {
        let _ = path_of_filename(&name);
    }

    #[test]
    fn any_text_is_a_url_or_an_error(text in ".{0,200}") {
        let _ = RepoUrl::parse(&text);
        let _ = RepoUrl::parse(&format!("http://h/{text}"));
    }

    #[test]
    fn canonical_is_a_fixed_point(text in "[ -~]{0,80}") {
        if let Ok(url) = RepoUrl::parse(&format!("http://h/{text}")) {
            prop_assert_eq!(RepoUrl::parse(url.key()).unwrap(), url.clone());
            let wire = url.wire();
            prop_assert_eq!(RepoUrl::parse(&wire).unwrap(), url);
        }
    }

    #[test]
    fn encoding_every_byte_changes_nothing(name in "[a-z0-9+~_.-]{1,40}") {
        prop_assume!(name != "." && name != "..");
        let encoded = name.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
        prop_assert_eq!(key(&format!("http://h/{name}")), key(&format!("http://h/{encoded}")));
    }
}
