//! Commands with limits of memory and time.

use crate::support::Said;
use pipeline::error::{BUG, EXITS, INTERRUPTED, LOST};
use rayon::prelude::*;
use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

/// Memory of a command in KiB of address space: threads and the allocator reserve more than they use.
const MEMORY: u64 = 5 << 20;
/// Seconds that a command may take.
const SECONDS: u32 = 60;

/// One command.
pub struct Case {
    name: String,
    words: Vec<OsString>,
    /// The exit code that it must have.
    code: Option<i32>,
}

impl Case {
    /// A command of the binary.
    pub fn new(words: Vec<OsString>) -> Case {
        Case { name: String::new(), words, code: None }
    }

    /// With a name, and the exit code if it is known.
    pub fn ends(mut self, name: &str, code: Option<i32>) -> Case {
        name.clone_into(&mut self.name);
        self.code = code;
        self
    }

    /// Runs it; what is wrong with how it ended.
    fn wrong(&self) -> Option<String> {
        let limits = format!("ulimit -v {MEMORY}; exec timeout -s KILL {SECONDS} \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &limits, env!("CARGO_BIN_EXE_refrain")])
            .args(&self.words)
            .env_remove("REFRAIN_FAULT")
            .env("RAYON_NUM_THREADS", "2")
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let said = Said::of(&output);
        let documented = |code: i32| {
            let known = EXITS.iter().any(|exit| i32::from(exit.code) == code);
            known && ![BUG, LOST, INTERRUPTED].iter().any(|exit| i32::from(exit.code) == code)
        };
        let why = match said.code {
            None => format!("ended by signal {:?}", output.status.signal()),
            Some(code) if !documented(code) => format!("ended with {code}"),
            Some(code) if self.code.is_some_and(|want| want != code) => {
                format!("ended with {code}, not {:?}", self.code)
            }
            _ if said.err.contains("panicked at") || said.err.contains("RUST_BACKTRACE") => "panicked".to_owned(),
            _ => return None,
        };
        let end: String = said.err.chars().take(2000).collect();
        Some(format!("{} {:?}: {why}\n{end}", self.name, self.words))
    }
}

fn check(wrong: Vec<String>, count: usize) {
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs all, several at a time.
pub fn all(cases: Vec<Case>) {
    check(cases.par_iter().filter_map(Case::wrong).collect(), cases.len());
}

/// Runs all, each `together` in turn: they share a store.
pub fn in_turn(cases: Vec<Case>, together: usize) {
    let wrong = cases.par_chunks(together).flat_map_iter(|cases| cases.iter().filter_map(Case::wrong));
    check(wrong.collect(), cases.len());
}
