//! What each kind of value takes and refuses.

use std::{fs, path::Path, time::Duration};

use super::{load, told};
use crate::config::{Config, UpstreamAllow, Verify, network};

pub(super) fn set(key: &str, value: &str) -> Result<Config, String> {
    load("", &[], &[(key, value)])
}

pub(super) fn refuses(key: &str, values: &[&str]) {
    for value in values {
        let told = told("", &[], &[(key, value)]);
        let start = format!("--set: {key}: found ");
        assert!(told[0].starts_with(&start), "{told:?}");
        assert!(told[0].contains("; wanted "), "{told:?}");
    }
}

#[test]
fn sizes() {
    for (written, bytes) in [
        ("0", 0),
        ("1024", 1024),
        ("512KiB", 512 << 10),
        ("5GB", 5_000_000_000),
        ("5 gib", 5 << 30),
        ("1.5TiB", 3 << 39),
        ("1.0001KiB", 1024),
        ("8191PiB", 8191 << 50),
    ] {
        assert_eq!(
            set("cache.min_free", written).unwrap().cache.min_free,
            bytes
        );
    }
    let bare = load("[cache]\nmin_free = 0x10_00\n", &[], &[]).unwrap();
    assert_eq!(bare.cache.min_free, 4096);
    let none = [
        "",
        "-1",
        "G",
        "5G",
        "1.GiB",
        "1.2.3",
        "8192PiB",
        "99999999999999999999",
    ];
    refuses("cache.min_free", &none);
    refuses("cache.max_size", &["0", "1023KiB", "x"]);
    assert_eq!(
        set("cache.max_size", "1MiB").unwrap().cache.max_size,
        1 << 20
    );
}

#[test]
fn timeouts() {
    let timeout = |written| set("upstream.timeout", written).unwrap().upstream.timeout;
    assert_eq!(timeout("1s"), Duration::from_secs(1));
    assert_eq!(timeout("59m 60s"), Duration::from_hours(1));
    refuses(
        "upstream.timeout",
        &["", "0", "0s", "999ms", "61m", "30", "soon"],
    );
}

#[test]
fn upstreams_to_allow() {
    let allow = |written| set("upstream.allow", written).unwrap().upstream.allow;
    let net = |text: &str| UpstreamAllow::Net(text.parse().unwrap());
    let port = |host: &str, port| UpstreamAllow::HostPort(host.to_owned(), port);
    for (written, expected) in [
        ("127.0.0.1", net("127.0.0.1/32")),
        ("::1", net("::1/128")),
        ("[::1]", net("::1/128")),
        ("10.1.2.3/8", net("10.0.0.0/8")),
        ("Repo.LAN", UpstreamAllow::Host("repo.lan".to_owned())),
        ("repo.lan.", UpstreamAllow::Host("repo.lan".to_owned())),
        ("Repo.lan:8080", port("repo.lan", 8080)),
        ("127.0.0.1:8080", port("127.0.0.1", 8080)),
        ("[0:0::1]:8080", port("::1", 8080)),
    ] {
        assert_eq!(allow(written), [expected]);
    }
    let none = [
        "http://repo.lan",
        "10.0.0.0/33",
        "256.1.1.1",
        "repo.lan:0",
        "repo.lan:65536",
        "*.lan",
        "-x.lan",
        "a..lan",
        "repo lan",
        "127.0.0.1:0",
    ];
    refuses("upstream.allow", &none);
}

#[test]
fn clients_to_allow() {
    refuses(
        "apt.allow",
        &["Private", "example.org", "10.0.0.0/40", "192.168.1"],
    );
    refuses("apt.listen", &["3142", "127.0.0.1", "localhost:3142", "[]"]);
}

#[test]
fn origins_of_mirrors() {
    let url = |written| {
        let pairs = [("mirror.0.name", "debian"), ("mirror.0.upstreams", written)];
        load("", &[], &pairs).map(|config| config.mirrors[0].upstreams[0].clone())
    };
    for (written, expected) in [
        (
            "http://ftp.debian.org/debian//",
            "http://ftp.debian.org/debian",
        ),
        ("HTTP://FTP.debian.org", "http://ftp.debian.org"),
        ("https://example.org:8443/", "https://example.org:8443"),
        ("http://[::1]:8080/Debian", "http://[::1]:8080/Debian"),
        ("http://127.0.0.1/d%20n", "http://127.0.0.1/d%20n"),
    ] {
        assert_eq!(url(written).unwrap(), expected);
    }
    for written in [
        "ftp.debian.org/debian",
        "ftp://ftp.debian.org",
        "http://",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org/?a=b",
        "http://example.org/#top",
        "http://example.org/a/../b",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org:/",
        "http://exa mple.org/",
        "http://300.0.0.1/",
    ] {
        let told = url(written).unwrap_err();
        assert!(
            told.contains("mirror.0.upstreams: found "),
            "{written}: {told}"
        );
    }
}

