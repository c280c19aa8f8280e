//! The 160-bit space that nodes and keys share, and its metric.

use std::fmt;

use rand::Rng;

/// Bytes of an id.
pub const ID_LEN: usize = 20;

/// Bits of an id.
pub const ID_BITS: u32 = 160;

/// The name of a node: 160 bits, big-endian. Ordered as that number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; ID_LEN]);

/// What a value is stored under: a point of the same space.
pub type Key = NodeId;

/// How far two ids are from each other: their XOR as a big-endian number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance([u8; ID_LEN]);

impl NodeId {
    /// An id drawn evenly from the whole space.
    #[must_use]
    pub fn random(rng: &mut (impl Rng + ?Sized)) -> Self {
        let mut bytes = [0; ID_LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The id in these bytes; `None` unless there are exactly 20.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The key of what has this hash: its first 20 bytes, a shorter one padded
    /// with zero bytes.
    #[must_use]
    pub fn of_hash(hash: &[u8]) -> Key {
        let mut bytes = [0; ID_LEN];
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self(bytes)
    }

    /// How far the other is.
    #[inline]
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut bytes = self.0;
        for (byte, with) in bytes.iter_mut().zip(&other.0) {
            *byte ^= with;
        }
        Distance(bytes)
    }

    /// How many leading bits both have in common: 0 to 160.
    #[inline]
    #[must_use]
    pub fn common_prefix(&self, other: &Self) -> u32 {
        self.distance(other).leading_zeros()
    }

    /// A random id that shares at least the first `bits` bits with this one;
    /// from 160 on, this one.
    #[must_use]
    pub fn random_with_prefix(&self, bits: u32, rng: &mut (impl Rng + ?Sized)) -> Self {
        let mut id = Self::random(rng);
        let mut left = bits.min(ID_BITS);
        for (byte, own) in id.0.iter_mut().zip(self.0) {
            let kept = left.min(8);
            let free = 0xff_u8.checked_shr(kept).unwrap_or(0);
            *byte = (own & !free) | (*byte & free);
            left -= kept;
        }
        id
    }

    /// The bit at `index`, the most significant being 0; unset from 160 on.
    #[cfg(test)]
    #[inline]
    #[must_use]
    pub fn bit(&self, index: u32) -> bool {
        self.0
            .get(index as usize / 8)
            .is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
    }
}

impl From<[u8; ID_LEN]> for NodeId {
    fn from(bytes: [u8; ID_LEN]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for NodeId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// 40 hex digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// 40 hex digits.
impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Distance {
    /// The number's bytes, big-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; ID_LEN] {
        self.0
    }

    /// How many bits are unset before the first set one: 0 to 160.
    #[inline]
    #[must_use]
    pub fn leading_zeros(&self) -> u32 {
        let zero_bytes = self.0.iter().take_while(|byte| **byte == 0).count();
        self.0.get(zero_bytes).map_or(ID_BITS, |byte| {
            byte.leading_zeros() + 8 * u32::try_from(zero_bytes).unwrap_or(0)
        })
    }

    /// The base-2 logarithm of the number, 0 to 160; of 0 it is 0.0.
    #[must_use]
    pub fn log2(&self) -> f64 {
        // Eight bytes from the first that is not zero hold more bits than an
        // f64 can tell apart.
        let (mut leading, mut seen, mut exponent) = (0_u64, 0, 160.0);
        for byte in self.0 {
            if seen == 0 && byte == 0 {
                exponent -= 8.0;
            } else if seen < 8 {
                leading = leading << 8 | u64::from(byte);
                seen += 1;
                exponent -= 8.0;
            }
        }
        if leading == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)]
        let leading = leading as f64;
        leading.log2() + exponent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn ids() -> impl Strategy<Value = NodeId> {
        any::<[u8; 20]>().prop_map(NodeId)
    }

    fn one_bit(index: usize) -> NodeId {
        let mut bytes = [0; 20];
        bytes[index / 8] = 0x80 >> (index % 8);
        NodeId(bytes)
    }

    #[test]
    fn a_key_is_the_start_of_a_hash() {
        let hash: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(NodeId::of_hash(&hash).0, hash[..20]);
        let mut padded = [0; 20];
        padded[..16].copy_from_slice(&hash[..16]);
        assert_eq!(NodeId::of_hash(&hash[..16]).0, padded);
        assert_eq!(NodeId::of_hash(&[]).0, [0; 20]);
    }

    #[test]
    fn an_id_is_shown_in_hex() {
        let id = NodeId(std::array::from_fn(|at| u8::try_from(at * 13).unwrap()));
        let hex = "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7";
        assert_eq!(id.to_string(), hex);
        assert_eq!(format!("{id:?}"), hex);
    }

    #[test]
    fn logarithms_of_powers_of_two_are_whole() {
        let zero = NodeId([0; 20]);
        for index in 0..160_usize {
            let expected = f64::from(u32::try_from(159 - index).unwrap());
            let log = zero.distance(&one_bit(index)).log2();
            assert!((log - expected).abs() < 1e-9, "{index}: {log}");
        }
        assert!(zero.distance(&zero).log2().abs() < f64::EPSILON);
        let whole = zero.distance(&NodeId([0xff; 20])).log2();
        assert!((whole - 160.0).abs() < 1e-9, "{whole}");
        let mut five = [0; 20];
        five[19] = 5;
        let log = zero.distance(&NodeId(five)).log2();
        assert!((log - 5_f64.log2()).abs() < 1e-12, "{log}");
    }

    #[test]
    fn bits_count_from_the_most_significant() {
        for index in 0..160_u32 {
            let id = one_bit(index as usize);
            assert!((0..200).all(|at| id.bit(at) == (at == index)));
            assert_eq!(NodeId([0; 20]).common_prefix(&id), index);
        }
        assert_eq!(NodeId([7; 20]).common_prefix(&NodeId([7; 20])), 160);
    }

    proptest! {
        #[test]
        fn the_metric_is_one(a in ids(), b in ids(), c in ids()) {
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a.distance(&a).leading_zeros(), 160);
            prop_assert_eq!(a.distance(&b) == a.distance(&c), b == c);
            let shared = (0..160).take_while(|at| a.bit(*at) == b.bit(*at)).count();
            prop_assert_eq!(a.common_prefix(&b) as usize, shared);
        }

        #[test]
        fn a_prefix_is_kept_and_the_rest_is_drawn(id in ids(), bits in 0..200_u32, seed: u64) {
            let mut rng = StdRng::seed_from_u64(seed);
            let drawn: Vec<_> = (0..40).map(|_| id.random_with_prefix(bits, &mut rng)).collect();
            prop_assert!(drawn.iter().all(|other| other.common_prefix(&id) >= bits.min(160)));
            for free in bits..160 {
                prop_assert!(drawn.iter().any(|other| other.bit(free)));
                prop_assert!(drawn.iter().any(|other| !other.bit(free)));
            }
        }

        #[test]
        fn a_logarithm_grows_with_its_distance(a in ids(), b in ids()) {
            let zero = NodeId([0; 20]);
            let (near, far) = (zero.distance(&a.min(b)), zero.distance(&a.max(b)));
            prop_assert!(near.log2() <= far.log2());
            let places = f64::from(160 - far.leading_zeros());
            prop_assert!((places - 1.0..=places).contains(&far.log2()));
        }
    }
}
