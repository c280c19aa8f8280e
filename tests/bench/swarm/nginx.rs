//! An nginx of our own at a host: the mirror, and the rival beside a peer.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::network::Host;
use crate::node::stop;
use crate::probe;

pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
}

impl Nginx {
    /// Serves a folder at port 80, where its own files are in another one.
    pub fn start(host: &Host, folder: &Path, served: &Path) -> Self {
        let address = SocketAddr::from((host.address, 80));
        let config = folder.join("nginx.conf");
        fs::create_dir_all(folder).unwrap();
        fs::write(&config, configuration(address, folder, served)).unwrap();
        let child = host
            .command("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, address };
        crate::node::until("nginx answers", 10, || {
            probe::get(host, address, "/healthz").is_ok()
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn configuration(address: SocketAddr, folder: &Path, served: &Path) -> String {
    let (folder, served) = (folder.display(), served.display());
    format!(
        "daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address};
        root {served};
        location = /healthz {{ return 200 'well'; }}
    }}
}}
"
    )
}

/// For the line below the table, such as `nginx/1.22.1`.
pub fn version() -> String {
    let output = Command::new("nginx").arg("-v").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.split_whitespace()
        .find(|word| word.starts_with("nginx/"))
        .unwrap_or("nginx")
        .to_owned()
}
