//! Clear-signed messages (RFC 9580 §7).

use super::{MAX_TEXT, ReleaseError};

/// Where in the message a line stands.
enum Part {
    Start,
    Headers,
    Payload,
    Signature,
    After,
}

/// The payload of an `InRelease` file: the signed text, without dash escapes
/// and without the blanks at the ends of lines that no signature covers.
///
/// Nothing is verified. What is refused is what apt refuses: anything before
/// the message, and anything but whitespace after its signature. Several
/// signatures may follow each other.
///
/// # Errors
/// [`ReleaseError::Long`], [`ReleaseError::NotUtf8`],
/// [`ReleaseError::Unsigned`] and [`ReleaseError::Truncated`].
pub fn cleartext(inrelease: &[u8]) -> Result<String, ReleaseError> {
    if inrelease.len() > MAX_TEXT {
        return Err(ReleaseError::Long);
    }
    let mut payload = String::with_capacity(inrelease.len());
    let mut part = Part::Start;
    for (number, line) in (1..).zip(inrelease.split(|byte| *byte == b'\n')) {
        let line = str::from_utf8(line).map_err(|_| ReleaseError::NotUtf8(number))?;
        let trimmed = trim(line);
        let unsigned = Err(ReleaseError::Unsigned(number));
        part = match (part, trimmed) {
            (Part::Start, "-----BEGIN PGP SIGNED MESSAGE-----") => Part::Headers,
            (Part::Headers, "") => Part::Payload,
            // "Hash" is the only header there is; others could pretend to be signed text.
            (Part::Headers, header) if header.starts_with("Hash:") => Part::Headers,
            (Part::Payload | Part::After, "-----BEGIN PGP SIGNATURE-----") => Part::Signature,
            (Part::Signature, "-----END PGP SIGNATURE-----") | (Part::After, "") => Part::After,
            (Part::Signature, armor) if !armor.starts_with('-') => Part::Signature,
            (Part::Payload, text) => {
                match line.strip_prefix("- ") {
                    Some(escaped) => payload.push_str(trim(escaped)),
                    None if text.starts_with('-') => return unsigned,
                    None => payload.push_str(text),
                }
                payload.push('\n');
                Part::Payload
            }
            _ => return unsigned,
        };
    }
    match part {
        Part::After => Ok(payload),
        Part::Start => Err(ReleaseError::Unsigned(1)),
        Part::Headers | Part::Payload | Part::Signature => Err(ReleaseError::Truncated),
    }
}

fn trim(line: &str) -> &str {
    line.trim_end_matches([' ', '\t', '\r'])
}
