#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn hash(digit: u8) -> String {
    format!("{digit:064x}")
}

fn digest(digit: u8) -> Digest {
    Digest::from_hex(&hash(digit)).unwrap()
}

/// An index whose generations have these hashes, the last being the current.
fn index(generations: &[u8]) -> String {
    let (current, old) = generations.split_last().unwrap();
    let list = |add: u8, extension: &str| {
        old.iter()
            .zip(0..)
            .fold(String::new(), |text, (generation, n)| {
                text + &format!(" {} {generation} p{n}{extension}\n", hash(generation + add))
            })
    };
    format!(
        "SHA1-Current: {} 9\nSHA256-Current: {} {current}\nSHA256-History:\n{}\
         SHA256-Patches:\n{}SHA256-Download:\n{}X-DAK-Older-Patches: a\n b c\n",
        "0".repeat(40),
        hash(*current),
        list(0, ""),
        list(100, ""),
        list(200, ".gz"),
    )
}

fn names(chain: Option<Vec<&Patch>>) -> Option<String> {
    chain.map(|chain| chain.iter().map(|patch| patch.name.as_str()).collect())
}

#[test]
fn an_index_has_patches_with_all_their_hashes() {
    let index = PdiffIndex::parse(&index(&[1, 2, 3])).unwrap();
    let vouched = |digit, size| Vouched {
        digest: digest(digit),
        size,
    };
    assert_eq!(index.current, vouched(3, 3));
    assert!(!index.merged);
    assert_eq!(
        index.patches.last().unwrap(),
        &Patch {
            name: "p1".into(),
            from: vouched(2, 2),
            script: vouched(102, 2),
            download: Some(("p1.gz".into(), vouched(202, 2))),
        }
    );
}

#[test]
fn a_chain_leads_from_what_one_has_to_the_current_list() {
    let text = index(&[1, 2, 1, 3, 4]);
    let chained = PdiffIndex::parse(&text).unwrap();
    let merged = PdiffIndex::parse(&(text + "X-Patch-Precedence: merged\n")).unwrap();
    for (have, patches, one) in [
        (1, Some("p2p3"), Some("p2")),
        (2, Some("p1p2p3"), Some("p1")),
        (3, Some("p3"), Some("p3")),
        (4, Some(""), Some("")),
        (5, None, None),
    ] {
        assert_eq!(
            names(chained.chain(&digest(have))).as_deref(),
            patches,
            "{have}"
        );
        assert_eq!(
            names(merged.chain(&digest(have))).as_deref(),
            one,
            "{have} merged"
        );
    }
}

#[test]
fn a_chain_is_not_endless() {
    let list = |count: usize| {
        (0..count).fold(String::new(), |text, n| {
            text + &format!(" {n:064x} 1 p{n}\n")
        })
    };
    let index = |count| {
        let (list, current) = (list(count), "f".repeat(64));
        format!("SHA256-Current: {current} 1\nSHA256-History:\n{list}SHA256-Patches:\n{list}")
    };
    let full = PdiffIndex::parse(&index(MAX_PATCHES)).unwrap();
    assert_eq!(full.chain(&digest(0)), None);
    assert_eq!(full.patches.last().unwrap().download, None);
    assert_eq!(
        PdiffIndex::parse(&index(MAX_PATCHES + 1)),
        Err(PdiffError::Many)
    );
    let long = "a:\n".repeat(MAX_LINES + 1);
    assert_eq!(PdiffIndex::parse(&long), Err(PdiffError::Long));
}

#[test]
fn an_index_that_apt_would_not_take_is_refused() {
    let good = index(&[1, 2, 3]);
    for (text, message) in [
        (
            String::new(),
            "the pdiff index has no SHA256-Current".to_owned(),
        ),
        (
            good.replace("SHA256-C", "SHA512-C"),
            "the pdiff index has no SHA256-Current".to_owned(),
        ),
        (
            good.replace("SHA256-H", "SHA512-H"),
            "the pdiff index has no SHA256-History".to_owned(),
        ),
        (
            good.replace("SHA256-P", "SHA512-P"),
            "the pdiff index has no SHA256-Patches".to_owned(),
        ),
        (
            "<html>".to_owned(),
            "the pdiff index has a line that is no field: `<html>`".to_owned(),
        ),
        (
            good.clone() + "\na: b\n",
            "the pdiff index has more than one stanza".to_owned(),
        ),
        (
            good.clone() + "SHA256-Current: x",
            "the pdiff index has the field SHA256-Current twice".to_owned(),
        ),
        (
            good.replace(" 2 p1\nSHA256-P", " 2 ../p1\nSHA256-P"),
            "the pdiff index names a patch `../p1`, which is no file name".to_owned(),
        ),
        (
            good.replace(" p1.gz", " .."),
            "the pdiff index names a patch `..`, which is no file name".to_owned(),
        ),
        (
            good.replace("p1", "p0"),
            "the pdiff index names the patch `p0` twice in SHA256-Patches".to_owned(),
        ),
        (
            good.replace(" 2 p1\nSHA256-P", " 2 p7\nSHA256-P"),
            "the pdiff index has no hash of the patch `p7`".to_owned(),
        ),
        (
            good.replace(" 3\n", " 3 name\n"),
            format!(
                "the pdiff index has a line `{}…` in SHA256-Current that is not a hash, a size and a name",
                "0".repeat(60)
            ),
        ),
        (
            good.replace(" 2 p1\nSHA256-P", " -2 p1\nSHA256-P"),
            format!(
                "the pdiff index has a line `{}…` in SHA256-History that has a size that is no number of bytes below 2^63",
                "0".repeat(60)
            ),
        ),
    ] {
        assert_eq!(PdiffIndex::parse(&text).unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn any_text_is_an_index_or_an_error(text in any::<String>(), at in 0usize..900, new in any::<char>()) {
        let _ = PdiffIndex::parse(&text);
        let changed: String = index(&[1, 2, 3])
            .char_indices()
            .map(|(index, old)| if index == at { new } else { old })
            .collect();
        if let Ok(index) = PdiffIndex::parse(&changed) {
            let _ = index.chain(&digest(1));
        }
    }
}
