//! The load on cached files, made by wrk: the tool that everybody has, with one thread, so that servers and load share
//! two cores as they would on a small machine.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::usage;

pub struct Load {
    pub address: SocketAddr,
    /// The server's process, whose CPU time is counted.
    pub process: u32,
    pub path: String,
    pub connections: usize,
    /// How many requests are on the way on each connection.
    pub depth: usize,
}

/// What one burst counted.
pub struct Burst {
    pub requests: f64,
    pub bytes: f64,
    pub seconds: f64,
    /// How many cores the server took.
    pub server: f64,
}

impl Load {
    /// A burst of one second, the shortest that wrk knows.
    pub fn burst(&self) -> Burst {
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(lua(self.depth).as_bytes()).unwrap();
        let before = usage::tree(self.process);
        let output = Command::new("wrk")
            .args(["-t1", "-d1", &format!("-c{}", self.connections), "-s"])
            .arg(script.path())
            .arg(format!("http://{}{}", self.address, self.path))
            .stderr(Stdio::inherit())
            .output()
            .expect("the bench needs wrk: apt-get install wrk");
        let server = usage::tree(self.process) - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text
            .lines()
            .find_map(|line| line.strip_prefix("figures "))
            .unwrap_or_else(|| panic!("{text}"));
        let figures: Vec<f64> = figures
            .split(' ')
            .map(|word| word.parse().unwrap())
            .collect();
        let [requests, bytes, microseconds, errors] = figures[..] else {
            panic!("{text}");
        };
        assert!(errors < 1.0, "{text}");
        let seconds = microseconds / 1e6;
        Burst {
            requests,
            bytes,
            seconds,
            server: server / seconds,
        }
    }
}

/// Prints exact figures at the end; sends `depth` requests at once and the next ones when all are answered.
fn lua(depth: usize) -> String {
    let pipeline = format!(
        "init = function(args)
   local requests = {{}}
   for i = 1, {depth} do requests[i] = wrk.format('GET') end
   all = table.concat(requests)
end
request = function() return all end
"
    );
    let done = "done = function(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format('figures %d %d %d %d\\n', summary.requests, summary.bytes, summary.duration,
      errors.connect + errors.read + errors.write + errors.status))
end
";
    // Without a function for requests wrk sends the same bytes again and again, without Lua.
    if depth > 1 {
        pipeline + done
    } else {
        done.to_owned()
    }
}
