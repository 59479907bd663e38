//! Statistics of listening tests, and loudness.

use crate::{cases, list, near, number, numbers, rows, text, whole};
use serde_json::Value;
use stages::metric::{
    draws::Draws,
    listening::{
        abx::{Answers, d_prime, d_prime_of_choice, fewest_right, trials_for},
        agreement::{Scale, alpha},
        loudness::loudness,
        mos::{Opinion, bootstrapped, comparisons, score},
        mushra::{
            Ratings, assessor_means, bimodality, outliers, permutation_test, pooled, quartiles, screening, summary,
        },
        ranks::{friedman, paired_t, signed_ranks, signs},
        variance::{Cells, Effect, Factor, repeated_measures},
    },
};
use std::collections::BTreeMap;

fn interval(found: [f64; 2], expected: &Value, tolerance: f64) {
    found.into_iter().zip(numbers(expected)).for_each(|(found, expected)| near(found, expected, tolerance));
}

#[test]
fn abx() {
    let file = cases("abx");
    for case in list(&file["table"]) {
        let answers = Answers { trials: whole(&case["n"]) as u64, right: whole(&case["k"]) as u64 };
        near(answers.one_sided(), number(&case["p_one"]), 1e-11);
        near(answers.two_sided(), number(&case["p_two"]), 1e-11);
        near(answers.mid_p(), number(&case["p_one_mid"]), 1e-11);
        near(answers.heard(), number(&case["pd_abbott"]), 1e-12);
        interval(answers.clopper_pearson(0.95), &case["clopper_pearson95"], 1e-10);
        interval(answers.wilson(0.95), &case["wilson95"], 1e-10);
    }
    for case in list(&file["min_correct"]) {
        let found = fewest_right(whole(&case["n"]) as u64, number(&case["alpha"]));
        assert_eq!(found.map(|(right, _)| right), case["k"].as_u64(), "{case}");
        if let Some((_, chance)) = found {
            near(chance, number(&case["actual_alpha"]), 1e-11);
        }
    }
    for case in list(&file["power"]) {
        let of = |name: &str| number(&case[name]);
        let found = trials_for(of("power"), of("p_correct"), of("alpha")).expect("enough trials");
        let expected = [&case["first_n"], &case["sawtooth_safe_n"]].map(|n| whole(n) as u64);
        assert_eq!([found.first, found.safe], expected, "{case}");
    }
    for (name, of) in
        [("dprime_independent_observation", d_prime as fn(f64) -> f64), ("dprime_2afc_sqrt2_z", d_prime_of_choice)]
    {
        for pair in list(&file[name]) {
            let pair = numbers(pair);
            near(of(pair[0]), pair[1], 1e-9);
        }
    }
}

fn opinions() -> Vec<Opinion> {
    let row = |row: Vec<String>| {
        let score = row[3].parse().expect("a score");
        Opinion { rater: row[0].clone(), item: row[1].clone(), system: row[2].clone(), score }
    };
    rows("mos_ratings").into_iter().map(row).collect()
}

