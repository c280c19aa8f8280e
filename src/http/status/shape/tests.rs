#![allow(clippy::unwrap_used)]
use serde_json::Value;

use super::Status;

/// Calls with each object: its path, such as `peers[]`, and its fields.
fn objects(path: &str, value: &Value, tell: &mut impl FnMut(&str, Vec<&str>)) {
    match value {
        Value::Object(fields) => {
            tell(path, fields.keys().map(String::as_str).collect());
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                objects(path.trim_start_matches('.'), value, tell);
            }
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "the example has nothing in {path}");
            objects(&format!("{path}[]"), &items[0], tell);
        }
        _ => {}
    }
}

/// README.md has a row for each object, in which each of its fields stands as
/// code, and nothing else is said to be there.
#[test]
fn every_field_of_the_json_is_documented() {
    let readme = include_str!("../../../../README.md");
    let begin = readme.find("\n## Status JSON\n").unwrap() + 1;
    let section = &readme[begin..];
    let section = &section[..section.find("\n## ").unwrap()];
    let code = |text: &'static str| text.split('`').skip(1).step_by(2);
    let rows: Vec<(Vec<&str>, Vec<&str>)> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .map(|(paths, fields)| (code(paths).collect(), code(fields).collect()))
        .collect();
    let status = serde_json::to_value(Status::example()).unwrap();
    let mut known: Vec<String> = Vec::new();
    objects("", &status, &mut |path, fields| {
        let path = if path.is_empty() { "/" } else { path };
        let row = rows.iter().find(|(paths, _)| paths.contains(&path));
        let (_, told) = row.unwrap_or_else(|| panic!("no row for {path}"));
        for field in fields {
            assert!(told.contains(&field), "the row of {path} has no {field}");
        }
        known.push(path.to_owned());
    });
    for path in rows.iter().flat_map(|(paths, _)| paths) {
        assert!(
            known.iter().any(|known| known == path),
            "there is no {path}"
        );
    }
}

#[test]
fn a_status_survives_its_json() {
    let said = serde_json::to_value(Status::example()).unwrap();
    let read: Status = serde_json::from_value(said.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), said);
}

/// Each field by itself may be missing, as in an older release.
#[test]
fn a_missing_field_is_read_as_empty() {
    fn without_each(value: &Value, rebuild: &mut dyn FnMut(Value)) {
        if let Value::Object(fields) = value {
            for (name, inner) in fields {
                let mut less = fields.clone();
                less.remove(name);
                rebuild(less.into());
                without_each(inner, &mut |changed| {
                    let mut fields = fields.clone();
                    fields[name] = changed;
                    rebuild(fields.into());
                });
            }
        }
    }
    let said = serde_json::to_value(Status::example()).unwrap();
    let mut read = 0;
    without_each(&said, &mut |less| {
        serde_json::from_value::<Status>(less).unwrap();
        read += 1;
    });
    assert!(read > 60, "{read}");
}
