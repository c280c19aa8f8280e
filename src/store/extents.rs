//! Which stretches of a file are there.

/// Stretches of a file, from where up to where.
///
/// Invariant: they are in order, none is empty, and none touches the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents(Vec<(u64, u64)>);

impl Extents {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes in all of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// Up to where the bytes from `at` on are there without a gap; `None` where
    /// that byte is not.
    #[must_use]
    pub fn reach(&self, at: u64) -> Option<u64> {
        let next = self.0.partition_point(|(_, to)| *to <= at);
        let (from, to) = *self.0.get(next)?;
        (from <= at).then_some(to)
    }

    /// The first stretch between `at` and `end` that is not there.
    #[must_use]
    pub fn gap(&self, at: u64, end: u64) -> Option<(u64, u64)> {
        let from = self.reach(at).unwrap_or(at);
        let next = self.0.partition_point(|(start, _)| *start <= from);
        let to = self.0.get(next).map_or(end, |(start, _)| end.min(*start));
        (from < to).then_some((from, to))
    }

    /// How many of the bytes from `from` up to `to` are there.
    #[must_use]
    pub fn overlap(&self, from: u64, to: u64) -> u64 {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let inside = self.0.iter().skip(first);
        inside
            .take_while(|(start, _)| *start < to)
            .map(|(start, end)| to.min(*end).saturating_sub(from.max(*start)))
            .sum()
    }

    /// The bytes from `from` up to `to` are there now.
    pub fn insert(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|(_, end)| *end < from);
        let past = self.0.partition_point(|(start, _)| *start <= to);
        if let [(start, end)] | [(start, _), .., (_, end)] = self.0[first..past] {
            (from, to) = (from.min(start), to.max(end));
        }
        self.0.splice(first..past, [(from, to)]);
    }

    /// Takes the stretch that begins at `at` away, and answers where it ends;
    /// `at` where none does.
    pub fn take(&mut self, at: u64) -> u64 {
        match self.0.first() {
            Some((from, to)) if *from <= at => {
                let to = *to;
                self.0.remove(0);
                to.max(at)
            }
            _ => at,
        }
    }

    /// Becomes like another one.
    pub fn copy(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 40;

    proptest! {
        #[test]
        fn they_are_the_bytes_that_were_put_in(
            stretches in prop::collection::vec((0..SIZE, 0..SIZE), 0..12),
        ) {
            let (mut extents, mut bytes) = (Extents::default(), vec![false; 40]);
            for (from, to) in stretches {
                extents.insert(from, to);
                (from..to).for_each(|at| bytes[usize::try_from(at).unwrap()] = true);
            }
            let is_here = |at: &u64| bytes[usize::try_from(*at).unwrap()];
            prop_assert!(extents.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert_eq!(extents.bytes(), (0..SIZE).filter(is_here).count() as u64);
            for at in 0..SIZE {
                let end = (at..SIZE).find(|at| !is_here(at)).unwrap_or(SIZE);
                prop_assert_eq!(extents.reach(at), is_here(&at).then_some(end));
                let gap = (at..SIZE).find(|at| !is_here(at)).map(|from| {
                    (from, (from..SIZE).find(is_here).unwrap_or(SIZE))
                });
                prop_assert_eq!(extents.gap(at, SIZE), gap);
                for to in 0..SIZE {
                    let here = (at..to).filter(is_here).count() as u64;
                    prop_assert_eq!(extents.overlap(at, to), here);
                }
            }
            let end = extents.reach(0).unwrap_or(0);
            prop_assert_eq!(extents.take(0), end);
            prop_assert_eq!(extents.reach(0), None);
        }
    }
}
