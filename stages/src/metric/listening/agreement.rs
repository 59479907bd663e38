//! Agreement of listeners: Krippendorff's alpha (Krippendorff 2004; with the coincidence matrix of 2011).

use std::collections::BTreeMap;

/// How far apart two values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By the number of ratings between them: categories in an order.
    Ordinal,
    /// By their squared difference.
    Interval,
}

/// Krippendorff's alpha of the ratings of each item: 1 where all agree, 0 where ratings are as if drawn from all, below 0
/// where listeners disagree more than that. Items with a single rating say nothing; missing ratings need no stand-in.
/// `None` where no item has two ratings, or all ratings are the same.
pub fn alpha(items: &[Vec<i64>], scale: Scale) -> Option<f64> {
    // Coincidences of pairs of values within items.
    let mut pairs: BTreeMap<(i64, i64), f64> = BTreeMap::new();
    let mut totals: BTreeMap<i64, f64> = BTreeMap::new();
    for ratings in items.iter().filter(|ratings| ratings.len() > 1) {
        let share = 1.0 / (ratings.len() - 1) as f64;
        for (i, own) in ratings.iter().enumerate() {
            *totals.entry(*own).or_default() += 1.0;
            for (_, other) in ratings.iter().enumerate().filter(|(j, _)| *j != i) {
                *pairs.entry((*own, *other)).or_default() += share;
            }
        }
    }
    let all: f64 = totals.values().sum();
    let apart = |a: i64, b: i64| match scale {
        Scale::Interval => ((a - b) * (a - b)) as f64,
        Scale::Ordinal => {
            let between: f64 = totals.range(a.min(b)..=a.max(b)).map(|(_, total)| total).sum();
            let distance = between - (totals[&a] + totals[&b]) / 2.0;
            distance * distance
        }
    };
    let observed: f64 = pairs.iter().map(|((a, b), count)| count * apart(*a, *b)).sum::<f64>() / all;
    let by_chance = |(a, own): (&i64, &f64)| totals.iter().map(|(b, other)| own * other * apart(*a, *b)).sum::<f64>();
    let expected = totals.iter().map(by_chance).sum::<f64>() / (all * (all - 1.0));
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_agreement() {
        let same = vec![vec![1, 1, 1], vec![4, 4], vec![5]];
        assert_eq!(alpha(&same, Scale::Interval), Some(1.0));
        assert_eq!(alpha(&[vec![1], vec![2]], Scale::Ordinal), None);
        assert_eq!(alpha(&[vec![3, 3], vec![3, 3]], Scale::Interval), None);
        // Krippendorff 2011, example C: four observers of twelve units; 0.849 on an interval and 0.815 on an ordinal
        // scale.
        let units = [
            "1 1 _ 1", "2 2 3 2", "3 3 3 3", "3 3 3 3", "2 2 2 2", "1 2 3 4", "4 4 4 4", "1 1 2 1", "2 2 2 2",
            "_ 5 5 5", "_ _ 1 1", "_ _ 3 _",
        ];
        let units: Vec<Vec<i64>> =
            units.iter().map(|unit| unit.split(' ').filter_map(|value| value.parse().ok()).collect()).collect();
        let round = |scale| alpha(&units, scale).map(|value| (value * 1000.0).round());
        assert_eq!((round(Scale::Interval), round(Scale::Ordinal)), (Some(849.0), Some(815.0)));
    }
}
