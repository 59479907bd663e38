//! FAD-infinity, distances song by song, kernel distances, divergences of classes and clusters, and perplexity.

use crate::{
    cases,
    generator::{sample, scale},
    list, near, number, numbers, text, whole,
};
use serde_json::Value;
use stages::metric::{
    classes::{EPSILON, inception_score, paired_divergence, sigmoid, softmax},
    cross_entropy::CrossEntropy,
    draws::Draws,
    frechet::{Gaussian, Grid, Songs, infinity, paired_difference},
    sets::{Kernel, Smoothing, bandwidth, frontier_integral, kernel_distance, kernel_mean_discrepancy, mauve},
};

#[test]
fn subsets_without_replacement_remove_the_bias() {
    let file = cases("fad_inf");
    for case in list(&file).iter().filter(|case| case["without_replacement"].is_object()) {
        let d = whole(&case["d"]);
        let of = |seed: &str, n: &str| {
            let (seed, n) = (whole(&case[seed]) as u64, whole(&case[n]));
            sample(seed, [n, d], &scale(text(&case["kind"]), d), &|_| 0.0, number(&case["mix"]))
        };
        let (reference, vectors) = (Gaussian::of(&of("seed_x", "n_ref"), d), of("seed_y", "n_eval"));
        let plain = Gaussian::of(&vectors, d).distance(&reference).expect("enough");
        near(plain, number(&case["plain_fad"]), 1e-9);
        let expected = &case["without_replacement"];
        let sizes: Vec<usize> = list(&expected["ns"]).iter().map(whole).collect();
        let grid = Grid { from: sizes[0], sizes: sizes.len(), repeats: 1 };
        assert_eq!(grid.of(vectors.len() / d).as_ref(), Some(&sizes));
        let seed = whole(&expected["seed0"]) as u64;
        let found = infinity(&reference, &vectors, grid, seed).expect("enough");
        near(found.value, number(&expected["intercept"]), 1e-8);
        near(found.slope, number(&expected["slope"]), 1e-9);
        assert_eq!(found.error, None);
        assert!(found.value < 0.5 * plain, "both sets are of one distribution");
    }
}

#[test]
fn repeats_say_how_sure_an_extrapolation_is() {
    let d = 8;
    let of = |seed, n| sample(seed, [n, d], &scale("well", d), &|_| 0.0, 0.5);
    let (reference, vectors) = (Gaussian::of(&of(77, 2000), d), of(78, 400));
    let with = |repeats| {
        let grid = Grid { from: 100, sizes: 8, repeats };
        infinity(&reference, &vectors, grid, 5).expect("enough")
    };
    let (few, many) = (with(4), with(16));
    let (few_error, many_error) = (few.error.expect("repeats"), many.error.expect("repeats"));
    assert!(many_error > 0.0 && many_error < few_error && (few.value - many.value).abs() < 4.0 * few_error);
    assert_eq!(infinity(&reference, &vectors, Grid { from: 400, sizes: 8, repeats: 1 }, 5), None, "no smaller subset");
    assert_eq!(many, with(16));
}

fn songs(case: &Value, d: usize, count: usize) -> Vec<Gaussian> {
    let own = scale("well", d);
    let song = |song: &Value| {
        let (n, mean) = (whole(&song["n"]), number(&song["mean"]));
        Gaussian::of(&sample(whole(&song["seed"]) as u64, [n, d], &own, &|_| mean, 0.5), d)
    };
    list(&case["songs"]).iter().take(count).map(song).collect()
}

