//! What a node costs that nobody asks anything, among others on its link.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::network::Network;
use crate::node::{Node, until};
use crate::options::Options;
use crate::table::{Bar, Row};

/// Other nodes on the link.
const OTHERS: usize = 20;

/// All that a start causes is over after so long.
const SETTLING: Duration = Duration::from_secs(20);

/// How long a run looks on.
const LOOK: Duration = Duration::from_secs(30);

/// Nodes without a word of configuration but for their folders.
pub fn measure(options: &Options) -> Result<[Row; 2], String> {
    let mut network = Network::new()?;
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let mut nodes = Vec::new();
    for number in 0..=OTHERS {
        let host = network.host()?;
        nodes.push(Node::plain(&host, &folder.path().join(number.to_string())));
    }
    until("all nodes know each other", 30, || {
        let known = |node: &Node| node.status()["lan"]["neighbours"].as_array().map(Vec::len);
        nodes.iter().all(|node| known(node) == Some(OTHERS))
    });
    std::thread::sleep(SETTLING);
    let mut core = Row::new(
        "an idle node among 20 on its link: of one core",
        Bar::AtMost(1.0),
        "%",
    );
    let mut memory = Row::new("the same: resident memory", Bar::AtMost(40.0), "MB");
    for _ in 0..options.rounds {
        let (begin, before) = (Instant::now(), used(&nodes));
        std::thread::sleep(LOOK);
        let seconds = begin.elapsed().as_secs_f64();
        let shares = before.iter().zip(used(&nodes));
        let shares: Vec<_> = shares
            .map(|(before, after)| (after - before) / seconds * 100.0)
            .collect();
        let resident: Vec<_> = nodes.iter().map(Node::resident).collect();
        core.push(greatest(&shares), spread(&shares, "%"));
        memory.push(greatest(&resident), spread(&resident, "MB"));
    }
    Ok([core, memory])
}

/// CPU time of each so far, in seconds.
fn used(nodes: &[Node]) -> Vec<f64> {
    nodes.iter().map(Node::cpu).collect()
}

fn greatest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::NAN, f64::max)
}

fn spread(figures: &[f64], unit: &str) -> String {
    let least = figures.iter().copied().fold(f64::NAN, f64::min);
    let most = greatest(figures);
    format!(
        "{} nodes, from {least:.2} to {most:.2} {unit}; the bar is held against the greatest",
        figures.len()
    )
}
