//! `license`: keeps the tracks whose license the policy allows.
//!
//! What a track states (an SPDX expression, a Creative Commons URL or title) becomes its SPDX form
//! here. A license that is not stated is refused unless the policy says otherwise, and audio that is
//! refused is never decoded. A track that the opt-out list names is refused whatever its license.

use crate::{
    flow::{divide, once_each, pair},
    rows::{
        Input, Kind, Rows,
        pack::{pack, unpack},
    },
    settings::{Complaint, PathSetting, Setting, Value},
    stage::{Cardinality, Context, Facts, Places, Port, Stage, StageOutput},
};
use datasets::{
    corpus::{Member, OptOut},
    license::{List, Pattern, Policy, Standing, Unstated, Verdict},
    row::{Dropped, Track},
};
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// A pattern of a policy in its own spelling, whatever case it is written in; a text that is no pattern stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PatternSetting(String);

impl PatternSetting {
    fn of(text: &str) -> PatternSetting {
        PatternSetting(Pattern::parse(text).map_or_else(|_| text.to_owned(), |pattern| pattern.to_string()))
    }
}

impl Setting for PatternSetting {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        String::read(value).map(|text| PatternSetting::of(&text))
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.canonical()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        String::kind()
    }
    fn schema() -> serde_json::Value {
        String::schema()
    }
}

crate::choice! {
    /// What becomes of a track that states no license.
    pub enum Unknown {
        /// It is dropped.
        Refuse = "refuse",
        /// It is kept, as NOASSERTION.
        Allow = "allow",
    }
}

crate::settings! {
    /// Settings of `license`.
    pub struct License {
        /// Licenses to keep: SPDX ids, families such as `CC-BY-*`, or `*` for every stated license.
        #[live]
        allow: BTreeSet<PatternSetting>,
        /// Licenses to refuse, whatever `allow` says.
        #[live]
        deny: BTreeSet<PatternSetting> = BTreeSet::new(),
        /// What becomes of a track that states no license, or one that cannot be read.
        #[live]
        unknown: Unknown = Unknown::Refuse,
        /// A table of withdrawn tracks: `id`, `digest`, `artist` or `url`, with `date` and `evidence`.
        #[path]
        exclude: Option<PathSetting> = None,
    }
}

impl License {
    fn policy(&self) -> Result<Policy, Vec<datasets::license::PatternError>> {
        let unknown = match self.unknown {
            Unknown::Refuse => Unstated::Refuse,
            Unknown::Allow => Unstated::Allow,
        };
        let texts = |patterns: &BTreeSet<PatternSetting>| patterns.iter().map(|own| own.0.clone()).collect::<Vec<_>>();
        Policy::new(&texts(&self.allow), &texts(&self.deny), unknown)
    }

    /// The policy of settings that are in a plan: `check` has built it before.
    fn checked(&self) -> Policy {
        self.policy().unwrap_or_else(|_| unreachable!("the plan checked the policy"))
    }

    /// Reads the settings that [`Stage::live`] packed.
    fn read(words: &[u8]) -> License {
        let (allow, deny, any) = unpack(words);
        License { allow, deny, unknown: if any { Unknown::Allow } else { Unknown::Refuse }, exclude: None }
    }
}

/// A stated license's SPDX form and the policy's answer, judged once per text.
#[derive(Clone)]
struct Judge {
    policy: Arc<Policy>,
    withdrawn: Option<Arc<OptOut>>,
    known: RefCell<HashMap<Option<String>, Answer>>,
}

impl Judge {
    fn judge(&self, stated: &Option<String>) -> Answer {
        self.known.borrow_mut().entry(stated.clone()).or_insert_with(|| answer(&self.policy, stated)).clone()
    }

    /// Refuses a track that is withdrawn.
    fn standing(&self, track: Track) -> Result<Track, Dropped> {
        match self.withdrawn.as_ref().and_then(|list| list.find(&Member::of(&track.view()))) {
            None => Ok(track),
            Some(line) => {
                let why = line.to_string();
                Err(Dropped { id: track.id, code: Dropped::WITHDRAWN.into(), why: why.into(), failed: false })
            }
        }
    }

    fn keep(&self, track: Track) -> Result<Track, Dropped> {
        let track = self.standing(track)?;
        let answer = self.judge(&track.license);
        apply_answer(track, answer)
    }
}

/// Answer of a policy to a stated license: `Ok` is its SPDX form, `Err` the code and sentence of the refusal.
type Answer = Result<String, (Arc<str>, Arc<str>)>;

