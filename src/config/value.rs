//! A value as someone wrote it, with the place where it was written.

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::mistake::Origin;

/// Longer text is cut where it is shown.
const SHOWN: usize = 80;

/// A value as someone wrote it.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) origin: Origin,
    raw: Raw,
}

#[derive(Clone, Debug)]
enum Raw {
    /// The text of an environment variable or flag: its key decides what it means.
    Loose(String),
    Text(String),
    /// None where the number does not fit.
    Integer(Option<i128>),
    Boolean(bool),
    /// A float or a date as it was written: no key takes one.
    Other(String),
    List(Vec<Value>),
    Table,
}

impl Value {
    /// What an environment variable or a flag holds.
    pub(super) fn loose(text: &str, origin: Origin) -> Self {
        Self {
            origin,
            raw: Raw::Loose(text.trim().to_owned()),
        }
    }

    /// What the file holds; `place` tells where a byte of it stands.
    pub(super) fn of_toml(value: &Spanned<DeValue<'_>>, place: &impl Fn(usize) -> Origin) -> Self {
        let raw = match value.get_ref() {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => {
                Raw::Integer(i128::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(is) => Raw::Boolean(*is),
            DeValue::Float(number) => Raw::Other(number.to_string()),
            DeValue::Datetime(date) => Raw::Other(date.to_string()),
            DeValue::Array(items) => Raw::List(of_array(items, place)),
            DeValue::Table(_) => Raw::Table,
        };
        Self {
            origin: place(value.span().start),
            raw,
        }
    }

    /// What was found, for a sentence.
    pub(super) fn describe(&self) -> String {
        match &self.raw {
            Raw::Loose(text) | Raw::Text(text) => quote(text),
            Raw::Integer(Some(number)) => format!("the integer {number}"),
            Raw::Integer(None) => "an integer that is too large".to_owned(),
            Raw::Boolean(is) => is.to_string(),
            Raw::Other(text) => text.clone(),
            Raw::List(_) => "a list".to_owned(),
            Raw::Table => "a table".to_owned(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.raw {
            Raw::Loose(text) | Raw::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i128> {
        match &self.raw {
            Raw::Loose(text) => text.parse().ok(),
            Raw::Integer(number) => *number,
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.raw {
            Raw::Loose(text) => text.parse().ok(),
            Raw::Boolean(is) => Some(*is),
            _ => None,
        }
    }

    /// The entries of a list. Loose text is a TOML array or else entries between commas:
    /// `[::1]:3142` starts like an array but is none.
    pub(super) fn entries(&self) -> Option<Vec<Self>> {
        match &self.raw {
            Raw::List(items) => Some(items.clone()),
            Raw::Loose(text) => Some(match DeValue::parse(text).map(Spanned::into_inner) {
                Ok(DeValue::Array(items)) => of_array(&items, &|_| self.origin.clone()),
                _ => text
                    .split(',')
                    .filter(|entry| !entry.trim().is_empty())
                    .map(|entry| Self::loose(entry, self.origin.clone()))
                    .collect(),
            }),
            _ => None,
        }
    }
}

/// The tables of a `[[section]]`, none where `value` is something else.
pub(super) fn tables<'v, 'i>(value: &'v DeValue<'i>) -> Option<Vec<(usize, &'v DeTable<'i>)>> {
    let items = value.as_array()?;
    items
        .iter()
        .map(|item| Some((item.span().start, item.get_ref().as_table()?)))
        .collect()
}

fn of_array(items: &DeArray<'_>, place: &impl Fn(usize) -> Origin) -> Vec<Value> {
    items
        .iter()
        .map(|item| Value::of_toml(item, place))
        .collect()
}

/// On one line and not too long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}
