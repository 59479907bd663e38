//! The command line.

pub mod args;

use crate::{
    cli::args::{
        CheckArgs, DecodeArgs, EncodeArgs, EvaluateArgs, GcArgs, ManifestArgs, PlanArgs, RunArgs, StoreArgs, WatchArgs,
        WorkArgs,
    },
    error::Error,
    inspect::{diff, runs, why},
    plan::{Plan, PlannedStage, load, memory::Bound},
    run::{self, Ended, finished, prepare::Options, watch::watch},
    schema,
    standalone::{codec, evaluate, sample},
    terminal::progress,
    upkeep::{gc, verify},
};
use clap::{Parser, Subcommand};
use stages::flow::Cancel;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread,
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

/// Builds music corpora and the generative models that stand on them, as one incremental dataflow.
#[derive(Parser)]
#[command(name = "refrain", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 a bug of refrain, 2 manifest or usage, 3 source missing, 4 store, \
                        5 stopped by a guard, 6 a corpus-level stage failed, 7 another process was lost, \
                        130 interrupted.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a manifest: do exactly what has changed, then publish
    Run(RunArgs),
    /// Show what a run would do, and why, without doing it
    Plan(PlanArgs),
    /// Stay up: build and publish whenever the manifest, its sources or its lists change
    Watch(WatchArgs),
    /// Say everything that is wrong with a manifest
    Check(CheckArgs),
    /// List the stages with their settings
    Stages {
        /// One verb only
        verb: Option<String>,
    },
    /// Print the JSON schema of a manifest, for editors
    Schema,
    /// List the published runs of a store
    Runs(StoreArgs),
    /// Clean up a store: the last runs of each name and the weights that lock files name stay
    Gc(GcArgs),
    /// Look after a store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print where the report of a run lies
    Report {
        /// An id or a prefix of one, a folder, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show two runs side by side: settings, data, scores
    Diff {
        /// An id or a prefix of one, a folder, or `latest`
        a: String,
        /// The run to compare it with, in the same words
        b: String,
        #[command(flatten)]
        store: StoreArgs,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Explain one track, clip or file of a run: what it came from, and what rests on it
    Why {
        /// An id or a prefix of one, a folder, or `latest`
        run: String,
        /// The id of a track or a clip, a file of the run, or the first digits of a digest
        id: String,
        #[command(flatten)]
        store: StoreArgs,
        /// One JSON event on standard output
        #[arg(long)]
        json: bool,
    },
    /// Encode sound files to codes in Parquet with a model
    Encode(EncodeArgs),
    /// Decode codes in Parquet to WAV files with a model
    Decode(DecodeArgs),
    /// Sample songs from a bundle and write them to WAV files
    Sample(sample::Args),
    /// Measure how far the sounds of a folder are from those of another, by Fréchet distance
    Evaluate(EvaluateArgs),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Check every object, receipt and published file; what is damaged goes, and the next run makes it again
    Verify {
        #[command(flatten)]
        store: StoreArgs,
        /// One JSON event on standard output
        #[arg(long)]
        json: bool,
    },
}

/// As many as are asked for, or as there are cores.
pub(crate) fn workers(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// Standard output; a reader that went away, such as `head`, is no error of ours.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Starts this program anew, once, with an allocator that gives back at once what is freed: so one that stays up over a list of
/// tracks holds what its rows take, and not what its largest build took. The allocator asks for this when it starts, and
/// never again. Where there is more to do than to list tracks it would be slower by far: a training step frees large buffers
/// and asks for them again.
fn frugal(plan: &Plan) {
    const DELAY: &str = "MIMALLOC_PURGE_DELAY";
    let light = |stage: &PlannedStage| matches!(stage.entry.verb, "ingest" | "license" | "dedup" | "split");
    if std::env::var_os(DELAY).is_some() || !plan.stages.iter().all(light) {
        return;
    }
    let mut words = std::env::args_os();
    let named = words.next().map(PathBuf::from);
    let own = std::env::current_exe().ok();
    // A loader that was asked to start this program is another program.
    if let Some(own) = own.filter(|own| named.is_some_and(|named| named.file_name() == own.file_name())) {
        // Comes back only where it fails.
        let error = std::process::Command::new(own).args(words).env(DELAY, "0").exec();
        tracing::warn!("watching takes more memory than it need: {error}");
    }
}

/// Ctrl-C asks once for a clean stop; a second one ends the process as ever.
fn cancel_on_interrupt() -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    let handled = ctrlc::set_handler(move || {
        if asked.cancelled() {
            std::process::exit(130);
        }
        eprintln!("stopping; again to stop at once");
        asked.cancel();
    });
    if let Err(error) = handled {
        tracing::warn!("Ctrl-C will stop at once: {error}");
    }
    cancel
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// See [`Error`]; its code is the exit code.
    pub fn perform(self) -> Result<(), Error> {
        match self.command {
            Command::Run(args) => {
                let plan = load(&args.manifest.manifest, &args.manifest.sets, args.manifest.to.as_deref())
                    .map_err(Error::Manifest)?;
                let seat = args.hosts.seat()?;
                let approved = args.approved()?;
                let options = Options { seat, approved, ..args.work.options(&args.store, args.allow_shrink) };
                let screen = Arc::new(progress::Screen::new(args.work.json));
                let observer = Box::new(progress::Shared(screen.clone()));
                let ended = run::run(plan, &options, cancel_on_interrupt(), observer);
                screen.end();
                match (ended?, args.work.json) {
                    (Ended::Finished(finished), json) => {
                        print(&if json { finished::done(&finished) + "\n" } else { finished::summary(&finished) });
                        finished.ended()?;
                    }
                    (Ended::Followed(run), true) => print(&(finished::followed(&run) + "\n")),
                    (Ended::Followed(run), false) => print(&format!("run     {run}, published by process 0\n")),
                }
            }
            Command::Plan(args) => {
                let plan = load(&args.manifest.manifest, &args.manifest.sets, args.manifest.to.as_deref())
                    .map_err(Error::Manifest)?;
                let preview = args.preview(plan, cancel_on_interrupt())?;
                print(&if args.work.json { format!("{}\n", preview.json()) } else { preview.text() + &args.saved() });
            }
            Command::Watch(args) => {
                let ManifestArgs { manifest, sets, to } = &args.manifest;
                frugal(&load(manifest, sets, to.as_deref()).map_err(Error::Manifest)?);
                let (workers, pcm_cache, json) = (args.workers, args.pcm_cache, args.json);
                let work = WorkArgs { workers, refresh: Vec::new(), rehash: false, pcm_cache, json };
                let options = work.options(&args.store, args.allow_shrink);
                watch(&|| load(manifest, sets, to.as_deref()), &options, &cancel_on_interrupt(), json)?;
            }
            Command::Check(args) => {
                let ManifestArgs { manifest, sets, to } = &args.manifest;
                let plan = load(manifest, sets, to.as_deref()).map_err(Error::Manifest)?;
                let points = plan.sweep.as_ref().map_or_else(String::new, |s| format!(" at {} points", s.points.len()));
                print(&format!("{}: {} stages{points}, nothing to complain about\n", plan.name, plan.stages.len()));
                print(&Bound::of(&plan, workers(args.workers)).text());
            }
            Command::Stages { verb } => print(&schema::stages_text(verb.as_deref()).map_err(Error::Usage)?),
            Command::Schema => print(&format!("{:#}\n", schema::json_schema())),
            Command::Runs(args) => print(&runs::list(&args.store)?),
            Command::Gc(args) => {
                let options = gc::Options { keep: args.keep.get(), dry: args.dry_run };
                let swept = gc::gc(&args.store.store, &options)?;
                print(&if args.json { format!("{}\n", swept.json()) } else { swept.text() });
            }
            Command::Store(StoreCommand::Verify { store, json }) => {
                let verified = verify::verify(&store.store)?;
                print(&if json { format!("{}\n", verified.json()) } else { verified.text() });
                verified.sound()?;
            }
            Command::Report { run, store } => {
                let folder = runs::find(&store.store, &run)?;
                print(&format!("{}\n", folder.join("report.html").display()));
            }
            Command::Diff { a, b, store, json } => {
                let diff = diff::diff(&runs::find(&store.store, &a)?, &runs::find(&store.store, &b)?)?;
                match json {
                    true => print(&(serde_json::to_string(&diff).map_err(|e| Error::Bug(e.to_string()))? + "\n")),
                    false => print(&diff::text(&diff)),
                }
            }
            Command::Why { run, id, store, json } => {
                let answer = why::why(&runs::find(&store.store, &run)?, &store.store, &id)?;
                print(&if json { answer.json()? + "\n" } else { answer.text() });
            }
            Command::Encode(args) => {
                print(&codec::encode(&args.files, &args.model, &args.out, &cancel_on_interrupt())?)
            }
            Command::Decode(args) => {
                print(&codec::decode(&args.files, &args.model, &args.out, args.level, &cancel_on_interrupt())?);
            }
            Command::Sample(args) => {
                print(&sample::sample(&args, &cancel_on_interrupt(), &progress::Screen::new(false))?);
            }
            Command::Evaluate(args) => {
                evaluate::evaluate(&args.reference, &args.candidate, args.json, &cancel_on_interrupt(), &print)?;
            }
        }
        Ok(())
    }
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> u8 {
    // Readers that look whether a file is theirs say so as an error; a refused file has its row and its reason.
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("symphonia", LevelFilter::OFF);
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).without_time())
        .with(levels)
        .init();
    match Cli::parse().perform() {
        Ok(()) => 0,
        Err(Error::Manifest(complaints)) => {
            let _ = write!(io::stderr(), "{}", complaints.render(io::stderr().is_terminal()));
            2
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.code()
        }
    }
}
