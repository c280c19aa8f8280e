//! Taking signed messages apart (RFC 9580 §6 and §7).
//!
//! apt reads the same file once more. What it may take apart in another way is not let through:
//! all text is signed text.

use sequoia_openpgp::{
    Packet,
    armor::{Kind, ReaderMode},
    packet::Tag,
    parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse as _},
};
use thiserror::Error;

const BEGIN_MESSAGE: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &[u8] = b"-----END PGP SIGNATURE-----";

/// More than any archive makes; each costs a hash of the whole text.
const MAX_SIGNATURES: usize = 32;

/// Why a signed message cannot be taken apart.
#[derive(Debug, Error)]
pub(super) enum Malformed {
    #[error("text stands outside of the signed message")]
    Outside,
    #[error("the signed message is cut off")]
    CutOff,
    #[error("the signed message has a header other than \"Hash\"")]
    Header,
    #[error("the signed text has a line that begins with a dash and is not escaped")]
    Dash,
    #[error("the signed text is not UTF-8")]
    Text,
    #[error("the signature cannot be read")]
    Signature,
    #[error("there are more than {MAX_SIGNATURES} signatures")]
    Many,
}

/// The text of a clear-signed message and the packets of its signatures; none of a file that is
/// no such message.
pub(super) fn clear(file: &[u8]) -> Result<Option<(String, Vec<Packet>)>, Malformed> {
    let lines: Vec<&[u8]> = lines(file).collect();
    let begins = |line: &&[u8]| trimmed(line) == BEGIN_MESSAGE;
    match lines.iter().position(begins) {
        None => return Ok(None),
        Some(0) => {}
        Some(_) => return Err(Malformed::Outside),
    }
    let ends = |line: &&[u8]| trimmed(line) == BEGIN_SIGNATURE;
    let end = lines.iter().position(ends).ok_or(Malformed::CutOff)?;
    let (message, signatures) = lines.split_at(end);

    let blank = |line: &&[u8]| trimmed(line).is_empty();
    let start = message.iter().position(blank).ok_or(Malformed::CutOff)?;
    if !message[1..start]
        .iter()
        .all(|header| header.starts_with(b"Hash:"))
    {
        return Err(Malformed::Header);
    }
    let text = message[start + 1..].iter().copied().map(unescaped);
    let text = text.collect::<Result<Vec<_>, _>>()?.join(&b'\n');
    let text = String::from_utf8(text).map_err(|_| Malformed::Text)?;
    Ok(Some((text, armoured(signatures)?)))
}

/// The packets of signatures that stand beside what they sign; none where there are none.
pub(super) fn detached(file: &[u8]) -> Result<Vec<Packet>, Malformed> {
    // Each binary packet starts with a bit that no letter has.
    if file.first().is_some_and(|first| *first >= 0x80) {
        let mut packets = Vec::new();
        let read = read(file, Dearmor::Disabled, &mut packets);
        // What does not begin with a signature is none, and not one that cannot be read.
        return if packets.is_empty() {
            Ok(packets)
        } else {
            read.map(|()| packets)
        };
    }
    let lines: Vec<&[u8]> = lines(file).collect();
    if lines.iter().any(|line| trimmed(line) == BEGIN_SIGNATURE) {
        armoured(&lines)
    } else {
        Ok(Vec::new())
    }
}

/// The packets of armoured blocks with nothing between them: an archive with several keys may
/// write one block for each.
fn armoured(lines: &[&[u8]]) -> Result<Vec<Packet>, Malformed> {
    let mut packets = Vec::new();
    let mut block = None;
    for (number, line) in lines.iter().enumerate() {
        match (trimmed(line), block) {
            (BEGIN_SIGNATURE, None) => block = Some(number),
            (END_SIGNATURE, Some(start)) => {
                let armour = Dearmor::Enabled(ReaderMode::Tolerant(Some(Kind::Signature)));
                read(&lines[start..=number].concat(), armour, &mut packets)?;
                block = None;
            }
            ([], None) | (_, Some(_)) => {}
            (_, None) => return Err(Malformed::Outside),
        }
    }
    if block.is_some() {
        Err(Malformed::CutOff)
    } else {
        Ok(packets)
    }
}

fn read(bytes: &[u8], armour: Dearmor, packets: &mut Vec<Packet>) -> Result<(), Malformed> {
    let parser = PacketParserBuilder::from_bytes(bytes)
        .and_then(|builder| builder.dearmor(armour).max_recursion_depth(0).build());
    let mut parser = parser.map_err(|_| Malformed::Signature)?;
    while let PacketParserResult::Some(found) = parser {
        let (packet, next) = found.next().map_err(|_| Malformed::Signature)?;
        match packet.tag() {
            Tag::Signature if packets.len() == MAX_SIGNATURES => return Err(Malformed::Many),
            Tag::Signature => packets.push(packet),
            Tag::Marker | Tag::Padding => {}
            _ => return Err(Malformed::Signature),
        }
        parser = next;
    }
    Ok(())
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split_inclusive(|byte| *byte == b'\n')
}

/// Without what no signature of a text covers: white space at the end of a line.
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !b" \t\r\n".contains(byte));
    &line[..end.map_or(0, |last| last + 1)]
}

/// A line of the text as it was signed.
fn unescaped(line: &[u8]) -> Result<&[u8], Malformed> {
    match line.strip_prefix(b"- ") {
        Some(line) => Ok(trimmed(line)),
        None if line.starts_with(b"-") => Err(Malformed::Dash),
        None => Ok(trimmed(line)),
    }
}