#[test]
fn songs_are_ranked_left_out_and_resampled() {
    let file = cases("misc");
    let case = &file["per_song"];
    let d = whole(&case["ref"]["d"]);
    let n = whole(&case["ref"]["n"]);
    let reference =
        Gaussian::of(&sample(whole(&case["ref"]["seed"]) as u64, [n, d], &scale("well", d), &|_| 0.0, 0.5), d);
    let all = songs(case, d, usize::MAX);
    let set = Songs { reference: &reference, songs: &all };
    for (found, expected) in set.each().into_iter().zip(list(&case["per_song_fad"])) {
        assert_eq!(found.is_none(), expected.is_null(), "one vector has no covariance");
        if let Some(found) = found {
            near(found, number(expected), 1e-9);
        }
    }
    near(set.distance().expect("enough"), number(&case["fad_all"]), 1e-9);
    let contributions = set.contributions();
    for (i, (found, expected)) in contributions.iter().zip(numbers(&case["leave_one_out_contribution"])).enumerate() {
        near(found.expect("enough"), expected, 1e-8);
        // Computed anew without the song.
        let rest: Vec<Gaussian> =
            all.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, song)| song.clone()).collect();
        let rest = Songs { reference: &reference, songs: &rest }.distance().expect("enough");
        near(found.expect("enough"), set.distance().expect("enough") - rest, 1e-9);
    }

    let case = &file["fad_song_bootstrap"];
    let eight = Songs { reference: &reference, songs: &all[..8] };
    let (times, seed) = (whole(&case["B"]), whole(&case["seed"]) as u64);
    let point = eight.distance().expect("enough");
    near(point, number(&case["point"]), 1e-9);
    let first = eight.bootstrap(5, seed);
    let expected = numbers(&case["first5"]);
    near(first.mean(), expected.iter().sum::<f64>() / 5.0, 1e-9);
    let replicates = eight.bootstrap(times, seed);
    assert_eq!(replicates.count(), times);
    near(replicates.mean(), number(&case["mean"]), 1e-9);
    near(replicates.deviation(), number(&case["sd"]), 1e-9);
    let [low, high] = replicates.percentile(0.95);
    let expected = numbers(&case["pct95"]);
    near(low, expected[0], 1e-9);
    near(high, expected[1], 1e-9);
    // The plain interval lies over the distance; the corrected one around it.
    let [low, high] = replicates.bias_corrected(point, 0.95);
    assert!(low < point && point < high, "{low} {point} {high}");
    near(high - low, expected[1] - expected[0], 1e-9);
}

#[test]
fn two_systems_are_compared_task_by_task() {
    let d = 6;
    let own = scale("well", d);
    let reference = Gaussian::of(&sample(1, [2000, d], &own, &|_| 0.0, 0.5), d);
    // Ten tasks that differ in one direction, far more than the systems do in another.
    let system = |by: f64, seed: u64| -> Vec<Gaussian> {
        let song = |task: u64| {
            let mean = |j: usize| [(task as f64 - 4.5) * 0.3, by].get(j).copied().unwrap_or(0.0);
            Gaussian::of(&sample(seed + task, [40, d], &own, &mean, 0.5), d)
        };
        (0..10).map(song).collect()
    };
    let (near, far) = (system(0.0, 100), system(1.0, 200));
    let [near, far] = [&near, &far].map(|songs| Songs { reference: &reference, songs });
    let (estimate, replicates) = paired_difference(far, near, 300, 7).expect("as many songs");
    let [low, high] = replicates.bias_corrected(estimate, 0.95);
    assert!(low > 0.0 && low < estimate && estimate < high, "{low} {estimate} {high}");
    let alone = [near, far].map(|songs| songs.bootstrap(300, 7).deviation());
    assert!(replicates.deviation() < alone[0].hypot(alone[1]), "what tasks have in common is no noise");
    let (same, replicates) = paired_difference(near, near, 50, 7).expect("as many songs");
    assert_eq!((same, replicates.percentile(0.95)), (0.0, [0.0, 0.0]));
    let fewer = Songs { songs: &near.songs[..9], ..near };
    assert!(paired_difference(near, fewer, 10, 7).is_none());
}

#[test]
fn kernel_distances_take_their_bandwidth_from_the_reference() {
    let file = cases("kad");
    for case in list(&file) {
        let d = whole(&case["d"]);
        let own = scale(text(&case["kind"]), d);
        let (m, n, shift) = (whole(&case["m"]), whole(&case["n"]), number(&case["shift"]));
        let x = sample(whole(&case["seed_x"]) as u64, [m, d], &own, &|_| 0.0, 0.5);
        let moved = |j: usize| shift * own(j) * ((j % 3) as f64 - 1.0);
        let y = sample(whole(&case["seed_y"]) as u64, [n, d], &|j| 1.25 * own(j), &moved, 0.25);
        let of_reference = bandwidth(&x, d).expect("pairs");
        let of_candidate = bandwidth(&y, d).expect("pairs");
        near(of_reference, number(&case["bandwidth_ref_lower_median"]), 1e-12);
        near(of_candidate, number(&case["bandwidth_eval_lower_median"]), 1e-12);
        let check = |kernel: Kernel, name: &str| {
            let found = kernel_mean_discrepancy(&x, &y, d, kernel).expect("enough");
            let expected = numbers(&case[format!("f64_{name}_unbiased_biased")]);
            near(100.0 * found.unbiased, expected[0], 1e-9);
            near(100.0 * found.biased, expected[1], 1e-9);
        };
        for (own, from) in [(of_reference, "ref"), (of_candidate, "eval")] {
            check(Kernel::Gaussian(own), &format!("gaussian_{from}_bandwidth"));
            check(Kernel::InverseQuadratic(own), &format!("iq_{from}_bandwidth"));
            check(Kernel::InverseMultiquadric(own), &format!("imq_{from}_bandwidth"));
        }
        check(Kernel::Gaussian(10.0), "gaussian_bw10");
        let distance = kernel_distance(&x, &y, d).expect("enough");
        near(distance, numbers(&case["f64_gaussian_ref_bandwidth_unbiased_biased"])[0], 1e-9);
        // The published tool's figure, in 32 bits, of whichever set comes first.
        near(distance, number(&case["swap_args_kadtk_f32"]), 1e-3);
        let (name, cubic) = case
            .as_object()
            .and_then(|case| case.iter().find(|(key, _)| key.starts_with("kid_poly3")))
            .expect("a case");
        let first: usize = name["kid_poly3_first".len()..].parse().expect("a number");
        let found = kernel_mean_discrepancy(&x[..first * d], &y[..first * d], d, Kernel::Cubic).expect("enough");
        near(found.unbiased, number(cubic), 1e-9);
    }
}

