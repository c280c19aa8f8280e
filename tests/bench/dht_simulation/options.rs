//! The simulation's own command line.

use crate::plan::Plan;

/// Networks of the table.
const SIZES: [usize; 3] = [100, 1000, 10_000];

#[derive(Clone, Debug)]
pub struct Options {
    sizes: Vec<usize>,
    pub seed: u64,
    is_quick: bool,
    /// Counts of packets and lookups, too.
    pub details: bool,
}

impl Options {
    /// Reads the words after `--`; `--bench` is cargo's own.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            sizes: Vec::new(),
            seed: 1,
            is_quick: false,
            details: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.is_quick = true,
                "--details" => options.details = true,
                "--nodes" => options.sizes.push(number(&word, words.next())?),
                "--seed" => options.seed = number(&word, words.next())?,
                _ => return Err(usage(&format!("unknown option `{word}`"))),
            }
        }
        if options.sizes.iter().any(|nodes| *nodes < 20) {
            return Err(usage("20 nodes are the least"));
        }
        if options.sizes.is_empty() {
            let count = if options.is_quick { 2 } else { SIZES.len() };
            options.sizes = SIZES[..count].to_vec();
        }
        Ok(options)
    }

    pub fn plans(&self) -> Vec<Plan> {
        let sizes = self.sizes.iter();
        sizes
            .map(|nodes| Plan::new(*nodes, self.seed, self.is_quick))
            .collect()
    }
}

fn number<T: std::str::FromStr>(option: &str, word: Option<String>) -> Result<T, String> {
    let word = word.unwrap_or_default();
    word.parse()
        .map_err(|_| usage(&format!("`{option} {word}` is no number")))
}

fn usage(mistake: &str) -> String {
    format!("{mistake}\nusage: [--nodes N]... [--seed N] [--quick] [--details]")
}
