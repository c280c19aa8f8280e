//! The same load made by wrk, for whoever would rather trust a generator that was not written beside the server.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::load::{Burst, Load};
use crate::usage;

/// A burst of one second, the shortest that wrk knows.
pub fn burst(load: &Load) -> Burst {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(lua(load.depth).as_bytes()).unwrap();
    let before = usage::tree(load.process);
    let output = Command::new("wrk")
        .arg(format!("-t{}", load.threads()))
        .arg(format!("-c{}", load.connections))
        .arg("-d1")
        .arg("-s")
        .arg(script.path())
        .arg(format!("http://{}{}", load.address, load.path))
        .stderr(Stdio::inherit())
        .output()
        .expect("--wrk needs wrk on the PATH");
    let server = usage::tree(load.process) - before;
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
        generator: f64::NAN,
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
