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

/// What a row says of who and where, if it can be read.
fn contact(of: i64, id: &[u8], address: &[u8]) -> Option<Contact> {
    let addr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let contact = Contact::new(NodeId(id.try_into().ok()?), addr);
    (version(contact.family()) == of).then_some(contact)
}

impl Db {
    /// Every node, of both families. A row that is damaged is deleted: others
    /// tell of nodes again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn dht_nodes(&self) -> Result<Vec<Node>, DbError> {
        let rows = sqlx::query!(
            r#"SELECT family, node_id, address AS "address: Vec<u8>", confirmed, failures,
                   last_answer, last_try FROM dht_node"#
        )
        .fetch_all(self.reader())
        .await?;
        let (mut nodes, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match contact(row.family, &row.node_id, &row.address) {
                Some(contact) => nodes.push(Node {
                    contact,
                    confirmed: row.confirmed != 0,
                    failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
                    last_answer: row.last_answer,
                    last_try: row.last_try,
                }),
                None => damaged.push((row.family, to_hex(&row.node_id))),
            }
        }
        if !damaged.is_empty() {
            let rows = damaged.len();
            tracing::warn!(rows, "rows of dht_node are damaged: they are deleted");
            remove(&mut *self.writer().await, &damaged).await?;
        }
        Ok(nodes)
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
        remove(&mut *tx, &gone).await?;
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

/// Removes rows by family and id in hexadecimal.
async fn remove(writer: &mut SqliteConnection, gone: &[(i64, String)]) -> Result<(), DbError> {
    let gone = serde_json::to_string(gone).unwrap_or_default();
    sqlx::query!(
        "DELETE FROM dht_node WHERE (family, node_id) IN (
             SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?))",
        gone
    )
    .execute(writer)
    .await?;
    Ok(())
}
