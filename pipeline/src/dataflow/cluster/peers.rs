//! Who is there: hears what the others say, says that this process is there, and notices when one is lost.

use super::{
    protocol::{Account, BEAT, Rows, Start, Word, hear, say},
    seat::Seat,
    wire::Wire,
};
use crate::error::Error;
use datasets::{Digest, effect::Fault};
use stages::flow::{Cancel, Peers};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A process of which nothing is heard for so long is lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Longer messages go in pieces of so many bytes.
const PIECE: usize = 1 << 26;
/// Interval at which a waiting thread polls for Ctrl-C, which wakes nobody.
const LOOK: Duration = Duration::from_millis(50);

/// Why this run ends here without this process having a reason of its own.
#[derive(Clone, Debug)]
enum Ending {
    /// A process was lost.
    Lost(usize),
    /// A process said that it ends: exit code and sentence.
    Said(u8, String),
}

/// Phase of the run in this process; it decides whose loss ends the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Everybody is needed.
    #[default]
    Work,
    /// Only process 0 is needed: it publishes.
    HandedIn,
    /// Nobody is needed.
    Over,
}

#[derive(Default)]
struct State {
    phase: Phase,
    ending: Option<Ending>,
    /// Processes that have announced their end.
    left: BTreeSet<usize>,
    start: Option<Start>,
    ready: BTreeSet<usize>,
    drained: BTreeSet<usize>,
    answers: BTreeMap<(usize, u64), Option<String>>,
    /// Messages about the work of keys, and those who sent them, each with whether it is whole.
    parts: BTreeMap<(Digest, (u64, u64), usize), (Vec<u8>, bool)>,
    /// Why processes take no part in the work of keys any more.
    apart: BTreeMap<(Digest, usize), String>,
    rows: Vec<Rows>,
    accounts: BTreeMap<usize, Account>,
    /// The run that process 0 published.
    published: Option<String>,
}

/// Callback: the first source that this process could not read, for the others.
type Unread = Box<dyn Fn() -> Option<String> + Send + Sync>;
/// Callback: takes part in the work of a key, which the effect of a stage does in process 0.
type Called = Box<dyn Fn(String, Digest, Vec<u8>) + Send + Sync>;

/// Connections for words to all others, and what was heard.
pub(super) struct Watch {
    pub seat: Seat,
    lines: Vec<Option<Mutex<Wire>>>,
    state: Mutex<State>,
    heard: Condvar,
    cancel: Cancel,
    unread: OnceLock<Unread>,
    called: OnceLock<Called>,
    questions: AtomicU64,
}

impl Watch {
    /// Starts to listen and to beat.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(seat: Seat, words: Vec<Option<Wire>>, cancel: Cancel) -> io::Result<Arc<Watch>> {
        let mut heard = Vec::new();
        for (process, stream) in words.iter().enumerate() {
            let Some(stream) = stream else { continue };
            stream.set_timeouts(Some(SILENCE))?;
            heard.push((process, stream.try_clone()?));
        }
        let watch = Arc::new(Watch {
            seat,
            lines: words.into_iter().map(|stream| stream.map(Mutex::new)).collect(),
            state: Mutex::default(),
            heard: Condvar::new(),
            cancel,
            unread: OnceLock::new(),
            called: OnceLock::new(),
            questions: AtomicU64::new(0),
        });
        for (process, mut stream) in heard {
            let (listening, beating) = (watch.clone(), watch.clone());
            thread::Builder::new().name(format!("hear-{process}")).spawn(move || {
                while let Ok(word) = hear(&mut stream) {
                    listening.take(process, word);
                }
                listening.lost(process);
            })?;
            // Each has its own: one that does not read must not keep the others from hearing.
            thread::Builder::new().name(format!("beat-{process}")).spawn(move || {
                while beating.say(process, &Word::Beat) {
                    thread::sleep(BEAT);
                }
            })?;
        }
        Ok(watch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a word; whether it went out. Where it did not, the process is lost, and listening notices that too.
    pub(super) fn say(&self, process: usize, word: &Word) -> bool {
        let Some(Some(line)) = self.lines.get(process) else { return false };
        say(&mut *line.lock().unwrap_or_else(PoisonError::into_inner), word).is_ok()
    }

    /// Says a word to everybody else.
    pub(super) fn say_all(&self, word: &Word) {
        for process in self.others() {
            self.say(process, word);
        }
    }

    fn others(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.seat.processes()).filter(|process| *process != self.seat.process)
    }

    fn take(&self, process: usize, word: Word) {
        let mut state = self.state();
        match word {
            Word::Beat => return,
            Word::Start(start) => state.start = Some(start),
            Word::Ready => {
                state.ready.insert(process);
            }
            Word::Unread(number) => {
                drop(state);
                let unread = self.unread.get().and_then(|unread| unread());
                self.say(process, &Word::Answer(number, unread));
                return;
            }
            Word::Answer(number, unread) => drop(state.answers.insert((process, number), unread)),
            Word::Call { stage, key, work } => {
                drop(state);
                if let Some(called) = self.called.get() {
                    called(stage, key, work);
                }
                return;
            }
            Word::Part { key, turn, bytes, more } => {
                let (message, whole) = state.parts.entry((key, turn, process)).or_default();
                message.extend(bytes);
                *whole = !more;
            }
            Word::Leave { key, why } => drop(state.apart.insert((key, process), why)),
            Word::Drained => {
                state.drained.insert(process);
            }
            Word::Rows(rows) => state.rows.push(rows),
            Word::Account(account) => drop(state.accounts.insert(process, account)),
            Word::End(code, why) => {
                state.left.insert(process);
                match (code, process) {
                    (0, 0) => state.published = Some(why),
                    (0, _) => {}
                    _ => self.end(&mut state, process, Ending::Said(code, why)),
                }
            }
        }
        self.heard.notify_all();
    }

