//! A certificate authority for one test.

use super::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A certificate for 127.0.0.1 and localhost, and the authority that signed it.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes both with openssl.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        let authority = [
            "-subj",
            "/CN=Test Authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        run(this.request().args(authority));
        let leaf = [
            "-subj",
            "/CN=localhost",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.pem",
        ];
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key"];
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        let mut request = this.request();
        request.args(leaf).args(signed).args(["-addext", names]);
        request.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        run(&mut request);
        this
    }

    fn request(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder.path());
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt"]);
        command.args(["ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
        command
    }

    /// The authority's PEM file, for `upstream.ca_files`.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's PEM file.
    pub fn leaf(&self) -> PathBuf {
        self.path("leaf.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.path("leaf.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
