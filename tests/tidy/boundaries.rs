//! Which file, room and crate may use which.

use crate::{
    files::{is, none, repository, tracked},
    resolve::{Arrow, circles},
    source::{CRATES, Source},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The floors of `pipeline/src` from the top down. A room uses rooms of floors below it; `error` holds what a command
/// ends with, which may be the complaints of a manifest.
const FLOORS: [&[&str]; 9] = [
    &["main.rs"],
    &["cli"],
    &["standalone", "run", "upkeep"],
    &["publish", "explain", "inspect"],
    &["record"],
    &["dataflow"],
    &["report", "plan", "schema"],
    &["error.rs"],
    &["terminal", "manifest"],
];

/// Which folder uses nothing of which others.
const IGNORANT: [(&str, &[&str]); 22] = [
    ("pipeline/src/manifest", &["stages/src/verbs", "stages/src/lib.rs"]),
    ("pipeline/src/report", &["pipeline/src/dataflow", "pipeline/src/plan", "stages/src/flow"]),
    ("pipeline/src/inspect", &["pipeline/src/plan", "pipeline/src/dataflow"]),
    (
        "pipeline/src/record",
        &[
            "pipeline/src/cli",
            "pipeline/src/standalone",
            "pipeline/src/run",
            "pipeline/src/upkeep",
            "pipeline/src/publish",
        ],
    ),
    ("stages/src/model", &["stages/src/rows", "datasets/src/row"]),
    ("stages/src/rows", &["stages/src/stage", "stages/src/verbs"]),
    ("stages/src/media", &["stages/src/verbs"]),
    ("pipeline/src/plan", &["stages/src/flow", "datasets/src/store"]),
    ("pipeline/src/schema", &["pipeline/src/plan", "stages/src/flow"]),
    ("pipeline/src/upkeep", &["pipeline/src/plan", "pipeline/src/dataflow"]),
    ("stages/src/flow", &["stages/src/verbs"]),
    ("stages/src/stage", &["stages/src/verbs"]),
    ("stages/src/settings", &["stages/src/verbs", "stages/src/rows"]),
    ("datasets/src/audio", &["datasets/src/corpus", "datasets/src/row", "datasets/src/store"]),
    ("datasets/src/synth", &["datasets/src/corpus", "datasets/src/row", "datasets/src/store"]),
    ("datasets/src/license", &["datasets/src/corpus", "datasets/src/row"]),
    ("datasets/src/shard", &["datasets/src/corpus"]),
    ("datasets/src/row", &["datasets/src/store", "datasets/src/corpus"]),
    ("stages/src/metric", &["stages/src/rows", "stages/src/stage", "stages/src/verbs"]),
    ("kernels/src/cpu", &["kernels/src/tensor", "kernels/src/device", "kernels/src/tape", "kernels/src/ops"]),
    ("kernels/src/tensor", &["kernels/src/cpu", "kernels/src/device", "kernels/src/tape", "kernels/src/ops"]),
    ("kernels/src/tape", &["kernels/src/ops"]),
];

/// All arrows between files of the crates, of which there are many.
fn arrows() -> Vec<Arrow> {
    let arrows = Source::of_repository().arrows();
    assert!(arrows.len() > 1000, "the reader finds only {} arrows", arrows.len());
    arrows
}

fn crate_of(path: &Path) -> PathBuf {
    path.iter().take(1).collect()
}

fn shown(arrow: &Arrow) -> String {
    format!("  {}:{} uses {} ({})", arrow.from.display(), arrow.line, arrow.to.display(), arrow.path)
}

fn listed(circles: Vec<Vec<Arrow>>) -> Vec<String> {
    circles.iter().map(|circle| circle.iter().map(shown).collect::<Vec<_>>().join("\n")).collect()
}

#[test]
fn files_of_a_crate_form_no_circle() {
    let within = |arrow: &Arrow| crate_of(&arrow.from) == crate_of(&arrow.to);
    let arrows: Vec<Arrow> = arrows().into_iter().filter(within).collect();
    none("files that use each other; move what both need into a file below them", listed(circles(&arrows)));
}

#[test]
fn rooms_of_the_pipeline_use_rooms_below_them() {
    let room = |path: &Path| path.strip_prefix("pipeline/src").ok()?.iter().next()?.to_str().map(str::to_owned);
    let floor = |room: &str| {
        let found = FLOORS.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or_else(|| panic!("pipeline/src/{room} stands on no floor of tests/tidy/boundaries.rs"))
    };
    let (mut up, mut between) = (Vec::new(), Vec::new());
    for arrow in arrows() {
        if let (Some(from), Some(to)) = (room(&arrow.from), room(&arrow.to))
            && from != to
        {
            up.extend((floor(&from) > floor(&to)).then(|| shown(&arrow)));
            between.push(Arrow { from: from.into(), to: to.into(), ..arrow });
        }
    }
    none("rooms that use a room above them", up);
    none("rooms that use each other", listed(circles(&between)));
}

#[test]
fn rooms_know_nothing_of_what_is_not_their_job() {
    let wrong = |arrow: &&Arrow| {
        IGNORANT.iter().any(|(room, others)| {
            arrow.from.starts_with(room) && others.iter().any(|other| arrow.to.starts_with(other))
        })
    };
    none("rooms that know too much", arrows().iter().filter(wrong).map(shown).collect());
    for folder in IGNORANT.iter().flat_map(|(room, others)| others.iter().chain([room])) {
        assert!(repository().join(folder).exists(), "no {folder}");
    }
}

/// The sources of the crates.
fn sources() -> Vec<PathBuf> {
    let own = |path: &PathBuf| CRATES.iter().any(|name| path.starts_with(name));
    let sources: Vec<PathBuf> = tracked().into_iter().filter(|path| is(path, &["rs"]) && own(path)).collect();
    assert!(sources.len() > 200, "only {} sources", sources.len());
    sources
}

#[test]
fn no_folder_is_crowded() {
    let mut counts: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in sources() {
        *counts.entry(path.with_file_name("")).or_default() += 1;
    }
    let crowded = counts.into_iter().filter(|(_, count)| *count > 15);
    none("over 15 source files", crowded.map(|(folder, count)| format!("{}: {count}", folder.display())).collect());
}

#[test]
fn a_module_with_a_folder_is_its_mod_rs() {
    let sources = sources();
    let folders: BTreeSet<&Path> = sources.iter().filter_map(|path| path.parent()).collect();
    let beside = |path: &&PathBuf| folders.contains(path.with_extension("").as_path());
    none("x.rs beside x/", sources.iter().filter(beside).map(|path| path.display().to_string()).collect());
}

#[test]
fn crates_depend_in_one_direction() {
    let own = ["datasets", "kernels", "stages", "pipeline"];
    for (name, may) in
        [("datasets", &[][..]), ("kernels", &[]), ("stages", &["datasets", "kernels"]), ("pipeline", &own[..3])]
    {
        let manifest = fs::read_to_string(repository().join(name).join("Cargo.toml")).expect("a manifest");
        let mut section = String::new();
        let mut found = Vec::new();
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            } else if section.contains("dependencies") {
                let dependency = line.split(['=', '.', ' ']).next().unwrap_or_default();
                let dependency = dependency.trim_start_matches("refrain-");
                found.extend(own.contains(&dependency).then(|| dependency.to_owned()));
            }
        }
        let wrong: Vec<String> = found.into_iter().filter(|d| !may.contains(&d.as_str())).collect();
        none(&format!("{name} depends on"), wrong);
    }
}

