//! The arguments of every command.

use crate::{
    dataflow::cluster::{Seat, Secret},
    error::Error,
    explain::{approved::Approved, preview::Preview},
    plan::Plan,
    run::{self, prepare::Options, what_if::WhatIf},
    standalone::sample::level,
    terminal::{
        numbers::{self, size, whole},
        output::{Color, Output, Verbosity, note},
    },
};
use clap::{ArgAction, Args, Subcommand};
use stages::{
    flow::Cancel,
    metric::compare::Distance,
    model::device::{Where, choose},
};
use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread, time::Duration};

/// Options of every command about what is said, and how.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// When to use color: auto (on a terminal, unless the environment asks for none), always or never
    #[arg(
        long,
        global = true,
        default_value = "auto",
        hide_possible_values = true,
        value_name = "WHEN",
        help_heading = OUTPUT
    )]
    pub(crate) color: Color,
    /// No progress and no warnings, only errors and the summary; twice (-qq): only errors
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub(crate) quiet: u8,
    /// Debug messages of refrain too
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = OUTPUT)]
    pub(crate) verbose: bool,
}

/// The heading of the options that every command has.
const OUTPUT: &str = "Output";

impl OutputArgs {
    pub(crate) fn output(&self) -> Output {
        let verbosity = match (self.verbose, self.quiet) {
            (true, _) => Verbosity::Verbose,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Quiet,
            (false, _) => Verbosity::Silent,
        };
        Output { color: self.color, verbosity }
    }
}

#[derive(Args)]
pub(crate) struct ManifestArgs {
    /// The manifest
    pub(crate) manifest: PathBuf,
    /// Set a value as if it stood in the manifest: stage.NAME.FIELD=VALUE, seed=.., name=..
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Only this stage and what it rests on
    #[arg(long, value_name = "STAGE")]
    pub(crate) to: Option<String>,
}

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The folder of the store
    #[arg(long, default_value = ".refrain", value_name = "DIR")]
    pub(crate) store: PathBuf,
}

/// The options of commands that only look at a store.
#[derive(Args)]
pub(crate) struct LookArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// One JSON event on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// The device that networks run on.
#[derive(Args)]
pub(crate) struct DeviceArgs {
    /// Device of networks: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` takes the first GPU that can be used, if this build knows
    /// any
    #[arg(long, default_value = "auto", value_name = "DEVICE", hide_default_value = true)]
    device: Where,
}

impl DeviceArgs {
    /// Chooses it, before the first key is made, and says which it is where there was a choice.
    ///
    /// # Errors
    /// [`Error::Usage`] on what a GPU that is asked for lacks.
    pub(crate) fn choose(&self) -> Result<(), Error> {
        let chosen = choose(self.device).map_err(|lacks| Error::Usage(format!("no GPU can be used: {lacks}")))?;
        if let Some(lacks) = &chosen.lacks {
            note(&format!("device: {}, as no GPU can be used: {lacks}", chosen.device));
        } else if cfg!(feature = "cuda") {
            note(&format!("device: {}", chosen.device));
        }
        Ok(())
    }
}

/// How much of the machine a command takes.
#[derive(Args)]
pub(crate) struct MachineArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Timely workers, slots of the pool and threads of the engine; by default the cores
    #[arg(short = 'w', long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::workers)]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Size limit of the cache of decoded samples, in MiB
    #[arg(
        long,
        default_value_t = 8192,
        value_name = "MIB",
        allow_negative_numbers = true,
        value_parser = mebibytes
    )]
    pub(crate) pcm_cache: u64,
}

fn mebibytes(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX >> 20)
}

#[derive(Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Train this stage anew although it is pinned
    #[arg(long, value_name = "STAGE")]
    pub(crate) refresh: Vec<String>,
    /// Read every file again rather than trust its times
    #[arg(long)]
    pub(crate) rehash: bool,
    /// One JSON event a line on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl WorkArgs {
    pub(crate) fn options(&self, store: &StoreArgs, allow_shrink: bool) -> Options {
        let again = Options { refresh: self.refresh.clone(), rehash: self.rehash, ..self.machine.options(store) };
        Options { allow_shrink, ..again }
    }
}

