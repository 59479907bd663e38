//! Results of a MUSHRA test.

use super::{outcome::Results, ratings::Table};
use crate::{error::Error, terminal::table::aligned};
use serde_json::{Value, json};
use stages::metric::listening::{
    mushra::{BIMODAL, Ratings, Screening, assessor_means, permutation_test, pooled, screening, summary},
    ranks::{friedman, holm, paired_t, signed_ranks},
    variance::{Cells, Effect, Factor, repeated_measures},
};
use std::collections::BTreeMap;

/// Permutations of a test.
const PERMUTATIONS: usize = 10_000;

/// Names of the conditions that are no systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The hidden reference.
    pub reference: String,
    /// The low anchor, of 3.5 kHz.
    pub low_anchor: String,
    /// The mid anchor, of 7 kHz.
    pub mid_anchor: String,
}

/// Ratings of everything by everyone who rated everything.
struct Complete {
    ratings: Ratings,
    assessors: Vec<String>,
    items: Vec<String>,
    /// Assessors without a rating of everything.
    incomplete: Vec<String>,
}

impl Complete {
    fn of(table: &Table) -> Complete {
        let conditions = table.names(|rating| &rating.system);
        let items = table.names(|rating| &rating.item);
        let scores: BTreeMap<(&str, &str, &str), f64> = (table.ratings.iter())
            .map(|rating| ((rating.rater.as_str(), rating.item.as_str(), rating.system.as_str()), rating.score))
            .collect();
        let of_assessor = |assessor: &String| -> Option<Vec<Vec<f64>>> {
            let of = |item: &String, condition: &String| scores.get(&(assessor, item, condition)).copied();
            items.iter().map(|item| conditions.iter().map(|condition| of(item, condition)).collect()).collect()
        };
        let (mut all, mut assessors, mut incomplete) = (Vec::new(), Vec::new(), Vec::new());
        for assessor in table.names(|rating| &rating.rater) {
            match of_assessor(&assessor) {
                Some(own) => {
                    all.push(own);
                    assessors.push(assessor);
                }
                None => incomplete.push(assessor),
            }
        }
        Complete { ratings: Ratings { conditions, scores: all }, assessors, items, incomplete }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.ratings.conditions.iter().position(|own| own == name)
    }
}

fn effect(found: &Effect) -> Value {
    json!({
        "f": found.f,
        "degrees": found.degrees,
        "p": found.p,
        "greenhouse_geisser": found.greenhouse_geisser,
        "p_greenhouse_geisser": found.p_greenhouse_geisser,
        "huynh_feldt": found.huynh_feldt,
        "p_huynh_feldt": found.p_huynh_feldt,
        "partial_eta_squared": found.partial_eta_squared,
    })
}

/// Statistics after post-screening: of conditions, of pairs of systems, and of all systems together.
///
/// # Errors
/// A table without the hidden reference, without an assessor who rated everything, or of whom none is kept.
pub(super) fn results(table: &Table, names: &Conditions, seed: u64) -> Result<Results, Error> {
    let complete = Complete::of(table);
    let Some(reference) = complete.place(&names.reference) else {
        let there = complete.ratings.conditions.join(", ");
        let asked = &names.reference;
        return Err(Error::Usage(format!("there is no condition \"{asked}\": --reference names one of {there}")));
    };
    if complete.assessors.is_empty() {
        return Err(Error::Source("no assessor has rated every condition of every item".into()));
    }
    let anchor = complete.place(&names.mid_anchor);
    let screened = screening(&complete.ratings, reference, anchor);
    if screened.kept.is_empty() {
        return Err(Error::Source("post-screening keeps no assessor".into()));
    }
    let own = [&names.reference, &names.low_anchor, &names.mid_anchor];
    let is_system = |condition: &usize| !own.contains(&&complete.ratings.conditions[*condition]);
    let systems: Vec<usize> = (0..complete.ratings.conditions.len()).filter(is_system).collect();
    let (screening_text, screening_json) = screening_results(&complete, &screened, anchor.is_some());
    let (conditions_text, conditions_json) = conditions(&complete, &screened);
    let (pairs_text, pairs_json) = pairs(&complete, &screened, &systems, seed);
    let (together_text, together_json) = together(&complete, &screened, &systems);
    let text = [screening_text, conditions_text, pairs_text, together_text];
    let text = text.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<String>>().join("\n");
    let json = json!({
        "test": "mushra",
        "screening": screening_json,
        "conditions": conditions_json,
        "pairs": pairs_json,
        "systems": together_json,
    });
    Ok(Results { json, text })
}

fn screening_results(complete: &Complete, screened: &Screening, anchored: bool) -> (String, Value) {
    let names = |of: &[usize]| of.iter().map(|i| complete.assessors[*i].clone()).collect::<Vec<String>>();
    let items: Vec<String> = screened.not_counted.iter().map(|i| complete.items[*i].clone()).collect();
    let mut lines = vec![format!(
        "{} of {} assessors are kept",
        screened.kept.len(),
        complete.assessors.len() + complete.incomplete.len()
    )];
    let mut line = |what: &str, names: &[String]| {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    };
    line("excluded, not everything is rated", &complete.incomplete);
    line("excluded, the hidden reference is under 90 on more than 15 % of items", &names(&screened.by_reference));
    line("excluded, the mid anchor is over 90 on more than 15 % of items", &names(&screened.by_anchor));
    line("items not counted for the mid anchor, over 90 by more than 25 % of assessors", &items);
    if !anchored {
        line("not applied, there is no such condition", &["the rule of the mid anchor".to_owned()]);
    }
    let json = json!({
        "kept": names(&screened.kept),
        "incomplete": complete.incomplete,
        "by_reference": names(&screened.by_reference),
        "by_anchor": names(&screened.by_anchor),
        "items_not_counted": items,
        "anchor_rule": anchored,
    });
    (lines.join("\n") + "\n", json)
}

