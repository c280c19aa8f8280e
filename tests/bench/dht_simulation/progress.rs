//! How far a simulation is, for whoever waits: a bar a network, or a line each half hour of virtual time where there
//! is no terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::plan::Plan;

const LINE_EVERY: u64 = 30;

pub struct Progress {
    bar: ProgressBar,
    nodes: usize,
    minutes: u64,
}

impl Progress {
    pub fn new(all: &MultiProgress, plan: &Plan) -> Self {
        let style = "{prefix:>6} nodes {bar:30} {pos} of {len} virtual minutes, {msg} ({eta})";
        let bar = ProgressBar::new(plan.minutes())
            .with_style(ProgressStyle::with_template(style).unwrap())
            .with_prefix(plan.nodes.to_string());
        Self {
            bar: all.add(bar),
            nodes: plan.nodes,
            minutes: 0,
        }
    }

    pub fn is_at(&mut self, minutes: u64, packets: impl FnOnce() -> u64) {
        if minutes == self.minutes {
            return;
        }
        self.minutes = minutes;
        self.bar.set_position(minutes);
        let is_shown = !self.bar.is_hidden();
        if is_shown || minutes.is_multiple_of(LINE_EVERY) {
            let packets = packets() as f64 / 1e6;
            if is_shown {
                self.bar
                    .set_message(format!("{packets:.1} million packets"));
            } else {
                let (nodes, all) = (self.nodes, self.bar.length().unwrap_or_default());
                eprintln!(
                    "{nodes} nodes: {minutes} of {all} virtual minutes, {packets:.1} million packets"
                );
            }
        }
    }

    pub fn ends(&self) {
        self.bar.finish();
    }
}
