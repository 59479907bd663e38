//! Data of the report, collected from an outcome: the page follows from plan and inputs alone.

pub mod codebooks;
mod codes;
pub mod curve;
pub mod metrics;
pub mod priors;
pub mod reconstruction;
pub mod songs;

use crate::{
    dataflow::outcome::Outcome,
    error::Error,
    plan::Plan,
    publish::{
        collect::{
            codes::{AllCodes, fault},
            curve::thin,
            reconstruction::{Decoder, Scored, median, original},
        },
        publication::Run,
    },
    record::sweep_table::Results,
    report::{
        self,
        data::{
            Attribution, Audio, CorpusView, CurvePoint, CurveSet, DropReason, Reconstruction, Report, Sample,
            ScoreColumn, ScoreRow, ScoreTable, StageView,
        },
    },
};
use datasets::{
    row::{Codes, Dropped, TrackView, Weights},
    tables::curves,
};
use rayon::prelude::*;
use stages::{
    flow::Env,
    rows::{Kind, kept::Corpus},
};
use std::collections::{BTreeMap, BTreeSet};

/// Clips scored for each genre.
const PER_GENRE: usize = 8;
/// Clips scored in all.
const SCORED: usize = 64;
/// Clips with players on the page.
const PLAYERS: usize = 4;
/// Seconds of each player.
const SECONDS: u64 = 6;

/// Collects the data of the page; `results` are those of a sweep, `works` those of the corpus.
///
/// # Errors
/// When an object is missing from the store or a source cannot be read any more.
pub fn report<'r>(
    run: &Run<'_>,
    results: Option<&Results>,
    works: Vec<Attribution<'r>>,
    name: &str,
) -> Result<Report<'r>, Error> {
    let Run { plan, outcome, corpus, env, .. } = *run;
    let codes = AllCodes::of(outcome);
    let weights = weights(outcome);
    let mut report = Report {
        name: plan.name.clone(),
        run_id: name.to_owned(),
        manifest: plan.canonical(),
        seed: plan.seed,
        clips: clips(outcome),
        codes: (!codes.is_empty()).then(|| codes.iter().map(|codes| code_count(&codes)).sum()),
        stages: stages_view(run),
        corpus: in_numbers(corpus),
        attribution: works,
        notes: notes(plan, outcome, corpus),
        ..Report::default()
    };
    if let Some(weights) = weights.first() {
        report.curves = curves(weights, env)?;
        report.codebooks = codebooks::usage(weights, &codes, env)?;
        if !report.codebooks.is_empty() {
            let decoder = Decoder::new(weights.digest);
            let scored = decoder
                .score(env, &first_clips(weights, &codes, false), &first_clips(weights, &codes, true))
                .map_err(fault)?;
            report.scores = vec![scores(weights, &scored)];
            report.players = players(&decoder, &scored, env)?;
        }
    }
    report.scores.extend(priors::table(plan, outcome));
    report.scores.extend(metrics::tables(plan, outcome));
    report.priors = priors::curves(plan, outcome, env)?;
    report.songs = songs::views(plan, outcome, corpus, env)?;
    report.models = songs::models(plan, outcome, corpus, env)?;
    report.sweep = results.map(Results::view);
    Ok(report)
}

fn code_count(codes: &Codes) -> u64 {
    codes.hops.iter().map(|hop| codes.clip.frames.div_ceil(u64::from(*hop))).sum()
}

/// The clips of the last stage that gives some.
fn clips(outcome: &Outcome) -> Option<u64> {
    outcome.stages.iter().rfind(|s| s.kept.are(Kind::Clip)).map(|s| s.kept.len() as u64)
}

fn weights(outcome: &Outcome) -> Vec<Weights> {
    outcome.stages.iter().flat_map(|own| own.kept.rows()).collect()
}

fn stages_view(run: &Run<'_>) -> Vec<StageView> {
    let Run { plan, outcome, withdrawn, .. } = *run;
    let told = withdrawn.redact();
    plan.stages
        .iter()
        .zip(&outcome.stages)
        .map(|(stage, own)| {
            let mut reasons: BTreeMap<&str, DropReason> = BTreeMap::new();
            for row in own.dropped.iter() {
                let reason = reasons.entry(&row.code).or_insert_with(|| DropReason {
                    code: row.code.to_string(),
                    count: 0,
                    example: match &*row.code {
                        Dropped::WITHDRAWN => "quarantine.tsv beside this page says which".to_owned(),
                        _ => match told(row) {
                            Some(why) => format!("{}: {why}", row.id),
                            None => row.id.clone(),
                        },
                    },
                });
                reason.count += 1;
            }
            StageView {
                name: stage.name.clone(),
                verb: stage.entry.verb.to_owned(),
                from: stage.inputs.iter().flatten().map(|i| plan.stages[*i].name.clone()).collect(),
                kept: own.kept.len() as u64,
                dropped: own.dropped.len() as u64,
                unit: unit(stage.entry.unit, own.kept.len()),
                reasons: reasons.into_values().collect(),
            }
        })
        .collect()
}

