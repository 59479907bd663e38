//! `license`: keeps the tracks whose license the policy allows.
//!
//! What a track states (an SPDX expression, a Creative Commons URL or title) becomes its SPDX form
//! here. A license that is not stated is refused unless the policy says otherwise, and audio that is
//! refused is never decoded. A track that the opt-out list names is refused whatever its license.

use crate::{
    flow::{divide, once_each, pair},
    settings::{Complaint, PathSetting},
    stage::{Context, Input, Kind, Places, Port, Rows, Shape, Split, Stage},
};
use datasets::{
    corpus::{Member, OptOut},
    license::{List, Policy, Standing, Unknown as UnknownLicense, Verdict},
    row::{Dropped, Track},
};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

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
        allow: Vec<String>,
        /// Licenses to refuse, whatever `allow` says.
        deny: Vec<String> = Vec::new(),
        /// What becomes of a track that states no license, or one that cannot be read.
        unknown: Unknown = Unknown::Refuse,
        /// A table of withdrawn tracks: `id`, `digest`, `artist` or `url`, with `date` and `evidence`.
        exclude: Option<PathSetting> = None,
    }
}

impl License {
    fn policy(&self) -> Result<Policy, Vec<datasets::license::PatternError>> {
        let unknown = match self.unknown {
            Unknown::Refuse => UnknownLicense::Refuse,
            Unknown::Allow => UnknownLicense::Allow,
        };
        Policy::new(&self.allow, &self.deny, unknown)
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
                let why = format!("withdrawn on {}: {}", line.date, line.evidence);
                Err(Dropped { id: track.id, code: Dropped::WITHDRAWN.into(), why, failed: false })
            }
        }
    }

    fn keep(&self, track: Track) -> Result<Track, Dropped> {
        let track = self.standing(track)?;
        let answer = self.judge(&track.license);
        heed(track, answer)
    }
}

/// What a policy says to a stated license: its SPDX form, or why it is refused, as code and sentence.
type Answer = Result<String, (String, String)>;

fn answer(policy: &Policy, stated: &Option<String>) -> Answer {
    let license = datasets::license::License::read(stated.as_deref().unwrap_or_default());
    match policy.judge(&license) {
        Verdict::Allowed { .. } => Ok(match &license.standing {
            Standing::Known(_) => license.canonical(),
            _ => "NOASSERTION".to_owned(),
        }),
        Verdict::Refused { code, sentence } => Err((code.code().to_owned(), sentence)),
    }
}

fn heed(track: Track, answer: Answer) -> Result<Track, Dropped> {
    match answer {
        Ok(spdx) => Ok(Track { license: Some(spdx), ..track }),
        Err((code, why)) => Err(Dropped { id: track.id, code, why, failed: false }),
    }
}

/// The same where the policy may become another: tracks wait by the license that they state, and another answer to it
/// brings them out again.
fn judged<'s>(
    tracks: Rows<'s, Track>,
    settings: Rows<'s, Vec<u8>>,
    judge: Judge,
) -> (Rows<'s, Track>, Rows<'s, Dropped>) {
    let (tracks, withdrawn) = divide(tracks, move |track| judge.standing(track).into());
    let stated = once_each(tracks.clone().map(|track| track.license));
    let answers = pair(stated.map(|text| ((), text)), settings.map(|words| ((), words)));
    let answers = answers.flat_map(|((), text, words)| {
        // The plan has built the same policy before.
        let (allow, deny, any): (Vec<String>, Vec<String>, bool) = postcard::from_bytes(&words).ok()?;
        let unknown = if any { UnknownLicense::Allow } else { UnknownLicense::Refuse };
        let answer = answer(&Policy::new(&allow, &deny, unknown).ok()?, &text);
        Some((text, answer))
    });
    let told = pair(tracks.map(|track| (track.license.clone(), track)), answers);
    let (kept, dropped) = divide(told, |(_, track, answer)| heed(track, answer).into());
    (kept, dropped.concat(withdrawn))
}

impl Stage for License {
    const VERB: &'static str = "license";
    const ABOUT: &'static str = "keeps the tracks whose license the policy allows";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const SHAPE: Shape = Shape::OneToOne;
    const UNIT: &'static str = "tracks";
    const EDITED: &'static [&'static str] = &["allow", "deny", "unknown"];
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
                at.item(list, wrong.index),
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

    fn edited(&self) -> Option<Vec<u8>> {
        let words = (&self.allow, &self.deny, self.unknown == Unknown::Allow);
        // Lists of texts: there is nothing that could fail.
        postcard::to_stdvec(&words).ok()
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> Split<'s, Track> {
        // `check` has built the same policy before.
        let policy = Arc::new(self.policy().unwrap_or_else(|_| unreachable!("the plan checked the policy")));
        let judge = Judge { policy, withdrawn: cx.env.optouts.get(&*cx.stage).cloned(), known: RefCell::default() };
        let waits = judge.clone();
        let (kept, dropped) = match cx.settings.clone() {
            None => divide(input.kept, move |track| judge.keep(track).into()),
            Some(settings) => judged(input.kept, settings, judge),
        };
        Split {
            kept,
            dropped,
            pending: input.pending.flat_map(move |mut row| {
                row.track = match row.track {
                    Some(track) => Some(Arc::new(waits.keep(Arc::unwrap_or_clone(track)).ok()?)),
                    None => None,
                };
                Some(row)
            }),
        }
    }
}
