//! A download's pieces as cells: who sends which, and what came of it.

use std::collections::BTreeMap;

use super::hue::{Hue, Hues};
use crate::db::piece::PieceState;
use crate::http::status::shape::{Download, Piece};

/// Cells of a page's maps at most: where a file has more pieces than its map
/// has cells, a cell stands for several.
pub const MOST_CELLS: u64 = 1500;

/// Up to so many cells carry letters.
const LETTERED: usize = 288;

/// Up to so many say more of themselves under a pointing device.
const TITLED: u64 = 640;

/// Free space between cells in pixels.
const GAP: u64 = 2;

/// The pieces of a file.
#[derive(Debug, Default, PartialEq)]
pub struct PieceMap<'a> {
    /// Pixels, where the screen has them.
    pub width: u64,
    /// Likewise.
    pub height: u64,
    /// Side of a cell likewise.
    pub side: u64,
    /// In the order of the file.
    pub cells: Vec<Cell<'a>>,
    /// Senders, the one with most pieces first.
    pub legend: Vec<Sender<'a>>,
    /// Pieces of the file.
    pub pieces: u64,
    /// Those that are here and proved.
    pub verified: u64,
    /// Pieces in a cell.
    pub group: u64,
}

/// A piece, or a few neighbours.
#[derive(Debug, PartialEq)]
pub struct Cell<'a> {
    /// The first piece.
    pub piece: u64,
    /// Pixels from the left.
    pub x: u64,
    /// Pixels from the top.
    pub y: u64,
    /// `verified`, `running`, `wrong`, `failed`, `unproved` or `missing`.
    pub state: &'static str,
    /// `IP:PORT`, `mirror`, or nothing.
    pub peer: &'a str,
    /// The peer's mark; none for the mirror and for nobody.
    pub hue: Option<Hue>,
    /// Who sent wrong bytes for it, whatever came later.
    pub wrong: Vec<&'a str>,
    /// What a pointing device shows.
    pub title: String,
}

/// Who sends pieces.
#[derive(Debug, PartialEq)]
pub struct Sender<'a> {
    /// `IP:PORT` or `mirror`.
    pub peer: &'a str,
    /// Its mark; none for the mirror.
    pub hue: Option<Hue>,
    /// Pieces that are here from it.
    pub here: u64,
    /// Pieces under way from it.
    pub running: u64,
    /// Pieces that were wrong from it.
    pub wrong: u64,
    /// Pieces that did not come from it.
    pub failed: u64,
}

/// What is known of one piece.
#[derive(Debug, Default, Clone)]
struct Known<'a> {
    best: Option<&'a Piece>,
    wrong: Vec<&'a str>,
}

/// The mirror's name where peers have an address.
const MIRROR: &str = "mirror";

fn sender(piece: &Piece) -> &str {
    piece.peer.as_deref().unwrap_or(MIRROR)
}

/// A later round, and in it what is nearest to the goal.
fn rank(piece: &Piece) -> (u32, u8) {
    let state = match piece.state {
        PieceState::Verified => 4,
        PieceState::Unproved => 3,
        PieceState::Running => 2,
        PieceState::Wrong => 1,
        PieceState::Failed => 0,
    };
    (piece.round, state)
}

const fn word(state: PieceState) -> &'static str {
    match state {
        PieceState::Verified => "verified",
        PieceState::Unproved => "unproved",
        PieceState::Running => "running",
        PieceState::Wrong => "wrong",
        PieceState::Failed => "failed",
    }
}

impl Cell<'_> {
    /// What stands in the cell.
    pub fn letter(&self) -> Option<char> {
        match (self.peer, self.hue) {
            (MIRROR, _) => Some('M'),
            (_, Some(hue)) => Some(hue.letter),
            _ => None,
        }
    }
}

