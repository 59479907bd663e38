//! Where progress bars are drawn: standard error, through the writer of everything else, so that a bar which nobody sees
//! fails nothing.

use crate::terminal::output;
use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};
use std::{
    io,
    mem::take,
    sync::{Mutex, PoisonError},
};

/// Drawings per second at most.
const PACE: u8 = 20;

/// The target of all bars.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Drawing { term: Term::stderr(), text: Mutex::default() }), PACE)
}

/// One drawing under way, written as a whole so that it does not flicker.
#[derive(Debug)]
struct Drawing {
    /// Asked for its size alone.
    term: Term,
    text: Mutex<String>,
}

impl Drawing {
    fn push(&self, text: &str) {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
    }

    /// Moves the cursor by `n` in the direction of a control sequence; 0 would move it by one.
    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n > 0 {
            self.push(&format!("\x1b[{n}{direction}"));
        }
        Ok(())
    }
}

impl TermLike for Drawing {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(text);
        self.push("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let text = take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner));
        if !text.is_empty() {
            output::draw(&text);
        }
        Ok(())
    }
}
