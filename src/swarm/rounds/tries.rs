//! In which order assemblies are tried.

use std::sync::Arc;

use super::candidates::{Candidates, Pick};
use super::choices::Choices;

/// Picks to test, some perhaps more than once.
pub(super) type Tries = Box<dyn Iterator<Item = Pick> + Send + Sync>;

/// Sets of liars that are thought through: all sets where twelve sources
/// contradict each other, the small sets where more do.
const SETS: usize = 4096;

/// The plausible ones: the likeliest, the newest of every piece, what each
/// source alone sent, and the likeliest if one source lies.
///
/// Something must have come for every piece.
pub(super) fn plausible(candidates: &Arc<Candidates>, arbiter: Option<usize>) -> Tries {
    let sources = involved(candidates);
    let columns = {
        let candidates = Arc::clone(candidates);
        let sources = sources.clone();
        sources
            .into_iter()
            .filter_map(move |source| candidates.column(source))
    };
    let one_liar = sources.len() + 1;
    let first = [
        candidates.likeliest(arbiter, &|_| false),
        candidates.newest(),
    ];
    Box::new(
        first
            .into_iter()
            .chain(columns)
            .chain(without_liars(candidates, arbiter, sources).take(one_liar)),
    )
}

/// All of them: after the plausible ones the likeliest for each set of liars,
/// small sets first, and at last each combination of candidates.
///
/// Where the sources that never lie sent every piece among them, the set of all
/// others finds the file: that needs at most 2^sources tries, while the
/// combinations are as many as the product of what came for each piece.
pub(super) fn all(candidates: &Arc<Candidates>, arbiter: Option<usize>) -> Tries {
    let sets = without_liars(candidates, arbiter, involved(candidates)).take(SETS);
    Box::new(
        plausible(candidates, arbiter)
            .chain(sets)
            .chain(combinations(candidates, arbiter)),
    )
}

fn disputed(candidates: &Candidates) -> impl Iterator<Item = usize> {
    (0..candidates.pieces()).filter(|&piece| candidates.disputed(piece))
}

/// Sources that sent a piece of which others sent something else, in the order
/// of the roster.
fn involved(candidates: &Candidates) -> Vec<usize> {
    let mut sources: Vec<usize> = disputed(candidates)
        .flat_map(|piece| candidates.of(piece))
        .flat_map(|candidate| candidate.senders.iter().copied())
        .collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

fn without_liars(
    candidates: &Arc<Candidates>,
    arbiter: Option<usize>,
    sources: Vec<usize>,
) -> impl Iterator<Item = Pick> + Send + Sync + use<> {
    let candidates = Arc::clone(candidates);
    Choices::new(vec![1; sources.len()]).map(move |lies| {
        let suspect = |who: usize| sources.binary_search(&who).is_ok_and(|at| lies[at] == 1);
        candidates.likeliest(arbiter, &suspect)
    })
}

fn combinations(
    candidates: &Candidates,
    arbiter: Option<usize>,
) -> impl Iterator<Item = Pick> + Send + Sync + use<> {
    let places: Vec<(usize, Vec<usize>)> = disputed(candidates)
        .map(|piece| (piece, candidates.ranked(piece, arbiter, &|_| false)))
        .collect();
    let pieces = candidates.pieces();
    let last = places.iter().map(|(_, ranked)| ranked.len() - 1).collect();
    Choices::new(last).map(move |ranks| {
        let mut pick = vec![0; pieces];
        for ((piece, ranked), rank) in places.iter().zip(ranks) {
            pick[*piece] = ranked[rank];
        }
        pick
    })
}
