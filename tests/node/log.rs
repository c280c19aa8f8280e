//! The log: every line has the form that README.md documents, and a node with which nothing is
//! wrong has nothing to say.

use crate::kit::{Client, Config, Dht, Manner, Node, Origin, Request, noise, until};
use std::time::Duration;

/// Long enough for whatever the node does by itself every few seconds.
const A_WHILE: Duration = Duration::from_secs(6);

/// A line in parts.
#[derive(Debug, PartialEq)]
struct Line {
    level: String,
    sentence: String,
    fields: Vec<(String, String)>,
}

/// Reads `TIME LEVEL target: sentence key=value key="a value"`.
fn of_text(line: &str) -> Option<Line> {
    let (time, rest) = line.split_once(' ')?;
    humantime::parse_rfc3339(time).ok()?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let (target, mut rest) = rest.split_once(": ")?;
    let is_path = target.split("::").next()? == "aptmesh" && !target.contains(' ');
    let mut words = Vec::new();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match word.split_once('=') {
            None if fields.is_empty() => words.push(word),
            None => return None,
            Some((name, value)) if value.starts_with('"') => {
                let quoted = &rest[name.len() + 1..];
                let mut read = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
                fields.push((name.to_owned(), read.next()?.ok()?));
                rest = quoted[read.byte_offset()..].trim_start_matches(' ');
                continue;
            }
            Some((name, value)) => fields.push((name.to_owned(), value.to_owned())),
        }
        rest = after.trim_start_matches(' ');
    }
    is_path.then(|| Line {
        level: level.to_owned(),
        sentence: words.join(" "),
        fields,
    })
}

fn of_json(line: &str) -> Option<Line> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let mut fields = value.as_object()?.clone();
    let mut take = |name: &str| fields.remove(name)?.as_str().map(str::to_owned);
    humantime::parse_rfc3339(&take("timestamp")?).ok()?;
    take("target")?.starts_with("aptmesh").then_some(())?;
    Some(Line {
        level: take("level")?,
        sentence: take("message")?,
        fields: fields
            .into_iter()
            .map(|(name, value)| match value {
                serde_json::Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect(),
    })
}

fn lines(node: &Node, read: fn(&str) -> Option<Line>) -> Vec<Line> {
    let log = node.log();
    let read = |line| read(line).unwrap_or_else(|| panic!("not of the form: {line}"));
    log.lines().map(read).collect()
}

fn field<'a>(line: &'a Line, name: &str) -> &'a str {
    let found = line.fields.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("no {name} in {line:?}")).1
}

/// Serves misses, hits, pages and refusals, and lets the node stand for a while: no line comes.
/// Then an origin is gone: one line tells of it. All of them are of the form.
fn a_life(format: &str, read: fn(&str) -> Option<Line>) {
    let origin = Origin::start();
    let mut node = Node::asleep(Config::from(Dht::default()));
    let text = std::fs::read_to_string(node.config_file()).unwrap();
    let log = format!("{text}[log]\nformat = {format:?}\n");
    std::fs::write(node.config_file(), log).unwrap();
    node.launch();
    until("the start is told", || {
        node.log().contains("other nodes are served")
    });
    let start = lines(&node, read);
    assert!(start.iter().any(|line| line.sentence == "apt is served"
        && field(line, "address").ends_with(&format!(":{}", node.port()))));

    for number in 0..40 {
        let path = format!("/pool/l/log_{number}_all.deb");
        let body = noise(number, 2000);
        origin.put(&path, &body);
        node.get(&origin.url(&path)).expect(&body);
        node.settle(&origin.url(&path));
    }
    for path in ["/", "/api/status", "/metrics", "/healthz", "/nowhere"] {
        node.get(path);
    }
    node.get(&origin.url("/pool/l/missing_1_all.deb"));
    node.ask(&Request::new("POST", "/api/status"));
    drop(Client::connect(node.port()).unwrap());
    std::thread::sleep(A_WHILE);
    let busy = lines(&node, read);
    assert_eq!(
        &busy[start.len()..],
        [],
        "a node that is well says something"
    );

    // What no index knows is asked for again, and there is a copy to fall back on.
    let readme = origin.url("/debian/README");
    origin.put("/debian/README", b"as it was");
    node.get(&readme).expect(b"as it was");
    node.calm();
    origin.behave_all(Manner::status(503));
    node.get(&readme).expect(b"as it was");
    until("the origin's failure is told", || {
        node.log().contains("the origin fails")
    });
    let told = lines(&node, read);
    let [line] = &told[busy.len()..] else {
        panic!("{:?}", &told[busy.len()..])
    };
    assert_eq!(line.level, "WARN");
    assert_eq!(line.sentence, "the origin fails; it is spared for a while");
    assert_eq!(field(line, "origin"), origin.url(""));
    assert!(field(line, "error").contains(' '), "{line:?}");
    node.stop();
    assert_eq!(lines(&node, read).last().unwrap().sentence, "stopping");
}

#[test]
fn a_node_that_is_well_says_nothing_and_lines_are_of_the_form() {
    a_life("text", of_text);
}

#[test]
fn the_same_in_json() {
    a_life("json", of_json);
}
