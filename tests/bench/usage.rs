//! CPU time as the scheduler counts it, in seconds: what a burst cost, whatever else the machine was doing.

use std::fs;
use std::path::{Path, PathBuf};

/// Of a process and its children.
pub fn tree(process: u32) -> f64 {
    tasks(process)
        .iter()
        .map(|task| on_cpu(task) + children(task).map(tree).sum::<f64>())
        .sum()
}

fn tasks(process: u32) -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("/proc/{process}/task"));
    folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path())
        .collect()
}

fn children(task: &Path) -> impl Iterator<Item = u32> {
    let text = fs::read_to_string(task.join("children")).unwrap_or_default();
    let children: Vec<_> = text
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect();
    children.into_iter()
}

fn on_cpu(task: &Path) -> f64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e9
}