#[test]
fn mos() {
    let (file, opinions) = (cases("mos"), opinions());
    for case in list(&file["systems"]) {
        let system = case["system"].to_string();
        let found = score(&opinions, &system).expect("ratings");
        assert_eq!((found.ratings, found.median), (whole(&case["n"]), number(&case["median"])));
        near(found.mean, number(&case["mos"]), 1e-12);
        near(found.deviation, number(&case["sd"]), 1e-12);
        interval(found.student, &case["ci95_t"], 1e-10);
        assert_eq!(found.counts.to_vec(), list(&case["counts"]).iter().map(whole).collect::<Vec<_>>());
        let (iid, cluster) = (&case["bootstrap_iid"], &case["bootstrap_cluster_raters"]);
        let seeds = [iid, cluster].map(|case| whole(&case["seed"]) as u64);
        let found = bootstrapped(&opinions, &system, whole(&iid["B"]), seeds).expect("ratings");
        interval(found.percentile, &iid["pct95"], 1e-12);
        near(found.error, number(&iid["se"]), 1e-10);
        interval(found.by_rater, &cluster["pct95"], 1e-12);
        near(found.rater_error, number(&cluster["se"]), 1e-10);
        let bca = &case["bootstrap_bca"];
        near(found.accelerated.bias, number(&bca["z0"]), 1e-9);
        near(found.accelerated.acceleration, number(&bca["a"]), 1e-8);
        interval(found.accelerated.shares, &bca["alphas"], 1e-9);
        interval(found.accelerated.interval, &bca["ci95"], 1e-9);
    }
    let pairs = comparisons(&opinions);
    assert_eq!(pairs.len(), list(&file["pairwise_on_rater_means"]).len());
    for (found, case) in pairs.iter().zip(list(&file["pairwise_on_rater_means"])) {
        assert_eq!(found.systems, [case["a"].to_string(), case["b"].to_string()]);
        near(found.difference, number(&case["mean_diff"]), 1e-12);
        near(found.t.statistic, number(&case["t"]), 1e-10);
        near(found.t.p / number(&case["p_t"]), 1.0, 1e-9);
        near(found.holm / number(&case["p_t_holm"]), 1.0, 1e-9);
        near(found.effect, number(&case["cohen_dz"]), 1e-10);
        let ranks = found.signed_ranks.expect("differences");
        near(ranks.statistic, number(&case["W"]), 1e-12);
        near(ranks.approximate / number(&case["p_w_approx"]), 1.0, 1e-9);
        near(ranks.continuous / number(&case["p_w_approx_cc"]), 1.0, 1e-9);
    }
    let mut units: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
    for opinion in &opinions {
        units.entry((&opinion.item, &opinion.system)).or_default().push(opinion.score as i64);
    }
    let units: Vec<Vec<i64>> = units.into_values().collect();
    for (scale, name) in [(Scale::Interval, "interval"), (Scale::Ordinal, "ordinal")] {
        near(alpha(&units, scale).expect("ratings"), number(&file[format!("krippendorff_alpha_{name}")]), 1e-12);
    }
}

fn ratings(conditions: &[&str]) -> Ratings {
    let mut scores: Vec<Vec<Vec<f64>>> = Vec::new();
    for row in rows("mushra_ratings") {
        let at = |i: usize| row[i].parse::<usize>().expect("a number");
        let (assessor, item) = (at(0), at(1));
        scores.resize_with(scores.len().max(assessor + 1), Vec::new);
        let own = &mut scores[assessor];
        own.resize_with(own.len().max(item + 1), || vec![f64::NAN; conditions.len()]);
        let condition = conditions.iter().position(|name| *name == row[2]).expect("a condition");
        own[item][condition] = at(3) as f64;
    }
    Ratings { conditions: conditions.iter().map(|name| (*name).to_owned()).collect(), scores }
}

fn effect(found: Option<Effect>, case: &Value) {
    let found = found.expect("an effect");
    near(found.f, number(&case["F"]), 1e-9);
    assert_eq!(found.degrees, [number(&case["df1"]), number(&case["df2"])]);
    for (found, name) in [
        (found.p, "p"),
        (found.greenhouse_geisser, "eps_gg"),
        (found.p_greenhouse_geisser, "p_gg"),
        (found.huynh_feldt, "eps_hf"),
        (found.p_huynh_feldt, "p_hf"),
    ] {
        near(found / number(&case[name]), 1.0, 1e-9);
    }
}

