//! Bencode, written once more: what the node writes is read by other eyes.

use std::collections::BTreeMap;

/// A dictionary.
pub type Dict = BTreeMap<Vec<u8>, Ben>;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ben {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Ben>),
    Dict(Dict),
}

/// A dictionary of these.
pub fn dict<const N: usize>(entries: [(&str, Ben); N]) -> Ben {
    let entries = entries.map(|(key, value)| (key.as_bytes().to_vec(), value));
    Ben::Dict(entries.into())
}

/// A list of byte strings.
pub fn list<T: AsRef<[u8]>>(items: &[T]) -> Ben {
    Ben::List(items.iter().map(|item| item.as_ref().into()).collect())
}

impl From<&[u8]> for Ben {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Ben {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&Vec<u8>> for Ben {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::Bytes(bytes.clone())
    }
}

impl From<&str> for Ben {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<i64> for Ben {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl Ben {
    /// The one value that fills the bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = take(&mut rest)?;
        rest.is_empty().then_some(value)
    }

    /// As it is written, dictionaries in the order of their keys.
    pub fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number) => out.extend(format!("i{number}e").bytes()),
            Self::Bytes(bytes) => write_bytes(bytes, out),
            Self::List(items) => {
                out.push(b'l');
                for item in items {
                    item.write(out);
                }
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The value of a dictionary's key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dict(entries) => entries.get(key.as_bytes()),
            _ => None,
        }
    }

    /// Sets the value of a dictionary's key.
    pub fn insert(&mut self, key: &str, value: Self) {
        if let Self::Dict(entries) = self {
            entries.insert(key.as_bytes().to_vec(), value);
        }
    }

    /// Takes a dictionary's key out.
    pub fn remove(&mut self, key: &str) {
        if let Self::Dict(entries) = self {
            entries.remove(key.as_bytes());
        }
    }

    /// A byte string's bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A list of byte strings.
    pub fn strings(&self) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::List(items) => items
                .iter()
                .map(|item| item.bytes().map(<[u8]>::to_vec))
                .collect(),
            _ => None,
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{}:", bytes.len()).bytes());
    out.extend(bytes);
}

fn take(rest: &mut &[u8]) -> Option<Ben> {
    match *rest.first()? {
        b'i' => {
            let end = rest.iter().position(|byte| *byte == b'e')?;
            let number = std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()?;
            *rest = &rest[end + 1..];
            Some(Ben::Int(number))
        }
        b'l' => {
            *rest = &rest[1..];
            let mut items = Vec::new();
            while *rest.first()? != b'e' {
                items.push(take(rest)?);
            }
            *rest = &rest[1..];
            Some(Ben::List(items))
        }
        b'd' => {
            *rest = &rest[1..];
            let mut entries = Dict::new();
            while *rest.first()? != b'e' {
                let key = take_bytes(rest)?;
                entries.insert(key, take(rest)?);
            }
            *rest = &rest[1..];
            Some(Ben::Dict(entries))
        }
        _ => take_bytes(rest).map(Ben::Bytes),
    }
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let len: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    let bytes = rest.get(colon + 1..)?.get(..len)?.to_vec();
    *rest = &rest[colon + 1 + len..];
    Some(bytes)
}
