//! Data folders of other releases: older ones are taken along with all that is in them, newer
//! ones are left alone.

use crate::kit::{Config, Dht, Node, with_database};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::migrate::{Migration, Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// What a node filled the tables of each schema with, right after that schema came.
const ROWS: [&str; 7] = [
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
];

const BODY: &[u8] = b"a body that an earlier release cached\n";

/// SHA-384 of each schema's file, first eight bytes. A release that finds another one in a
/// database does not open it: what landed never changes.
const CHECKSUMS: [&str; 7] = [
    "bcc474ad8aa3e4a7",
    "b5344ee0998ad155",
    "cd8a7a224f7f4ffc",
    "39496422e54de973",
    "184acb3319376d33",
    "71fe2d4526ab9abb",
    "fa7a4dc8fb23b3c1",
];

/// A node that does not run yet, on the data folder of one that lived through the schemas up to
/// `schema`.
fn of_schema(schema: usize) -> Node {
    let node = Node::asleep(Config::from(Dht::default()));
    with_database(&node, |mut database| async move {
        for (step, rows) in (1..).zip(&ROWS[..schema]) {
            let mut upto = Migrator::DEFAULT;
            let known = MIGRATIONS.iter().filter(|one| one.version <= step);
            upto.migrations = known.cloned().collect::<Vec<_>>().into();
            upto.run(&mut database).await.unwrap();
            sqlx::raw_sql(*rows).execute(&mut database).await?;
        }
        database.close().await
    });
    let hash = crate::kit::sha256(BODY);
    let folder = node.data_dir().join("files").join(&hash[..2]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(hash), BODY).unwrap();
    node
}

/// The definition of every table, index and trigger.
fn schema(node: &Node) -> Vec<String> {
    with_database(node, |mut database| async move {
        let statement = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name";
        let schema = sqlx::query_scalar(statement).fetch_all(&mut database).await;
        database.close().await?;
        schema
    })
}

fn is_taken_along(from: usize) {
    let mut node = of_schema(from);
    node.launch();
    let status = node.status();
    let id = "00112233445566778899aabbccddeeff00112233";
    assert_eq!(status["node_id"], id);
    assert_eq!(status["cache"]["files"], 1);
    assert_eq!(status["cache"]["bytes"], BODY.len());
    assert_eq!(status["traffic"]["from_mirrors"], 38);
    assert_eq!(status["traffic"]["to_clients"], 76);
    // Port 9 answers nobody: what is served was here.
    for path in [
        "debian/pool/main/h/hello/hello_1.0_all.deb",
        "other/hello.deb",
    ] {
        let answer = node.get(&format!("http://127.0.0.1:9/{path}"));
        answer.expect(BODY);
    }
    if from >= 2 {
        assert_eq!(status["index"]["packages"], 1, "what lists say is known");
        let pool = node.get("http://127.0.0.1:9/debian/pool/main/h/hello/hello_1.0_all.deb");
        assert!(pool.is_hit());
    }
    if from >= 4 {
        let peers = status["peers"].as_array().unwrap();
        assert!(peers.iter().any(|peer| peer["address"] == "10.0.0.3:9977"));
    }
    if from >= 5 {
        let clients = status["clients"].as_array().unwrap();
        assert!(clients.iter().any(|client| client["address"] == "10.0.0.2"));
    }
    assert_eq!(status["lan"]["neighbours"], json!([]), "of an earlier run");
    assert_eq!(
        node.log().contains("is brought from schema"),
        from < ROWS.len()
    );
    node.stop();
    let mut fresh = Node::start();
    fresh.stop();
    assert_eq!(schema(&node), schema(&fresh));
}

#[test]
fn schema_1_is_taken_along() {
    is_taken_along(1);
}

#[test]
fn schema_2_is_taken_along() {
    is_taken_along(2);
}

#[test]
fn schema_3_is_taken_along() {
    is_taken_along(3);
}

#[test]
fn schema_4_is_taken_along() {
    is_taken_along(4);
}

#[test]
fn schema_5_is_taken_along() {
    is_taken_along(5);
}

#[test]
fn schema_6_is_taken_along() {
    is_taken_along(6);
}

#[test]
fn schema_7_is_taken_along() {
    is_taken_along(7);
}

#[test]
fn what_landed_is_as_it_was_and_what_is_new_has_rows_to_upgrade() {
    let start = |step: &Migration| crate::kit::hex(&step.checksum[..8]);
    let all: Vec<_> = MIGRATIONS.iter().map(start).collect();
    assert_eq!(all, CHECKSUMS);
}

#[test]
fn a_folder_of_a_newer_release_is_left_alone() {
    let mut node = of_schema(ROWS.len());
    with_database(&node, |mut database| async move {
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (99, 'later', 1, x'00', 0)";
        sqlx::raw_sql(later).execute(&mut database).await?;
        database.close().await
    });
    let database = node.data_dir().join("aptmesh.db");
    let before = std::fs::read(&database).unwrap();
    for command in [
        &["serve"][..],
        &["gc"],
        &["verify"],
        &["import", "/etc/hostname"],
    ] {
        let output = node.cli(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let sentence = format!("{} has schema 99, ", database.display());
        assert!(told.contains(&sentence), "{command:?}: {told}");
        assert!(told.contains("newer release"), "{command:?}: {told}");
        assert_eq!(told.trim().lines().count(), 1, "{command:?}: {told}");
        assert_eq!(std::fs::read(&database).unwrap(), before, "{command:?}");
    }
    assert_eq!(node.bodies().len(), 1);
    let copy = node.data_dir().join("copy.db");
    let output = node.cli(&["backup", copy.to_str().unwrap()]);
    assert!(output.status.success(), "its database can be copied");
    // The release that made it finds all as it was.
    with_database(&node, |mut database| async move {
        let forget = "DELETE FROM _sqlx_migrations WHERE version = 99";
        sqlx::raw_sql(forget).execute(&mut database).await?;
        database.close().await
    });
    node.launch();
    node.get("http://127.0.0.1:9/other/hello.deb").expect(BODY);
}
