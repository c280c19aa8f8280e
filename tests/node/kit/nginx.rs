//! A real nginx that serves one folder.

use super::{Certificate, Client, Request, free_port, until};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// An nginx process with configuration, logs and temporary files of its own.
pub struct Nginx {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Nginx {
    /// Serves a folder over HTTP.
    pub fn serve(root: &Path) -> Self {
        let nginx = Self::launch(root, "", "");
        until("nginx answers", || {
            Client::connect(nginx.port)
                .and_then(|mut client| client.ask(&Request::get("/")))
                .is_ok()
        });
        nginx.forget();
        nginx
    }

    /// Serves a folder over HTTPS; `/away/` is redirected to `away`.
    pub fn serve_tls(root: &Path, certificate: &Certificate, away: &str) -> Self {
        let extra = format!(
            "ssl_certificate {}; ssl_certificate_key {}; location /away/ {{ return 302 {away}; }}",
            certificate.leaf().display(),
            certificate.key().display()
        );
        let nginx = Self::launch(root, " ssl", &extra);
        until("nginx listens", || Client::connect(nginx.port).is_ok());
        nginx
    }

    fn launch(root: &Path, listen: &str, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let mut text = format!("daemon off; master_process off; pid {at}/pid;\n");
        // As root nginx would read as another user, who may not see a private folder.
        if rustix::process::geteuid().is_root() {
            text += "user root;\n";
        }
        writeln!(text, "error_log {at}/error.log warn; events {{}}\nhttp {{").unwrap();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(text, "{kind}_temp_path {at}/{kind};").unwrap();
        }
        let root = root.display();
        writeln!(
            text,
            "log_format line '$request_method $uri $status $body_bytes_sent'; \
             access_log {at}/access.log line; default_type application/octet-stream;\n\
             server {{ listen 127.0.0.1:{port}{listen}; root {root}; {extra} }} }}"
        )
        .unwrap();
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            folder,
            port,
            process,
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The access log: `METHOD PATH STATUS BYTES` a line.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Empties the access log.
    pub fn forget(&self) {
        let _ = std::fs::write(self.log_file(), "");
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