impl<'a> PieceMap<'a> {
    /// The map of a download, of so many cells at most; `None` where one source
    /// sends all of it.
    pub fn of(download: &'a Download, hues: &Hues<'a>, most: u64) -> Option<Self> {
        let last = download.pieces.iter().map(|piece| piece.piece).max()?;
        let listed = match download.piece_size {
            0 => 0,
            piece => download.size.div_ceil(piece),
        };
        let pieces = listed.max(last.saturating_add(1));
        let known = known(&download.pieces);
        let group = pieces.div_ceil(most.max(1)).max(1);
        let count = pieces.div_ceil(group);
        let (columns, side) = layout(count);
        let cells = (0..count).map(|at| {
            let first = at * group;
            let mine = known.range(first..first.saturating_add(group));
            let mine: Vec<_> = mine.map(|(_, known)| known).collect();
            let of = group.min(pieces - first);
            let mut cell = cell(first, of, &mine, hues);
            (cell.x, cell.y) = (at % columns * side, at / columns * side);
            if count > TITLED && cell.wrong.is_empty() {
                cell.title.clear();
            }
            cell
        });
        let verified = known.values().filter_map(|known| known.best);
        let verified = verified.filter(|piece| piece.state == PieceState::Verified);
        Some(Self {
            width: columns * side - GAP,
            height: count.div_ceil(columns) * side - GAP,
            side: side - GAP,
            verified: verified.count() as u64,
            cells: cells.collect(),
            legend: legend(&download.pieces, hues),
            pieces,
            group,
        })
    }

    /// Whether cells have room for letters.
    pub fn lettered(&self) -> bool {
        self.cells.len() <= LETTERED
    }

    /// The middle of a cell's side.
    pub fn middle(&self) -> u64 {
        self.side / 2
    }
}

/// Columns, and a cell's side with its gap, for so many cells: no wider than a
/// phone.
fn layout(cells: u64) -> (u64, u64) {
    match cells {
        0..=8 => (cells.max(1), 34),
        9..=24 => (8, 34),
        25..=160 => (16, 20),
        161..=288 => (18, 18),
        289..=640 => (26, 13),
        _ => (42, 8),
    }
}

fn known(pieces: &[Piece]) -> BTreeMap<u64, Known<'_>> {
    let mut known: BTreeMap<u64, Known<'_>> = BTreeMap::new();
    for piece in pieces {
        let entry = known.entry(piece.piece).or_default();
        if entry.best.is_none_or(|best| rank(piece) > rank(best)) {
            entry.best = Some(piece);
        }
        if piece.state == PieceState::Wrong && !entry.wrong.contains(&sender(piece)) {
            entry.wrong.push(sender(piece));
        }
    }
    known
}

fn cell<'a>(first: u64, of: u64, known: &[&Known<'a>], hues: &Hues<'a>) -> Cell<'a> {
    let best: Vec<&Piece> = known.iter().filter_map(|known| known.best).collect();
    let wrong: Vec<&str> = known.iter().flat_map(|known| known.wrong.clone()).collect();
    let whole = best.len() as u64 == of;
    // Some pieces that nobody was asked for do not let a cell look complete.
    let shown = if whole {
        best.iter().min_by_key(|piece| (goal(piece), piece.piece))
    } else {
        let moving = best.iter().filter(|piece| goal(piece) < 3);
        moving.min_by_key(|piece| (goal(piece), piece.piece))
    };
    let state = shown.map_or("missing", |piece| word(piece.state));
    let peer = shown.map_or("", |piece| sender(piece));
    Cell {
        piece: first,
        x: 0,
        y: 0,
        state,
        peer,
        hue: hues.get(peer),
        title: title(first, of, &best, state, peer, &wrong),
        wrong,
    }
}

/// What a cell of several pieces shows: the least of these.
fn goal(piece: &Piece) -> u8 {
    match piece.state {
        PieceState::Running => 0,
        PieceState::Wrong => 1,
        PieceState::Failed => 2,
        PieceState::Unproved => 3,
        PieceState::Verified => 4,
    }
}

fn title(first: u64, of: u64, best: &[&Piece], state: &str, peer: &str, wrong: &[&str]) -> String {
    if state == "missing" && best.is_empty() {
        return String::new();
    }
    let mut title = if of == 1 {
        format!("Piece {first}: {state}, {peer}")
    } else {
        let here = best.iter().filter(|piece| goal(piece) == 4).count();
        let last = first + of - 1;
        format!("Pieces {first} to {last}: {here} of {of} verified, {state}")
    };
    if !wrong.is_empty() {
        title.push_str("; wrong bytes from ");
        title.push_str(&wrong.join(", "));
    }
    title
}

