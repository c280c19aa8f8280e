use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::Path};

use super::{
    Config, LogFormat, Mirror, Mistake, Mistakes, Sources, UpstreamAllow, sources::data_dir_of,
};

mod mistakes;
mod properties;
mod sharing;
mod values;

/// The example of the manual; every value in it but `data_dir` and the mirror is the default.
const EXAMPLE: &str = r#"
data_dir = "/var/lib/aptmesh"

[apt]                       # the face that apt clients and browsers see
listen = ["[::]:3142"]      # 3142: what apt users and discovery tools expect
allow = ["loopback", "private"]   # client CIDRs, or these two words

[upstream]
allow = []
connect = true              # CONNECT tunnels, port 443 only
timeout = "30s"             # no byte for so long: the upstream failed
ca_files = []               # PEM files trusted beside the system's roots

[[mirror]]                  # optional: a name of its own, several origins, tried in order
name = "debian"             # served at http://node:3142/debian/
upstreams = ["http://ftp.debian.org/debian"]

[cache]
max_size = "20GiB"
min_free = "1GiB"

[index]
verify = "auto"             # off | auto (verify where a key is known) | require
keyrings = ["/usr/share/keyrings", "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings"]

[peer]                      # the face that other nodes see
enabled = true
listen = ["[::]:9977"]
advertise = "auto"          # or "IP:PORT"
upload_limit = "0"          # bytes a second; 0: no limit
min_peers = 3               # fewer peers than this for a file: the mirror helps
allow_private = false       # private addresses in the DHT
map_ports = true            # the router is asked to forward the ports

[dht]
enabled = true
listen = "[::]:9977"        # UDP
bootstrap = []              # host:port
k = 8
concurrent_requests = 8
store_redundancy = 6
max_failures = 3
min_ping_interval = "15m"
bucket_staleness = "1h"
key_expire = "3h"
key_refresh = "2h 30m"
krpc_timeout = "9s"
krpc_initial_delay = "2s"

[lan]
discover = true             # mDNS

[log]
level = "info"
format = "text"             # or "json"
"#;

/// The configuration of these sources, the file being called `aptmesh.toml`.
fn load(file: &str, env: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aptmesh.toml");
    fs::write(&path, file).unwrap();
    let pairs = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let sources = Sources {
        file: Some(path),
        env: pairs(env),
        set: pairs(set),
    };
    let prefix = format!("{}/", folder.path().display());
    Config::load(&sources).map_err(|mistakes| mistakes.to_string().replace(&prefix, ""))
}

/// What is told of these sources, a line each.
fn told(file: &str, env: &[(&str, &str)], set: &[(&str, &str)]) -> Vec<String> {
    let mistakes = load(file, env, set).unwrap_err();
    mistakes.lines().map(str::to_owned).collect()
}

#[test]
fn the_example_is_valid_and_tells_the_defaults() {
    let config = load(EXAMPLE, &[], &[]).unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/aptmesh"));
    let debian = Mirror {
        name: "debian".to_owned(),
        upstreams: vec!["http://ftp.debian.org/debian".to_owned()],
    };
    assert_eq!(config.mirrors, [debian]);

    let default = Config::default();
    assert_eq!(config.apt, default.apt);
    assert_eq!(config.upstream, default.upstream);
    assert_eq!(config.cache, default.cache);
    assert_eq!(config.index, default.index);
    assert_eq!(config.peer, default.peer);
    assert_eq!(config.dht, default.dht);
    assert_eq!(config.lan, default.lan);
    assert_eq!(config.log, default.log);
}

#[test]
fn the_lan_is_searched_unless_someone_says_otherwise() {
    let file = "[lan]\ndiscover = false";
    assert!(load("", &[], &[]).unwrap().lan.discover);
    assert!(!load(file, &[], &[]).unwrap().lan.discover);
    let told = [("APTMESH_LAN__DISCOVER", "true")];
    assert!(load(file, &told, &[]).unwrap().lan.discover);
}

#[test]
fn the_router_is_asked_unless_someone_says_otherwise() {
    let file = "[peer]\nmap_ports = false";
    assert!(load("", &[], &[]).unwrap().peer.map_ports);
    assert!(!load(file, &[], &[]).unwrap().peer.map_ports);
    let told = [("APTMESH_PEER__MAP_PORTS", "true")];
    assert!(load(file, &told, &[]).unwrap().peer.map_ports);
}

#[test]
fn a_flag_beats_the_environment_the_file_and_the_default() {
    let file = "[cache]\nmax_size = '2GiB'\nmin_free = '2GiB'\n[log]\nformat = 'json'";
    let env = [
        ("APTMESH_CACHE__MAX_SIZE", "3GiB"),
        ("APTMESH_CACHE__MIN_FREE", "3GiB"),
    ];
    let config = load(file, &env, &[("cache.max_size", "4GiB")]).unwrap();
    assert_eq!(config.cache.max_size, 4 << 30);
    assert_eq!(config.cache.min_free, 3 << 30);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.log.level, "info");
}