impl MachineArgs {
    /// A run that trusts what it finds and trains nothing anew.
    fn options(&self, store: &StoreArgs) -> Options {
        Options {
            store: store.store.clone(),
            workers: workers(self.workers),
            refresh: Vec::new(),
            rehash: false,
            allow_shrink: false,
            allow_empty: false,
            pcm_cache: self.pcm_cache << 20,
            seat: None,
            approved: None,
        }
    }
}

/// The guards of a command that publishes.
#[derive(Args)]
pub(crate) struct GuardArgs {
    /// Publish although a source shrank or a stage dropped more than its limit
    #[arg(long)]
    pub(crate) allow_shrink: bool,
    /// Publish although no row is left
    #[arg(long)]
    pub(crate) allow_empty: bool,
}

#[derive(Args)]
pub(crate) struct HostsArgs {
    /// Run as one of N processes, which share the store; by default as many as --hosts names, or this one alone
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = processes)]
    pub(crate) processes: Option<usize>,
    /// Number of this process, from 0; 0 reads the sources and publishes
    #[arg(short = 'p', long, value_name = "INDEX", allow_negative_numbers = true, value_parser = process)]
    pub(crate) process: Option<usize>,
    /// File with the address of each, a line `host:port`; by default 127.0.0.1, from port 2101 on
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
    /// How long to wait for the others to come, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub(crate) wait: u64,
    /// The secret that they prove to each other: a file that `refrain hosts new-secret` made; needed between several hosts
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,
    /// Encrypt what they say to each other, where others can listen on the network; all of them or none
    #[arg(long)]
    pub(crate) tls: bool,
}

/// Processes of a run at most.
const PROCESSES: usize = 1024;

fn processes(text: &str) -> Result<usize, String> {
    size(text, 1..=PROCESSES)
}

fn process(text: &str) -> Result<usize, String> {
    size(text, 0..=PROCESSES - 1)
}

/// At most a week.
fn seconds(text: &str) -> Result<u64, String> {
    whole(text, 0..=7 * 24 * 3600)
}

impl HostsArgs {
    pub(crate) fn seat(&self) -> Result<Option<Seat>, Error> {
        let (wait, secret) = (Duration::from_secs(self.wait), Secret::find(self.secret.as_deref())?);
        Seat::of(self.processes, self.process, self.hosts.as_deref(), wait, secret, self.tls)
    }
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    /// Execute nothing that this saved plan does not name
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hosts: HostsArgs,
}

impl RunArgs {
    /// The saved plan that the run keeps to.
    pub(crate) fn approved(&self) -> Result<Option<Arc<Approved>>, Error> {
        let read = |path: &PathBuf| Approved::read(path).map(Arc::new).map_err(|wrong| Error::Usage(wrong.to_string()));
        self.plan.as_ref().map(read).transpose()
    }
}

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Save the plan, for `run --plan`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Price the withdrawal of this track: plan as if an opt-out list named it
    #[arg(long, value_name = "TRACK", conflicts_with = "save")]
    pub(crate) without: Vec<String>,
    /// Price the loss of this license: plan as if every stage that judges licenses denied it
    #[arg(long, value_name = "LICENSE", conflicts_with = "save")]
    pub(crate) deny: Vec<String>,
}

impl PlanArgs {
    /// Previews the run of `plan`; with `--save`, also writes the plan to that file.
    pub(crate) fn preview(&self, plan: Plan, cancel: Cancel) -> Result<Preview, Error> {
        let options = self.work.options(&self.store, false);
        let Some(path) = &self.save else {
            let what_if = WhatIf { without: self.without.clone(), deny: self.deny.clone() };
            return run::dry(plan, &options, cancel, &what_if);
        };
        if !Approved::may_save(path) {
            return Err(Error::Usage(format!(
                "{} is there already and is no saved plan; nothing was done. Choose another name with --save",
                path.display()
            )));
        }
        let (preview, approved) = run::approvable(&Arc::new(plan), &options, cancel)?;
        approved.save(path).map_err(|error| Error::Usage(format!("the plan cannot be saved: {error}")))?;
        Ok(preview)
    }

    /// Message that names the file of `--save`; empty without `--save`.
    pub(crate) fn saved(&self) -> String {
        let path = self.save.as_ref().map(|path| path.display());
        path.map_or_else(String::new, |path| format!("saved as {path}: `refrain run --plan {path}` keeps to it\n"))
    }
}

