//! Plans from manifests: order, wiring, identity, cuts.

use super::*;
use stages::{
    rows::Kind,
    settings,
    stage::{Cardinality, Context, Inputs, Port, Stage, StageOutput},
};
use std::fs;

settings! {
    /// Settings of a source.
    struct Make {
        /// Where.
        #[path]
        root: Option<stages::settings::PathSetting> = None,
        /// Which.
        which: u32 = 0,
    }
}
settings! {
    /// Settings of a verb with two inputs of one kind.
    struct Compare {
        /// How often.
        times: u64 = 1,
    }
}

macro_rules! verb {
    ($name:ident, $verb:literal, $ports:expr, $shape:ident, $In:ty, $Out:ty) => {
        impl Stage for $name {
            const VERB: &'static str = $verb;
            const ABOUT: &'static str = "stands in a test";
            const REVISION: u32 = 1;
            const PORTS: &'static [Port] = $ports;
            const CARDINALITY: Cardinality = Cardinality::$shape;
            const UNIT: &'static str = "rows";
            const RANDOM: bool = true;
            type In = $In;
            type Out = $Out;
            fn render<'s>(self, _: &Context<'s>, _: <Self::In as Inputs>::Rows<'s>) -> StageOutput<'s, Self::Out> {
                unreachable!("these tests only plan")
            }
        }
    };
}
use datasets::row::{Clip, Found, Weights};
verb!(Make, "make", &[], Source, Found, Clip);
verb!(
    Compare,
    "compare",
    &[Port::many("reference", Kind::Clip), Port::one("candidate", Kind::Clip)],
    Corpus,
    (Clip, Clip),
    Weights
);

static VERBS: &[StageSpec] = &[StageSpec::of::<Make>(), StageSpec::of::<Compare>()];

const PAIR: &str = r#"
edition = 1
name = "pair"
seed = 3
[stage.score]
do = "compare"
from = { reference = ["a", "b"], candidate = "c" }
[stage.b]
do = "make"
[stage.a]
do = "make"
which = 1
[stage.c]
do = "make"
which = 2
"#;

/// Loads a text, with options, from a file in a fresh folder.
fn load_text(text: &str, sets: &[&str], to: Option<&str>) -> Result<Plan, Complaints> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("m.toml");
    fs::write(&file, text).expect("the manifest is written");
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load_from(VERBS, &file, &sets, to)
}

fn plan(text: &str) -> Plan {
    load_text(text, &[], None).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

#[test]
fn stages_come_after_what_they_rest_on_and_else_in_the_order_of_the_file() {
    let plan = plan(PAIR);
    assert_eq!(names(&plan), ["b", "a", "c", "score"]);
    // What feeds one port is a set.
    assert_eq!(plan.stages[3].inputs, [vec![0, 1], vec![2]]);
    assert_eq!((plan.name.as_str(), plan.seed), ("pair", 3));
    let from = "from = { reference = [\"b\", \"a\"], candidate = [\"c\"] }";
    assert!(plan.canonical().contains(from), "{}", plan.canonical());
    assert!(plan.file.starts_with(&plan.base));
    assert!(plan.stage("c").is_some() && plan.stage("d").is_none());
}

#[test]
fn to_keeps_a_stage_and_what_it_rests_on() {
    let cut = load_text(PAIR, &[], Some("a")).expect("a plan");
    assert_eq!(names(&cut), ["a"]);
    let whole = load_text(PAIR, &[], Some("score")).expect("a plan");
    assert_eq!(whole.digest(), plan(PAIR).digest());
    assert_ne!(whole.digest(), cut.digest());
}

#[test]
fn identity_is_what_is_meant_and_not_how_it_is_written() {
    let digest = |text: &str| plan(text).digest();
    let base = digest(PAIR);
    // The order of stages and names, defaults spelled out, paths, guards, comments.
    let (head, stages) = PAIR.split_once("[stage.c]").expect("a stage");
    let (top, rest) = head.split_once("[stage.score]").expect("a stage");
    let same = [
        format!("{top}[stage.c]{stages}[stage.score]{rest}"),
        PAIR.replace("[\"a\", \"b\"]", "[\"b\", \"a\"]"),
        PAIR.replace("do = \"compare\"", "do = \"compare\" # twice?\ntimes = 1\nsalt = \"\""),
        PAIR.replace("[stage.b]\ndo = \"make\"", "[stage.b]\ndo = \"make\"\nmax_dropped = 0.5"),
    ];
    for text in &same {
        assert_eq!(digest(text), base, "{text}");
    }
    let other = [
        PAIR.replace("\"pair\"", "\"pear\""),
        PAIR.replace("seed = 3", "seed = 4"),
        PAIR.replace("which = 1", "which = 3"),
        PAIR.replace("candidate = \"c\"", "candidate = \"b\""),
        PAIR.replace("[\"a\", \"b\"]", "[\"a\"]"),
        PAIR.replace("do = \"compare\"", "do = \"compare\"\nsalt = \"again\""),
        PAIR.replace("[stage.score]", "[stage.scores]"),
    ];
    let mut all: Vec<Digest> = other.iter().map(|text| digest(text)).chain([base]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), other.len() + 1);
    // A name counts in the run's identity only.
    let renamed = plan(&PAIR.replace("[stage.score]", "[stage.scores]"));
    assert_eq!(renamed.structure(), plan(PAIR).structure());
}

#[test]
fn paths_are_in_no_digest_and_start_where_they_were_typed() {
    let text = PAIR.replace("[stage.b]\ndo = \"make\"", "[stage.b]\ndo = \"make\"\nroot = \"here\"");
    let written = plan(&text);
    let root = |plan: &Plan| plan.stage("b").expect("b").ready.shown()[0].1.clone();
    assert_eq!(root(&written), "\"here\"");
    let set = load_text(&text, &["stage.b.root=there/x"], None).expect("a plan");
    let there = std::env::current_dir().expect("a folder").join("there/x");
    assert_eq!(root(&set), format!("\"{}\"", there.display()));
    let quoted = load_text(&text, &["stage.b.root = '/there'"], None).expect("a plan");
    assert_eq!(root(&quoted), "\"/there\"");
    assert_eq!(set.digest(), written.digest());
    assert_eq!(set.sets, ["stage.b.root=there/x"]);
}

#[test]
fn inputs_of_one_kind_must_be_named() {
    let says = |from: &str| {
        let text = PAIR.replace("{ reference = [\"a\", \"b\"], candidate = \"c\" }", from);
        let wrong = load_text(&text, &[], None).expect_err("a complaint");
        wrong
            .list()
            .iter()
            .map(|c| format!("{} / {}", c.message, c.help.clone().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let name = "name them: `from = { reference = \"..\", candidate = \"..\" }`";
    assert_eq!(says("[\"a\"]"), [format!("`compare` has 2 inputs of Clip: which is `a`? / {name}")]);
    assert_eq!(
        says("{ reference = \"a\" }"),
        ["`compare` needs Clip for `candidate`, and `from` names no stage that gives it / add `candidate = \"b\"`"]
    );
    assert_eq!(
        says("{ reference = \"a\", candidate = [\"b\", \"c\"] }"),
        ["`compare` takes one stage that gives Clip, `from` names `b` and `c` / keep one of them, such as `b`"]
    );
}

#[test]
fn refresh_names_a_stage_that_can_be_pinned() {
    let plan = plan(PAIR);
    for name in ["a", "nothing"] {
        assert_eq!(plan.refreshable("--refresh", name).expect_err("nothing to pin").list().len(), 1);
    }
}
