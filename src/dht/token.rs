//! Tokens: who stores a value has to show what we answered to its address.

use std::net::IpAddr;

use rand::Rng;
use rand::rngs::StdRng;
use sha1::{Digest, Sha1};

use crate::clock::Millis;

/// Between two secrets.
pub const CHECKPOINT: Millis = 5 * 60 * 1000;

/// Secrets whose tokens are accepted.
const SECRETS: usize = 3;

/// Bytes of a token, and of a secret.
pub const TOKEN_LEN: usize = 20;

/// What tokens are made from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Drawn at random.
    pub bytes: [u8; TOKEN_LEN],
    /// When.
    pub made_at: Millis,
}

/// Without the secret, which a log has no use for.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("made_at", &self.made_at)
            .finish_non_exhaustive()
    }
}

impl Secret {
    fn draw(now: Millis, rng: &mut StdRng) -> Self {
        let mut bytes = [0; TOKEN_LEN];
        rng.fill_bytes(&mut bytes);
        Self {
            bytes,
            made_at: now,
        }
    }

    fn token(&self, ip: IpAddr) -> [u8; TOKEN_LEN] {
        let hash = Sha1::new_with_prefix(self.bytes);
        let hash = match ip.to_canonical() {
            IpAddr::V4(ip) => hash.chain_update(ip.octets()),
            IpAddr::V6(ip) => hash.chain_update(ip.octets()),
        };
        hash.finalize().into()
    }

    /// Whether its tokens are accepted. One from the future was made under a
    /// clock that was wrong, and says nothing about its age.
    fn is_valid(&self, now: Millis) -> bool {
        let age = now.saturating_sub(self.made_at);
        (0..CHECKPOINT * 3).contains(&age)
    }
}

/// The secrets of now and of a while ago.
#[derive(Debug)]
pub struct Tokens {
    /// The newest first.
    newest: Secret,
    older: Vec<Secret>,
}

impl Tokens {
    /// With a secret made now.
    #[must_use]
    pub fn new(now: Millis, rng: &mut StdRng) -> Self {
        Self {
            newest: Secret::draw(now, rng),
            older: Vec::new(),
        }
    }

    /// With the secrets of an earlier run, as far as they are still good, in
    /// any order.
    #[must_use]
    pub fn restore(mut secrets: Vec<Secret>, now: Millis, rng: &mut StdRng) -> Self {
        secrets.retain(|secret| secret.is_valid(now));
        secrets.sort_by_key(|secret| secret.made_at);
        let Some(newest) = secrets.pop() else {
            return Self::new(now, rng);
        };
        let older = secrets.into_iter().rev().take(SECRETS - 1).collect();
        Self { newest, older }
    }

    /// The secrets in use, the newest first: at most three.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .cloned()
            .collect()
    }

    /// The token for whoever is at this address, at any port.
    #[must_use]
    pub fn issue(&self, ip: IpAddr) -> [u8; TOKEN_LEN] {
        self.newest.token(ip)
    }

    /// Whether this address got that token from us, at most 15 minutes ago.
    #[must_use]
    pub fn accepts(&self, ip: IpAddr, token: &[u8]) -> bool {
        token.len() == TOKEN_LEN
            && std::iter::once(&self.newest)
                .chain(&self.older)
                .any(|secret| secret.token(ip) == *token)
    }

    /// Takes a new secret into use and forgets those that are too old.
    pub fn rotate(&mut self, now: Millis, rng: &mut StdRng) {
        let previous = std::mem::replace(&mut self.newest, Secret::draw(now, rng));
        self.older.insert(0, previous);
        self.older.truncate(SECRETS - 1);
        self.older.retain(|secret| secret.is_valid(now));
    }

    /// When to rotate: [`CHECKPOINT`] after the last time.
    #[must_use]
    pub const fn due(&self) -> Millis {
        self.newest.made_at.saturating_add(CHECKPOINT)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    const START: Millis = 1_700_000_000_000;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    #[test]
    fn a_token_is_good_for_three_checkpoints() {
        let mut rng = rng();
        let mut tokens = Tokens::new(START, &mut rng);
        let ip = Ipv4Addr::new(1, 2, 3, 4).into();
        let token = tokens.issue(ip);
        for round in 1..=3 {
            assert!(tokens.accepts(ip, &token), "{round}");
            let due = tokens.due();
            assert_eq!(due, START + round * CHECKPOINT);
            tokens.rotate(due, &mut rng);
        }
        assert!(!tokens.accepts(ip, &token));
        assert_eq!(tokens.secrets().len(), 3);
    }

    #[test]
    fn a_secret_does_not_outlive_its_time_by_sleep() {
        let mut rng = rng();
        let mut tokens = Tokens::new(START, &mut rng);
        let ip = Ipv4Addr::new(1, 2, 3, 4).into();
        let token = tokens.issue(ip);
        tokens.rotate(START + 60 * CHECKPOINT, &mut rng);
        assert!(!tokens.accepts(ip, &token));
    }

    #[test]
    fn a_restart_keeps_tokens() {
        let mut rng = rng();
        let mut tokens = Tokens::new(START, &mut rng);
        let ip = Ipv6Addr::LOCALHOST.into();
        let old = tokens.issue(ip);
        tokens.rotate(START + CHECKPOINT, &mut rng);
        let new = tokens.issue(ip);
        let mut secrets = tokens.secrets();
        secrets.reverse();
        let now = START + 2 * CHECKPOINT;
        let restored = Tokens::restore(secrets.clone(), now, &mut rng);
        assert!(restored.accepts(ip, &old) && restored.accepts(ip, &new));
        assert_eq!(restored.issue(ip), new);
        assert_eq!(restored.due(), now);
        assert_eq!(restored.secrets(), tokens.secrets());
        for wrong in [START + 20 * CHECKPOINT, START - 1] {
            let restored = Tokens::restore(secrets.clone(), wrong, &mut rng);
            assert!(!restored.accepts(ip, &old) && !restored.accepts(ip, &new));
            assert_eq!(restored.due(), wrong + CHECKPOINT);
        }
    }

    #[test]
    fn the_form_of_an_address_does_not_matter() {
        let tokens = Tokens::new(START, &mut rng());
        let ip = Ipv4Addr::new(1, 2, 3, 4);
        let mapped = ip.to_ipv6_mapped();
        assert!(tokens.accepts(mapped.into(), &tokens.issue(ip.into())));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret {
            bytes: [171; TOKEN_LEN],
            made_at: 5,
        };
        assert_eq!(format!("{secret:?}"), "Secret { made_at: 5, .. }");
    }

    proptest! {
        #[test]
        fn what_was_not_issued_is_not_accepted(
            a: [u8; 4],
            b: [u8; 4],
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let tokens = Tokens::new(START, &mut rng());
            prop_assert!(!tokens.accepts(a.into(), &bytes));
            let token = tokens.issue(a.into());
            prop_assert!(tokens.accepts(a.into(), &token));
            prop_assert_eq!(tokens.accepts(b.into(), &token), a == b);
            prop_assert!(!tokens.accepts(a.into(), &token[..19]));
            prop_assert!(!tokens.accepts(a.into(), &[token.as_slice(), &[0]].concat()));
        }
    }
}