/// Unit of `count` rows: `several`, without its final `s` for one row.
fn unit(several: &str, count: usize) -> String {
    let one = several.strip_suffix('s').filter(|_| count == 1);
    one.unwrap_or(several).to_owned()
}

/// The corpus in numbers.
fn in_numbers(corpus: &Corpus<'_>) -> CorpusView {
    corpus.iter().fold(CorpusView::default(), |mut view, track| {
        let seconds = track.recording.as_ref().map(|r| r.frames as f64 / f64::from(r.rate.max(1)));
        view.add(track.license, track.split, track.labels.genre, seconds);
        view
    })
}

/// Every work of a run's corpus, in the order of an attribution. Tracks that agree in license, artist, title and source are
/// one work.
///
/// # Errors
/// When an object is missing from the store.
pub fn attribution<'r>(run: &Run<'r>) -> Result<Vec<Attribution<'r>>, Error> {
    let lineage = songs::lineage(run.plan, run.outcome, run.env)?;
    let work = |track: TrackView<'r>| Attribution {
        title: track.labels.title.unwrap_or(track.id).into(),
        artist: track.labels.artist.unwrap_or_default().into(),
        license: track.license.unwrap_or_default().into(),
        license_url: None,
        source: track.labels.source.unwrap_or_default().into(),
        tracks: 1,
        trained_on: u64::from(lineage.holds(&track)),
    };
    Ok(report::merged(run.corpus.par_iter().map(work).collect()))
}

fn notes(plan: &Plan, outcome: &Outcome, corpus: &Corpus<'_>) -> Vec<String> {
    let mut notes: Vec<String> = outcome.stages.iter().flat_map(|s| s.ledger.notes.iter().cloned()).collect();
    let alone = corpus.iter().filter(|t| t.split.is_some() && t.labels.artist.is_none()).count();
    if alone > 0 && plan.stages.iter().any(|s| s.entry.facts.splits) {
        notes.push(format!("{alone} tracks without an artist were split each on its own"));
    }
    let failed = outcome.stages.iter().flat_map(|s| s.dropped.iter()).filter(|row| row.failed).count();
    if failed > 0 {
        notes.push(format!("{failed} sources could not be read; the next run tries them again"));
    }
    notes
}

fn curves(weights: &Weights, env: &Env) -> Result<Vec<CurveSet>, Error> {
    let Some(digest) = weights.curves else { return Ok(Vec::new()) };
    let bytes = env.store.get(&digest)?;
    let steps = curves::read(&bytes).map_err(|e| Error::Bug(format!("the training curves cannot be read: {e}")))?;
    let mut sets: BTreeMap<u32, CurveSet> = BTreeMap::new();
    for step in steps {
        let hop = weights.hops.get(step.level as usize).copied().unwrap_or_default();
        let set = sets.entry(step.level as u32).or_insert_with(|| CurveSet {
            level: step.level as u32,
            hop,
            points: Vec::new(),
        });
        set.points.push(CurvePoint {
            step: step.step,
            reconstruction: step.reconstruction,
            spectral: step.spectral,
            log_spectral: step.log_spectral,
            commitment: step.commitment,
            used: step.used as u32,
            perplexity: step.perplexity,
        });
    }
    sets.values_mut().for_each(|set| thin(&mut set.points));
    Ok(sets.into_values().collect())
}