    fn lost(&self, process: usize) {
        let mut state = self.state();
        if !state.left.contains(&process) {
            self.end(&mut state, process, Ending::Lost(process));
        }
        self.heard.notify_all();
    }

    /// The run ends here unless this process does not need the other one any more. The first reason counts.
    fn end(&self, state: &mut State, process: usize, ending: Ending) {
        let needed = match state.phase {
            Phase::Work => true,
            Phase::HandedIn => process == 0,
            Phase::Over => false,
        };
        if needed && state.ending.is_none() {
            state.ending = Some(ending);
            self.cancel.cancel();
        }
    }

    fn error(&self, state: &State) -> Option<Error> {
        let sentence = |process: &usize| match state.phase {
            Phase::Work => format!("{} was lost; nothing was published; run again to go on", self.seat.name(*process)),
            _ => {
                format!("{} was lost while it published; run again to see that all is there", self.seat.name(*process))
            }
        };
        state.ending.as_ref().map(|ending| match ending {
            Ending::Lost(process) => Error::Lost(sentence(process)),
            Ending::Said(code, why) => Error::Elsewhere { code: *code, why: why.clone() },
        })
    }

    /// Why the run ends, where another process is the reason.
    pub(super) fn ending(&self) -> Option<Error> {
        self.error(&self.state())
    }

    /// Waits for something to be heard.
    ///
    /// # Errors
    /// When the run ends before.
    fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<T, Error> {
        let mut state = self.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            if let Some(error) = self.error(&state) {
                return Err(error);
            }
            if self.cancel.cancelled() {
                return Err(Error::Interrupted);
            }
            state = self.heard.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the start message of process 0.
    pub(super) fn started(&self) -> Result<Start, Error> {
        self.wait(|state| state.start.take())
    }

    /// Waits until everybody else is ready.
    pub(super) fn all_ready(&self) -> Result<(), Error> {
        self.wait(|state| self.others().all(|process| state.ready.contains(&process)).then_some(()))
    }

    /// Waits until the dataflow of a process has ended: whether it has, and the process was not lost before.
    pub(super) fn drained(&self, process: usize) -> bool {
        let mut state = self.state();
        loop {
            if state.drained.contains(&process) {
                return true;
            }
            if state.ending.is_some() || state.left.contains(&process) {
                return false;
            }
            state = self.heard.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the accounts of everybody else; from then on nobody else is needed.
    pub(super) fn accounts(&self) -> Result<(Vec<Rows>, BTreeMap<usize, Account>), Error> {
        self.wait(|state| {
            self.others().all(|process| state.accounts.contains_key(&process)).then(|| {
                state.phase = Phase::Over;
                (std::mem::take(&mut state.rows), std::mem::take(&mut state.accounts))
            })
        })
    }

    /// Marks this process's rows as sent: from here on only the loss of process 0 matters.
    pub(super) fn handed_in(&self) {
        self.state().phase = Phase::HandedIn;
    }

    /// Waits for the run that process 0 publishes.
    pub(super) fn published(&self) -> Result<String, Error> {
        self.wait(|state| state.published.clone())
    }

    /// Says how others learn what could not be read here, and what they call this process for.
    pub(super) fn answer_with(&self, unread: Unread, called: Called) {
        let _ = self.unread.set(unread);
        let _ = self.called.set(called);
    }
}

impl Peers for Watch {
    fn unread(&self) -> Result<Option<String>, Fault> {
        let number = self.questions.fetch_add(1, Ordering::Relaxed);
        self.say_all(&Word::Unread(number));
        let answers = self.wait(|state| {
            let there = self.others().all(|process| state.answers.contains_key(&(process, number)));
            there.then(|| self.others().filter_map(|process| state.answers.remove(&(process, number))).collect())
        });
        let answers: Vec<Option<String>> = answers.map_err(|_| Fault::Interrupted)?;
        Ok(answers.into_iter().flatten().min())
    }

    fn place(&self) -> (usize, usize) {
        (self.seat.process, self.seat.processes())
    }

    fn call(&self, stage: &str, key: Digest, work: &[u8]) {
        self.say_all(&Word::Call { stage: stage.to_owned(), key, work: work.to_owned() });
    }

    fn give(&self, key: Digest, turn: (u64, u64), message: &[u8]) {
        let pieces = message.len().div_ceil(PIECE).max(1);
        for piece in 0..pieces {
            let bytes = message[piece * PIECE..message.len().min((piece + 1) * PIECE)].to_owned();
            self.say_all(&Word::Part { key, turn, bytes, more: piece + 1 < pieces });
        }
    }

    fn take(&self, key: Digest, turn: (u64, u64), place: usize) -> Result<Vec<u8>, Fault> {
        let heard = self.wait(|state| match state.parts.get(&(key, turn, place)) {
            Some((_, true)) => state.parts.remove(&(key, turn, place)).map(|(message, _)| Ok(message)),
            _ => state.apart.get(&(key, place)).map(|why| Err(why.clone())),
        });
        let heard = heard.map_err(|_| Fault::Interrupted)?;
        heard.map_err(|why| Fault::Failed(format!("{}: {why}", self.seat.name(place))))
    }

    fn leave(&self, key: Digest, why: &str) {
        self.say_all(&Word::Leave { key, why: why.to_owned() });
    }

    fn forget(&self, key: Digest) {
        let mut state = self.state();
        state.parts.retain(|(of, ..), _| *of != key);
        state.apart.retain(|(of, _), _| *of != key);
    }
}
