//! The `refusal` table: what was not believed, and why.

use serde::{Deserialize, Serialize};

use super::{Db, DbError};
use crate::clock::Millis;

/// Why something was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its bytes do not have the hash that an index or its name gives.
    Mismatch,
    /// It can't be read.
    Malformed,
    /// Its signature is bad, missing or by an unknown key.
    Signature,
    /// It is older than what is in use.
    Older,
    /// A new generation some of whose files can't be had.
    Incomplete,
}

impl Kind {
    /// As rows and metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Older => "older",
            Self::Incomplete => "incomplete",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Mismatch,
            Self::Malformed,
            Self::Signature,
            Self::Older,
            Self::Incomplete,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
    }
}

/// What was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// In what way.
    pub kind: Kind,
    /// Its address.
    pub url: String,
    /// `scheme://host[:port]` that sent it.
    pub origin: String,
    /// One sentence.
    pub reason: String,
    /// How often.
    pub times: i64,
    /// When last, in milliseconds since 1970.
    pub last_at: Millis,
}

/// How many files were not believed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFiles {
    /// In what way.
    pub kind: Kind,
    /// Files, each counted once for each origin that sent it.
    pub files: u64,
}

impl Db {
    /// Writes that something was not believed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn refuse(
        &self,
        kind: Kind,
        url: &str,
        origin: &str,
        reason: &str,
        now: Millis,
    ) -> Result<(), DbError> {
        let kind = kind.as_str();
        sqlx::query!(
            "INSERT INTO refusal (kind, url, origin, reason, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (kind, url, origin) DO UPDATE SET
                 times = times + 1, reason = excluded.reason, last_at = excluded.last_at",
            kind,
            url,
            origin,
            reason,
            now
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }

    /// The latest refusals of a kind, or of every kind, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn refusals(&self, of: Option<Kind>, limit: i64) -> Result<Vec<Refused>, DbError> {
        let of = of.map(Kind::as_str);
        let rows = sqlx::query!(
            "SELECT kind, url, origin, reason, times, last_at FROM refusal
             WHERE ?1 IS NULL OR kind = ?1 ORDER BY last_at DESC LIMIT ?2",
            of,
            limit
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Refused {
                    kind: Kind::parse(&row.kind).ok_or_else(|| DbError::Row("a refusal".into()))?,
                    url: row.url,
                    origin: row.origin,
                    reason: row.reason,
                    times: row.times,
                    last_at: row.last_at,
                })
            })
            .collect()
    }

    /// How many files were refused, by the kind.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn refused_files(&self) -> Result<Vec<RefusedFiles>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT kind, count(*) AS "files!: i64" FROM refusal GROUP BY kind ORDER BY kind"#
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RefusedFiles {
                    kind: Kind::parse(&row.kind).ok_or_else(|| DbError::Row("a refusal".into()))?,
                    files: u64::try_from(row.files).unwrap_or(0),
                })
            })
            .collect()
    }

    /// Forgets refusals of before `since`, and all but the latest `most`, so
    /// that nobody fills the table.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_refusals(&self, since: Millis, most: i64) -> Result<(), DbError> {
        sqlx::query!(
            "DELETE FROM refusal WHERE last_at < ?1 OR last_at < (
                 SELECT last_at FROM refusal ORDER BY last_at DESC LIMIT 1 OFFSET ?2)",
            since,
            most
        )
        .execute(&mut *self.writer().await)
        .await?;
        Ok(())
    }
}
