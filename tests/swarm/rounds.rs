//! What holds for every case.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::case::Case;
use crate::play::{Outcome, Play};

/// Cases, the same in every run.
const CASES: u64 = 100_000;

#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    promised: usize,
    obtained: usize,
    obtained_beyond: usize,
    asks: usize,
    tests: usize,
    most_tests: usize,
    hash_errors: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        self.cases += 1;
        self.promised += usize::from(outcome.promised);
        self.obtained += usize::from(outcome.obtained);
        self.obtained_beyond += usize::from(outcome.obtained && !outcome.promised);
        self.asks += outcome.asks;
        self.tests += outcome.tests;
        self.most_tests = self.most_tests.max(outcome.tests);
        self.hash_errors += outcome.hash_errors;
    }

    fn join(mut self, other: &Self) -> Self {
        self.cases += other.cases;
        self.promised += other.promised;
        self.obtained += other.obtained;
        self.obtained_beyond += other.obtained_beyond;
        self.asks += other.asks;
        self.tests += other.tests;
        self.most_tests = self.most_tests.max(other.most_tests);
        self.hash_errors += other.hash_errors;
        self
    }
}

fn play(seed: u64) -> Outcome {
    let case = Case::random(seed);
    let played = catch_unwind(AssertUnwindSafe(|| Play::new(&case).run()));
    played.unwrap_or_else(|_| panic!("the case with seed {seed} failed: {case:?}"))
}

#[test]
fn the_file_is_obtained_the_liars_are_blamed_and_nobody_else() {
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let tally = std::thread::scope(|scope| {
        let share = |thread| {
            move || {
                let mut tally = Tally::default();
                for seed in (thread..CASES).step_by(usize::try_from(threads).unwrap()) {
                    tally.count(&play(seed));
                }
                tally
            }
        };
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(share(thread)))
            .collect();
        running.into_iter().fold(Tally::default(), |sum, thread| {
            sum.join(&thread.join().expect("a case failed: see above"))
        })
    });
    println!("{tally:#?}");
    assert_eq!(tally.cases as u64, CASES);
    // The cases are worth something: most can be decided, and many are not easy.
    assert!(tally.promised * 10 > tally.cases * 9);
    assert!(tally.tests > tally.cases * 2);
    assert!(tally.hash_errors > tally.cases);
}