fn conditions(complete: &Complete, screened: &Screening) -> (String, Value) {
    let heading = ["condition", "ratings", "median", "quartile", "quartile", "mean", "from", "to", "bimodality"];
    let (mut lines, mut all) = (vec![heading.map(str::to_owned)], Vec::new());
    for (i, name) in complete.ratings.conditions.iter().enumerate() {
        let found = summary(&complete.ratings, &screened.kept, i);
        lines.push([
            name.clone(),
            found.ratings.to_string(),
            format!("{:.1}", found.median),
            format!("{:.1}", found.quartiles[0]),
            format!("{:.1}", found.quartiles[1]),
            format!("{:.1}", found.mean),
            format!("{:.1}", found.by_assessor[0]),
            format!("{:.1}", found.by_assessor[1]),
            format!("{:.2}{}", found.bimodality, if found.bimodality > BIMODAL { " (two heaps?)" } else { "" }),
        ]);
        all.push(json!({
            "condition": name,
            "ratings": found.ratings,
            "median": found.median,
            "quartiles": found.quartiles,
            "mean": found.mean,
            "deviation": found.deviation,
            "student": found.student,
            "by_assessor": found.by_assessor,
            "spread": found.spread,
            "bimodality": found.bimodality,
        }));
    }
    (aligned(&lines), all.into())
}

fn pairs(complete: &Complete, screened: &Screening, systems: &[usize], seed: u64) -> (String, Value) {
    let mut found = Vec::new();
    for (i, a) in systems.iter().enumerate() {
        for b in &systems[i + 1..] {
            let [own, other] = [a, b].map(|condition| pooled(&complete.ratings, &screened.kept, *condition));
            let [means, others] = [a, b].map(|condition| assessor_means(&complete.ratings, &screened.kept, *condition));
            let differences: Vec<f64> = means.iter().zip(&others).map(|(a, b)| a - b).collect();
            let permuted = permutation_test(&own, &other, PERMUTATIONS, seed);
            let names = [a, b].map(|condition| complete.ratings.conditions[*condition].clone());
            found.push((names, permuted, signed_ranks(&differences), paired_t(&differences)));
        }
    }
    if found.is_empty() {
        return (String::new(), Value::Array(Vec::new()));
    }
    let corrected = holm(&found.iter().map(|pair| pair.1.p).collect::<Vec<f64>>());
    let heading = ["pair", "medians differ by", "permutation p", "p, Holm", "Wilcoxon p", "t p"].map(str::to_owned);
    let (mut lines, mut all) = (vec![heading], Vec::new());
    for ((names, permuted, ranks, t), holm) in found.iter().zip(corrected) {
        lines.push([
            names.join(" - "),
            format!("{:.1}", permuted.difference),
            format!("{:.4}", permuted.p),
            format!("{holm:.4}"),
            ranks.map(|ranks| format!("{:.2e}", ranks.exact)).unwrap_or_default(),
            format!("{:.2e}", t.p),
        ]);
        all.push(json!({
            "systems": names,
            "difference": permuted.difference,
            "permutations": PERMUTATIONS,
            "p": permuted.p,
            "p_as_written": permuted.as_written,
            "p_holm": holm,
            "wilcoxon": ranks.map(|ranks| json!({ "w": ranks.statistic, "p": ranks.exact })),
            "t": t.statistic,
            "p_t": t.p,
        }));
    }
    (aligned(&lines), all.into())
}

fn together(complete: &Complete, screened: &Screening, systems: &[usize]) -> (String, Value) {
    let scores = || screened.kept.iter().map(|assessor| &complete.ratings.scores[*assessor]);
    let cells = |items: &Vec<Vec<f64>>| -> Cells {
        systems.iter().map(|condition| items.iter().map(|item| item[*condition]).collect()).collect()
    };
    let assessors: Vec<Cells> = scores().map(cells).collect();
    let mean = |row: &Vec<f64>| row.iter().sum::<f64>() / row.len() as f64;
    let blocks: Vec<Vec<f64>> = assessors.iter().map(|cells| cells.iter().map(mean).collect()).collect();
    let ranks = friedman(&blocks);
    let factors = [(Factor::Condition, "system"), (Factor::Item, "item"), (Factor::Interaction, "system by item")];
    let effects = factors.map(|(factor, name)| (name, repeated_measures(&assessors, factor)));
    let mut text = String::new();
    if let Some(found) = &ranks {
        text += &format!(
            "Friedman, over assessors' means: chi-squared {:.2}, p {:.2e}, concordance {:.2}\n",
            found.chi_squared.statistic, found.chi_squared.p, found.concordance
        );
    }
    let mut all = serde_json::Map::new();
    for (name, found) in effects.iter().filter_map(|(name, found)| Some((name, found.as_ref()?))) {
        text += &format!(
            "repeated-measures analysis of variance, {name}: F({}, {}) = {:.2}, p {:.2e} (Huynh-Feldt {:.2})\n",
            found.degrees[0], found.degrees[1], found.f, found.p_huynh_feldt, found.huynh_feldt
        );
        all.insert((*name).into(), effect(found));
    }
    let friedman = ranks.map(|found| {
        json!({ "chi_squared": found.chi_squared.statistic, "p": found.chi_squared.p, "concordance": found.concordance })
    });
    (text, json!({ "friedman": friedman, "variance": all }))
}
