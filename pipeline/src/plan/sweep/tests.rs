//! Sweeps and manifests in several files, as plans.

use crate::plan::{Plan, load};
use std::{fs, path::Path};

const BASE: &str = r#"
edition = 1
name = "songs"
seed = 17
[stage.tracks]
do = "ingest"
root = "music"
[stage.decoded]
do = "decode"
from = ["tracks"]
[stage.mono]
do = "resample"
from = ["decoded"]
[stage.clips]
do = "segment"
from = ["mono"]
[stage.codec]
do = "fit"
from = ["clips"]
split = ""
[stage.codes]
do = "encode"
from = ["clips", "codec"]
[stage.shards]
do = "shard"
from = ["codes"]
[stage.top]
do = "train"
from = ["shards"]
level = 2
"#;

fn plan(text: &str, to: Option<&str>) -> Plan {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("m.toml");
    fs::write(&file, text).expect("the manifest is written");
    load(&file, &[], to).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn sweep(axes: &str) -> Plan {
    plan(&format!("{BASE}[sweep]\n{axes}"), None)
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

fn points(plan: &Plan) -> Vec<&str> {
    plan.sweep.iter().flat_map(|sweep| &sweep.points).map(|point| point.name.as_str()).collect()
}

#[test]
fn what_is_the_same_is_there_once_and_what_differs_is_named_by_its_values() {
    let swept = sweep("\"stage.top.steps\" = [10, 20]\n\"stage.clips.seconds\" = [5, 10]\n");
    let expected = [
        "tracks",
        "decoded",
        "mono",
        "clips[seconds=5.0]",
        "clips[seconds=10.0]",
        "codec[seconds=5.0]",
        "codec[seconds=10.0]",
        "codes[seconds=5.0]",
        "codes[seconds=10.0]",
        "shards[seconds=5.0]",
        "shards[seconds=10.0]",
        "top[seconds=5.0,steps=10]",
        "top[seconds=10.0,steps=10]",
        "top[seconds=5.0,steps=20]",
        "top[seconds=10.0,steps=20]",
    ];
    assert_eq!(names(&swept), expected);
    assert_eq!(points(&swept)[1], "seconds=10.0,steps=10");
    let sweep = swept.sweep.as_ref().expect("a sweep");
    let own: Vec<&str> = sweep.points[1].stages.iter().map(|&stage| swept.stages[stage].name.as_str()).collect();
    assert_eq!(
        own,
        [
            "tracks",
            "decoded",
            "mono",
            "clips[seconds=10.0]",
            "codec[seconds=10.0]",
            "codes[seconds=10.0]",
            "shards[seconds=10.0]",
            "top[seconds=10.0,steps=10]"
        ]
    );
    assert_eq!(sweep.points[1].values["stage.clips.seconds"], "10.0");
    for stage in &swept.stages {
        let label = |name: &str| name.split_once('[').map(|(_, label)| label.to_owned());
        for &from in stage.inputs.iter().flatten() {
            let (own, fed) = (label(&stage.name), label(&swept.stages[from].name));
            let seconds = |label: Option<String>| label.map(|label| label.starts_with("seconds=5.0"));
            assert!(fed.is_none() || seconds(own) == seconds(fed), "{} is fed by another point", stage.name);
        }
    }
}

#[test]
fn a_point_is_what_the_manifest_would_be_with_its_values() {
    let swept = sweep("\"stage.top.steps\" = [10, 20]\nseed = [17, 18]\n");
    let structure = swept.structure();
    for (steps, seed) in [(10, 17), (20, 17)] {
        let alone = plan(&BASE.replace("level = 2", &format!("level = 2\nsteps = {steps}")), None);
        let own = format!("top[steps={steps},seed={seed}]");
        let at = swept.stages.iter().position(|stage| stage.name == own).expect("a variant");
        assert_eq!(Some(&structure[at]), alone.structure().last(), "{own}");
    }
    assert_eq!(swept.stages.iter().filter(|stage| stage.of == "codec").count(), 2, "the seed decides about the codec");
    assert_eq!(swept.stages.iter().filter(|stage| stage.of == "clips").count(), 1);
    let sweep = swept.sweep.expect("a sweep");
    assert_eq!(sweep.points[1].group, "steps=10");
    assert_eq!(sweep.stages.iter().collect::<Vec<_>>(), ["codec", "codes", "shards", "top"]);
}

#[test]
fn identity_is_what_is_swept_and_not_how_it_is_written() {
    let base = sweep("\"stage.top.steps\" = [10, 20]\n\"stage.clips.seconds\" = [5.0]\n").digest();
    for same in [
        "\"stage.clips.seconds\" = [5]\n\"stage.top.steps\" = [10, 20]\n",
        "stage.top.steps = [20, 10]\nstage.clips.seconds = [5.0]\n",
    ] {
        assert_eq!(sweep(same).digest(), base, "{same}");
    }
    for other in [
        "\"stage.top.steps\" = [10]\n\"stage.clips.seconds\" = [5.0]\n",
        "\"stage.top.steps\" = [10, 20]\n\"stage.clips.seconds\" = [6.0]\n",
        "\"stage.top.steps\" = [10, 20]\n\"stage.clips.seconds\" = [5.0]\nseed = [18]\n",
    ] {
        assert_ne!(sweep(other).digest(), base, "{other}");
    }
}

#[test]
fn names_of_points_stay_when_points_come_and_go() {
    let few = sweep("\"stage.top.steps\" = [10]\n");
    assert_eq!(names(&few).last(), Some(&"top[steps=10]"));
    let named = "[[sweep.point]]\nname = \"long\"\n\"stage.top.steps\" = 20\n\"stage.top.warmup\" = 5\n\
                 [[sweep.point]]\nname = \"base\"\n[[sweep.point]]\n\"stage.codec.salt\" = \"a b\"\n";
    let listed = sweep(named);
    assert_eq!(points(&listed)[..2], ["long", "base"]);
    let last = points(&listed)[2];
    assert!(last.starts_with("salt=\"ab\"~") && last.len() == "salt=\"ab\"~".len() + 6, "{last}");
    let tops: Vec<&str> = names(&listed).into_iter().filter(|name| name.starts_with("top")).collect();
    assert_eq!(tops[..2], ["top[long]", "top"]);
    let folders: Vec<&str> =
        listed.sweep.iter().flat_map(|sweep| &sweep.points).map(|point| point.folder.as_str()).collect();
    assert!(folders[2].starts_with("salt=_ab__"), "{folders:?}");
    // Fields of one name are told apart by their stages.
    let both = sweep("\"stage.top.salt\" = [\"x\"]\n\"stage.codec.salt\" = [\"y\"]\n");
    assert_eq!(points(&both), ["codec.salt=y,top.salt=x"]);
}

#[test]
fn a_cut_leaves_only_the_points_that_differ() {
    let text = format!("{BASE}[sweep]\n\"stage.top.steps\" = [10, 20]\n\"stage.clips.seconds\" = [5.0, 10.0]\n");
    let cut = plan(&text, Some("codec"));
    assert_eq!(points(&cut), ["seconds=5.0", "seconds=10.0"]);
    assert_eq!(names(&cut).len(), 7);
    let shared = plan(&text, Some("mono"));
    assert!(shared.sweep.is_none());
    assert_eq!(shared.digest(), plan(BASE, Some("mono")).digest());
    let one = plan(&text, Some("top[seconds=5.0,steps=20]"));
    assert_eq!(points(&one), ["seconds=5.0,steps=20"]);
    assert_eq!(names(&one).len(), 8);
}

#[test]
fn a_plan_in_several_files_is_the_plan_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, text).expect("the manifest is written");
        load(&file, &[], None).unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    let base = write("base/base.toml", BASE);
    let heir = write(
        "heir.toml",
        "extends = \"base/base.toml\"\nseed = 18\n[stage.clips]\nseconds = 5.0\n[stage.middle]\ndo = \"train\"\n\
         from = [\"shards\"]\nlevel = 1\n",
    );
    let changed = BASE.replace("seed = 17", "seed = 18").replace("\"segment\"", "\"segment\"\nseconds = 5.0");
    let (top, stages) = changed.split_once("[stage.tracks]").expect("the first stage");
    let middle = "[stage.middle]\nfrom = [\"shards\"]\ndo = \"train\"\nlevel = 1\n";
    let spelled = plan(&format!("{top}{middle}[stage.tracks]{stages}"), None);
    assert_eq!(heir.digest(), spelled.digest());
    assert_ne!(heir.digest(), base.digest());
    let third = write("deep/er/third.toml", "extends = \"../../heir.toml\"\nedition = 1\n");
    assert_eq!(third.digest(), heir.digest());
    // Paths start at the file in which they are written.
    let root = |plan: &Plan| {
        let shown = plan.stage("tracks").expect("a stage").ready.shown();
        let root = &shown.iter().find(|(field, _)| *field == "root").expect("a root").1;
        plan.base.join(Path::new(root.trim_matches('"')))
    };
    let music = folder.path().join("base/music");
    fs::create_dir(&music).expect("a folder");
    let real = fs::canonicalize(&music).expect("it is there");
    for plan in [&base, &heir, &third] {
        assert_eq!(fs::canonicalize(root(plan)).expect("the same folder"), real);
    }
    assert_eq!(third.bases.len(), 2);
    assert_eq!(third.canonical(), heir.canonical());
}
