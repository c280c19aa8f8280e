//! What the tables `suite`, `list` and `announcement` have in common as queues
//! of work: the columns `state`, `not_before`, `lease`, `lease_until`, `attempts` and
//! `last_error` (`migrations/README.md` draws the states).

use crate::clock::Millis;

/// A claimed row: this worker's until `lease` is given back or runs out.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Row id.
    pub id: i64,
    /// The token that finishing needs.
    pub lease: i64,
    /// How often it failed before, in a row.
    pub failures: i64,
}

/// How long a claim lasts without being renewed, in milliseconds.
pub const LEASE: Millis = 60_000;

/// The queue of one table, whose rows have their ids in that column.
macro_rules! queue {
    ($module:ident, $table:tt, $id:tt) => {
        pub(super) mod $module {
            use super::{LEASE, Lease};
            use crate::clock::Millis;
            use crate::db::{Db, DbError, begin};

            /// Claims up to `free` wanted rows, those that wait longest first.
            pub(in crate::db) async fn claim(
                db: &Db,
                now: Millis,
                free: i64,
            ) -> Result<Vec<Lease>, DbError> {
                let lease: i64 = rand::random_range(1..i64::MAX);
                let until = now + LEASE;
                let rows = sqlx::query!(
                    "UPDATE "
                        + $table
                        + " SET state = 'running', lease = ?, lease_until = ?
                     WHERE "
                        + $id
                        + " IN (SELECT "
                        + $id
                        + " FROM "
                        + $table
                        + " WHERE state = 'wanted' AND not_before <= ?
                                  ORDER BY not_before LIMIT ?)
                     RETURNING "
                        + $id
                        + " AS \"id!\", attempts",
                    lease,
                    until,
                    now,
                    free
                )
                .fetch_all(&mut *db.writer().await)
                .await?;
                let claimed = rows.into_iter().map(|row| Lease {
                    id: row.id,
                    lease,
                    failures: row.attempts,
                });
                Ok(claimed.collect())
            }

            /// When the next wanted row may be claimed.
            pub(in crate::db) async fn next_at(db: &Db) -> Result<Option<Millis>, DbError> {
                Ok(sqlx::query_scalar!(
                    "SELECT min(not_before) AS \"at: i64\" FROM "
                        + $table
                        + " WHERE state = 'wanted'"
                )
                .fetch_one(db.reader())
                .await?)
            }

            /// Gives a row back to be tried at `not_before`, with what went wrong.
            pub(in crate::db) async fn postpone(
                db: &Db,
                claim: &Lease,
                not_before: Millis,
                error: &str,
            ) -> Result<(), DbError> {
                sqlx::query!(
                    "UPDATE "
                        + $table
                        + " SET state = 'wanted', lease = NULL, lease_until = NULL,
                            not_before = ?, last_error = ?, attempts = attempts + 1
                     WHERE "
                        + $id
                        + " = ? AND lease = ?",
                    not_before,
                    error,
                    claim.id,
                    claim.lease
                )
                .execute(&mut *db.writer().await)
                .await?;
                Ok(())
            }

            /// The rows with these ids still run. Other leases that ran out
            /// belong to workers that are no more: their rows are wanted again.
            pub(in crate::db) async fn renew(
                db: &Db,
                running: &[i64],
                now: Millis,
            ) -> Result<(), DbError> {
                let running = serde_json::to_string(running).unwrap_or_default();
                let until = now + LEASE;
                let mut writer = db.writer().await;
                let mut tx = begin(&mut writer).await?;
                sqlx::query!(
                    "UPDATE "
                        + $table
                        + " SET lease_until = ?
                     WHERE state = 'running' AND "
                        + $id
                        + " IN (SELECT value FROM json_each(?))",
                    until,
                    running
                )
                .execute(&mut *tx)
                .await?;
                sqlx::query!(
                    "UPDATE "
                        + $table
                        + " SET state = 'wanted', lease = NULL, lease_until = NULL
                     WHERE state = 'running' AND lease_until < ?",
                    now
                )
                .execute(&mut *tx)
                .await?;
                Ok(tx.commit().await?)
            }

            /// At start nothing runs: every leased row is wanted again.
            pub(in crate::db) async fn recover(db: &Db) -> Result<(), DbError> {
                sqlx::query!(
                    "UPDATE "
                        + $table
                        + " SET state = 'wanted', lease = NULL, lease_until = NULL
                     WHERE state = 'running'"
                )
                .execute(&mut *db.writer().await)
                .await?;
                Ok(())
            }
        }
    };
}

queue!(suites, "suite", "id");
queue!(lists, "list", "id");
queue!(announcements, "announcement", "file_id");