#[test]
fn names_of_mirrors() {
    let none = [
        "",
        "api",
        "Api",
        "metrics",
        "healthz",
        "acng-report.html",
        "favicon.ico",
        "status.css",
        "HTTPS",
        "~",
        "-x",
        ".x",
        "..",
        "a/b",
        "Debian",
        "a b",
        "größe",
    ];
    refuses("mirror.0.name", &none);
    for name in ["debian", "deb.example.org", "0_a-b", "api2"] {
        let pairs = [
            ("mirror.0.name", name),
            ("mirror.0.upstreams", "http://example.org"),
        ];
        assert_eq!(load("", &[], &pairs).unwrap().mirrors[0].name, name);
    }
}

#[test]
fn levels_of_the_log() {
    for level in [
        "info",
        "WARN",
        "off",
        "info,aptmesh::upstream=debug",
        "aptmesh[span{a=1}]=trace",
    ] {
        assert_eq!(set("log.level", level).unwrap().log.level, level);
    }
    refuses(
        "log.level",
        &["", "inof", "info,", "info,aptmesh", "aptmesh=loud"],
    );
    refuses("log.format", &["JSON", "xml"]);
    refuses("upstream.connect", &["yes", "1", ""]);
}

#[test]
fn paths_start_where_they_are_written() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(set("data_dir", "data").unwrap().data_dir, here.join("data"));
    let config = load("data_dir = 'data'", &[], &[]).unwrap();
    assert!(config.data_dir.is_absolute());
    assert!(!config.data_dir.starts_with(&here));
    refuses("data_dir", &["", "~", "~/data", "a\0b"]);
}

#[test]
fn what_is_believed_of_indexes() {
    let verify = |written| set("index.verify", written).unwrap().index.verify;
    assert_eq!(verify("off"), Verify::Off);
    assert_eq!(verify("auto"), Verify::Auto);
    assert_eq!(verify("require"), Verify::Require);
    refuses("index.verify", &["", "Auto", "yes", "true"]);
}

#[test]
fn keyrings_need_not_be_there() {
    let keyrings = |file| load(file, &[], &[]).unwrap().index.keyrings;
    assert!(keyrings("[index]\nkeyrings = []").is_empty());
    let set = keyrings("[index]\nkeyrings = ['/nonexistent/a.gpg', 'b.asc']");
    assert_eq!(set[0], Path::new("/nonexistent/a.gpg"));
    assert!(set[1].is_absolute() && set[1].ends_with("b.asc"));
    refuses("index.keyrings", &["~/keys.gpg", "/a,~", "a\0b"]);
    let bare = told("[index]\n\nkeyrings = '/usr/share/keyrings'", &[], &[]);
    let start = "aptmesh.toml:3: index.keyrings: found \"/usr/share/keyrings\"; wanted a list";
    assert!(bare[0].starts_with(start), "{bare:?}");
}

#[test]
fn files_of_certificates_are_there_and_hold_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("good.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::write(path("empty.pem"), "").unwrap();

    let good = path("good.pem");
    let config = set("upstream.ca_files", &good).unwrap();
    assert_eq!(config.upstream.ca_files, [Path::new(&good)]);
    let list = [good, path("empty.pem"), path("none.pem"), path("")].join(",");
    let told = told("", &[], &[("upstream.ca_files", &list)]);
    assert!(
        told[0].contains("empty.pem\", which holds no PEM certificate"),
        "{told:?}"
    );
    assert!(
        told[1].contains("none.pem\", which cannot be read (No such file"),
        "{told:?}"
    );
    assert!(
        told[2].contains("which cannot be read (not a regular file)"),
        "{told:?}"
    );
}

#[test]
fn the_words_of_apt_allow_name_networks() {
    let config = load(
        "[apt]\nallow = ['loopback', '192.0.2.7', '203.0.113.9/24']",
        &[],
        &[],
    )
    .unwrap();
    let mut expected = network::loopback();
    expected
        .extend(["192.0.2.7/32", "203.0.113.0/24"].map(|net| net.parse::<ipnet::IpNet>().unwrap()));
    assert_eq!(config.apt.allow, expected);
}
