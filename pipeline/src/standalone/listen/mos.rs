//! Results of a MOS test.

use super::{
    outcome::Results,
    ratings::{Rating, Table},
};
use crate::terminal::table::aligned;
use serde_json::{Value, json};
use stages::metric::listening::{
    agreement::{Scale, alpha},
    mos::{Comparison, Opinion, bootstrapped, comparisons, score, systems},
};
use std::collections::BTreeMap;

/// Bootstrap replicates.
const TIMES: usize = 2000;

fn opinion(rating: &Rating) -> Opinion {
    let Rating { rater, item, system, score } = rating.clone();
    Opinion { rater, item, system, score }
}

fn agreement(opinions: &[Opinion], scale: Scale) -> Option<f64> {
    let mut units: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
    for opinion in opinions {
        // Halves of a point are whole numbers, too.
        units.entry((&opinion.item, &opinion.system)).or_default().push((opinion.score * 100.0).round() as i64);
    }
    alpha(&units.into_values().collect::<Vec<_>>(), scale)
}

fn pair(found: &Comparison) -> Value {
    json!({
        "systems": found.systems,
        "difference": found.difference,
        "t": found.t.statistic,
        "p_t": found.t.p,
        "p_t_holm": found.holm,
        "wilcoxon": found.signed_ranks.map(|ranks| json!({ "w": ranks.statistic, "p": ranks.exact })),
        "effect": found.effect,
    })
}

/// Scores of all systems with their intervals, all pairs, and how far raters agree.
pub(super) fn results(table: &Table, seed: u64) -> Results {
    let opinions: Vec<Opinion> = table.ratings.iter().map(opinion).collect();
    let heading =
        ["system", "ratings", "MOS", "from", "to", "by rater from", "to", "median", "deviation"].map(str::to_owned);
    let (mut lines, mut scores) = (vec![heading], Vec::new());
    for (i, system) in systems(&opinions).into_iter().enumerate() {
        let Some(found) = score(&opinions, &system) else { continue };
        let seeds = [seed.wrapping_add(2 * i as u64), seed.wrapping_add(2 * i as u64 + 1)];
        let resampled = bootstrapped(&opinions, &system, TIMES, seeds);
        let bounds = resampled.as_ref().map(|own| own.by_rater.map(|bound| format!("{bound:.3}")));
        let [low, high] = bounds.unwrap_or_default();
        lines.push([
            system.clone(),
            found.ratings.to_string(),
            format!("{:.3}", found.mean),
            format!("{:.3}", found.student[0]),
            format!("{:.3}", found.student[1]),
            low,
            high,
            format!("{}", found.median),
            format!("{:.3}", found.deviation),
        ]);
        scores.push(json!({
            "system": system,
            "ratings": found.ratings,
            "mean": found.mean,
            "deviation": found.deviation,
            "median": found.median,
            "counts": found.counts,
            "student": found.student,
            "bootstrap": resampled.map(|own| json!({
                "replicates": TIMES,
                "seeds": seeds,
                "error": own.error,
                "percentile": own.percentile,
                "accelerated": own.accelerated.interval,
                "rater_error": own.rater_error,
                "by_rater": own.by_rater,
            })),
        }));
    }
    let pairs = comparisons(&opinions);
    let heading = ["pair", "difference", "t", "p, Holm", "Wilcoxon p", "effect"].map(str::to_owned);
    let mut differences = vec![heading];
    differences.extend(pairs.iter().map(|found| {
        [
            found.systems.join(" - "),
            format!("{:.3}", found.difference),
            format!("{:.2}", found.t.statistic),
            format!("{:.2e}", found.holm),
            found.signed_ranks.map(|ranks| format!("{:.2e}", ranks.exact)).unwrap_or_default(),
            format!("{:.2}", found.effect),
        ]
    }));
    let alphas = [Scale::Interval, Scale::Ordinal].map(|scale| agreement(&opinions, scale));
    let mut text = aligned(&lines);
    if differences.len() > 1 {
        text += &format!("\n{}", aligned(&differences));
    }
    if let [Some(interval), Some(ordinal)] = alphas {
        text += &format!("\nraters agree with Krippendorff's alpha {interval:.3} (interval), {ordinal:.3} (ordinal)\n");
    }
    let json = json!({
        "test": "mos",
        "systems": scores,
        "pairs": pairs.iter().map(pair).collect::<Vec<Value>>(),
        "krippendorff_alpha": { "interval": alphas[0], "ordinal": alphas[1] },
    });
    Results { json, text }
}
