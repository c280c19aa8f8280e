//! The `piece` table: which piece of a download was asked of whom, and what
//! came of it.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Db, DbError, begin, signed, unsigned};
use crate::clock::Millis;
use crate::debian::naming::to_hex;

/// Rows in one statement.
const BATCH: usize = 1000;

/// What came of an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PieceState {
    /// It is under way.
    Running,
    /// The bytes are right.
    Verified,
    /// The bytes were shown to be wrong.
    Wrong,
    /// It did not come, or not whole.
    Failed,
    /// It came whole, and nothing says yet whether it is right.
    Unproved,
}

impl PieceState {
    const ALL: [Self; 5] = [
        Self::Running,
        Self::Verified,
        Self::Wrong,
        Self::Failed,
        Self::Unproved,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Verified => "verified",
            Self::Wrong => "wrong",
            Self::Failed => "failed",
            Self::Unproved => "unproved",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One assignment: this piece was asked of that peer in that round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceRow {
    /// Place in the file, from 0.
    pub piece: u64,
    /// 0, and one more each time that the whole file came out wrong.
    pub round: u32,
    /// HTTP contact; `None` for the mirror.
    pub peer: Option<SocketAddr>,
    /// What came of it.
    pub state: PieceState,
    /// SHA-1 of the bytes that came.
    pub sha1: Option<[u8; 20]>,
    /// When it came to this state.
    pub at: Millis,
}

fn damaged() -> DbError {
    DbError::Row("piece".into())
}

struct Row {
    round: i64,
    piece: i64,
    peer: String,
    state: String,
    sha1: Option<Vec<u8>>,
    at: Millis,
}

impl TryFrom<Row> for PieceRow {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let peer = (!row.peer.is_empty()).then(|| row.peer.parse());
        let sha1 = row.sha1.map(|sha1| sha1.as_slice().try_into());
        Ok(Self {
            piece: unsigned(row.piece),
            round: u32::try_from(row.round).map_err(|_| damaged())?,
            peer: peer.transpose().map_err(|_| damaged())?,
            state: PieceState::parse(&row.state).ok_or_else(damaged)?,
            sha1: sha1.transpose().map_err(|_| damaged())?,
            at: row.at,
        })
    }
}

impl Db {
    /// Writes assignments that are new or came to another state, all or none.
    /// Answers whether the lease holds; where it was lost, nothing is written.
    ///
    /// # Errors
    /// When the database refuses; then nothing is written.
    pub async fn write_pieces(
        &self,
        download: i64,
        lease: i64,
        pieces: &[PieceRow],
    ) -> Result<bool, DbError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        let holds = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM download WHERE id = ? AND lease = ?) AS "holds!: bool""#,
            download,
            lease
        )
        .fetch_one(&mut *tx)
        .await?;
        if !holds {
            return Ok(false);
        }
        for pieces in pieces.chunks(BATCH) {
            let pieces = to_json(pieces);
            sqlx::query!(
                "INSERT INTO piece (download_id, round, piece, peer, state, sha1, at)
                 SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                        unhex(value ->> 4), value ->> 5 FROM json_each(?) WHERE true
                 ON CONFLICT (download_id, round, piece, peer) DO UPDATE SET
                     state = excluded.state, sha1 = excluded.sha1, at = excluded.at",
                download,
                pieces
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Every assignment of a download, by round and piece.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn pieces_of(&self, download: i64) -> Result<Vec<PieceRow>, DbError> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT round, piece, peer, state, sha1, at FROM piece WHERE download_id = ?
             ORDER BY round, piece, peer",
            download
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Every assignment of the downloads that run, by the download's address.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn running_pieces(&self) -> Result<HashMap<String, Vec<PieceRow>>, DbError> {
        let rows = sqlx::query!(
            "SELECT url, round, piece, peer, piece.state, sha1, at
             FROM download JOIN piece ON download_id = download.id
             WHERE download.state = 'running' ORDER BY round, piece, peer"
        )
        .fetch_all(self.reader())
        .await?;
        let mut pieces: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows {
            let piece = Row {
                round: row.round,
                piece: row.piece,
                peer: row.peer,
                state: row.state,
                sha1: row.sha1,
                at: row.at,
            };
            pieces.entry(row.url).or_default().push(piece.try_into()?);
        }
        Ok(pieces)
    }
}

fn to_json(pieces: &[PieceRow]) -> String {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|row| {
            (
                row.round,
                signed(row.piece),
                row.peer.map_or_else(String::new, |peer| peer.to_string()),
                row.state.as_str(),
                row.sha1.map(|sha1| to_hex(&sha1)),
                row.at,
            )
        })
        .collect();
    serde_json::to_string(&pieces).unwrap_or_default()
}
