//! The `router` and `port_mapping` tables: what a home router forwards.

use std::net::Ipv4Addr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Db, DbError, begin};
use crate::clock::Millis;
use crate::router::{Means, Protocol, State};

/// How it stands with the router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouterRow {
    /// The whole of it in a word; never [`State::Off`] in a row.
    pub state: State,
    /// Its address on this machine's link.
    pub gateway: Option<Ipv4Addr>,
    /// How it was asked, where it forwards.
    pub means: Option<Means>,
    /// Its address outside, where it says that.
    pub external_ip: Option<Ipv4Addr>,
    /// Why it does not forward, or not everything.
    pub error: Option<String>,
    /// When it came to stand so.
    pub since: Millis,
}

/// By which port of the router others come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortMappingRow {
    /// To what they come.
    pub protocol: Protocol,
    /// This node's port.
    pub internal_port: u16,
    /// The router's.
    pub external_port: u16,
    /// When the router ends it by itself; `None`: never.
    pub expires_at: Option<Millis>,
}

/// As rows and JSON call it.
fn word(of: impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn read<T: DeserializeOwned>(table: &str, word: String) -> Result<T, DbError> {
    serde_json::from_value(Value::String(word)).map_err(|_| DbError::Row(table.into()))
}

impl Db {
    /// How it stands with the router now, and what it forwards; with no
    /// mappings, those of before are what will be asked for again.
    ///
    /// # Errors
    /// When the database refuses; then what was known stands.
    pub async fn keep_router(
        &self,
        row: &RouterRow,
        mappings: &[PortMappingRow],
    ) -> Result<(), DbError> {
        let ip = |ip: Option<Ipv4Addr>| ip.map(|ip| ip.to_string());
        let (state, means) = (word(row.state), row.means.map(word));
        let (gateway, external) = (ip(row.gateway), ip(row.external_ip));
        let mapping = |row: &PortMappingRow| {
            let protocol = word(row.protocol);
            (
                protocol,
                row.internal_port,
                row.external_port,
                row.expires_at,
            )
        };
        let rows: Vec<_> = mappings.iter().map(mapping).collect();
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer).await?;
        sqlx::query!(
            "INSERT OR REPLACE INTO router (id, state, gateway, means, external_ip, error, since)
             VALUES (1, ?, ?, ?, ?, ?, ?)",
            state,
            gateway,
            means,
            external,
            row.error,
            row.since
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "DELETE FROM port_mapping WHERE json_array_length(?) > 0",
            rows
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO port_mapping (protocol, internal_port, external_port, expires_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
             WHERE true ON CONFLICT DO NOTHING",
            rows
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The router that an earlier process asked has to be asked again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_router(&self) -> Result<(), DbError> {
        sqlx::query!("DELETE FROM router")
            .execute(&mut *self.writer().await)
            .await?;
        Ok(())
    }

    /// How it stands with the router; [`State::Off`] where there is no row.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn router(&self) -> Result<RouterRow, DbError> {
        let row =
            sqlx::query!("SELECT state, gateway, means, external_ip, error, since FROM router")
                .fetch_optional(self.reader())
                .await?;
        let Some(row) = row else {
            return Ok(RouterRow::default());
        };
        let ip = |ip: Option<String>| ip.and_then(|ip| ip.parse().ok());
        Ok(RouterRow {
            state: read("router", row.state)?,
            gateway: ip(row.gateway),
            means: row.means.map(|means| read("router", means)).transpose()?,
            external_ip: ip(row.external_ip),
            error: row.error,
            since: row.since,
        })
    }

    /// By which ports of the router others come, or came last.
    ///
    /// # Errors
    /// When the database refuses, or a row is damaged.
    pub async fn port_mappings(&self) -> Result<Vec<PortMappingRow>, DbError> {
        let rows = sqlx::query!(
            "SELECT protocol, internal_port, external_port, expires_at
             FROM port_mapping ORDER BY protocol"
        )
        .fetch_all(self.reader())
        .await?;
        let port = |port| u16::try_from(port).map_err(|_| DbError::Row("port_mapping".into()));
        let rows = rows.into_iter().map(|row| {
            Ok(PortMappingRow {
                protocol: read("port_mapping", row.protocol)?,
                internal_port: port(row.internal_port)?,
                external_port: port(row.external_port)?,
                expires_at: row.expires_at,
            })
        });
        rows.collect()
    }

    /// Who asks by PCP: 12 random bytes, drawn when they are first asked for,
    /// that nobody else knows.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pcp_nonce(&self) -> Result<[u32; 3], DbError> {
        let fresh: [u8; 12] = rand::random();
        let drawn = fresh.as_slice();
        let nonce = sqlx::query_scalar!(
            r#"UPDATE node SET pcp_nonce = coalesce(pcp_nonce, ?)
               RETURNING pcp_nonce AS "nonce!: Vec<u8>""#,
            drawn
        )
        .fetch_one(&mut *self.writer().await)
        .await?;
        let part = |at: usize| nonce.get(at..at + 4)?.try_into().ok();
        let [first, second, third] = [0, 4, 8].map(part);
        let nonce = first.zip(second).zip(third);
        let ((first, second), third) = nonce.ok_or_else(|| DbError::Row("node".into()))?;
        Ok([first, second, third].map(u32::from_be_bytes))
    }
}