fn answer(policy: &Policy, stated: &Option<String>) -> Answer {
    let license = datasets::license::License::read(stated.as_deref().unwrap_or_default());
    match policy.judge(&license) {
        Verdict::Allowed { .. } => Ok(match &license.standing {
            Standing::Known(_) => license.canonical(),
            _ => "NOASSERTION".to_owned(),
        }),
        Verdict::Refused { code, sentence } => Err((code.code().into(), sentence.into())),
    }
}

fn apply_answer(track: Track, answer: Answer) -> Result<Track, Dropped> {
    match answer {
        Ok(spdx) => Ok(Track { license: Some(spdx), ..track }),
        Err((code, why)) => Err(Dropped { id: track.id, code, why, failed: false }),
    }
}

/// Tracks of one license are work for several workers.
fn bucket(id: &str) -> u8 {
    id.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 16
}

/// Judges tracks under live settings: tracks wait by the license that they state, and a changed answer to it brings
/// them out again.
fn judged<'s>(
    tracks: Rows<'s, Track>,
    settings: Rows<'s, Vec<u8>>,
    judge: Judge,
) -> (Rows<'s, Track>, Rows<'s, Dropped>) {
    let (tracks, withdrawn) = divide(tracks, move |track| judge.standing(track).into());
    let keyed = tracks.map(|track| ((track.license.clone(), bucket(&track.id)), track));
    let stated = once_each(keyed.clone().map(|(key, _)| key));
    let answers = pair(stated.map(|key| ((), key)), settings.map(|words| ((), words)));
    let answers = answers.map(|((), key, words)| {
        let answer = answer(&License::read(&words).checked(), &key.0);
        (key, answer)
    });
    let told = pair(keyed, answers);
    let (kept, dropped) = divide(told, |(_, track, answer)| apply_answer(track, answer).into());
    (kept, dropped.concat(withdrawn))
}

impl Stage for License {
    const VERB: &'static str = "license";
    const ABOUT: &'static str = "keeps the tracks whose license the policy allows";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const CARDINALITY: Cardinality = Cardinality::OneToOne;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { judges: true, light: true, ..Facts::NONE };
    type In = Track;
    type Out = Track;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if self.allow.is_empty() && self.unknown == Unknown::Refuse {
            complaints.push(
                Complaint::new(at.of("allow"), "`allow` is empty: every track would be dropped")
                    .help("name SPDX ids, or \"*\" for every stated license"),
            );
        }
        for wrong in self.policy().err().unwrap_or_default() {
            let list = if wrong.list == List::Allow { "allow" } else { "deny" };
            let complaint = Complaint::new(
                at.saying(list, &wrong.pattern),
                format!("`{list}` names \"{}\", {}", wrong.pattern, wrong.reason),
            );
            complaints.push(match wrong.suggestion {
                Some(near) => complaint.help(format!("did you mean \"{near}\"?")),
                None => complaint,
            });
        }
    }

    fn exclude(&self) -> Option<&PathSetting> {
        self.exclude.as_ref()
    }

    fn denying(&self, licenses: &[String]) -> Result<License, String> {
        let deny =
            self.deny.iter().cloned().chain(licenses.iter().map(|license| PatternSetting::of(license))).collect();
        let stage = License { deny, ..self.clone() };
        match stage.policy().err().and_then(|wrong| wrong.into_iter().next()) {
            None => Ok(stage),
            Some(wrong) => {
                let near = wrong.suggestion.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                Err(format!("{:?}, {}{near}", wrong.pattern, wrong.reason))
            }
        }
    }

    fn live(&self) -> Option<Vec<u8>> {
        let words = (&self.allow, &self.deny, self.unknown == Unknown::Allow);
        Some(pack(&words))
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let policy = Arc::new(self.checked());
        let judge = Judge { policy, withdrawn: cx.env.optouts.get(&*cx.stage).cloned(), known: RefCell::default() };
        let waits = judge.clone();
        let (kept, dropped) = match cx.settings.clone() {
            None => divide(input.kept, move |track| judge.keep(track).into()),
            // Nothing waits here: a dataflow that stays up is no dry run.
            Some(settings) => judged(input.kept, settings, judge),
        };
        StageOutput {
            kept,
            dropped,
            pending: input.pending.flat_map(move |mut waiting| {
                waiting.track = match waiting.track {
                    Some(track) => Some(Arc::new(waits.keep(Arc::unwrap_or_clone(track)).ok()?)),
                    None => None,
                };
                Some(waiting)
            }),
        }
    }
}
