//! What is told of mistakes, and where.

use std::fs;

use super::told;
use crate::config::{Config, Mistakes, Origin, Sources};

#[test]
fn sharing_is_checked() {
    let file = "\
[peer]
enabled = 1
listen = []
advertise = '0.0.0.0:9977'
upload_limit = '1Mbit'
min_peers = -1
[dht]
k = 0
bootstrap = ['node']
krpc_timeout = 9
[lan]
discover = 'no'
";
    let told = told(file, &[], &[]);
    let starts = [
        "aptmesh.toml:2: peer.enabled: found the integer 1; wanted true or false",
        "aptmesh.toml:3: peer.listen: found an empty list; wanted at least one",
        "aptmesh.toml:4: peer.advertise: found \"0.0.0.0:9977\"; wanted \"auto\"",
        "aptmesh.toml:5: peer.upload_limit: found \"1Mbit\", \"Mbit\" is no unit",
        "aptmesh.toml:6: peer.min_peers: found the integer -1; wanted a whole number from 0",
        "aptmesh.toml:8: dht.k: found the integer 0; wanted a whole number from 1 to 19",
        "aptmesh.toml:9: dht.bootstrap: found \"node\"; wanted a host or address with a port",
        "aptmesh.toml:10: dht.krpc_timeout: found the integer 9; wanted a duration",
        "aptmesh.toml:12: lan.discover: found \"no\"; wanted true or false",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let file = "\
data_dri = '/srv'
[cache]
max_sise = '5GiB'
min_free = 'lots'
[apt]
listen = [
  '127.0.0.1:3142',
  'localhost:3142',
  3142,
]
[cahce]
x = 1
[[mirror]]
name = 'API'
upstreams = ['ftp://ftp.debian.org', 'http://ftp.debian.org/debian?x']
[[mirror]]
upstream = 'http://example.org'
";
    let env = [
        ("APTMESH_UPSTREAM__TIMEOUT", "0s"),
        ("APTMESH_CACHE__MAX_SISE", "1"),
    ];
    let told = told(file, &env, &[("log.levle", "info")]);
    let expected = [
        "aptmesh.toml:1: data_dri: unknown key; did you mean data_dir?",
        "aptmesh.toml:3: cache.max_sise: unknown key; did you mean cache.max_size?",
        "aptmesh.toml:4: cache.min_free: found \"lots\", \"lots\" is no unit of size; wanted a size such as \"512KiB\", \"20GiB\", \"5GB\" or plain bytes",
        "aptmesh.toml:8: apt.listen: found \"localhost:3142\", a name is no address; wanted an address with a port, such as \"127.0.0.1:3142\" or \"[::]:3142\"",
        "aptmesh.toml:9: apt.listen: found the integer 3142; wanted an address with a port, such as \"127.0.0.1:3142\" or \"[::]:3142\"",
        "aptmesh.toml:11: cahce: unknown section; did you mean [cache]?",
        "aptmesh.toml:14: mirror.0.name: found \"API\", which the node answers itself; wanted a path segment of a-z, 0-9, \".\", \"_\" and \"-\" that starts with a letter or digit, such as \"debian\"",
        "aptmesh.toml:15: mirror.0.upstreams: found \"ftp://ftp.debian.org\"; wanted an http or https URL, such as \"http://ftp.debian.org/debian\"",
        "aptmesh.toml:15: mirror.0.upstreams: found \"http://ftp.debian.org/debian?x\", a query has no place here; wanted an http or https URL, such as \"http://ftp.debian.org/debian\"",
        "aptmesh.toml:16: mirror.1.name: missing; every mirror needs one, such as name = \"debian\"",
        "aptmesh.toml:16: mirror.1.upstreams: missing; every mirror needs at least one, such as upstreams = [\"http://ftp.debian.org/debian\"]",
        "aptmesh.toml:17: mirror.1.upstream: unknown key; did you mean mirror.1.upstreams?",
        "APTMESH_CACHE__MAX_SISE: cache.max_sise: unknown key; did you mean APTMESH_CACHE__MAX_SIZE?",
        "APTMESH_UPSTREAM__TIMEOUT: upstream.timeout: found \"0s\", too short: every upstream would fail; wanted a duration from \"1s\" to \"1h\", such as \"30s\"",
        "--set: log.levle: unknown key; did you mean log.level?",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_not_toml_is_told_with_its_line_beside_the_other_sources() {
    let file = "[cache]\nmax_size = \n\n[log]\nlevel = 'info'\nlevel = 'warn'\nmax_sise = 1\n";
    let told = told(file, &[("APTMESH_CACHE__MIN_FREE", "x")], &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].starts_with("aptmesh.toml:2: not TOML: "),
        "{}",
        told[0]
    );
    assert_eq!(told[1], "aptmesh.toml:6: not TOML: duplicate key");
    assert!(told[2].starts_with("APTMESH_CACHE__MIN_FREE: cache.min_free: "));
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let sources = Sources {
        file: Some("/nonexistent/aptmesh.toml".into()),
        ..Sources::default()
    };
    let told = Config::load(&sources).unwrap_err().to_string();
    assert_eq!(
        told,
        "/nonexistent/aptmesh.toml: the file cannot be read: No such file or directory (os error 2)"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aptmesh.toml");
    fs::write(&path, b"[log]\nlevel = '\xff'\n").unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    let Mistakes(mistakes) = Config::load(&sources).unwrap_err();
    let origin = Origin::File {
        path,
        line: Some(2),
    };
    assert_eq!(mistakes[0].origin, origin);
}

#[test]
fn sections_of_another_shape_are_told() {
    let file =
        "apt = 3\nlog = []\nmirror = 'x'\nmirrors = [{}]\n[cache.max_size]\nx = 1\n[data_dir]\n";
    let expected = [
        "aptmesh.toml:1: apt: found the integer 3; wanted the section [apt]",
        "aptmesh.toml:2: log: found a list; wanted the section [log]",
        "aptmesh.toml:3: mirror: found \"x\"; wanted sections in double brackets, [[mirror]]",
        "aptmesh.toml:4: mirrors: unknown section; did you mean [[mirror]]?",
        "aptmesh.toml:5: cache.max_size: found a table; wanted a size of at least \"1MiB\", such as \"20GiB\"",
        "aptmesh.toml:7: data_dir: found a table; wanted a path such as \"/var/lib/aptmesh\"",
    ];
    assert_eq!(told(file, &[], &[]), expected);
    let single = told("[mirror]\nname = 'debian'\n", &[], &[]);
    assert_eq!(
        single,
        ["aptmesh.toml:1: mirror: found a table; wanted sections in double brackets, [[mirror]]"]
    );
}

#[test]
fn the_nearest_key_is_named_from_anywhere() {
    for (written, meant) in [
        ("max_size", "cache.max_size"),
        ("cahce.max_size", "cache.max_size"),
        ("cache.size", "cache.max_size"),
        ("upstream.ca_file", "upstream.ca_files"),
        ("apt.port", "apt.listen"),
        ("datadir", "data_dir"),
        ("mirror.2.url", "mirror.2.name"),
        ("mirror.upstreams", "mirror.0.upstreams"),
        ("mirror.07.name", "mirror.0.name"),
        ("log.level.x", "log.level"),
    ] {
        let told = told("", &[], &[(written, "x")]);
        let suggestion = format!("--set: {written}: unknown key; did you mean {meant}?");
        assert_eq!(told, [suggestion]);
    }
    assert_eq!(
        told("'apt.listen' = 3", &[], &[]),
        ["aptmesh.toml:1: \"apt.listen\": unknown key; did you mean apt.listen?"]
    );
    let told = told("", &[("APTMESH_cache__max_size", "5GiB")], &[]);
    assert!(
        told[0].ends_with("did you mean APTMESH_CACHE__MAX_SIZE?"),
        "{told:?}"
    );
}

#[test]
fn mirrors_have_names_of_their_own() {
    let file = "\
[[mirror]]
name = 'debian'
upstreams = ['http://ftp.debian.org/debian']
[[mirror]]
name = 'debian'
upstreams = []
";
    let expected = [
        "aptmesh.toml:5: mirror.1.name: found \"debian\", the name of mirror.0 (aptmesh.toml:2); wanted another for each",
        "aptmesh.toml:6: mirror.1.upstreams: found an empty list; wanted at least one entry, an http or https URL, such as \"http://ftp.debian.org/debian\"",
    ];
    assert_eq!(told(file, &[], &[]), expected);
}
