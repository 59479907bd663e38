//! The command line.
//!
//! Knows everything below it; nothing knows it.

pub mod args;
mod interrupt;
mod manual;
mod open;
pub mod reference;
mod signals;

use crate::{
    cli::args::{
        CheckArgs, DecodeArgs, DeviceArgs, EncodeArgs, EvaluateArgs, ExportArgs, GcArgs, ImportArgs, ListenCommand,
        LookArgs, ManifestArgs, OutputArgs, PlanArgs, RunArgs, StoreArgs, WatchArgs, workers,
    },
    dataflow::cluster,
    error::{BUG, DONE, EXITS, Error, Exit, USAGE},
    inspect::{diff, list, runs, why},
    plan::{Plan, PlannedStage, load, memory::Bound, scale::Sizes},
    publish::bundle,
    run::{self, Ended, finished, prepare::Options, watch::watch},
    schema,
    standalone::{codec, evaluate, init, listen, published, sample},
    terminal::{
        escape::escaped,
        output::{self, Color, Log, Output, Verbosity, answer, data, summary},
        progress,
    },
    upkeep::{gc, verify},
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use datasets::environment::PURGE_DELAY;
use kernels::device::attempt;
use stages::model::codec::Unstated;
use std::os::unix::process::CommandExt;
use std::{ffi::OsString, panic::AssertUnwindSafe, path::PathBuf, sync::Arc};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

/// Builds music corpora and the generative models that stand on them, as one incremental dataflow.
#[derive(Parser)]
#[command(name = "refrain", version, about, max_term_width = 100)]
#[command(after_help = exit_codes())]
pub struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a commented manifest for a folder of your own recordings
    Init(init::InitArgs),
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
    /// List the published runs of a store: sizes, and what is new against the run before of the same name
    Runs(LookArgs),
    /// Clean up a store: the last runs of each name and the weights that lock files name stay
    Gc(GcArgs),
    /// Look after a store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Prepare runs of several processes
    #[command(subcommand)]
    Hosts(HostsCommand),
    /// Print where the report of a run lies
    Report {
        /// A run's name or id, the name of a manifest (its last run), the start of one, a folder, or `latest`
        #[arg(default_value = "latest")]
        run: String,
        #[command(flatten)]
        store: StoreArgs,
        /// Open it in the browser too
        #[arg(long)]
        open: bool,
    },
    /// Show two runs side by side: settings, data, scores
    Diff {
        /// A run's name or id, the name of a manifest (its last run), the start of one, a folder, or `latest`
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
        /// A run's name or id, the name of a manifest (its last run), the start of one, a folder, or `latest`
        run: String,
        /// The id of a track or a clip, a file of the run, or the first digits of a digest
        id: String,
        #[command(flatten)]
        look: LookArgs,
    },
    /// Encode sound files to codes in Parquet with a model
    Encode(EncodeArgs),
    /// Decode codes in Parquet to WAV files with a model
    Decode(DecodeArgs),
    /// Tell what a model is, and which works it was trained on
    Model {
        /// A bundle (a run's `model` folder); by default the codec that comes with refrain
        #[arg(value_name = "MODEL")]
        folder: Option<PathBuf>,
    },
    /// Import a codec that was published with the names of Jukebox's VQ-VAE
    Import(ImportArgs),
    /// Export a codec with the names of Jukebox's VQ-VAE
    Export(ExportArgs),
    /// Sample songs from a bundle and write them to WAV files
    Sample {
        #[command(flatten)]
        args: sample::Args,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Measure how far the sounds of a folder are from those of another
    Evaluate(EvaluateArgs),
    /// Look at listening tests
    #[command(subcommand)]
    Listen(ListenCommand),
    /// Print the completions for a shell; how to install them is in the shell's manual
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages, refrain.1 and one for each command, to a folder
    Man {
        /// The folder; made where it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Check every object, receipt and published file; what is damaged goes, and the next run makes it again
    Verify(LookArgs),
}

#[derive(Subcommand)]
enum HostsCommand {
    /// Make a secret that the processes of one run share: in a new file that only you can read, or on standard output
    NewSecret {
        /// The file; refused where it is there already
        file: Option<PathBuf>,
    },
}

/// The exit codes, as the help ends with them.
fn exit_codes() -> String {
    let line = |exit: &Exit| format!("\n  {:>3}  {}", exit.code, exit.when);
    format!("Exit codes:{}", EXITS.iter().map(line).collect::<String>())
}

/// `--color` as it stands on the command line, before the rest of it is understood: complaints about it are colored too.
fn color(words: &[OsString]) -> Color {
    let words: Vec<&str> = words.iter().map_while(|word| word.to_str().filter(|word| *word != "--")).collect();
    let mut values = words.iter().enumerate().filter_map(|(i, word)| match word.strip_prefix("--color")? {
        "" => words.get(i + 1).copied(),
        value => value.strip_prefix('='),
    });
    match values.next_back() {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    }
}

/// Restarts this program, once, with an allocator that returns freed memory at once: `watch` over a list of tracks then
/// holds what its rows take, and not what its largest build took. The allocator asks for this when it starts, and never
/// again. Where there is more to do than to list tracks it would be slower by far: a training step frees large buffers
/// and asks for them again.
fn frugal(plan: &Plan) {
    let light = |stage: &PlannedStage| stage.entry.facts.light;
    if PURGE_DELAY.get().is_some() || !plan.stages.iter().all(light) {
        return;
    }
    let mut words = std::env::args_os();
    let named = words.next().map(PathBuf::from);
    let own = std::env::current_exe().ok();
    // A loader that was asked to start this program is another program.
    if let Some(own) = own.filter(|own| named.is_some_and(|named| named.file_name() == own.file_name())) {
        // Comes back only where it fails.
        let error = std::process::Command::new(own).args(words).env(PURGE_DELAY.name, "0").exec();
        tracing::warn!("watching takes more memory than it need: {error}");
    }
}

/// Prints the answer of a command: `json` if it is `Some`, otherwise `text`.
fn told(json: Option<String>, text: impl FnOnce() -> String) {
    match json {
        Some(json) => data(&json),
        None => answer(&text()),
    }
}

/// Prints the result of a command that did something: `json` if it is `Some`, otherwise `text`.
fn said(json: Option<String>, text: impl FnOnce() -> String) {
    match json {
        Some(json) => data(&json),
        None => summary(&text()),
    }
}

impl Cli {
    /// Executes the command.
    ///
    /// # Errors
    /// See [`Error`]; its code is the exit code.
    pub fn perform(self) -> Result<(), Error> {
        // Every command ends by it, whether it looks or not.
        let cancel = signals::cancel_on_interrupt();
        match self.command {
            Command::Init(args) => summary(&init::init(&args)?),
            Command::Run(args) => {
                args.work.machine.device.choose()?;
                let plan = load(&args.manifest.manifest, &args.manifest.sets, args.manifest.to.as_deref())
                    .map_err(Error::Manifest)?;
                let seat = args.hosts.seat()?;
                let approved = args.approved()?;
                let allow_empty = args.guard.allow_empty;
                let options =
                    Options { seat, approved, allow_empty, ..args.work.options(&args.store, args.guard.allow_shrink) };
                let screen = Arc::new(progress::Screen::new(args.work.json));
                let observer = Box::new(progress::Shared(screen.clone()));
                let ended = run::run(plan, &options, cancel, observer);
                screen.end();
                match (ended?, args.work.json) {
                    (Ended::Finished(finished), json) => {
                        said(json.then(|| finished::done(&finished) + "\n"), || finished::summary(&finished));
                        finished.ended()?;
                    }
                    (Ended::Followed(run), true) => data(&(finished::followed(&run) + "\n")),
                    (Ended::Followed(run), false) => summary(&format!("run     {run}, published by process 0\n")),
                }
            }
            Command::Plan(args) => {
                args.work.machine.device.choose()?;
                let plan = load(&args.manifest.manifest, &args.manifest.sets, args.manifest.to.as_deref())
                    .map_err(Error::Manifest)?;
                let preview = args.preview(plan, cancel)?;
                told(args.work.json.then(|| format!("{}\n", preview.json())), || preview.text() + &args.saved());
            }
            Command::Watch(args) => {
                args.machine.device.choose()?;
                let ManifestArgs { manifest, sets, to } = &args.manifest;
                frugal(&load(manifest, sets, to.as_deref()).map_err(Error::Manifest)?);
                let load = || load(manifest, sets, to.as_deref());
                watch(&load, &args.options(), &cancel, args.json)?;
            }
            Command::Check(args) => {
                let ManifestArgs { manifest, sets, to } = &args.manifest;
                let plan = load(manifest, sets, to.as_deref()).map_err(Error::Manifest)?;
                let points = plan.sweep.as_ref().map_or_else(String::new, |s| format!(" at {} points", s.points.len()));
                summary(&format!("{}: {} stages{points}, nothing to complain about\n", plan.name, plan.stages.len()));
                summary(&Bound::of(&plan, workers(args.workers)).text());
                summary(&Sizes::of(&plan).text());
            }
            Command::Stages { verb } => answer(&schema::stages_text(verb.as_deref()).map_err(Error::Usage)?),
            Command::Schema => data(&format!("{:#}\n", schema::json_schema())),
            Command::Runs(LookArgs { store, json }) => {
                let runs = list::listed(&store.store)?;
                told(json.then(|| list::json(&runs) + "\n"), || list::text(&runs));
            }
            Command::Gc(args) => {
                let options = gc::GcOptions { keep: args.keep, dry: args.dry_run };
                let swept = gc::gc(&args.look.store.store, &options)?;
                said(args.look.json.then(|| format!("{}\n", swept.json())), || swept.text());
            }
            Command::Store(StoreCommand::Verify(LookArgs { store, json })) => {
                let verified = verify::verify(&store.store)?;
                said(json.then(|| format!("{}\n", verified.json())), || verified.text());
                verified.sound()?;
            }
            Command::Hosts(HostsCommand::NewSecret { file: None }) => answer(&(cluster::new_secret()? + "\n")),
            Command::Hosts(HostsCommand::NewSecret { file: Some(file) }) => {
                cluster::write_new_secret(&file)?;
                let file = file.display();
                summary(&format!("{file} holds a new secret: give it to every process with --secret {file}\n"));
            }
            Command::Report { run, store, open } => {
                let page = runs::find(&store.store, &run)?.join("report.html");
                if !page.is_file() {
                    let page = page.display();
                    return Err(Error::Usage(format!("there is no {page}: run the manifest again to publish it")));
                }
                data(&format!("{}\n", page.display()));
                if open && let Err(why) = open::open(&page) {
                    output::warning(&format!("{why}; open the page above yourself"));
                }
            }
            Command::Diff { a, b, store, json } => {
                let diff = diff::diff(&runs::find(&store.store, &a)?, &runs::find(&store.store, &b)?)?;
                match json {
                    true => data(&(serde_json::to_string(&diff).map_err(|e| Error::Bug(e.to_string()))? + "\n")),
                    false => answer(&diff::text(&diff)),
                }
            }
            Command::Why { run, id, look: LookArgs { store, json } } => {
                let explained = why::why(&runs::find(&store.store, &run)?, &store.store, &id)?;
                match json {
                    true => data(&(explained.json()? + "\n")),
                    false => answer(&explained.text()),
                }
            }
            Command::Encode(args) => {
                args.device.choose()?;
                let files = codec::PlainFiles { files: &args.files, out: &args.out, overwrite: args.overwrite };
                codec::encode(files, args.model.as_deref(), &cancel, &summary)?;
            }
            Command::Decode(args) => {
                args.device.choose()?;
                let files = codec::PlainFiles { files: &args.files, out: &args.out, overwrite: args.overwrite };
                codec::decode(files, args.model.as_deref(), args.level, &cancel, &summary)?;
            }
            Command::Model { folder } => answer(&bundle::about(folder.as_deref())?),
            Command::Import(ImportArgs { file, out, rate, dilation_growth, overwrite }) => {
                summary(&published::import(&file, &out, &Unstated { rate, dilation_growth }, overwrite)?);
            }
            Command::Export(args) => summary(&published::export(&args.model, &args.out, args.overwrite)?),
            Command::Sample { args, device } => {
                device.choose()?;
                summary(&sample::sample(&args, &cancel, &progress::Screen::new(false))?);
            }
            Command::Completions { shell } => {
                data(&String::from_utf8_lossy(&manual::completions(Cli::command(), shell)));
            }
            Command::Man { folder } => drop(manual::man(Cli::command(), &folder)?),
            Command::Evaluate(args) => {
                let asked = evaluate::Folders {
                    distances: &args.distances,
                    reference: &args.reference,
                    candidate: &args.candidate,
                    json: args.json,
                };
                evaluate::evaluate(&asked, &cancel, &|text| if args.json { data(text) } else { answer(text) })?;
            }
            Command::Listen(ListenCommand::Results(args)) => {
                let conditions = listen::Conditions {
                    reference: args.reference,
                    low_anchor: args.low_anchor,
                    mid_anchor: args.mid_anchor,
                };
                let (table, json) = (args.table.as_path(), args.json);
                let asked = listen::RatingsFile { table, conditions: &conditions, seed: args.seed, json };
                listen::results(&asked, &|text| if json { data(text) } else { answer(text) })?;
            }
        }
        Ok(())
    }
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> u8 {
    std::panic::set_hook(Box::new(output::panicked));
    signals::outgrown();
    let words: Vec<OsString> = std::env::args_os().collect();
    let choice = color(&words);
    let clean = words.iter().all(|word| word.to_str().is_some_and(|word| escaped(word) == word));
    let matches = Cli::command().try_get_matches_from(words);
    let ended = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            output::set(cli.output.output());
            log();
            ended(cli)
        }
        // Help and version come as errors that go to standard output.
        Err(said) => {
            output::set(Output { color: choice, ..Output::default() });
            output::parsed(&said, choice, clean);
            if said.use_stderr() { USAGE.code } else { DONE.code }
        }
    };
    match output::unwritten() {
        Some(why) => {
            let error = Error::Output(why);
            output::error(&error.to_string());
            if ended == DONE.code { error.code() } else { ended }
        }
        None => ended,
    }
}

/// Does what the command line says; tells of what went wrong, and returns the exit code.
fn ended(cli: Cli) -> u8 {
    match std::panic::catch_unwind(AssertUnwindSafe(|| attempt(|| cli.perform()))) {
        Ok(Ok(Ok(()))) => DONE.code,
        Ok(Err(device)) => {
            output::error(&device.to_string());
            Error::Stage(device.to_string()).code()
        }
        Ok(Ok(Err(Error::Manifest(complaints)))) => {
            output::laid_out(&complaints.render(output::colored()));
            USAGE.code
        }
        Ok(Ok(Err(error))) => {
            output::error(&error.to_string());
            error.code()
        }
        // The hook has said where.
        Err(_) => {
            output::error(&Error::Bug("a command panicked, as said above".into()).to_string());
            BUG.code
        }
    }
}

/// Sends log lines to standard error, above the progress bars.
fn log() {
    let level = match output::verbosity() {
        Verbosity::Silent | Verbosity::Quiet => LevelFilter::ERROR,
        Verbosity::Normal | Verbosity::Verbose => LevelFilter::WARN,
    };
    // Readers that look whether a file is theirs say so as an error; a refused file has its row and its reason.
    let mut levels = Targets::new().with_default(level).with_target("symphonia", LevelFilter::OFF);
    if output::verbosity() == Verbosity::Verbose {
        levels = levels.with_targets(OWN.map(|name| (name, LevelFilter::DEBUG)));
    }
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(|| Log).with_ansi(false).without_time())
        .with(levels)
        .init();
}

/// The crates whose debug messages `--verbose` shows.
const OWN: [&str; 4] = ["pipeline", "stages", "datasets", "kernels"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_is_known_before_the_rest_is_understood() {
        for (line, choice) in [
            ("refrain run", Color::Auto),
            ("refrain --color never run", Color::Never),
            ("refrain run --color=always --wrong", Color::Always),
            ("refrain run --color=always --color auto", Color::Auto),
            ("refrain run -- --color=always", Color::Auto),
            ("refrain run --color", Color::Auto),
            ("refrain run --colors=never", Color::Auto),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(color(&words), choice, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
