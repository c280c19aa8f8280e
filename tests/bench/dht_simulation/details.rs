//! Where the figures come from, for whoever wants to improve them.

use std::fmt::Write as _;

use crate::figures::Figures;
use crate::lookups::{Costs, Times};

pub fn show(figures: &Figures) -> String {
    let details = &figures.details;
    let mut text = format!(
        "{} nodes, {:.0} s: {:.1} known, {:.1} confirmed, {:.0} values kept, {:.0} nodes estimated; longest packet {}, \
         restless {}\n",
        figures.nodes,
        details.took.as_secs_f64(),
        details.known,
        details.confirmed,
        details.values,
        details.estimated,
        details.longest,
        details.restless,
    );
    let _ = writeln!(
        text,
        "announcements: {} while idle, at {:.2} nodes each; probes: {} of {:.2} copies, {:.1} % of the holders up, {:.3} % kept, {:.3} % found",
        details.announcements,
        details.copies,
        figures.survival.asked,
        figures.survival.copies,
        figures.survival.holders * 100.0,
        figures.survival.kept * 100.0,
        figures.survival.found * 100.0,
    );
    for (name, times, costs) in [
        ("settled", &figures.settled, Some(&details.settled)),
        ("open", &figures.open, None),
        ("natted", &figures.natted, None),
        ("fresh", &figures.fresh, Some(&details.fresh)),
    ] {
        lookups(&mut text, name, times, costs);
    }
    text.push_str("idle, a node and second:\n");
    let scale = details.idle_seconds * figures.nodes as f64;
    for (kind, fate, count) in &details.traffic {
        let (packets, bytes) = (count.packets as f64 / scale, count.bytes as f64 / scale);
        let (kind, fate) = (format!("{kind:?}"), format!("{fate:?}"));
        let _ = writeln!(
            text,
            "  {kind:12} {fate:10} {packets:8.4} packets {bytes:8.2} bytes"
        );
    }
    text
}

fn lookups(text: &mut String, name: &str, times: &Times, costs: Option<&Costs>) {
    let _ = write!(
        text,
        "{name:8} {:6} lookups, {:.2} % found, first {:.0} / {:.0} ms, complete {:.0} / {:.0} ms",
        times.count,
        times.found * 100.0,
        times.first_median,
        times.first_p99,
        times.complete_median,
        times.complete_p99,
    );
    if let Some(costs) = costs {
        let _ = write!(
            text,
            "; {:.1} queries, {:.1} packets, {:.1} % to nobody, {:.1} % filtered",
            costs.queries,
            costs.packets,
            costs.to_nobody * 100.0,
            costs.filtered * 100.0,
        );
    }
    text.push('\n');
}
