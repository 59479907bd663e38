//! What processes say to each other beside the dataflow: a length, then the word, packed.

use super::proof::Session;
use datasets::{Digest, row::Dropped};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stages::{flow::Cost, rows::AnyRow};
use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    time::Duration,
};

/// No word is longer.
const LONGEST: u32 = 1 << 30;
/// Nobody's first word is longer.
const LONGEST_HELLO: u32 = 1 << 16;

/// Interval between two heartbeats of a process.
pub(super) const BEAT: Duration = Duration::from_secs(2);

/// The first word on every connection, both ways, once the secret is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// Index of the sending process.
    pub process: usize,
    /// Whether the connection is for the dataflow's rows; the other one is for words.
    pub rows: bool,
    /// Facts that must agree in all processes: name and value in the sending process.
    pub facts: Vec<(String, String)>,
}

/// First field of a first word: the version of what processes say to each other.
pub(super) const MAGIC: &str = "refrain hosts 5";

/// Start message of process 0: pins, opt-out lists and sources that the others need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The store as process 0 names it.
    pub store: String,
    /// A file that lies in the store now.
    pub token: String,
    /// Paths of the sources, by content digest.
    pub sources: Vec<(Digest, Vec<u8>)>,
    /// Some of these places where process 0 finds a file: the others must find it, too.
    pub there: Vec<Vec<u8>>,
    /// The weights of each pinned stage, by the stage's index.
    pub pins: Vec<Option<Digest>>,
    /// Digest of all opt-out lists.
    pub optouts: Digest,
}

/// Rows of one stage with their multiplicities.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rows {
    /// The stage's index.
    pub stage: usize,
    /// Kept rows.
    pub kept: Vec<(AnyRow, isize)>,
    /// Dropped rows.
    pub dropped: Vec<(Dropped, isize)>,
}

/// Executed and cached effects of one stage in one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The stage's name.
    pub stage: String,
    /// Ids of the rows on which an effect ran.
    pub executed: BTreeSet<String>,
    /// Cost of the executed effects.
    pub cost: Cost,
    /// Memo hits.
    pub cached: u64,
    /// Sentences for the summary.
    pub notes: BTreeSet<String>,
}

/// Account of a process: its last message before process 0 publishes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// One entry per stage.
    pub work: Vec<Work>,
    /// Stages over the whole corpus that failed, each with a sentence.
    pub failed: Vec<(String, String)>,
    /// All other failures: exit codes and sentences.
    pub failures: Vec<(u8, String)>,
    /// Keys of receipts that it looked up or wrote.
    pub keys: Vec<Digest>,
}

/// Everything after the first word.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Still there.
    Beat,
    /// Process 0 starts the work.
    Start(Start),
    /// To process 0: what it told fits.
    Ready,
    /// Question for the first source that could not be read; the number goes into the answer.
    Unread(u64),
    /// The answer.
    Answer(u64, Option<String>),
    /// From process 0: all are to take part in the work of a key, which the effect of a stage does there.
    Call {
        /// The stage's name.
        stage: String,
        /// The key.
        key: Digest,
        /// The work, packed.
        #[serde(with = "serde_bytes")]
        work: Vec<u8>,
    },
    /// A piece of what this process has to say about the work of a key.
    Part {
        /// The key.
        key: Digest,
        /// Which message it is of.
        turn: (u64, u64),
        /// Its bytes, behind those of the pieces before.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// Whether another piece follows.
        more: bool,
    },
    /// Why this process takes no part in the work of a key any more.
    Leave {
        /// The key.
        key: Digest,
        /// A sentence.
        why: String,
    },
    /// The dataflow has ended here.
    Drained,
    /// To process 0: what came of the dataflow here, in parts.
    Rows(Rows),
    /// To process 0: that was all.
    Account(Account),
    /// This process ends: its exit code, and why or which run it published.
    End(u8, String),
}

/// Says a word.
pub(super) fn say(to: &mut impl Write, word: &impl Serialize) -> io::Result<()> {
    to.write_all(&framed(&packed(word)?, LONGEST)?)
}

/// Hears a word.
pub(super) fn hear(from: &mut impl Read) -> io::Result<Word> {
    unpacked(&body(from, LONGEST)?)
}

/// Says the first word, with a seal that holds for this connection only.
pub(super) fn say_sealed(to: &mut impl Write, session: &Session, hello: &Hello) -> io::Result<()> {
    let body = packed(hello)?;
    to.write_all(&[&framed(&body, LONGEST_HELLO)?[..], &session.seal(&body)].concat())
}

/// Hears the first word; one that is not ours, or not of this connection, is an error.
pub(super) fn hear_sealed(from: &mut impl Read, session: &Session) -> io::Result<Hello> {
    let body = body(from, LONGEST_HELLO)?;
    let mut seal = [0; 32];
    from.read_exact(&mut seal)?;
    if !session.sealed(&body, seal) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its first word is not its own"));
    }
    let hello: Hello = unpacked(&body)?;
    if hello.magic == MAGIC { Ok(hello) } else { Err(other_version()) }
}

fn other_version() -> io::Error {
    io::Error::other("another version of refrain answers there")
}

fn packed(word: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(word).map_err(io::Error::other)
}

fn unpacked<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(|_| other_version())
}

fn framed(body: &[u8], longest: u32) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= longest);
    let length = length.ok_or_else(|| io::Error::other("a word is too long"))?;
    Ok([&length.to_le_bytes()[..], body].concat())
}

fn body(from: &mut impl Read, longest: u32) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > longest {
        return Err(other_version());
    }
    // Grows as bytes come: a length alone takes no memory.
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body)?;
    if body.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_were_said() {
        let mut line = Vec::new();
        say(&mut line, &Word::Unread(7)).expect("said");
        let dropped = vec![(Dropped { id: "x".into(), code: "c".into(), why: "w".into(), failed: true }, -1)];
        say(&mut line, &Word::Rows(Rows { stage: 3, kept: Vec::new(), dropped })).expect("said");
        let mut rest = line.as_slice();
        assert!(matches!(hear(&mut rest), Ok(Word::Unread(7))));
        assert!(matches!(hear(&mut rest), Ok(Word::Rows(Rows { stage: 3, dropped, .. })) if dropped[0].1 == -1));
        assert_eq!(hear(&mut rest).expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
        assert!(hear(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).is_err());
        let long = [&LONGEST.to_le_bytes()[..], b"short"].concat();
        assert_eq!(hear(&mut &long[..]).expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    }
}
