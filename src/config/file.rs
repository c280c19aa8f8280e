//! The configuration file.

use std::{fs, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    draft::Draft,
    keys,
    mistake::Origin,
    value::{Value, tables},
};

/// The file being read.
struct File<'p> {
    path: &'p Path,
    line_starts: Vec<usize>,
}

impl<'p> File<'p> {
    fn new(path: &'p Path, body: &[u8]) -> Self {
        let ends = body.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self {
            path,
            line_starts: std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    fn at(&self, byte: usize) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: Some(self.line_starts.partition_point(|start| *start <= byte)),
        }
    }
}

pub(super) fn read(path: &Path, draft: &mut Draft) {
    let body = match fs::read(path) {
        Ok(body) => body,
        Err(error) => {
            let origin = Origin::File {
                path: path.to_owned(),
                line: None,
            };
            return draft.mistake(origin, None, format!("the file cannot be read: {error}"));
        }
    };
    let file = File::new(path, &body);
    let text = match str::from_utf8(&body) {
        Ok(text) => text,
        Err(error) => {
            let message = "found bytes that are not UTF-8; wanted text".to_owned();
            return draft.mistake(file.at(error.valid_up_to()), None, message);
        }
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    // After a broken line keys may have slipped into another section: what is told of them would
    // mislead.
    if !errors.is_empty() {
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            draft.mistake(file.at(at), None, format!("not TOML: {}", error.message()));
        }
        return;
    }
    for (name, value) in root.get_ref() {
        read_root(&file, name, value, draft);
    }
}

fn read_root(
    file: &File<'_>,
    name: &Spanned<impl AsRef<str>>,
    value: &Spanned<DeValue<'_>>,
    draft: &mut Draft,
) {
    let origin = file.at(name.span().start);
    let name = name.get_ref().as_ref();
    let many = tables(value.get_ref());
    match (keys::section(name), value.get_ref()) {
        (Some(keys::Shape::Once), DeValue::Table(table)) => {
            read_section(file, name, None, table, draft);
        }
        (Some(keys::Shape::Many), DeValue::Array(_)) if many.is_some() => {
            for (index, (start, table)) in many.into_iter().flatten().enumerate() {
                draft.mirror(index, &file.at(start));
                read_section(file, name, Some(index), table, draft);
            }
        }
        (Some(shape), _) => {
            let found = Value::of_toml(value, &|byte| file.at(byte)).describe();
            let times = match shape {
                keys::Shape::Once => "the section",
                keys::Shape::Many => "sections in double brackets,",
            };
            let message = format!("found {found}; wanted {times} {}", shape.header(name));
            draft.mistake(origin, Some(name.to_owned()), message);
        }
        (None, found) => {
            let section = found.is_table() || many.is_some_and(|tables| !tables.is_empty());
            if section && keys::find("", name).is_none() {
                let nearest = keys::nearest_section(name);
                draft.unknown(origin, "section", &[name], nearest);
            } else {
                read_key(file, &[name], value, draft);
            }
        }
    }
}

fn read_section(
    file: &File<'_>,
    section: &str,
    index: Option<usize>,
    table: &DeTable<'_>,
    draft: &mut Draft,
) {
    let index = index.map(|index| index.to_string());
    for (name, value) in table {
        let path: Vec<&str> = [Some(section), index.as_deref(), Some(name.get_ref())]
            .into_iter()
            .flatten()
            .collect();
        read_key(file, &path, value, draft);
    }
}

fn read_key(file: &File<'_>, path: &[&str], value: &Spanned<DeValue<'_>>, draft: &mut Draft) {
    let value = Value::of_toml(value, &|byte| file.at(byte));
    draft.assign(path, keys::place(path), &value, |place| place.to_string());
}
