//! `license`: keeps the tracks whose license the policy allows.
//!
//! What a track states (an SPDX expression, a Creative Commons URL or title) becomes its SPDX form
//! here. A license that is not stated is refused unless the policy says otherwise, and audio that is
//! refused is never decoded. A track that the opt-out list names is refused whatever its license.

use crate::{
    flow::divide,
    settings::{Complaint, PathSetting},
    stage::{Context, Input, Kind, Places, Port, Shape, Split, Stage},
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
    known: RefCell<HashMap<Option<String>, (String, Verdict)>>,
}

impl Judge {
    fn judge(&self, stated: &Option<String>) -> (String, Verdict) {
        self.known
            .borrow_mut()
            .entry(stated.clone())
            .or_insert_with(|| {
                let license = datasets::license::License::read(stated.as_deref().unwrap_or_default());
                let spdx = match &license.standing {
                    Standing::Known(_) => license.canonical(),
                    _ => "NOASSERTION".to_owned(),
                };
                (spdx, self.policy.judge(&license))
            })
            .clone()
    }

    fn keep(&self, track: Track) -> Result<Track, Dropped> {
        if let Some(line) = self.withdrawn.as_ref().and_then(|list| list.find(&Member::of(&track.view()))) {
            let why = format!("withdrawn on {}: {}", line.date, line.evidence);
            return Err(Dropped { id: track.id, code: Dropped::WITHDRAWN.into(), why, failed: false });
        }
        match self.judge(&track.license) {
            (spdx, Verdict::Allowed { .. }) => Ok(Track { license: Some(spdx), ..track }),
            (_, Verdict::Refused { code, sentence }) => {
                Err(Dropped { id: track.id, code: code.code().into(), why: sentence, failed: false })
            }
        }
    }
}

impl Stage for License {
    const VERB: &'static str = "license";
    const ABOUT: &'static str = "keeps the tracks whose license the policy allows";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const SHAPE: Shape = Shape::OneToOne;
    const UNIT: &'static str = "tracks";
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

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> Split<'s, Track> {
        // `check` has built the same policy before.
        let policy = Arc::new(self.policy().unwrap_or_else(|_| unreachable!("the plan checked the policy")));
        let judge = Judge { policy, withdrawn: cx.env.optouts.get(&*cx.stage).cloned(), known: RefCell::default() };
        let waits = judge.clone();
        let (kept, dropped) = divide(input.kept, move |track| judge.keep(track).into());
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