#[test]
fn mushra() {
    let file = cases("mushra");
    let conditions: Vec<&str> = list(&file["conditions"]).iter().map(text).collect();
    let ratings = ratings(&conditions);
    let place = |name: &str| conditions.iter().position(|own| *own == name).expect("a condition");
    let found = screening(&ratings, place("reference"), Some(place("anchor70")));
    let indices = |name: &str| list(&file[name]).iter().map(whole).collect::<Vec<_>>();
    assert_eq!(found.reference_below, numbers(&file["hidden_ref_below90_fraction"]));
    assert_eq!(found.anchor_above, numbers(&file["mid_anchor_above90_fraction_by_item"]));
    assert_eq!(found.not_counted, indices("items_disregarded_for_rule2"));
    assert_eq!(found.by_reference, indices("excluded_rule1"));
    assert_eq!(found.by_anchor, indices("excluded_rule2"));
    assert_eq!(found.kept, indices("kept"));
    let kept = found.kept;
    for case in list(&file["summary"]) {
        let name = text(&case["condition"]);
        let found = summary(&ratings, &kept, place(name));
        assert_eq!(found.ratings, whole(&case["n_ratings"]));
        near(found.mean, number(&case["mean"]), 1e-12);
        near(found.deviation, number(&case["sd"]), 1e-11);
        interval(found.student, &case["ci95_t_all_ratings"], 1e-10);
        interval(found.by_assessor, &case["ci95_t_assessor_means"], 1e-10);
        assert_eq!(found.median, number(&case["median"]));
        assert_eq!(found.quartiles, [number(&case["q1_bs1534"]), number(&case["q3_bs1534"])]);
        near(found.spread, number(&case["mad_about_median"]), 1e-12);
        let expected = number(&file["multimodality_b_bias_corrected_g_k"][name]);
        near(bimodality(&pooled(&ratings, &kept, place(name))), expected, 1e-10);
        near(found.bimodality, expected, 1e-10);
    }
    for case in list(&file["quartile_cases"]) {
        let mut values = numbers(&case["x"]);
        values.sort_by(f64::total_cmp);
        let expected = list(&case["q1_q3_outliers"]);
        assert_eq!(quartiles(&values), [number(&expected[0]), number(&expected[1])]);
        assert_eq!(outliers(&values), numbers(&expected[2]));
    }
    for case in list(&file["pairwise"]) {
        let means = |name: &str| assessor_means(&ratings, &kept, place(text(&case[name])));
        let differences: Vec<f64> = means("a").iter().zip(means("b")).map(|(a, b)| a - b).collect();
        assert_eq!(differences.len(), whole(&case["n"]));
        let t = paired_t(&differences);
        near(t.statistic, number(&case["t"]), 1e-10);
        near(t.p / number(&case["p_t"]), 1.0, 1e-9);
        let ranks = signed_ranks(&differences).expect("differences");
        assert_eq!(ranks.statistic, number(&case["W_min"]));
        near(ranks.exact, number(&case["p_exact"]), 1e-12);
        near(ranks.approximate, number(&case["p_approx"]), 1e-10);
        near(ranks.continuous, number(&case["p_approx_cc"]), 1e-10);
        near(signs(&differences), number(&case["sign_test_p"]), 1e-11);
    }
    let systems = ["A", "B", "C"].map(place);
    let means = systems.map(|condition| assessor_means(&ratings, &kept, condition));
    let blocks: Vec<Vec<f64>> = (0..kept.len()).map(|i| means.iter().map(|of| of[i]).collect()).collect();
    let case = &file["friedman_ABC_assessor_means"];
    let found = friedman(&blocks).expect("ranks");
    near(found.chi_squared.statistic, number(&case["chi2"]), 1e-12);
    near(found.chi_squared.p / number(&case["p"]), 1.0, 1e-10);
    near(found.concordance, number(&case["kendalls_W"]), 1e-12);
    let blocks: Vec<Vec<f64>> = (kept.iter().flat_map(|assessor| &ratings.scores[*assessor]))
        .map(|item| systems.iter().map(|condition| item[*condition]).collect())
        .collect();
    let case = &file["friedman_ABC_assessor_x_item_blocks"];
    let found = friedman(&blocks).expect("ranks");
    assert_eq!(blocks.len(), whole(&case["blocks"]));
    near(found.chi_squared.statistic, number(&case["chi2"]), 1e-12);
    near(found.chi_squared.p / number(&case["p"]), 1.0, 1e-9);

    let of_assessor = |assessor: &usize| -> Cells {
        let items = &ratings.scores[*assessor];
        systems.iter().map(|condition| items.iter().map(|item| item[*condition]).collect()).collect()
    };
    let assessors: Vec<Cells> = kept.iter().map(of_assessor).collect();
    let one_way: Vec<Cells> = (0..kept.len()).map(|i| means.iter().map(|of| vec![of[i]]).collect()).collect();
    let case = &file["rm_anova_oneway_ABC"];
    let found = repeated_measures(&one_way, Factor::Condition);
    effect(found, case);
    near(found.expect("an effect").partial_eta_squared, number(&case["partial_eta_sq"]), 1e-10);
    for (factor, name) in
        [(Factor::Condition, "condition"), (Factor::Item, "item"), (Factor::Interaction, "condition:item")]
    {
        let case = &file["rm_anova_twoway_ABC_x_item"][name];
        let found = repeated_measures(&assessors, factor);
        effect(found, case);
        let [own, error] = found.expect("an effect").squares;
        near(own, number(&case["ss_effect"]), 1e-9);
        near(error, number(&case["ss_error"]), 1e-9);
    }
    let case = &file["bs1534_att3_permutation_A_minus_B"];
    let [a, b] = ["A", "B"].map(|name| pooled(&ratings, &kept, place(name)));
    let found = permutation_test(&a, &b, whole(&case["B"]), whole(&case["seed"]) as u64);
    assert_eq!(found.difference, number(&case["diff_act"]));
    let counts = [found.larger, found.at_least, found.as_far];
    assert_eq!(counts, ["count_gt", "count_ge", "count_abs_ge"].map(|name| whole(&case[name])));
    assert_eq!((found.as_written, found.p), (0.0, number(&case["p_plus1_two_sided"])));
}

