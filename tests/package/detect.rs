//! apt through the detect script, whatever becomes of the node.

use std::time::{Duration, Instant};

use crate::deb::{deb, shown};
use crate::machine::{Machine, lacking};

/// What the script may take on a machine that does nothing else is half a second and what starting
/// it costs; machines of tests do much else.
const SOON: Duration = Duration::from_secs(2);

/// An archive of one package on port 8080, and who asked there.
const ARCHIVE: &str = r"
mkdir -p /srv/www/debian /srv/made/DEBIAN && cd /srv/www/debian
printf 'Package: made\nVersion: 1\nArchitecture: all\nMaintainer: A <a@mail.example.org>\nDescription: made\n' >/srv/made/DEBIAN/control
dpkg-deb --build /srv/made made_1_all.deb && apt-ftparchive packages . >Packages && apt-ftparchive release . >Release
cat >/srv/nginx.conf <<'.'
user root; pid /run/nginx-test.pid; error_log /dev/null;
events {}
http {
    log_format agent '$http_user_agent'; access_log /srv/agents agent;
    server { listen 127.0.0.1:8080; root /srv/www; }
}
.
nginx -c /srv/nginx.conf
echo 'deb [trusted=yes] http://127.0.0.1:8080/debian ./' >/etc/apt/sources.list
ln -s /usr/share/aptmesh/apt.conf /etc/apt/apt.conf.d/30aptmesh
";

/// Starts the daemon with these lines of configuration, and waits until it is ready on this port.
fn serve(machine: &Machine, port: u16, config: &str) {
    machine.sh(&format!(
        "printf '%s\\n' '[upstream]' 'allow = [\"127.0.0.0/8\"]' {config} >/etc/aptmesh/aptmesh.toml
         setsid aptmesh serve >/srv/log 2>&1 &"
    ));
    machine.until(&format!(
        "[ $(aptmesh apt-conf --local) = 127.0.0.1:{port} ] && aptmesh status"
    ));
}

/// Runs apt from nothing; who asked the archive, by their user agents.
#[track_caller]
fn update(machine: &Machine) -> String {
    machine.sh("rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb; : >/srv/agents");
    for step in ["apt-get update", "apt-get install -y --download-only made"] {
        let said = machine.sh(step);
        let complains = said.lines().any(|line| {
            ["W: ", "E: ", "Err:"]
                .iter()
                .any(|mark| line.starts_with(mark))
        });
        assert!(!complains, "{said}");
    }
    machine.sh("sort -u /srv/agents")
}

/// What the script says to this, which it has to say soon.
#[track_caller]
fn detect(machine: &Machine, url: &str) -> String {
    let started = Instant::now();
    let said = machine.sh(&format!("/usr/libexec/aptmesh/detect '{url}'"));
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    said
}

/// Names the node to ask.
fn ask(machine: &Machine, node: &str) {
    machine.sh(&format!(
        "echo 'Aptmesh::Node \"{node}\";' >/etc/apt/apt.conf.d/31node"
    ));
}

/// The script finds this node.
#[track_caller]
fn expect_answer(machine: &Machine, node: &str) {
    machine.until(&format!(
        "[ \"$(/usr/libexec/aptmesh/detect {ANY})\" = 'http://{node}' ]"
    ));
}

/// The script finds this node, and apt goes through it. A busy machine may take longer than the
/// script waits, and is asked again.
#[track_caller]
fn expect_through(machine: &Machine, node: &str) {
    expect_answer(machine, node);
    let runs: Vec<String> = (0..5).map_while(|_| past_it(machine)).collect();
    assert!(runs.len() < 5, "apt asks the archive itself: {runs:?}");
}

/// Who asked the archive, where that was apt itself.
fn past_it(machine: &Machine) -> Option<String> {
    let agents = update(machine);
    agents.contains("APT-HTTP").then_some(agents)
}

const ANY: &str = "http://deb.example.org/debian";

