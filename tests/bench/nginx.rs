//! An nginx of our own: the origin behind the node, and the rival beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client;
use crate::files::{Ground, free_address};
use crate::node::stop;

pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
}

impl Nginx {
    pub fn start(ground: &Ground) -> Self {
        let address = free_address();
        let folder = ground.folder("nginx");
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(address, &folder, &ground.served())).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is needed on the PATH");
        client::wait_for(address, "/debian/", Duration::from_secs(10)).unwrap_or_else(|| {
            panic!(
                "nginx does not answer: {:?}",
                fs::read_to_string(folder.join("error.log"))
            )
        });
        Self { child, address }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// As a careful person sets up a static mirror: sendfile, whole segments, no log, connections kept for ever.
fn configuration(address: SocketAddr, folder: &Path, served: &Path) -> String {
    let (folder, served) = (folder.display(), served.display());
    format!(
        "daemon off;
user root;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address} backlog=1024;
        root {served};
        location = /debian/ {{ return 200; }}
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
