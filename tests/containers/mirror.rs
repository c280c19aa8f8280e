//! The mirror: an nginx that is as fast as a line to the Internet.

use std::path::Path;

/// Bytes a second of each answer.
const RATE: &str = "4m";

/// Writes the configuration of an nginx that serves one folder at port 80 and keeps its own files
/// in another one.
pub fn configure(folder: &Path, served: &Path) {
    let (at, served) = (folder.display(), served.display());
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind}; "))
        .concat();
    // As root, for other users may not see a private folder.
    let text = format!(
        "daemon off; master_process off; user root; pid {at}/pid;\n\
         error_log {at}/error.log warn; events {{}}\n\
         http {{ {temp}\n\
         log_format line '$remote_addr $uri $body_bytes_sent'; access_log {at}/access.log line;\n\
         default_type application/octet-stream;\n\
         server {{ listen 80; root {served}; limit_rate {RATE}; }} }}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).unwrap();
}

/// The words that start it.
pub fn command(folder: &Path) -> Vec<String> {
    let at = folder.display();
    [
        "nginx",
        "-p",
        &format!("{at}"),
        "-e",
        &format!("{at}/error.log"),
        "-c",
        &format!("{at}/nginx.conf"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Bytes of packages that went to an address, by the access log.
pub fn sent(folder: &Path, address: std::net::Ipv4Addr) -> u64 {
    let log = std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    let to = format!("{address} /debian/pool/");
    log.lines()
        .filter(|line| line.starts_with(&to))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
