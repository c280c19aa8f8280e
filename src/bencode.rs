//! Bencode (BEP 3) from strangers.
//!
//! `serde_bencode` recurses as deep as its input says and takes what it finds
//! for what it should be. So everything is scanned first: without allocation,
//! without recursion, and in one pass unless a dictionary is unsorted.

use std::ops::Range;

pub use serde_bencode::value::Value;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many lists and dictionaries may lie within each other.
pub const MAX_DEPTH: usize = 8;

/// How many keys a dictionary may hold from its first on that is not greater
/// than all before it: each of them is compared with every earlier one.
pub const MAX_UNSORTED: usize = 16;

/// Why bytes are not one value in bencode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end within a value.
    #[error("ends within a value")]
    Truncated,
    /// Something follows the value.
    #[error("goes on behind its value")]
    Trailing,
    /// No value starts with this byte, or a list's end stands where none is open.
    #[error("no value starts here")]
    Unexpected,
    /// A number is empty, has a leading zero or a sign without need, or does
    /// not fit its type.
    #[error("holds a number that is not canonical or too large")]
    Number,
    /// Values lie deeper than [`MAX_DEPTH`].
    #[error("holds values within more than {MAX_DEPTH} others")]
    Depth,
    /// A dictionary's key is not a byte string, or its last one has no value.
    #[error("holds a dictionary with a bad key")]
    Key,
    /// A dictionary holds a key twice, or is too long for being unsorted.
    #[error("holds a dictionary with a key twice, or too long for being unsorted")]
    Duplicate,
    /// It is bencode, but not of the shape asked for.
    #[error("is not of the expected shape")]
    Shape,
}

/// Reads one value.
///
/// # Errors
/// [`Malformed`], unless exactly one value fills the input.
pub fn decode(bytes: &[u8]) -> Result<Value, Malformed> {
    decode_as(bytes)
}

/// Reads one value into a type of one's own.
///
/// # Errors
/// [`Malformed`], [`Malformed::Shape`] among them where the type refuses.
pub fn decode_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    scan(bytes)?;
    serde_bencode::from_bytes(bytes).map_err(|_| Malformed::Shape)
}

/// Writes a value, dictionaries sorted by their keys.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    encode_as(value)
}

/// Writes a type of one's own, dictionaries sorted by their keys. What bencode
/// has no form for (floating point) comes out empty.
#[must_use]
pub fn encode_as<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_bencode::to_bytes(&value).unwrap_or_default()
}

/// Checks that exactly one value fills the input, with canonical numbers,
/// values no deeper than [`MAX_DEPTH`] and no key twice in a dictionary.
///
/// # Errors
/// [`Malformed`]; never [`Malformed::Shape`].
pub fn scan(bytes: &[u8]) -> Result<(), Malformed> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut open = [Open::default(); MAX_DEPTH];
    let mut depth = 0_usize;
    loop {
        let here = depth.checked_sub(1).and_then(|top| open.get_mut(top));
        match cursor.peek()? {
            b'e' => {
                let closed = here.ok_or(Malformed::Unexpected)?;
                if closed.wants_value {
                    return Err(Malformed::Key);
                }
                cursor.at += 1;
                depth -= 1;
            }
            first => {
                if let Some(dict) = here
                    && dict.is_dict
                {
                    if dict.wants_value {
                        dict.wants_value = false;
                    } else {
                        dict.key(&mut cursor)?;
                        continue;
                    }
                }
                if matches!(first, b'd' | b'l') {
                    cursor.at += 1;
                    *open.get_mut(depth).ok_or(Malformed::Depth)? = Open {
                        is_dict: first == b'd',
                        start: cursor.at,
                        ..Open::default()
                    };
                    depth += 1;
                } else {
                    cursor.scalar()?;
                }
            }
        }
        if depth == 0 {
            return match cursor.peek() {
                Ok(_) => Err(Malformed::Trailing),
                Err(_) => Ok(()),
            };
        }
    }
}

/// A list or dictionary whose end is still to come.
#[derive(Default, Clone, Copy)]
struct Open {
    is_dict: bool,
    wants_value: bool,
    /// Where its first item stands.
    start: usize,
    keys: usize,
    unsorted: bool,
    /// Where the greatest key so far stands: later than all others in a
    /// sorted dictionary, so that nothing else is compared there.
    greatest_start: usize,
    greatest_end: usize,
}

