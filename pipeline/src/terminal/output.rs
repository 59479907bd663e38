//! The writer of everything that this process says: color, verbosity, and the text of others made harmless.
//!
//! Set once, from the command line. Text is escaped here ([`escaped`]), whatever its source; the program's own colors are
//! put around it afterwards.

use crate::terminal::{
    channel::{ERR, OUT},
    escape::escaped,
};
use datasets::environment::{NO_COLOR, TERM};
use indicatif::MultiProgress;
use std::{
    io::{self, Write},
    panic::PanicHookInfo,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
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

/// Whether the terminal understands no more than lines.
fn dumb() -> bool {
    TERM.get().is_some_and(|term| term == "dumb")
}

/// Whether standard error takes color.
pub fn colored() -> bool {
    takes(output().color, ERR.is_terminal())
}

fn takes(color: Color, terminal: bool) -> bool {
    color.wanted(terminal, NO_COLOR.get().is_some(), dumb())
}

/// Whether bars can be drawn on standard error.
pub(crate) fn draws() -> bool {
    ERR.is_terminal() && !dumb()
}

/// Names the bars that lines have to go above; `None`: there are none any more.
pub(crate) fn above(bars: Option<MultiProgress>) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = bars;
}

/// Standard error as it is, below no bars: for the bars themselves.
pub(super) fn draw(text: &str) {
    ERR.write(text.as_bytes());
}

/// Writes text that is colored and escaped already to standard error, above the bars.
fn say(text: &str) {
    let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bars {
        Some(bars) => bars.suspend(|| ERR.write(text.as_bytes())),
        None => ERR.write(text.as_bytes()),
    }
}

fn line(text: &str) {
    say(&format!("{}\n", escaped(text)));
}

/// A word of the program's own in bold, where standard error takes color.
fn paint(word: &str, code: u8) -> String {
    if colored() { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Says an error on standard error, however quiet this process is.
pub fn error(text: &str) {
    say(&format!("{} {}\n", paint("error:", 31), escaped(text)));
}

/// Writes text that is laid out, colored and escaped already to standard error, however quiet this process is: what
/// renders it has passed the text of others through [`escaped`] before it measured and colored it.
pub fn laid_out(text: &str) {
    say(text);
}

/// Says a warning on standard error, unless this process is quiet.
pub fn warning(text: &str) {
    if verbosity() >= Verbosity::Normal {
        say(&format!("{} {}\n", paint("warning:", 33), escaped(text)));
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

/// Writes an answer for people to standard output. A reader that went away, such as `head`, is no error; for any other
/// see [`unwritten`].
pub fn answer(text: &str) {
    OUT.write(escaped(text).as_bytes());
}

/// Writes an answer that another program may read, such as JSON or a path, to standard output: as it is, and on a terminal
/// like [`answer`].
pub fn data(text: &str) {
    if OUT.is_terminal() { answer(text) } else { OUT.write(text.as_bytes()) }
}

/// Writes a summary of what was done to standard output, unless only errors are wanted.
pub fn summary(text: &str) {
    if verbosity() > Verbosity::Silent {
        answer(text);
    }
}

/// The reason for which a part of the answer could not be written. `None` if all of it was, or its reader went away.
pub fn unwritten() -> Option<String> {
    OUT.failure()
}

/// Writes what the parser of the command line says: help and version to standard output, complaints to standard error.
/// `clean`: the command line holds nothing that is escaped, and so neither does the text.
pub(crate) fn parsed(said: &clap::Error, color: Color, clean: bool) {
    let channel = if said.use_stderr() { &ERR } else { &OUT };
    let text = said.render();
    match clean && takes(color, channel.is_terminal()) {
        true => channel.write(text.ansi().to_string().as_bytes()),
        false => channel.write(escaped(&text.to_string()).as_bytes()),
    }
}

/// Log lines on standard error, above the bars. What a library logs holds text of others: a line is formatted without
/// color, and its level is painted here.
#[derive(Debug, Default)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start();
        let levels = [("ERROR", 31), ("WARN", 33), ("INFO", 32), ("DEBUG", 34), ("TRACE", 35)];
        match levels.into_iter().find_map(|(word, code)| Some((paint(word, code), text.strip_prefix(word)?))) {
            Some((level, rest)) => say(&format!("{level}{}", escaped(rest))),
            None => say(&escaped(text)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says where this process panicked: what `std` does, without panicking where nobody hears it.
pub(crate) fn panicked(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let why = panic.payload_as_str().unwrap_or("without a message");
    // Not above the bars: whoever draws them may be the one that panics.
    let text = format!("thread '{}' panicked{place}: {why}", thread.name().unwrap_or("without a name"));
    ERR.write(format!("{}\n", escaped(&text)).as_bytes());
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
