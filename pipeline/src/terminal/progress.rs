//! Output of a run: for people progress while it runs and a table when it is done, or one JSON event a line.

use crate::terminal::{
    bars,
    escape::in_line,
    output::{self, Verbosity},
    warnings::{Held, Warnings, lock},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stages::flow::{Event, Figure, Observer};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Figures of an effect that are shown beside its progress.
const FIGURES: usize = 3;
/// Plain lines come at most this often for one stage.
const PACE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Count {
    queued: u64,
    done: u64,
    said: Option<Instant>,
}

enum Mode {
    Json,
    Bars(MultiProgress, Mutex<BTreeMap<String, ProgressBar>>),
    Plain,
    Quiet,
}

/// Shows events as progress bars on a terminal, as plain lines elsewhere, or as JSON; not at all where this process is quiet.
pub struct Screen {
    mode: Mode,
    counts: Mutex<BTreeMap<String, Count>>,
    held: Held,
}

/// A screen that its maker keeps, to end it.
pub(crate) struct Shared(pub(crate) Arc<Screen>);

impl Observer for Shared {
    fn event(&self, event: Event) {
        self.0.event(event);
    }
}

impl Screen {
    /// JSON goes to standard output, everything else to standard error.
    pub fn new(json: bool) -> Screen {
        let quiet = output::verbosity() < Verbosity::Normal;
        let mode = match (json, quiet, output::draws()) {
            (true, ..) => Mode::Json,
            (false, true, _) => Mode::Quiet,
            (false, false, true) => {
                let bars = MultiProgress::with_draw_target(bars::target());
                output::above(Some(bars.clone()));
                Mode::Bars(bars, Mutex::default())
            }
            (false, false, false) => Mode::Plain,
        };
        Screen { mode, counts: Mutex::default(), held: Held::default() }
    }

    fn progress(&self, stage: &str, done: u64, total: u64, text: &str) {
        match &self.mode {
            Mode::Json | Mode::Quiet => {}
            Mode::Bars(all, bars) => {
                let mut bars = lock(bars);
                let bar = bars.entry(stage.to_owned()).or_insert_with(|| {
                    let style = ProgressStyle::with_template("{prefix:>12} {bar:32} {pos}/{len} {elapsed} {msg}");
                    let bar = all.add(ProgressBar::new(total));
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    bar.set_prefix(in_line(stage).into_owned());
                    bar
                });
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(in_line(text).into_owned());
                if done == total {
                    bar.finish();
                }
            }
            Mode::Plain => {
                let mut counts = lock(&self.counts);
                let count = counts.entry(stage.to_owned()).or_default();
                let due = count.said.is_none_or(|said| said.elapsed() >= PACE) || done == total;
                if due {
                    count.said = Some(Instant::now());
                    let dot = if text.is_empty() { "" } else { ", " };
                    output::note(&format!("{stage}: {done} of {total}{dot}{text}"));
                }
            }
        }
    }

    /// Shows the warnings that were held back, at the end of a build.
    pub(crate) fn end(&self) {
        self.tell(&self.held.take());
    }

    fn tell(&self, warnings: &[Warnings]) {
        for warnings in warnings {
            match self.mode {
                Mode::Json => output::data(&format!("{}\n", warnings.json())),
                _ => output::warning(&warnings.text()),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Mode::Bars(..) = self.mode {
            output::above(None);
        }
    }
}

impl Observer for Screen {
    fn event(&self, event: Event) {
        if let Event::Warning { stage, message } = event {
            return self.held.add(stage, message);
        }
        self.tell(&self.held.before(&event));
        if let Mode::Json = self.mode {
            if !matches!(event, Event::Queued { .. } | Event::Shared { .. })
                && let Ok(line) = serde_json::to_string(&event)
            {
                output::data(&(line + "\n"));
            }
            return;
        }
        if let Event::Executed { stage, id, .. } = &event {
            output::detail(&format!("{stage}: executed {id}"));
        }
        match event {
            Event::Queued { stage } => {
                let (done, queued) = {
                    let mut counts = lock(&self.counts);
                    let count = counts.entry(stage.clone()).or_default();
                    count.queued += 1;
                    (count.done, count.queued)
                };
                if let Mode::Bars(..) = self.mode {
                    self.progress(&stage, done, queued, "");
                }
            }
            Event::Executed { stage, .. } | Event::Shared { stage } => {
                let (done, queued) = {
                    let mut counts = lock(&self.counts);
                    let count = counts.entry(stage.clone()).or_default();
                    count.done += 1;
                    (count.done, count.queued)
                };
                // A training that is done has shown its steps.
                if queued > 1 {
                    self.progress(&stage, done, queued, "");
                }
            }
            Event::Progress { stage, done, total, unit, figures } => {
                let figures: Vec<String> = figures.iter().take(FIGURES).map(Figure::to_string).collect();
                let text = if figures.is_empty() { unit.to_owned() } else { figures.join(", ") };
                self.progress(&stage, done, total, &text);
            }
            Event::Resumed { stage, done, total } => {
                output::note(&format!("{stage}: goes on from a checkpoint, {done} of {total} are done"));
            }
            Event::Publishing { run } => output::note(&format!("publishing {run}")),
            Event::Warning { .. } | Event::Checkpoint { .. } | Event::Unchanged { .. } => {}
        }
    }
}