impl Open {
    /// Takes the key at the cursor.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        let at = cursor.at;
        if !cursor.peek()?.is_ascii_digit() {
            return Err(Malformed::Key);
        }
        let Range { start, end } = cursor.string()?;
        let key = cursor.slice(start..end);
        let greatest = cursor.slice(self.greatest_start..self.greatest_end);
        if self.keys == 0 || key > greatest {
            (self.greatest_start, self.greatest_end) = (start, end);
        } else {
            self.unsorted = true;
            let mut earlier = Cursor {
                bytes: cursor.bytes,
                at: self.start,
            };
            while earlier.at < at {
                let range = earlier.string()?;
                if earlier.slice(range) == key {
                    return Err(Malformed::Duplicate);
                }
                earlier.skip()?;
            }
        }
        self.keys += 1;
        if self.unsorted && self.keys > MAX_UNSORTED {
            return Err(Malformed::Duplicate);
        }
        self.wants_value = true;
        Ok(())
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Result<u8, Malformed> {
        self.bytes.get(self.at).copied().ok_or(Malformed::Truncated)
    }

    #[inline]
    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Passes an integer or a byte string.
    #[inline]
    fn scalar(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'i' => self.integer(),
            b'0'..=b'9' => self.string().map(drop),
            _ => Err(Malformed::Unexpected),
        }
    }

    /// Passes a byte string and tells where its bytes are.
    #[inline]
    fn string(&mut self) -> Result<Range<usize>, Malformed> {
        let len = usize::try_from(self.digits()?).map_err(|_| Malformed::Number)?;
        if self.peek()? != b':' {
            return Err(Malformed::Number);
        }
        let start = self.at + 1;
        let end = start.checked_add(len).ok_or(Malformed::Number)?;
        if end > self.bytes.len() {
            return Err(Malformed::Truncated);
        }
        self.at = end;
        Ok(start..end)
    }

    fn integer(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let magnitude = self.digits()?;
        let bound = i64::MAX.unsigned_abs() + u64::from(negative);
        if magnitude > bound || (negative && magnitude == 0) || self.peek()? != b'e' {
            return Err(Malformed::Number);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes decimal digits without leading zeros.
    #[inline]
    fn digits(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut number = 0_u64;
        loop {
            let byte = self.peek()?;
            if !byte.is_ascii_digit() {
                break;
            }
            number = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                .ok_or(Malformed::Number)?;
            self.at += 1;
        }
        let leading_zero = self.bytes.get(start) == Some(&b'0') && self.at - start > 1;
        if self.at == start || leading_zero {
            return Err(Malformed::Number);
        }
        Ok(number)
    }

    /// Passes a value that was scanned before.
    fn skip(&mut self) -> Result<(), Malformed> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'd' | b'l' => {
                    depth += 1;
                    self.at += 1;
                }
                b'e' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(7, 64, 8, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..8).prop_map(Value::List),
                proptest::collection::hash_map(vec(any::<u8>(), 0..4), inner, 0..8)
                    .prop_map(Value::Dict),
            ]
        })
    }

    #[test]
    fn values_are_what_their_bytes_say() {
        let dict: HashMap<_, _> = [
            (b"a".to_vec(), Value::Int(-7)),
            (
                b"b".to_vec(),
                Value::List(vec![Value::Bytes(b"xyz".to_vec()), Value::Int(0)]),
            ),
        ]
        .into();
        let bytes = b"d1:ai-7e1:bl3:xyzi0eee";
        assert_eq!(decode(bytes), Ok(Value::Dict(dict.clone())));
        assert_eq!(encode(&Value::Dict(dict.clone())), bytes);
        assert_eq!(decode(b"d1:bl3:xyzi0ee1:ai-7ee"), Ok(Value::Dict(dict)));
        for whole in [
            "0:",
            "le",
            "de",
            "i0e",
            "i9223372036854775807e",
            "i-9223372036854775808e",
        ] {
            assert_eq!(encode(&decode(whole.as_bytes()).unwrap()), whole.as_bytes());
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (text, reason) in [
            ("", Malformed::Truncated),
            ("l", Malformed::Truncated),
            ("d", Malformed::Truncated),
            ("i1", Malformed::Truncated),
            ("i", Malformed::Truncated),
            ("i-", Malformed::Truncated),
            ("3", Malformed::Truncated),
            ("3:ab", Malformed::Truncated),
            ("18446744073709551614:", Malformed::Number),
            ("18446744073709551615:", Malformed::Number),
            ("18446744073709551616:", Malformed::Number),
            ("9223372036854775807:a", Malformed::Truncated),
            ("99999999999999999999999999:a", Malformed::Number),
            ("03:abc", Malformed::Number),
            ("00:", Malformed::Number),
            ("3;abc", Malformed::Number),
            ("-1:a", Malformed::Unexpected),
            ("ie", Malformed::Number),
            ("i-e", Malformed::Number),
            ("i-0e", Malformed::Number),
            ("i-01e", Malformed::Number),
            ("i00e", Malformed::Number),
            ("i+1e", Malformed::Number),
            ("i 1e", Malformed::Number),
            ("i1.0e", Malformed::Number),
            ("i9223372036854775808e", Malformed::Number),
            ("i-9223372036854775809e", Malformed::Number),
            ("e", Malformed::Unexpected),
            ("x", Malformed::Unexpected),
            ("lxe", Malformed::Unexpected),
            ("1:ab", Malformed::Trailing),
            ("lee", Malformed::Trailing),
            ("i1ei2e", Malformed::Trailing),
            ("de\n", Malformed::Trailing),
            ("di1e1:ae", Malformed::Key),
            ("dle1:ae", Malformed::Key),
            ("d1:ae", Malformed::Key),
            ("d1:a1:b1:ce", Malformed::Key),
            ("d1:a0:1:a0:e", Malformed::Duplicate),
            ("d1:b0:1:a0:1:b0:e", Malformed::Duplicate),
            ("d0:0:0:0:e", Malformed::Duplicate),
            ("d1:cd1:xi1ee1:ald1:c0:ee1:b0:1:a0:e", Malformed::Duplicate),
        ] {
            assert_eq!(scan(text.as_bytes()), Err(reason), "{text}");
            assert_eq!(decode(text.as_bytes()), Err(reason), "{text}");
        }
        assert_eq!(decode_as::<String>(b"i1e"), Err(Malformed::Shape));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| ["l".repeat(depth), "e".repeat(depth)].concat();
        assert_eq!(scan(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(
            scan(nested(MAX_DEPTH + 1).as_bytes()),
            Err(Malformed::Depth)
        );
        assert_eq!(
            decode("d1:a".repeat(500_000).as_bytes()),
            Err(Malformed::Depth)
        );
        let full = format!("{}0:{}", "d0:".repeat(MAX_DEPTH), "e".repeat(MAX_DEPTH));
        assert!(decode(full.as_bytes()).is_ok());
    }

    #[test]
    fn only_a_small_dictionary_may_be_unsorted() {
        let dict = |keys: &mut dyn Iterator<Item = usize>| {
            let items: Vec<_> = keys.map(|key| format!("5:{key:05}le")).collect();
            format!("d{}e", items.concat())
        };
        assert_eq!(scan(dict(&mut (0..10_000)).as_bytes()), Ok(()));
        assert_eq!(scan(dict(&mut (0..MAX_UNSORTED).rev()).as_bytes()), Ok(()));
        for mut keys in [
            (0..=MAX_UNSORTED).rev().collect(),
            [(1..100).collect(), vec![0]].concat(),
        ] {
            let dict = dict(&mut keys.drain(..));
            assert_eq!(scan(dict.as_bytes()), Err(Malformed::Duplicate));
        }
    }

    proptest! {
        #[test]
        fn values_come_back(value in values()) {
            let bytes = encode(&value);
            prop_assert_eq!(decode(&bytes), Ok(value));
            for end in 0..bytes.len() {
                prop_assert_eq!(scan(&bytes[..end]), Err(Malformed::Truncated));
            }
        }

        #[test]
        fn whatever_passes_the_scan_is_a_value(
            bytes in vec(prop::sample::select(&b"dddllieeee0112:::-a"[..]), 0..24),
        ) {
            let read = decode(&bytes);
            prop_assert_eq!(scan(&bytes), read.clone().map(drop));
            if let Ok(value) = read {
                prop_assert_eq!(encode(&value).len(), bytes.len());
            }
        }

        #[test]
        fn no_bytes_are_dangerous(bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