#[test]
fn every_workspace_dependency_is_used_by_a_crate() {
    let read = |path: &str| -> toml::Table {
        fs::read_to_string(repository().join(path)).expect("a manifest").parse().expect("TOML")
    };
    let named: BTreeSet<String> = CRATES
        .iter()
        .flat_map(|name| {
            let manifest = read(&format!("{name}/Cargo.toml"));
            let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
            let keys = |section| manifest.get(section).and_then(toml::Value::as_table).map(|t| t.keys().cloned());
            sections.into_iter().filter_map(keys).flatten().collect::<Vec<_>>()
        })
        .collect();
    let workspace = read("Cargo.toml");
    let declared = workspace["workspace"]["dependencies"].as_table().expect("dependencies");
    none("used by no crate", declared.keys().filter(|name| !named.contains(*name)).cloned().collect());
}

#[test]
fn the_reader_follows_paths_to_where_items_are_defined() {
    let source = Source::of_files(
        "own",
        &[
            ("lib.rs", "pub use a::Alpha; pub mod tests { #[cfg(test)] mod inner { use crate::b::beta; } }"),
            (
                "a.rs",
                "use crate::{b::{self, Beta as B}}; pub struct Alpha(B); fn f() { b::beta(); g!(self::x, crate::c::C) }",
            ),
            ("b.rs", "pub struct Beta; pub fn beta() {} impl Beta { fn a() -> Option<super::Alpha> { None } }"),
            ("c.rs", "//! Alpha\nuse std::fmt; pub enum C { Alpha } #[cfg(test)] mod tests { use crate::Alpha; }"),
            ("d.rs", "use crate::Alpha; fn f(c: crate::c::C) { let text = \"crate::b::Beta\"; c.beta(); }"),
        ],
    );
    let arrows = source.arrows();
    let pairs: BTreeSet<String> = arrows.iter().map(|a| format!("{} {}", a.from.display(), a.to.display())).collect();
    assert_eq!(
        pairs.into_iter().collect::<Vec<_>>(),
        ["a.rs b.rs", "a.rs c.rs", "b.rs a.rs", "d.rs a.rs", "d.rs c.rs"]
    );
    let circles = circles(&arrows);
    assert_eq!(circles.len(), 1);
    assert_eq!(circles[0].iter().map(|a| a.from.display().to_string()).collect::<Vec<_>>(), ["a.rs", "b.rs"]);
    assert_eq!(source.shown("own")["Alpha"].len(), 2);
    let literals: Vec<_> = source.literals.iter().map(|l| (l.file.to_str(), l.line, l.value.as_str())).collect();
    assert_eq!(literals, [(Some("d.rs"), 1, "crate::b::Beta")]);
}
