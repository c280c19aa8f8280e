//! One cold download by curl, with curl's own clock.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::files::BIG;

/// A whole file that came, and when its parts did.
pub struct Download {
    /// From before the connection was opened to the first byte of the answer.
    pub first_byte: Duration,
    /// The same to the last byte.
    pub total: Duration,
    pub cache_status: String,
}

pub fn download(address: SocketAddr, path: &str) -> Download {
    let told =
        "%{http_code} %{size_download} %{time_starttransfer} %{time_total} %header{cache-status}";
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", told])
        .arg(format!("http://{address}{path}"))
        .output()
        .expect("the bench needs curl");
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<_> = text.splitn(5, ' ').collect();
    let [code, size, first_byte, total, cache_status] = words[..] else {
        panic!("{path}: {text}");
    };
    assert_eq!((code, size.parse()), ("200", Ok(BIG)), "{path}: {text}");
    let seconds = |word: &str| Duration::from_secs_f64(word.parse().unwrap());
    Download {
        first_byte: seconds(first_byte),
        total: seconds(total),
        cache_status: cache_status.to_owned(),
    }
}
