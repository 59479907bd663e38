//! Analysis of variance with repeated measures: every assessor rates every cell.

use crate::metric::special::f_above;

/// An effect with its tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The statistic `F`.
    pub f: f64,
    /// Degrees of freedom of the effect and of its error.
    pub degrees: [f64; 2],
    /// Probability of as large an `F` by chance, if differences of conditions all have one variance (sphericity).
    pub p: f64,
    /// Greenhouse and Geisser's epsilon (1959), by which degrees of freedom shrink where they do not.
    pub greenhouse_geisser: f64,
    /// Probability with that epsilon.
    pub p_greenhouse_geisser: f64,
    /// Huynh and Feldt's epsilon (1976), less strict, at most 1.
    pub huynh_feldt: f64,
    /// Probability with that epsilon: the one that BS.1534-3 recommends.
    pub p_huynh_feldt: f64,
    /// Sums of squares of the effect and of its error.
    pub squares: [f64; 2],
    /// Share of the effect in both sums.
    pub partial_eta_squared: f64,
}

/// Ratings of one assessor: a row for each condition, a column for each item.
pub type Cells = Vec<Vec<f64>>;

/// The parts into which ratings fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// Differences between conditions, over all items.
    Condition,
    /// Differences between items, over all conditions.
    Item,
    /// Differences between conditions that depend on the item.
    Interaction,
}

impl Factor {
    /// The part of one assessor's ratings that is this factor's, and its degrees of freedom.
    fn part(self, cells: &Cells) -> (Vec<f64>, f64) {
        let (conditions, items) = (cells.len(), cells.first().map_or(0, Vec::len));
        let row = |c: usize| cells[c].iter().sum::<f64>() / items as f64;
        let column = |i: usize| cells.iter().map(|row| row[i]).sum::<f64>() / conditions as f64;
        let rows: Vec<f64> = (0..conditions).map(row).collect();
        let columns: Vec<f64> = (0..items).map(column).collect();
        let mean = rows.iter().sum::<f64>() / conditions as f64;
        let part = |c: usize, i: usize| match self {
            Factor::Condition => rows[c] - mean,
            Factor::Item => columns[i] - mean,
            Factor::Interaction => cells[c][i] - rows[c] - columns[i] + mean,
        };
        let (own, other) = ((conditions - 1) as f64, (items - 1) as f64);
        let degrees = match self {
            Factor::Condition => own,
            Factor::Item => other,
            Factor::Interaction => own * other,
        };
        ((0..conditions).flat_map(|c| (0..items).map(move |i| (c, i))).map(|(c, i)| part(c, i)).collect(), degrees)
    }
}

/// Analysis of variance with repeated measures of assessors' ratings, all of one shape. One-way for ratings with one
/// item. `None` where there are fewer than two assessors, the factor has one level, or all assessors rate alike.
pub fn repeated_measures(assessors: &[Cells], factor: Factor) -> Option<Effect> {
    let parts: Vec<(Vec<f64>, f64)> = assessors.iter().map(|cells| factor.part(cells)).collect();
    let degrees = parts.first()?.1;
    if assessors.len() < 2 || degrees < 1.0 {
        return None;
    }
    let n = assessors.len() as f64;
    let cells = parts[0].0.len();
    let mean: Vec<f64> = (0..cells).map(|i| parts.iter().map(|part| part.0[i]).sum::<f64>() / n).collect();
    let rest: Vec<Vec<f64>> =
        parts.iter().map(|(part, _)| part.iter().zip(&mean).map(|(own, mean)| own - mean).collect()).collect();
    let of_effect = n * mean.iter().map(|value| value * value).sum::<f64>();
    let of_error: f64 = rest.iter().flatten().map(|value| value * value).sum();
    if of_error == 0.0 {
        return None;
    }
    let error_degrees = degrees * (n - 1.0);
    let f = (of_effect / degrees) / (of_error / error_degrees);
    // Traces of the covariance between assessors and of its square, which are those of inner products.
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let square: f64 = rest.iter().flat_map(|a| rest.iter().map(|b| inner(a, b) * inner(a, b))).sum();
    let greenhouse_geisser = (of_error * of_error / (degrees * square)).clamp(1.0 / degrees, 1.0);
    let epsilon = degrees * greenhouse_geisser;
    let huynh_feldt = match degrees * (n - 1.0 - epsilon) {
        below if below > 0.0 => ((n * epsilon - 2.0) / below).clamp(greenhouse_geisser, 1.0),
        _ => 1.0,
    };
    let p = |epsilon: f64| f_above(f, epsilon * degrees, epsilon * error_degrees);
    Some(Effect {
        f,
        degrees: [degrees, error_degrees],
        p: p(1.0),
        greenhouse_geisser,
        p_greenhouse_geisser: p(greenhouse_geisser),
        huynh_feldt,
        p_huynh_feldt: p(huynh_feldt),
        squares: [of_effect, of_error],
        partial_eta_squared: of_effect / (of_effect + of_error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{draws::Draws, listening::ranks::paired_t};

    #[test]
    fn two_conditions_are_a_paired_test() {
        let mut draws = Draws::new(9);
        let assessors: Vec<Cells> = (0..12).map(|_| vec![vec![draws.uniform()], vec![draws.uniform() + 0.3]]).collect();
        let found = repeated_measures(&assessors, Factor::Condition).expect("enough");
        let test = paired_t(&assessors.iter().map(|cells| cells[0][0] - cells[1][0]).collect::<Vec<f64>>());
        assert!((found.f - test.statistic * test.statistic).abs() < 1e-10 && (found.p - test.p).abs() < 1e-12);
        assert_eq!((found.greenhouse_geisser, found.huynh_feldt), (1.0, 1.0));
        assert_eq!(repeated_measures(&assessors, Factor::Item), None, "one item");
        assert_eq!(repeated_measures(&assessors[..1], Factor::Condition), None);
    }

    #[test]
    fn squares_add_up() {
        let mut draws = Draws::new(10);
        let mut cells = || (0..3).map(|_| (0..4).map(|_| draws.uniform()).collect()).collect::<Cells>();
        let assessors: Vec<Cells> = (0..5).map(|_| cells()).collect();
        let factors = [Factor::Condition, Factor::Item, Factor::Interaction];
        let sum: f64 = factors.iter().flat_map(|f| repeated_measures(&assessors, *f).expect("enough").squares).sum();
        // All but the differences between assessors.
        let within = |cells: &Cells| {
            let all: Vec<f64> = cells.iter().flatten().copied().collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            all.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>()
        };
        assert!((sum - assessors.iter().map(within).sum::<f64>()).abs() < 1e-10);
    }
}