/// A server on port 3142 in place of the node, which says this to everybody and hangs on.
fn impostor(machine: &Machine, says: &str) {
    machine.sh(&format!(
        "setsid perl -MIO::Socket::INET -e '
           my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => \"127.0.0.1:3142\", ReuseAddr => 1) or die;
           while (my $c = $s->accept) {{ $c->autoflush(1); print $c \"{says}\"; push @held, $c }}
         ' >/dev/null 2>&1 & echo $! >/srv/impostor"
    ));
    machine.until("perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(\"127.0.0.1:3142\")'");
}

#[test]
fn apt_goes_through_a_node_that_works_and_past_one_that_does_not() {
    if let Some(why) = lacking() {
        return eprintln!("{why}");
    }
    let machine = Machine::bare();
    machine.install(deb());
    machine.sh(ARCHIVE);

    // It was never started.
    assert_eq!(detect(&machine, ANY), "DIRECT\n");
    assert!(update(&machine).contains("APT-HTTP"));

    // The administrator's own proxy is the way there then.
    machine.sh("echo 'Acquire::http::Proxy \"http://127.0.0.1:9999\";' >/etc/apt/apt.conf.d/29own");
    assert_eq!(detect(&machine, ANY), "");
    assert_eq!(detect(&machine, "https://deb.example.org/debian"), "");
    let said = shown(&machine.try_sh("apt-get update"));
    assert!(said.contains("127.0.0.1:9999"), "{said}");
    machine.sh("chmod 600 /etc/apt/apt.conf.d/29own");
    let as_apt = format!("runuser -u _apt /usr/libexec/aptmesh/detect {ANY}");
    assert_eq!(machine.sh(&as_apt), "", "root's alone, as apt runs it");
    machine.sh("rm /etc/apt/apt.conf.d/29own");
    assert_eq!(machine.sh(&as_apt), "DIRECT\n");
    for variable in ["http_proxy", "https_proxy"] {
        machine.sh(&format!(
            "[ -z \"$({variable}=http://127.0.0.1:9999 /usr/libexec/aptmesh/detect {ANY})\" ]"
        ));
    }

    // It works.
    serve(&machine, 3142, "");
    expect_through(&machine, "127.0.0.1:3142");
    machine.until("[ \"$(/usr/libexec/aptmesh/detect)\" = http://127.0.0.1:3142 ]");
    assert_eq!(
        detect(&machine, "https://deb.example.org/debian"),
        "DIRECT\n"
    );
    for itself in ["127.0.0.1", "localhost", "node.example.org"] {
        let url = format!("http://{itself}:3142/deb.example.org/debian");
        assert_eq!(detect(&machine, &url), "DIRECT\n", "the node itself");
    }
    for (node, proxy) in [
        ("localhost", "localhost:3142"),
        ("http://localhost:3142/", "localhost:3142"),
        ("[::1]", "[::1]:3142"),
        ("[::1]:3142", "[::1]:3142"),
        ("::1", "[::1]:3142"),
    ] {
        ask(&machine, node);
        expect_answer(&machine, proxy);
    }
    machine.sh("rm /etc/apt/apt.conf.d/31node");

    // It accepts, and never answers.
    machine.sh("pkill -STOP -x aptmesh");
    assert_eq!(detect(&machine, ANY), "DIRECT\n");
    let started = Instant::now();
    assert!(update(&machine).contains("APT-HTTP"));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    machine.sh("pkill -KILL -x aptmesh");
    machine.until("! aptmesh status");

    // Somebody else answers in its place.
    for says in [
        "",
        "220 mail.example.org ESMTP\\r\\n",
        "HTTP/1.1 200 OK\\r\\n\\r\\n<p>ready</p>\\n",
        "HTTP/1.1 503 No\\r\\n\\r\\nready\\n",
    ] {
        impostor(&machine, says);
        assert_eq!(detect(&machine, ANY), "DIRECT\n", "{says}");
        assert!(update(&machine).contains("APT-HTTP"), "{says}");
        machine.sh("kill $(cat /srv/impostor)");
    }

    // It listens elsewhere.
    serve(&machine, 4000, "'[apt]' 'listen = [\"0.0.0.0:4000\"]'");
    expect_through(&machine, "127.0.0.1:4000");

    // A client that has the script and no node.
    machine.sh("rm /usr/bin/aptmesh");
    ask(&machine, "localhost:4000");
    expect_through(&machine, "localhost:4000");
    machine.sh("pkill -KILL -x aptmesh");
    machine.until("[ \"$(/usr/libexec/aptmesh/detect)\" = DIRECT ]");
    for node in [
        "localhost",
        "[::1]:4000",
        "nonsense;touch /srv/pwned:1",
        "192.0.2.1:3142",
    ] {
        ask(&machine, node);
        assert_eq!(detect(&machine, ANY), "DIRECT\n", "{node}");
    }
    machine.sh("! [ -e /srv/pwned ]");
    assert!(update(&machine).contains("APT-HTTP"));
}
