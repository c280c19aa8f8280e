//! The `dht_node` table: the routing table.

use sqlx::sqlite::SqliteConnection;

use super::{Db, DbError};
use crate::debian::naming::to_hex;
use crate::dht::contact::{Contact, Family};
use crate::dht::id::NodeId;
use crate::dht::routing::{Node, NodeChange};

const fn version(family: Family) -> i64 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

fn damaged() -> DbError {
    DbError::Row("dht_node".into())
}

impl Db {
    /// Every node, of both families.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn dht_nodes(&self) -> Result<Vec<Node>, DbError> {
        let rows = sqlx::query!(
            "SELECT node_id, address, confirmed, failures, last_answer, last_try FROM dht_node"
        )
        .fetch_all(self.reader())
        .await?;
        rows.into_iter()
            .map(|row| {
                let id = row.node_id.as_slice().try_into().map_err(|_| damaged())?;
                let addr = row.address.parse().map_err(|_| damaged())?;
                Ok(Node {
                    contact: Contact::new(NodeId(id), addr),
                    confirmed: row.confirmed != 0,
                    failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
                    last_answer: row.last_answer,
                    last_try: row.last_try,
                })
            })
            .collect()
    }
}

/// Writes nodes that are new or different, and removes those that are gone.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    changes: &[(Family, NodeChange)],
) -> Result<(), DbError> {
    let mut gone = Vec::new();
    let mut put = Vec::new();
    for (family, change) in changes {
        match change {
            NodeChange::Gone(id) => gone.push((version(*family), to_hex(&id.0))),
            NodeChange::Put(node) => put.push((
                version(*family),
                to_hex(&node.contact.id.0),
                node.contact.addr.to_string(),
                i64::from(node.confirmed),
                node.failures,
                node.last_answer,
                node.last_try,
            )),
        }
    }
    if !gone.is_empty() {
        let gone = serde_json::to_string(&gone).unwrap_or_default();
        sqlx::query!(
            "DELETE FROM dht_node WHERE (family, node_id) IN (
                 SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?))",
            gone
        )
        .execute(&mut *tx)
        .await?;
    }
    if !put.is_empty() {
        let put = serde_json::to_string(&put).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO dht_node
                 (family, node_id, address, confirmed, failures, last_answer, last_try)
             SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4,
                    value ->> 5, value ->> 6 FROM json_each(?) WHERE true
             ON CONFLICT (family, node_id) DO UPDATE SET
                 address = excluded.address, confirmed = excluded.confirmed,
                 failures = excluded.failures, last_answer = excluded.last_answer,
                 last_try = excluded.last_try",
            put
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
