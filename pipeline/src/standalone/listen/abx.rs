//! Results of an ABX test.

use super::{outcome::Results, ratings::Table};
use crate::terminal::table::aligned;
use serde_json::{Value, json};
use stages::metric::listening::{
    abx::{Answers, d_prime, fewest_right, trials_for},
    ranks::holm,
};

/// Level of significance.
const ALPHA: f64 = 0.05;
/// Power that plans ask for, against a listener who is right this often.
const POWER: f64 = 0.8;
const SHARES: [f64; 3] = [0.6, 0.7, 0.8];

fn figures(answers: Answers) -> Value {
    let fewest = fewest_right(answers.trials, ALPHA);
    json!({
        "trials": answers.trials,
        "right": answers.right,
        "share": answers.share(),
        "p": answers.one_sided(),
        "p_two_sided": answers.two_sided(),
        "p_mid": answers.mid_p(),
        "clopper_pearson": answers.clopper_pearson(0.95),
        "wilson": answers.wilson(0.95),
        "heard": answers.heard(),
        "d_prime": d_prime(answers.share()),
        "fewest_right": fewest.map(|(right, _)| right),
    })
}

/// Statistics of all answers and of those of each listener, whose probabilities are corrected for their number.
pub(super) fn results(table: &Table) -> Results {
    let count = |listener: Option<&str>| {
        let own = table.ratings.iter().filter(|rating| listener.is_none_or(|name| name == rating.rater));
        own.fold(Answers { trials: 0, right: 0 }, |all, rating| Answers {
            trials: all.trials + 1,
            right: all.right + u64::from(rating.score > 0.5),
        })
    };
    let names = table.names(|rating| &rating.rater);
    let each: Vec<Answers> = names.iter().map(|name| count(Some(name))).collect();
    let corrected = holm(&each.iter().map(|answers| answers.one_sided()).collect::<Vec<f64>>());
    let all = count(None);
    let heading = ["listener", "trials", "right", "share", "from", "to", "p", "p, Holm", "d'"].map(str::to_owned);
    let line = |name: &str, answers: Answers, corrected: Option<f64>| {
        let [low, high] = answers.clopper_pearson(0.95);
        [
            name.to_owned(),
            answers.trials.to_string(),
            answers.right.to_string(),
            format!("{:.3}", answers.share()),
            format!("{low:.3}"),
            format!("{high:.3}"),
            format!("{:.4}", answers.one_sided()),
            corrected.map(|p| format!("{p:.4}")).unwrap_or_default(),
            format!("{:.2}", d_prime(answers.share())),
        ]
    };
    let mut lines = vec![heading];
    lines.extend(names.iter().zip(&each).zip(&corrected).map(|((name, own), p)| line(name, *own, Some(*p))));
    lines.push(line("all", all, None));
    let needed = match fewest_right(all.trials, ALPHA) {
        Some((right, _)) => format!("{right} of {} right answers are significant at {ALPHA}", all.trials),
        None => format!("{} answers are too few to be significant at {ALPHA}, even if all are right", all.trials),
    };
    let plan = |share: &f64| trials_for(POWER, *share, ALPHA).map(|trials| (*share, trials));
    let plans: Vec<_> = SHARES.iter().filter_map(plan).collect();
    let planned: Vec<String> =
        plans.iter().map(|(share, trials)| format!("{} trials if {share} of them are right", trials.safe)).collect();
    let text = format!("{}{needed}; a power of {POWER} takes {}\n", aligned(&lines), planned.join(", "));
    let listeners = names.iter().zip(&each).zip(&corrected).map(|((name, own), p)| {
        let mut own = figures(*own);
        own["listener"] = name.as_str().into();
        own["p_holm"] = (*p).into();
        own
    });
    let plans: Vec<Value> = plans
        .iter()
        .map(|(share, trials)| json!({ "share": share, "power": POWER, "first": trials.first, "safe": trials.safe }))
        .collect();
    let json = json!({
        "test": "abx",
        "alpha": ALPHA,
        "all": figures(all),
        "listeners": listeners.collect::<Vec<Value>>(),
        "trials_for": plans,
    });
    Results { json, text }
}
