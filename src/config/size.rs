//! Sizes as people write them: `512KiB`, `1.5GiB`, `5GB`, `0`.

/// Bytes in one GiB.
pub(super) const GIB: u64 = 1 << 30;

/// Sizes are stored as signed integers in rows.
const MAX: u64 = i64::MAX.unsigned_abs();

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", GIB),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// Bytes of `text`; a part of a byte is dropped. Units are taken in any case.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let unit = unit.trim_start();
    let Some((_, bytes)) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
    else {
        return Err(format!("{unit:?} is no unit of size"));
    };
    if whole.is_empty() || part.is_empty() || part.contains('.') {
        return Err("that is no number".to_owned());
    }
    // Fifteen digits of a part and the largest unit make less than 2^100.
    let part = &part[..part.len().min(15)];
    let scale = part.bytes().fold(1_u128, |scale, _| scale * 10);
    let bytes = u128::from(*bytes);
    let total = decimal(whole)
        .and_then(|whole| whole.checked_mul(bytes))
        .zip(decimal(part))
        .and_then(|(whole, part)| whole.checked_add(part * bytes / scale));
    total
        .and_then(|total| from_integer(i128::try_from(total).ok()?).ok())
        .ok_or_else(|| "that is more than any disk holds".to_owned())
}

/// A bare count of bytes.
pub(super) fn from_integer(bytes: i128) -> Result<u64, String> {
    match u64::try_from(bytes) {
        Ok(bytes) if bytes <= MAX => Ok(bytes),
        Err(_) if bytes < 0 => Err("that is less than nothing".to_owned()),
        Ok(_) | Err(_) => Err("that is more than any disk holds".to_owned()),
    }
}

fn decimal(digits: &str) -> Option<u128> {
    digits.parse().ok()
}