/// The first clips of tracks that are held out, or of tracks that are trained on, some of each genre; of all
/// tracks where there are none.
fn first_clips(weights: &Weights, codes: &AllCodes<'_>, held_out: bool) -> Vec<Codes> {
    let wanted = |c: &Codes| c.clip.track.split.as_deref().is_some_and(|split| split != "train") == held_out;
    let any = codes.by(weights.digest).any(|c| wanted(&c));
    let mut genres: BTreeMap<Option<String>, BTreeMap<String, Codes>> = BTreeMap::new();
    for codes in codes.by(weights.digest).filter(|c| !any || wanted(c)) {
        let tracks = genres.entry(codes.clip.track.labels.genre.clone()).or_default();
        match tracks.get_mut(&codes.clip.track.id) {
            Some(first) if codes.clip.start < first.clip.start => *first = codes,
            Some(_) => {}
            None => drop(tracks.insert(codes.clip.track.id.clone(), codes)),
        }
        // Ids come in order, those of each stage for themselves.
        while tracks.len() > PER_GENRE {
            tracks.pop_last();
        }
    }
    genres.into_values().flat_map(BTreeMap::into_values).take(SCORED).collect()
}

fn scores(weights: &Weights, scored: &[Scored]) -> ScoreTable {
    let levels = 0..weights.hops.len();
    let column = |name: String, decimals| ScoreColumn { name, decimals };
    let columns = levels
        .clone()
        .flat_map(|l| {
            let hop = weights.hops[l];
            [column(format!("SI-SDR dB, hop {hop}"), 1), column(format!("log-mel, hop {hop}"), 2)]
        })
        .chain([column("log-mel of the mean spectrum".into(), 2)])
        .collect();
    let mut groups: BTreeMap<String, Vec<&Scored>> = BTreeMap::new();
    for one in scored {
        let genre = one.codes.clip.track.labels.genre.clone().unwrap_or_else(|| "no genre".into());
        groups.entry(genre).or_default().push(one);
    }
    let row = |label: String, of: &[&Scored]| ScoreRow {
        label,
        values: levels
            .clone()
            .flat_map(|l| {
                let ratios = of.iter().filter_map(|s| s.levels[l].si_sdr);
                [median(ratios), median(of.iter().map(|s| s.levels[l].log_mel))]
            })
            .chain([median(of.iter().filter_map(|s| Some(s.levels.first()?.mean_spectrum)))])
            .collect(),
    };
    let all: Vec<&Scored> = scored.iter().collect();
    let mut rows: Vec<ScoreRow> =
        groups.iter().map(|(genre, of)| row(format!("{genre} ({} clips)", of.len()), of)).collect();
    rows.push(row(format!("all ({} clips)", all.len()), &all));
    let worst = levels.clone().flat_map(|l| {
        let least = all.iter().filter_map(|s| s.levels[l].si_sdr).min_by(f64::total_cmp);
        [least, all.iter().map(|s| s.levels[l].log_mel).max_by(f64::total_cmp)]
    });
    let worst = worst.chain([None]).collect();
    rows.push(ScoreRow { label: "worst clip".into(), values: worst });
    ScoreTable {
        title: "Reconstruction of held-out clips".into(),
        note: "Medians over the first clip of each held-out track. A higher SI-SDR and a lower log-mel distance are closer \
               to the original; the last column is what the mean spectrum of the training clips would score. A level that \
               plays oscillators keeps no phase, so SI-SDR says nothing of it."
            .into(),
        rows_are: "Genre".into(),
        columns,
        rows,
    }
}

/// One clip of each genre, with players.
fn players(decoder: &Decoder, scored: &[Scored], env: &Env) -> Result<Vec<Sample>, Error> {
    let mut genres = BTreeSet::new();
    let chosen = scored.iter().filter(|s| genres.insert(s.codes.clip.track.labels.genre.clone())).take(PLAYERS);
    chosen
        .map(|one| {
            let (codes, track) = (&one.codes, &one.codes.clip.track);
            let rate = track.chain.as_ref().map_or(0, |c| c.rate);
            let frames = codes.clip.frames.min(SECONDS * u64::from(rate));
            let reconstructions = one
                .levels
                .iter()
                .enumerate()
                .map(|(level, score)| {
                    let samples = decoder.sound(env, codes, level, frames).map_err(fault)?;
                    Ok(Reconstruction {
                        level: level as u32,
                        hop: codes.hops[level],
                        audio: Audio { rate, samples },
                        si_sdr_db: score.si_sdr,
                        log_mel: Some(score.log_mel),
                    })
                })
                .collect::<Result<Vec<_>, Error>>()?;
            Ok(Sample {
                track: track.labels.title.clone().unwrap_or_else(|| track.id.clone()),
                genre: track.labels.genre.clone(),
                held_out: track.split.as_deref().is_some_and(|split| split != "train"),
                note: String::new(),
                original: Audio { rate, samples: original(env, codes, frames).map_err(fault)? },
                reconstructions,
            })
        })
        .collect()
}
