//! The `client_view` table: which generation a client was last given. And what
//! the status tells of suites.

use super::{Db, DbError, unsigned};
use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// A client was given a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// IP address.
    pub client: String,
    /// Row id of the suite.
    pub suite_id: i64,
    /// Row id of the generation.
    pub release_id: i64,
    /// When.
    pub given_at: Millis,
}

/// A suite as the status tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SuiteStatus {
    /// Canonical address of its folder.
    pub folder: String,
    /// The Suite field.
    pub suite: Option<String>,
    /// The Codename field.
    pub codename: Option<String>,
    /// The Date field, in milliseconds since 1970.
    pub date: Option<Millis>,
    /// The Valid-Until field, likewise.
    pub valid_until: Option<Millis>,
    /// `good`, `unknown`, `unsigned` or `unchecked`.
    pub signed: String,
    /// Fingerprint of the key that vouches for it.
    pub key: Option<String>,
    /// That key's user id.
    pub signer: Option<String>,
    /// Generations that are kept, the one in use included.
    pub generations: u64,
    /// Files that its lists vouch for.
    pub packages: u64,
    /// Patches by which its lists were brought up to date.
    pub patches_applied: u64,
    /// When this generation came into use, in milliseconds since 1970.
    pub taken_up_at: Option<Millis>,
    /// When a client last asked for its Release, likewise.
    pub asked_at: Millis,
    /// When its origins are asked again unasked, likewise; `null`: when a
    /// client asks.
    pub next_check_at: Option<Millis>,
    /// Since when there is a newer generation that can't be taken up, likewise.
    pub stuck_since: Option<Millis>,
    /// Since when its origins have sent an older Release than the one in use,
    /// likewise.
    pub older_since: Option<Millis>,
    /// Why its origins could not be asked.
    pub last_error: Option<String>,
}

impl SuiteStatus {
    /// Until when it was valid, where a client asked for it later: what nobody
    /// asks for is not brought up to date, and no fault.
    #[must_use]
    pub fn expired_at(&self) -> Option<Millis> {
        self.valid_until.filter(|until| *until < self.asked_at)
    }
}

impl Db {
    /// Every view.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn views(&self) -> Result<Vec<ViewRow>, DbError> {
        let rows = sqlx::query!("SELECT client, suite_id, release_id, given_at FROM client_view")
            .fetch_all(self.reader())
            .await?;
        let views = rows.into_iter().map(|row| ViewRow {
            client: row.client,
            suite_id: row.suite_id,
            release_id: row.release_id,
            given_at: row.given_at,
        });
        Ok(views.collect())
    }

    /// Writes views, and forgets those of before `since`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn write_views(&self, views: &[ViewRow], since: Millis) -> Result<(), DbError> {
        let rows: Vec<_> = views
            .iter()
            .map(|view| (&view.client, view.suite_id, view.release_id, view.given_at))
            .collect();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let mut writer = self.writer().await;
        sqlx::query!(
            "INSERT INTO client_view (client, suite_id, release_id, given_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
             WHERE EXISTS (SELECT 1 FROM release WHERE id = value ->> 2)
             ON CONFLICT (client, suite_id) DO UPDATE SET
                 release_id = excluded.release_id, given_at = excluded.given_at",
            rows
        )
        .execute(&mut *writer)
        .await?;
        sqlx::query!("DELETE FROM client_view WHERE given_at < ?", since)
            .execute(&mut *writer)
            .await?;
        Ok(())
    }

    /// What the status tells of suites, in order of their folders.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn suite_status(&self) -> Result<Vec<SuiteStatus>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT folder, name, codename, date, valid_until, signed, key, signer,
                      (SELECT count(*) FROM release AS kept
                       WHERE kept.suite_id = suite.id AND taken_up_at IS NOT NULL) AS "generations!: i64",
                      (SELECT coalesce(sum(packages), 0) FROM list WHERE list.suite_id = suite.id)
                          AS "packages!: i64",
                      patches_applied, suite.taken_up_at, asked_at, older_since, stuck_since, last_error,
                      iif(state = 'wanted', not_before, NULL) AS "next_check_at: i64"
               FROM suite JOIN release ON release.id = suite.release_id ORDER BY folder"#
        )
        .fetch_all(self.reader())
        .await?;
        let suites = rows.into_iter().map(|row| SuiteStatus {
            folder: row.folder,
            suite: row.name,
            codename: row.codename,
            date: row.date,
            valid_until: row.valid_until,
            signed: row.signed,
            key: row.key,
            signer: row.signer,
            generations: unsigned(row.generations),
            packages: unsigned(row.packages),
            patches_applied: unsigned(row.patches_applied),
            taken_up_at: row.taken_up_at,
            asked_at: row.asked_at,
            next_check_at: row.next_check_at,
            stuck_since: row.stuck_since,
            older_since: row.older_since,
            last_error: row.last_error,
        });
        Ok(suites.collect())
    }
}
