//! The model card of a bundle: its content, training data, scores and use.

use super::index::{ATTRIBUTION, Bundle, INDEX};
use crate::plan::{Plan, head};
use std::{collections::BTreeMap, fmt::Write as _};

/// The card of a bundle in Markdown.
pub(super) fn card(bundle: &Bundle, plan: &Plan) -> String {
    let mut out = format!("# {}\n\n", plan.name);
    let levels = bundle.codec.hops.len();
    let hops: Vec<String> = bundle.codec.hops.iter().map(ToString::to_string).collect();
    let _ = writeln!(
        out,
        "A codec for {} audio at {} Hz with {} of {} frames){}, made by Refrain {} in the run \
         `{}`, with arithmetic of the class `{}`. `{INDEX}` says the same for programs.\n",
        if bundle.codec.channels == 1 { "mono" } else { "stereo" },
        bundle.codec.rate,
        if levels == 1 { "one level (a hop".to_owned() } else { format!("{levels} levels (hops") },
        hops.join(", "),
        if bundle.priors.is_empty() { "" } else { " and priors over its codes" },
        bundle.refrain,
        bundle.run,
        bundle.numerics
    );
    out += "| file | what it is | BLAKE3 digest |\n|---|---|---|\n";
    let mut file = |file: &str, what: String, digest: String| {
        let _ = writeln!(out, "| `{file}` | {what} | `{digest}` |");
    };
    file(&bundle.codec.file, "codec".into(), bundle.codec.digest.hex());
    for prior in &bundle.priors {
        file(&prior.file, format!("prior of level {}", prior.level), prior.digest.hex());
    }
    trained_on(&mut out, bundle);
    figures(&mut out, bundle);
    usage(&mut out, bundle);
    settings(&mut out, bundle, plan);
    out
}

fn trained_on(out: &mut String, bundle: &Bundle) {
    let on = &bundle.trained_on;
    let _ = writeln!(out, "\n## What it was trained on\n\n{} recordings, each named in `{ATTRIBUTION}`.", on.tracks);
    if on.gone > 0 {
        let _ = writeln!(out, "{} more are no longer in the corpus: nothing else is known of them here.", on.gone);
    }
    for file in &bundle.unrecorded {
        let _ = writeln!(out, "What `{file}` was trained on is not recorded here: it was loaded from a file.");
    }
    let terms = bundle.codec.terms();
    if !terms.is_empty() {
        let _ = writeln!(out, "{terms}");
    }
    for (head, counts) in [("license", &on.licenses), ("genre", &on.genres)] {
        table(out, head, counts);
    }
    *out += "\nWhatever is made with these models rests on all of these works: pass their licenses and attribution on with it.";
    *out += if sings(bundle) { " `refrain sample` writes both beside every song.\n" } else { "\n" };
}

/// Whether there is a prior for each level.
fn sings(bundle: &Bundle) -> bool {
    bundle.priors.len() == bundle.codec.hops.len()
}

fn table(out: &mut String, head: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n| {head} | recordings |\n|---|---:|");
    for (name, count) in counts {
        let _ = writeln!(out, "| {} | {count} |", name.replace('|', "\\|"));
    }
}

fn figures(out: &mut String, bundle: &Bundle) {
    if bundle.priors.is_empty() {
        return;
    }
    *out += "\n## How well the priors predict\n\nBits per code; fewer are better. Unigram and bigram were counted on the training \
             split and score the same held-out codes.\n\n\
             | level | hop | codewords | trained on | held out | unigram | bigram |\n|---:|---:|---:|---:|---:|---:|---:|\n";
    let bits = |bits: Option<f64>| bits.map_or_else(|| "\u{2013}".to_owned(), |bits| format!("{bits:.2}"));
    for prior in &bundle.priors {
        let of = |list: &[u32]| list.get(prior.level as usize).copied().unwrap_or_default();
        let (hop, codewords) = (of(&bundle.codec.hops), of(&bundle.codec.codewords));
        let own = &prior.bits;
        let _ = writeln!(
            out,
            "| {} | {hop} | {codewords} | {} | {} | {} | {} |",
            prior.level,
            bits(Some(own.train)),
            bits(own.held_out),
            bits(own.unigram),
            bits(own.bigram)
        );
    }
}

fn usage(out: &mut String, bundle: &Bundle) {
    *out += "\n## How to use it\n\n`MODEL` is this folder.\n\n```sh\n";
    if sings(bundle) {
        let genre = bundle.genres.first().map(|genre| format!(" --genre {}", quoted(genre))).unwrap_or_default();
        let _ = writeln!(out, "refrain sample --model MODEL{genre} --seconds 20 --seed 3 --out song.wav");
    }
    *out += "refrain encode recording.flac --model MODEL --out codes\n\
             refrain decode codes/recording.parquet --model MODEL --out sound\n```\n";
    if sings(bundle) && !bundle.genres.is_empty() {
        let _ = writeln!(out, "\nGenres that can be asked for: {}.", bundle.genres.join(", "));
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The settings of the stages that made its models, as a manifest would have them.
fn settings(out: &mut String, bundle: &Bundle, plan: &Plan) {
    let _ = write!(
        out,
        "\n## How it was made\n\nSettings of the stages that made it, in the manifest `{}` with the seed {}:\n\n```toml\n",
        plan.name, plan.seed
    );
    let mut first = true;
    for stage in plan.stages.iter().filter(|stage| stage.entry.facts.on_card) {
        if !std::mem::take(&mut first) {
            out.push('\n');
        }
        *out += &head(stage);
        for (field, value) in stage.settings() {
            // What is left out has no value.
            if !value.is_empty() {
                let _ = writeln!(out, "{field} = {value}");
            }
        }
    }
    *out += "```\n";
    let _ = writeln!(out, "\nThe report of the run `{}` shows training curves and lets you listen.", bundle.run);
}