#[test]
fn loudness_is_that_of_the_recommendation() {
    let file = cases("anchors_loudness");
    let table = &file["loudness_bs1770_table_coeffs_48k"];
    let noise = |seed: u64, rate: usize| {
        let mut draws = Draws::new(seed);
        (0..5 * rate).map(|_| (2.0 * draws.uniform() - 1.0) * 0.25).collect::<Vec<f64>>()
    };
    let gated = |rate: usize| {
        let mut signal = noise(6001, rate);
        signal[2 * rate..3 * rate].iter_mut().for_each(|v| *v *= 1e-4);
        signal[3 * rate..4 * rate].iter_mut().for_each(|v| *v *= 0.05);
        signal
    };
    let sine = |rate: usize| {
        let at = |i: usize| libm::sin(std::f64::consts::TAU * 997.0 * i as f64 / rate as f64);
        (0..5 * rate).map(at).collect::<Vec<f64>>()
    };
    for rate in [44_100, 48_000] {
        let signals = [
            ("sine997_full_scale_mono", vec![sine(rate)]),
            ("noise_mono_seed6001", vec![noise(6001, rate)]),
            ("noise_stereo_6001_6002", vec![noise(6001, rate), noise(6002, rate)]),
            ("gated", vec![gated(rate)]),
        ];
        for (name, channels) in signals {
            let found = loudness(&channels, rate as u32).expect("sound");
            let expected = number(&file["loudness_bs1770_pyloudnorm"][rate.to_string()][name]);
            assert!((found.lufs - expected).abs() < 0.05, "{name}: {} for {expected}", found.lufs);
            if rate == 48_000 {
                let row = numbers(&table[name]);
                near(found.lufs, row[0], 1e-9);
                assert_eq!([found.blocks, found.over_silence, found.counted].map(|n| n as f64), row[1..4]);
                near(found.threshold, row[4], 1e-9);
            }
        }
    }
}