#[derive(Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    /// One JSON event a line on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl WatchArgs {
    /// Options of each of its builds.
    pub(crate) fn options(&self) -> Options {
        let GuardArgs { allow_shrink, allow_empty } = self.guard;
        Options { allow_shrink, allow_empty, ..self.machine.options(&self.store) }
    }
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    /// Workers of the run whose memory is told; by default the cores
    #[arg(short = 'w', long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::workers)]
    pub(crate) workers: Option<NonZeroUsize>,
}

#[derive(Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// How many runs of each name stay
    #[arg(long, default_value_t = 3, value_name = "N", allow_negative_numbers = true, value_parser = keep)]
    pub(crate) keep: usize,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn keep(text: &str) -> Result<usize, String> {
    size(text, 1..=usize::MAX)
}

#[derive(Args)]
pub(crate) struct EncodeArgs {
    /// Sound files
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A bundle (a run's `model` folder) or a safetensors file; by default the codec that comes with refrain
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// The folder for the Parquet files
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args)]
pub(crate) struct DecodeArgs {
    /// Parquet files with codes
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A bundle (a run's `model` folder) or a safetensors file; by default the codec that comes with refrain
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// The folder for the WAV files
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The level whose decoder makes the sound; 0, the bottom, is the closest
    #[arg(long, default_value_t = 0, value_name = "LEVEL", allow_negative_numbers = true, value_parser = level)]
    pub(crate) level: usize,
    /// Replace files that are there already
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A safetensors file or a checkpoint of PyTorch with the names of Jukebox's VQ-VAE
    pub(crate) file: PathBuf,
    /// The safetensors file to write, for --model
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) out: PathBuf,
    /// Sample rate in Hz of the audio that it works on; by default what the file states, or 44100
    #[arg(long, value_name = "HZ", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) rate: Option<u32>,
    /// The dilation of residual block i is this to the power of i; by default what the file states, or 3
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) dilation_growth: Option<u32>,
    /// Replace a file that is there already
    #[arg(long)]
    pub(crate) overwrite: bool,
}

fn positive(text: &str) -> Result<u32, String> {
    whole(text, 1..=u32::MAX.into()).map(|number| number as u32)
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// A bundle (a run's `model` folder) or a safetensors file
    pub(crate) model: PathBuf,
    /// The safetensors file to write
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Args)]
pub(crate) struct EvaluateArgs {
    /// The distances to measure: fad, fad-infinity, kad, mad, precision, recall; all by default
    #[arg(value_name = "DISTANCE", value_parser = distance)]
    pub(crate) distances: Vec<Distance>,
    /// The folder with the sounds to measure against
    #[arg(long, value_name = "DIR")]
    pub(crate) reference: PathBuf,
    /// The folder with the sounds to measure
    #[arg(long, value_name = "DIR")]
    pub(crate) candidate: PathBuf,
    /// The result as a line of JSON for each distance
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum ListenCommand {
    /// Print the statistics of a table of ratings: ABX, MOS or MUSHRA, as its columns say
    Results(ListenResultsArgs),
}

#[derive(Args)]
pub(crate) struct ListenResultsArgs {
    /// The table: CSV with a heading. ABX: listener, correct. MOS: rater, clip, system, score. MUSHRA: assessor, item,
    /// condition, score
    #[arg(value_name = "RATINGS")]
    pub(crate) table: PathBuf,
    /// The condition of a MUSHRA test that is the hidden reference
    #[arg(long, value_name = "CONDITION", default_value = "reference")]
    pub(crate) reference: String,
    /// The condition of a MUSHRA test that is the low anchor, of 3.5 kHz
    #[arg(long, value_name = "CONDITION", default_value = "anchor35")]
    pub(crate) low_anchor: String,
    /// The condition of a MUSHRA test that is the mid anchor, of 7 kHz
    #[arg(long, value_name = "CONDITION", default_value = "anchor70")]
    pub(crate) mid_anchor: String,
    /// The seed of bootstraps and permutations
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) seed: u64,
    /// One line of JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the name of a distance.
fn distance(text: &str) -> Result<Distance, String> {
    let names = || Distance::ALL.map(Distance::name).join(", ");
    let found = Distance::ALL.into_iter().find(|distance| distance.name() == text);
    found.ok_or_else(|| format!("there is no such distance; there are {}", names()))
}

/// Number of workers: `asked`, or else the number of cores.
pub(crate) fn workers(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}