#[test]
fn classes_and_codes() {
    let file = cases("misc");
    let rows = |name: &str| list(&file["kld"][name]).iter().map(numbers).collect::<Vec<Vec<f64>>>();
    let (generated, real) = (rows("logits_gen"), rows("logits_ref"));
    let with = |of: &[Vec<f64>], to: fn(&[f64]) -> Vec<f64>| of.iter().map(|row| to(row)).collect::<Vec<_>>();
    let (p, q) = (with(&real, softmax), with(&generated, softmax));
    near(paired_divergence(&p, &q, EPSILON), number(&file["kld"]["audioldm_eval_softmax"]), 1e-9);
    near(paired_divergence(&p, &q, EPSILON), number(&file["kld"]["audiocraft_kld_pq"]), 1e-9);
    near(paired_divergence(&q, &p, EPSILON), number(&file["kld"]["audiocraft_kld_qp"]), 1e-9);
    let (tags, others) = (with(&real, sigmoid), with(&generated, sigmoid));
    near(paired_divergence(&tags, &others, EPSILON), number(&file["kld"]["audioldm_eval_sigmoid"]), 1e-9);
    for (i, expected) in numbers(&file["kld"]["exact_KL_ref_gen_per_item"]).into_iter().enumerate() {
        near(paired_divergence(&p[i..=i], &q[i..=i], 0.0), expected, 1e-10);
    }
    near(inception_score(&q), number(&file["inception_score"]["value"]), 1e-9);

    let case = &file["perplexity"];
    let mut found = CrossEntropy::default();
    for (logits, targets) in list(&case["logits"]).iter().zip(list(&case["targets"])) {
        for (logits, target) in list(logits).iter().zip(numbers(targets)) {
            if target != number(&case["ignore_index"]) {
                found.add(&numbers(logits), target as usize);
            }
        }
    }
    near(found.nats, number(&case["nll_sum"]), 1e-12);
    assert_eq!(found.codes, whole(&case["count"]) as u64);
    near(found.perplexity(), number(&case["perplexity"]), 1e-12);
    near(found.bits(), number(&case["bits_per_token"]), 1e-12);
}

#[test]
fn histograms_diverge() {
    for case in list(&cases("misc")["mauve_histograms"]) {
        let (p, q) = (numbers(&case["counts_p"]), numbers(&case["counts_q"]));
        near(mauve(&p, &q, Smoothing::None), number(&case["mauve_c5"]), 1e-9);
        near(mauve(&p, &q, Smoothing::None), number(&case["mauve_reference_pkg"]), 1e-9);
        near(mauve(&p, &q, Smoothing::Half), number(&case["mauve_reference_pkg_star"]), 1e-9);
        near(frontier_integral(&p, &q, Smoothing::None), number(&case["frontier_integral_pkg"]), 1e-9);
        near(frontier_integral(&p, &q, Smoothing::Half), number(&case["frontier_integral_pkg_star"]), 1e-9);
    }
}

#[test]
fn draws_are_uniform() {
    let mut draws = Draws::new(42);
    let mean = (0..10_000).map(|_| draws.uniform()).sum::<f64>() / 10_000.0;
    assert!((mean - 0.5).abs() < 0.01);
}
