//! All ways to choose at several places, the likeliest first.

/// At each place there are choices from 0, the likeliest, to the last. Gives
/// every way to choose once, by the sum of its choices: first all 0, then those
/// with a 1 at one place, and so on.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    last: Vec<usize>,
    now: Vec<usize>,
    sum: usize,
    largest_sum: usize,
    begun: bool,
}

impl Choices {
    /// From the last choice of each place.
    pub fn new(last: Vec<usize>) -> Self {
        Self {
            now: vec![0; last.len()],
            sum: 0,
            largest_sum: last.iter().sum(),
            last,
            begun: false,
        }
    }

    /// The next way in lexicographic order with the same sum: one more at a
    /// place, as far behind as can be, and the rest behind that again.
    fn same_sum(&mut self) -> bool {
        let mut behind = 0;
        for place in (0..self.now.len()).rev() {
            if behind > 0 && self.now[place] < self.last[place] {
                self.now[place] += 1;
                self.spread(place + 1, behind - 1);
                return true;
            }
            behind += self.now[place];
        }
        false
    }

    fn larger_sum(&mut self) -> bool {
        if self.sum == self.largest_sum {
            return false;
        }
        self.sum += 1;
        self.spread(0, self.sum);
        true
    }

    /// Spreads a sum over the places from `first` on, the last ones first.
    fn spread(&mut self, first: usize, mut sum: usize) {
        for place in (first..self.now.len()).rev() {
            self.now[place] = sum.min(self.last[place]);
            sum -= self.now[place];
        }
    }
}

impl Iterator for Choices {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        if !self.begun {
            self.begun = true;
            return Some(self.now.clone());
        }
        (self.same_sum() || self.larger_sum()).then(|| self.now.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_way_comes_once_and_the_likeliest_first() {
        for last in [vec![], vec![0], vec![3], vec![1, 0, 2, 1], vec![1; 6]] {
            let ways: Vec<_> = Choices::new(last.clone()).collect();
            let count: usize = last.iter().map(|last| last + 1).product();
            assert_eq!(ways.len(), count);
            assert_eq!(ways.iter().collect::<BTreeSet<_>>().len(), count);
            assert!(ways.is_sorted_by_key(|way| way.iter().sum::<usize>()));
            for way in ways {
                assert!(way.iter().zip(&last).all(|(choice, last)| choice <= last));
            }
        }
    }
}