#[test]
fn the_environment_sets_lists_and_mirrors() {
    let file = "[[mirror]]\nname = 'debian'\nupstreams = ['http://ftp.debian.org/debian']";
    let env = [
        ("PATH", "/bin"),
        ("APTMESH_DATA_DIR", "/srv/aptmesh"),
        ("APTMESH_APT__LISTEN", "[::1]:3142, 127.0.0.1:0,"),
        ("APTMESH_UPSTREAM__ALLOW", r#"["repo.lan", "10.0.0.0/8"]"#),
        ("APTMESH_UPSTREAM__CONNECT", "false"),
        ("APTMESH_UPSTREAM__CA_FILES", ""),
        (
            "APTMESH_MIRROR__0__UPSTREAMS",
            "https://example.org/debian/",
        ),
        ("APTMESH_MIRROR__1__NAME", "local"),
        (
            "APTMESH_MIRROR__1__UPSTREAMS",
            "http://a.example.org,http://b.example.org",
        ),
    ];
    let config = load(file, &env, &[("mirror.1.name", "lan")]).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/aptmesh"));
    let listen = ["[::1]:3142", "127.0.0.1:0"].map(|a| a.parse().unwrap());
    assert_eq!(config.apt.listen, listen);
    let allow = [
        UpstreamAllow::Host("repo.lan".to_owned()),
        UpstreamAllow::Net("10.0.0.0/8".parse().unwrap()),
    ];
    assert_eq!(config.upstream.allow, allow);
    assert!(!config.upstream.connect);
    let mirrors: Vec<_> = config
        .mirrors
        .iter()
        .map(|m| (m.name.as_str(), m.upstreams.join(" ")))
        .collect();
    let expected = [
        ("debian", "https://example.org/debian".to_owned()),
        (
            "lan",
            "http://a.example.org http://b.example.org".to_owned(),
        ),
    ];
    assert_eq!(mirrors, expected);
}

#[test]
fn variables_of_container_services_are_left_alone() {
    let env = [
        ("APTMESH_SERVICE_HOST", "192.0.2.1"),
        ("APTMESH_SERVICE_PORT", "3142"),
        ("APTMESH_SERVICE_PORT_APT", "3142"),
        ("APTMESH_PORT", "tcp://192.0.2.1:3142"),
        ("APTMESH_PORT_3142_TCP_ADDR", "192.0.2.1"),
    ];
    assert!(load("", &env, &[]).is_ok());
    assert_eq!(told("", &[("APTMESH_PORT", "3142")], &[]).len(), 1);
}

#[test]
fn the_data_folder_is_the_users() {
    let home = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
    let both = |name: &str| Some(if name == "HOME" { "/home/u" } else { "/data" }.to_owned());
    let relative = |name: &str| Some(if name == "HOME" { "/home/u" } else { "data" }.to_owned());
    let system = Path::new("/var/lib/aptmesh");
    assert_eq!(data_dir_of(true, both), system);
    assert_eq!(data_dir_of(false, |_| None), system);
    assert_eq!(data_dir_of(false, both), Path::new("/data/aptmesh"));
    let of_home = Path::new("/home/u/.local/share/aptmesh");
    assert_eq!(data_dir_of(false, home), of_home);
    assert_eq!(data_dir_of(false, relative), of_home);
}

#[test]
fn sources_of_a_process_tell_what_is_no_source_and_all_the_rest() {
    let variables = |value: &[u8]| {
        [("APTMESH_LOG__LEVEL", value), ("OTHER", b"\xff")]
            .map(|(k, v)| (k.into(), OsString::from_vec(v.to_vec())))
    };
    let flags = vec!["cache.max_size=1=2".to_owned()];
    let sources = Sources::gather(None, variables(b"warn"), flags).unwrap();
    assert_eq!(
        sources.env,
        [("APTMESH_LOG__LEVEL".to_owned(), "warn".to_owned())]
    );
    assert_eq!(
        sources.set,
        [("cache.max_size".to_owned(), "1=2".to_owned())]
    );

    let flags = vec!["nonsense".to_owned(), "x=1".to_owned()];
    let Mistakes(mistakes) = Sources::gather(None, variables(b"\xff"), flags).unwrap_err();
    let told: Vec<_> = mistakes.iter().map(Mistake::to_string).collect();
    assert_eq!(
        told[0],
        "APTMESH_LOG__LEVEL: found bytes that are not UTF-8; wanted text"
    );
    assert_eq!(
        told[1],
        "--set: found \"nonsense\"; wanted KEY=VALUE, such as cache.max_size=5GiB"
    );
    assert!(told[2].starts_with("--set: x: unknown key"), "{}", told[2]);
    assert_eq!(told.len(), 3);
}
