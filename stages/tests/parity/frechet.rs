//! The Fréchet distance and its statistics against other implementations, on samples that any language can make.
//!
//! Expected distances were computed with numpy in float64 by QR and singular values; those in eight dimensions agree
//! with 60-digit arithmetic (mpmath) to 2e-14.

use crate::{
    generator::{normals, sample, scale},
    near,
};
use stages::metric::frechet::Gaussian;

/// Kind, rows of either set, dimensions, the first seed (the second is the next), sum and sum of squares of the first
/// set, and the distance.
type Case = (&'static str, usize, usize, usize, u64, f64, f64, f64);

const CASES: [Case; 7] = [
    ("well", 500, 600, 8, 1000, -63.97990759923641, 1874.3664855534644, 0.15735085838728757),
    ("rankdef", 500, 600, 8, 1004, -7.260371409727668, 883.2672784769433, 0.10052432365869457),
    ("ill", 2000, 1500, 128, 1008, -1.1151097256941966, 13355.670521282498, 0.5290661633437086),
    ("well", 1500, 1200, 512, 1012, -1271.6610183265316, 341713.99464641744, 44.79396305460284),
    ("rankdef", 1500, 1200, 512, 1016, 144.66086301963776, 170945.6861704343, 15.511705722813645),
    // Fewer vectors than dimensions.
    ("well", 100, 150, 512, 1020, 8.82265588221344, 22945.632527049704, 254.22140354489375),
    ("well", 3, 5, 8, 1024, 1.1185496617108583, 7.304845551108061, 5.430995625591521),
];

fn sets(&(kind, n, m, d, seed, ..): &Case) -> [Vec<f64>; 2] {
    let own = scale(kind, d);
    let x = sample(seed, [n, d], &own, &|_| 0.0, 0.5);
    let moved = |j: usize| 0.25 * own(j) * ((j % 3) as f64 - 1.0);
    let y = sample(seed + 1, [m, d], &|j| 1.25 * own(j), &moved, 0.25);
    [x, y]
}

#[test]
fn distances_are_exact_whatever_the_rank() {
    for case in &CASES {
        let &(kind, .., d, _, sum, squares, distance) = case;
        let [x, y] = sets(case);
        near(x.iter().sum(), sum, 1e-9);
        near(x.iter().map(|v| v * v).sum(), squares, 1e-9);
        let (x, y) = (Gaussian::of(&x, d), Gaussian::of(&y, d));
        let found = x.distance(&y).expect("enough vectors");
        assert!((found / distance - 1.0).abs() < 1e-9, "{kind} {d}: {found} for {distance}");
        near(y.distance(&x).expect("enough vectors"), found, 1e-9);
        assert!(x.distance(&x).expect("enough vectors") < 1e-9 * found, "{kind} {d}");
    }
    // By 60-digit arithmetic (mpmath).
    for (kind, seed, distance) in [("well", 1000, 0.15735085838728858), ("ill", 1002, 0.11392786814785778)] {
        let [x, y] = sets(&(kind, 500, 600, 8, seed, 0.0, 0.0, distance)).map(|set| Gaussian::of(&set, 8));
        near(x.distance(&y).expect("enough vectors"), distance, 1e-12);
    }
    let one = Gaussian::of(&[1.0, 2.0], 2);
    assert_eq!(one.distance(&Gaussian::of(&[1.0, 2.0, 3.0, 5.0], 2)), None, "one vector has no covariance");
}

#[test]
fn a_set_that_hardly_varies_has_a_distance() {
    let d = 32;
    let wide = sample(7, [90, d], &scale("well", d), &|_| 0.0, 0.5);
    // The same vector again and again, but for what sums of logarithms leave in their last digits.
    let (of_rows, of_values) = (normals(8, 36), normals(9, 36 * d));
    for noise in [0.0, 1e-16, 1e-12, 1e-155] {
        let rows: Vec<f64> =
            (0..36 * d).map(|i| 0.1 * (i % d) as f64 + noise * of_rows[i / d] * (1.0 + 1e-16 * of_values[i])).collect();
        let (wide, still) = (Gaussian::of(&wide, d), Gaussian::of(&rows, d));
        let means: f64 = wide.mean().iter().zip(still.mean()).map(|(a, b)| (a - b) * (a - b)).sum();
        let trace: f64 = wide.scatter().iter().step_by(d + 1).sum::<f64>() / 89.0;
        near(wide.distance(&still).expect("enough vectors"), means + trace, 1e-9);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let [x, y] = sets(&CASES[2]);
    let measure = || {
        let (x, y) = (Gaussian::of(&x, 128), Gaussian::of(&y, 128));
        (x.distance(&y).map(f64::to_bits), x)
    };
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(measure);
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

/// Cuts of the rows, and the trace of the scatter up to each.
const CUTS: [(usize, f64); 6] = [
    (1, 0.0),
    (2, 3.6245940010994673),
    (9, 26.26576580935084),
    (100, 331.35500860500974),
    (640, 2071.5705304155654),
    (1000, 3201.0329164821273),
];

#[test]
fn parts_merge_and_come_out_again() {
    let d = 6;
    // A thousand times further from nothing than they are wide.
    let rows = sample(4000, [1000, d], &scale("well", d), &|j| 1000.0 + 10.0 * j as f64, 0.5);
    let (mut all, mut from) = (Gaussian::of(&[], d), 0);
    let mut parts = Vec::new();
    for (to, trace) in CUTS {
        parts.push(Gaussian::of(&rows[from * d..to * d], d));
        all = all.merge(&parts[parts.len() - 1]).merge(&Gaussian::of(&[], d));
        from = to;
        assert_eq!(all.count(), to as u64);
        let found: f64 = all.scatter().iter().step_by(d + 1).sum();
        near(found, trace, 1e-11);
    }
    let mean = [
        1000.0178785400391,
        1009.9793234863281,
        1019.9953087158203,
        1030.018492553711,
        1040.061429321289,
        1050.0188607177734,
    ];
    all.mean().iter().zip(mean).for_each(|(found, expected)| near(*found, expected, 1e-14));
    // Element [0, 1] of numpy's covariance.
    near(all.scatter()[1] / 999.0, 0.27566284028307286, 1e-12);

    let whole = Gaussian::of(&rows, d);
    near(whole.distance(&all).expect("enough vectors") + 1.0, 1.0, 1e-12);
    let without = all.remove(&parts[4]).expect("more than the part");
    let rest = [&rows[..100 * d], &rows[640 * d..]].concat();
    let direct = Gaussian::of(&rest, d);
    assert_eq!(without.count(), direct.count());
    without.scatter().iter().zip(direct.scatter()).for_each(|(found, expected)| near(*found, expected, 1e-9));
    near(without.distance(&whole).expect("enough"), direct.distance(&whole).expect("enough"), 1e-9);
    assert_eq!(all.remove(&all), None);
    assert_eq!(parts[1].remove(&all), None);
}

#[test]
fn one_song_of_a_thousand_comes_out_again() {
    for (kind, d) in [("well", 16), ("rankdef", 16), ("well", 32)] {
        let own = scale(kind, d);
        let rows = sample(17, [6000, d], &own, &|j| 3.0 + j as f64, 0.5);
        let songs: Vec<Gaussian> = rows.chunks(6 * d).map(|song| Gaussian::of(song, d)).collect();
        let whole = Gaussian::pooled(songs.iter().map(|song| (song, 1))).expect("songs");
        assert_eq!((songs.len(), whole.count()), (1000, 6000));
        let other = Gaussian::of(&sample(18, [500, d], &own, &|j| 3.1 + j as f64, 0.25), d);
        let fresh = Gaussian::of(&[&rows[..417 * 6 * d], &rows[418 * 6 * d..]].concat(), d);
        let expected = fresh.distance(&other).expect("enough vectors");
        let retracted = whole.remove(&songs[417]).expect("more than the song");
        assert_eq!(retracted.count(), fresh.count());
        near(retracted.distance(&other).expect("enough vectors"), expected, 1e-9);
        near(
            other.distance(&retracted.merge(&songs[417])).expect("enough"),
            other.distance(&whole).expect("enough"),
            1e-9,
        );
        // Often drawn is often counted.
        let twice = Gaussian::pooled([(&songs[0], 2), (&songs[1], 1)].into_iter()).expect("songs");
        let written = Gaussian::of(&[&rows[..6 * d], &rows[..12 * d]].concat(), d);
        near(twice.distance(&other).expect("enough"), written.distance(&other).expect("enough"), 1e-9);
    }
}
