//! Color and verbosity of everything on the terminal: set once, from the command line.

use datasets::environment::{NO_COLOR, TERM};
use indicatif::MultiProgress;
use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, OnceLock, PoisonError},
};

/// When to use color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Wherever the output goes, whatever the environment says
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Whether to color a stream. `terminal`: the stream is a terminal; `no_color`, `dumb`: the environment asks for none,
    /// by `NO_COLOR` (<https://no-color.org>, any value but the empty one) or by `TERM=dumb`.
    fn wanted(self, terminal: bool, no_color: bool, dumb: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color && !dumb,
        }
    }
}

/// Level of output, from errors only to debug messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Silent,
    /// Errors and the summary: no progress, no warnings.
    Quiet,
    /// Progress, warnings and the summary.
    #[default]
    Normal,
    /// Debug messages too.
    Verbose,
}

/// Output options of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// When to use color.
    pub color: Color,
    /// Level of output.
    pub verbosity: Verbosity,
}

static OUTPUT: OnceLock<Output> = OnceLock::new();

/// The bars that are drawn now: a line on standard error has to go above them.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Sets color and verbosity of this process, once; later calls change nothing.
pub fn set(output: Output) {
    let _ = OUTPUT.set(output);
}

fn output() -> Output {
    OUTPUT.get().copied().unwrap_or_default()
}

/// The level of output of this process.
pub fn verbosity() -> Verbosity {
    output().verbosity
}

/// Whether standard error takes color.
pub fn colored() -> bool {
    let dumb = TERM.get().is_some_and(|term| term == "dumb");
    output().color.wanted(io::stderr().is_terminal(), NO_COLOR.get().is_some(), dumb)
}

/// Names the bars that lines have to go above; `None`: there are none any more.
pub(crate) fn above(bars: Option<MultiProgress>) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = bars;
}

/// Standard error, above the bars.
#[derive(Debug, Default)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bars {
            Some(bars) => bars.suspend(|| io::stderr().lock().write_all(bytes)),
            None => io::stderr().lock().write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn line(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = Lines.write_all(format!("{text}\n").as_bytes());
}

/// A word in bold red or yellow, where standard error takes color.
fn paint(word: &str, code: u8) -> String {
    if colored() { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Says an error on standard error, however quiet this process is.
pub fn error(text: &str) {
    line(&format!("{} {text}", paint("error:", 31)));
}

/// Writes errors that are laid out already to standard error, however quiet this process is.
pub fn errors(text: &str) {
    let _ = Lines.write_all(text.as_bytes());
}

/// Says a warning on standard error, unless this process is quiet.
pub fn warning(text: &str) {
    if verbosity() >= Verbosity::Normal {
        line(&format!("{} {text}", paint("warning:", 33)));
    }
}

/// Says on standard error what happens, unless this process is quiet.
pub fn note(text: &str) {
    if verbosity() >= Verbosity::Normal {
        line(text);
    }
}

/// Says on standard error what helps to find out why something happens, where this process is verbose.
pub fn detail(text: &str) {
    if verbosity() >= Verbosity::Verbose {
        line(text);
    }
}

/// Writes the answer to standard output as it is. A reader that went away, such as `head`, is no error.
pub fn answer(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a summary of what was done to standard output, unless only errors are wanted.
pub fn summary(text: &str) {
    if verbosity() > Verbosity::Silent {
        answer(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_is_for_terminals_whose_owner_wants_it() {
        for (color, terminal, no_color, dumb, wanted) in [
            (Color::Auto, true, false, false, true),
            (Color::Auto, false, false, false, false),
            (Color::Auto, true, true, false, false),
            (Color::Auto, true, false, true, false),
            (Color::Always, false, true, true, true),
            (Color::Never, true, false, false, false),
        ] {
            assert_eq!(color.wanted(terminal, no_color, dumb), wanted, "{color:?} {terminal} {no_color} {dumb}");
        }
    }
}
