//! What becomes of rows whose work gives a result, is refused, cannot read its source, panics, or would run.

use datasets::{
    Digest,
    effect::{Effect, Fault, Load, key},
    store::Store,
};
use differential_dataflow::input::Input;
use stages::{
    flow::{Env, Event, Failure, Helpers, Item, Ledger, Observer, Permit, Pool, Sources, memoised},
    rows::Time,
    stage::Context,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use timely::dataflow::ProbeHandle;

/// Ends as its work says.
struct Ends;

impl Effect for Ends {
    type Work = String;
    type Output = u64;
    const LOAD: Load = Load::Light;

    fn key(&self, work: &String) -> Digest {
        key("ends", 1).text(work).finish()
    }

    fn objects(&self, _: &u64) -> Vec<Digest> {
        Vec::new()
    }

    fn run(&self, work: &String) -> Result<u64, Fault> {
        match work.as_str() {
            "well" => Ok(7),
            "refused" => Err(Fault::refused("bad", "it is bad")),
            "failed" => Err(Fault::Failed("it is gone".into())),
            other => panic!("{other}"),
        }
    }
}

/// Kept, dropped and pending rows in words, sorted.
fn outcomes(store: &Path, dry: bool) -> BTreeSet<String> {
    observed(store, dry, Box::new(()), None).0
}

/// [`outcomes`] with an observer and with what may run, and the failures that end the build.
fn observed(
    store: &Path,
    dry: bool,
    observer: Box<dyn Observer>,
    permit: Option<Arc<dyn Permit>>,
) -> (BTreeSet<String>, Vec<Failure>) {
    let env = Arc::new(Env {
        store: Store::open(store).expect("a store"),
        sources: Sources::default(),
        optouts: BTreeMap::new(),
        pool: Pool::new(2),
        ledger: Ledger::default(),
        dry,
        cancel: Default::default(),
        rehash: false,
        pcm_cache: 0,
        observer,
        peers: None,
        helpers: Helpers::default(),
        permit,
    });
    let own = env.clone();
    let told = timely::execute_directly(move |worker| {
        let told: Arc<Mutex<Vec<(String, isize)>>> = Arc::default();
        let probe = ProbeHandle::new();
        let mut input = worker.dataflow::<Time, _, _>(|scope| {
            let (input, rows) = scope.new_collection::<(String, String), isize>();
            let cx = Context {
                scope,
                stage: "toy".into(),
                seed: Digest::default(),
                pinned: None,
                settings: None,
                env: env.clone(),
            };
            let done = memoised(&cx, Ends, rows.into(), String::clone);
            let output = done.split(&cx, |row| Item::Other(format!("set/{row}")));
            let kept = output.kept.map(|(row, result)| format!("{row} kept with {result}"));
            let dropped =
                output.dropped.map(|row| format!("{} dropped as {}, failed: {}", row.id, row.code, row.failed));
            let pending =
                output.pending.map(|row| format!("{} waits for {} of {}", row.row.id, row.row.cause, row.row.behind));
            let words = told.clone();
            let all = kept.concat(dropped).concat(pending);
            all.inspect(move |(text, _, diff)| words.lock().expect("words").push((text.clone(), *diff)))
                .probe_with(&probe);
            input
        });
        for end in ["well", "refused", "failed", "by a panic"] {
            input.insert((end.to_owned(), format!("row {end}")));
        }
        input.close();
        while !probe.done() {
            worker.step_or_park(Some(Duration::from_millis(10)));
        }
        let told = told.lock().expect("words");
        assert!(told.iter().all(|(_, diff)| *diff == 1), "{told:?}");
        told.iter().map(|(text, _)| text.clone()).collect()
    });
    (told, own.ledger.take().1)
}

/// Dies of what it is told.
struct Dies;

impl Observer for Dies {
    fn event(&self, event: Event) {
        if let Event::Executed { id, .. } = event {
            panic!("nobody hears of {id}");
        }
    }
}

#[test]
fn a_thread_that_dies_beside_its_work_ends_the_build_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, failures) = observed(folder.path(), false, Box::new(Dies), None);
    let said = |failure: &Failure| match failure {
        Failure::Bug(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    let said: Vec<String> = failures.iter().map(said).collect();
    assert!(!said.is_empty(), "no sentence");
    for why in said {
        assert!(
            why.starts_with("a thread died in stage `toy` on row ") && why.contains("nobody hears of row"),
            "{why}"
        );
    }
}

/// Allows one row alone.
struct Only(&'static str);

impl Permit for Only {
    fn allows(&self, stage: &str, id: &str) -> bool {
        assert_eq!(stage, "toy");
        id == self.0
    }
}

#[test]
fn an_effect_that_an_approved_plan_does_not_name_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, failures) = observed(folder.path(), false, Box::new(()), Some(Arc::new(Only("row well"))));
    assert!(!failures.is_empty(), "nothing ended the build");
    for failure in failures {
        let Failure::Unplanned { stage, id } = &failure else { panic!("{failure:?}") };
        assert!(stage == "toy" && id.starts_with("row ") && id != "row well", "{failure:?}");
    }
    // What ran is remembered, whatever it ended with but for what could not be read; so what waits did not run.
    let waits = outcomes(folder.path(), true);
    for id in ["refused", "by a panic"] {
        assert!(waits.contains(&format!("set/row {id} waits for row {id} of toy")), "{waits:?}");
    }
}

#[test]
fn every_row_is_kept_dropped_or_pending() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<BTreeSet<_>>();
    let waits =
        ["well", "refused", "failed", "by a panic"].map(|end| format!("set/row {end} waits for row {end} of toy"));
    assert_eq!(outcomes(folder.path(), true), waits.into());
    let ran = set(&[
        "row well kept with 7",
        "set/row refused dropped as bad, failed: false",
        "set/row failed dropped as failed, failed: true",
        "set/row by a panic dropped as panic, failed: false",
    ]);
    assert_eq!(outcomes(folder.path(), false), ran);
    // A refusal is remembered like a result, and a source that could not be read is tried again.
    let mut again = ran;
    again.remove("set/row failed dropped as failed, failed: true");
    again.insert("set/row failed waits for row failed of toy".to_owned());
    assert_eq!(outcomes(folder.path(), true), again);
}
