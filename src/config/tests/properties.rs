//! What holds for any text.

use proptest::prelude::*;

use super::{EXAMPLE, load};
use crate::config::size;

const UNITS: [(&str, u64); 5] = [
    ("", 1),
    ("B", 1),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("GiB", size::GIB),
];

/// Keys that exist, and some that nearly do.
fn key() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "data_dir",
        "apt.listen",
        "apt.allow",
        "upstream.allow",
        "upstream.connect",
        "upstream.timeout",
        "upstream.ca_files",
        "mirror.0.name",
        "mirror.1.upstreams",
        "cache.max_size",
        "cache.min_free",
        "log.level",
        "log.format",
        "index.keyrings",
        "peer.advertise",
        "dht.bootstrap",
        "dht.k",
        "dht.store_redundancy",
        "dht.key_refresh",
        "dht.key_expire",
    ];
    prop_oneof![
        proptest::sample::select(KNOWN).prop_map(str::to_owned),
        "[a-z0-9._]{0,20}"
    ]
}

proptest! {
    #[test]
    fn a_size_means_its_number_times_its_unit(
        number in 0..=(i64::MAX.unsigned_abs() >> 30),
        unit in proptest::sample::select(&UNITS[..]),
        space in " {0,2}",
    ) {
        let (name, bytes) = unit;
        let written = format!("{number}{space}{name}");
        prop_assert_eq!(size::parse(&written), Ok(number * bytes));
    }

    #[test]
    fn any_text_is_a_size_or_is_refused(text in "[0-9.]{0,40}[ A-Za-zµ]{0,4}") {
        if let Ok(bytes) = size::parse(&text) {
            prop_assert!(i64::try_from(bytes).is_ok());
        }
    }

    #[test]
    fn any_value_is_taken_or_told_on_one_line(
        key in key(),
        text in prop_oneof![any::<String>(), "[\\[\\]0-9a-z:/.,\"'=~ {}-]{0,40}"],
    ) {
        if let Err(told) = load("", &[], &[(&key, &text)]) {
            let lines = told.lines().filter(|line| line.starts_with("--set: "));
            prop_assert_eq!(lines.count(), told.lines().count(), "{}", told);
        }
    }

    #[test]
    fn any_variable_is_taken_or_told(name in "[A-Z_0-9a-zé]{0,24}", text in any::<String>()) {
        let name = format!("APTMESH_{name}");
        let loaded = load("", &[(&name, &text)], &[]);
        if let Err(told) = loaded {
            prop_assert!(told.starts_with("APTMESH_"), "{}", told);
        }
    }

    #[test]
    fn any_file_is_taken_or_told(text in any::<String>()) {
        let told = load(&text, &[], &[]).err().unwrap_or_default();
        prop_assert!(told.lines().all(|line| line.starts_with("aptmesh.toml:")), "{}", told);
    }

    #[test]
    fn any_slip_in_the_example_is_taken_or_told(
        at in any::<proptest::sample::Index>(),
        slip in "[\\[\\]\"'a-z0-9=.#\n]{0,3}",
        cut in 0_usize..4,
    ) {
        prop_assume!(EXAMPLE.is_ascii());
        let start = at.index(EXAMPLE.len());
        let end = EXAMPLE.len().min(start + cut);
        let text = [&EXAMPLE[..start], &slip, &EXAMPLE[end..]].concat();
        let lines = text.lines().count() + 1;
        let told = load(&text, &[], &[]).err().unwrap_or_default();
        for line in told.lines() {
            let number = line.strip_prefix("aptmesh.toml:").and_then(|rest| rest.split(':').next());
            let number: usize = number.and_then(|n| n.parse().ok()).unwrap_or_default();
            prop_assert!((1..=lines).contains(&number), "{}", told);
        }
    }
}