fn legend<'a>(pieces: &'a [Piece], hues: &Hues<'a>) -> Vec<Sender<'a>> {
    let mut senders: BTreeMap<&str, Sender<'a>> = BTreeMap::new();
    for piece in pieces {
        let peer = sender(piece);
        let entry = senders.entry(peer).or_insert_with(|| Sender {
            peer,
            hue: hues.get(peer),
            here: 0,
            running: 0,
            wrong: 0,
            failed: 0,
        });
        let counter = match piece.state {
            PieceState::Verified | PieceState::Unproved => &mut entry.here,
            PieceState::Running => &mut entry.running,
            PieceState::Wrong => &mut entry.wrong,
            PieceState::Failed => &mut entry.failed,
        };
        *counter += 1;
    }
    let mut legend: Vec<_> = senders.into_values().collect();
    legend.sort_by_key(|sender| std::cmp::Reverse(sender.here + sender.running));
    legend
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEERS: [Option<&str>; 3] = [None, Some("192.0.2.1:9977"), Some("[2001:db8::1]:9977")];

    fn piece(piece: u64, round: u32, peer: usize, state: PieceState) -> Piece {
        let peer = PEERS[peer].map(str::to_owned);
        Piece {
            piece,
            round,
            peer,
            state,
        }
    }

    fn download(size: u64, pieces: Vec<Piece>) -> Download {
        Download {
            size,
            piece_size: 10,
            pieces,
            ..Download::default()
        }
    }

    fn seen(download: &Download) -> Vec<(&str, &str, usize)> {
        let hues = Hues::of(std::slice::from_ref(download));
        let map = PieceMap::of(download, &hues, MOST_CELLS).unwrap();
        let cells = map.cells.into_iter();
        cells
            .map(|cell| (cell.state, cell.peer, cell.wrong.len()))
            .collect()
    }

    #[test]
    fn one_source_needs_no_map() {
        let download = download(100, Vec::new());
        assert_eq!(PieceMap::of(&download, &Hues::default(), MOST_CELLS), None);
    }

    #[test]
    fn a_cell_shows_the_best_and_keeps_what_was_wrong() {
        let download = download(
            45,
            vec![
                piece(0, 0, 1, PieceState::Wrong),
                piece(0, 0, 2, PieceState::Verified),
                piece(1, 0, 1, PieceState::Failed),
                piece(1, 0, 0, PieceState::Running),
                piece(2, 0, 1, PieceState::Verified),
                piece(2, 1, 2, PieceState::Unproved),
                piece(4, 0, 1, PieceState::Wrong),
            ],
        );
        assert_eq!(
            seen(&download),
            [
                ("verified", "[2001:db8::1]:9977", 1),
                ("running", "mirror", 0),
                ("unproved", "[2001:db8::1]:9977", 0),
                ("missing", "", 0),
                ("wrong", "192.0.2.1:9977", 1),
            ]
        );
    }

    #[test]
    fn large_files_share_cells() {
        let mut pieces: Vec<_> = (0..3)
            .map(|at| piece(at, 0, 1, PieceState::Verified))
            .collect();
        let whole = download(40_000, pieces.clone());
        assert_eq!(seen(&whole).len(), 1334);
        assert_eq!(seen(&whole)[0].0, "verified");
        pieces[1].state = PieceState::Wrong;
        let spoilt = download(40_000, pieces);
        assert_eq!(seen(&spoilt)[0], ("wrong", "192.0.2.1:9977", 1));
    }

    fn any_piece() -> impl Strategy<Value = Piece> {
        let states = [
            PieceState::Running,
            PieceState::Verified,
            PieceState::Wrong,
            PieceState::Failed,
            PieceState::Unproved,
        ];
        (0..9_000_u64, 0..3_u32, 0..PEERS.len(), 0..states.len())
            .prop_map(move |(at, round, peer, state)| piece(at, round, peer, states[state]))
    }

    proptest! {
        #[test]
        fn cells_lie_beside_each_other_in_the_map(size in 0..90_000_u64, pieces in prop::collection::vec(any_piece(), 1..90)) {
            let download = download(size, pieces);
            let hues = Hues::of(std::slice::from_ref(&download));
            let map = PieceMap::of(&download, &hues, MOST_CELLS).unwrap();
            prop_assert!(map.cells.len() as u64 <= MOST_CELLS);
            let mut places = std::collections::BTreeSet::new();
            for cell in &map.cells {
                prop_assert!(cell.x + map.side <= map.width && cell.y + map.side <= map.height);
                prop_assert!(places.insert((cell.x, cell.y)));
            }
            let told: u64 = map.legend.iter().map(|s| s.here + s.running + s.wrong + s.failed).sum();
            prop_assert_eq!(told, download.pieces.len() as u64);
        }
    }
}
