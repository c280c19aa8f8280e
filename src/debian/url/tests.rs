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

proptest! {
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
