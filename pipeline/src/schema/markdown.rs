//! `docs/manifest.md`, written from the code.

use super::{GUARD, SALT, default_text, draws, ports, shape};
use stages::{STAGES, stage::Property};

/// The page up to the verbs.
const HEAD: &str = r#"# The manifest

<!-- Written by the tests from the code; change the code and run them with REFRAIN_BLESS=1. -->

A manifest is a TOML file that names the stages of a pipeline and wires them. `refrain check MANIFEST` says
everything that is wrong with one, `refrain plan MANIFEST` what a run of it would do, `refrain run MANIFEST`
does it. `refrain schema` prints a JSON schema for editors.

    edition = 1
    name    = "songs"
    seed    = 17

    [stage.tracks]
    do     = "ingest"
    corpus = "folder"
    root   = "recordings"           # relative to the manifest

    [stage.free]
    do    = "license"
    from  = ["tracks"]
    allow = ["CC0-1.0", "CC-BY-4.0"]

| key | value |
|---|---|
| `edition` | The edition of this language: 1. Required. |
| `name` | What the runs go by: letters, digits, `-` and `_`. Required. |
| `seed` | What all random draws start from: a whole number from 0. Default 0. |
| `[stage.NAME]` | One stage; at least one. |
| `extends` | Another manifest, whose values hold where this one says nothing. |
| `[sweep]` | Settings to vary, see below. |

## Stages

Every stage has these fields, and the settings of its verb.

| field | value |
|---|---|
| `do` | The verb. Required. |
"#;

/// The rest of the page up to the verbs.
const MIDDLE: &str = r#"
`from = ["clips", "codec"]` binds stages to the verb's inputs by the kind of rows that they give. A verb with
two inputs of one kind has them named: `from = { reference = "clips", candidate = ["songs", "covers"] }`. A
source has no `from`. Stages may be written in any order; no stage may rest on itself.

A path is relative to the folder of the manifest in which it is written. No path and no stage's name is in the
key of any result: files are known by what they hold.

## On the command line

`--set stage.NAME.FIELD=VALUE` replaces a field of a stage that the manifest has, `--set name=VALUE` and
`--set seed=VALUE` the others. VALUE is read as TOML and, failing that, as a string. A relative path in it
starts at the working directory. `--set` is judged like the file. `--to NAME` cuts the plan to one stage and
all that it rests on.

## Manifests that extend another

    extends = "base.toml"           # relative to this manifest
    name    = "short"

    [stage.clips]
    seconds = 2.0

A manifest takes over all that the other says, field by field: tables merge, lists and other values are replaced,
and the manifest that extends has the last word. A stage that it gives another verb takes nothing over. The other
may extend a third. A plan is known by what is meant: written in two files or in one, it is the same run. Weights
that are pinned in the other's lock file hold here too, until this manifest has its own.

## Sweeps

    [sweep]
    "stage.songs.top_p" = [0.9, 0.95]
    seed                = [17, 18, 19]

    [[sweep.point]]
    name                      = "cold"
    "stage.songs.temperature" = 0.7

    [[sweep.point]]
    name                      = "hot"
    "stage.songs.temperature" = 1.1

An axis is a setting, or `seed`, with a list of values; the list of points is one axis more; every combination is a
point of the sweep: twelve, here. [sweeps.md](sweeps.md) says what runs and what is published.

## Verbs
"#;

/// `docs/manifest.md`: the grammar of a manifest, and every verb with its settings.
pub fn reference_md() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("| `from` | The stages that feed it, see below. Required but for sources. |\n");
    out.push_str(&format!("| `max_dropped` | {GUARD} A number from 0 to 1. |\n"));
    out.push_str(&format!("| `salt` | For verbs that draw from the seed: {} A string. |\n", lower(SALT)));
    out.push_str(MIDDLE);
    for entry in STAGES {
        out.push_str(&format!("\n### `{}`\n\n{}.\n\n", entry.verb, upper(entry.about)));
        out.push_str(&format!("- Takes {}.\n", ports(entry)));
        out.push_str(&format!("- Gives {}, counted in {}: {}.\n", entry.gives, entry.unit, shape(entry.cardinality)));
        if !entry.needs.is_empty() {
            out.push_str(&format!("- Its input must be {}.\n", traits(entry.needs)));
        }
        if !entry.adds.is_empty() {
            out.push_str(&format!("- Its output is {}.\n", traits(entry.adds)));
        }
        let fields = (entry.fields)();
        if draws(entry, &fields) {
            out.push_str("- Draws from the seed: takes `salt`.\n");
        }
        if fields.is_empty() {
            out.push_str("\nNo settings.\n");
            continue;
        }
        out.push_str("\n| setting | value | meaning |\n|---|---|---|\n");
        for field in fields {
            let value = match field.default.as_deref() {
                None | Some("") => format!("{}; {}", field.kind, default_text(&field)),
                Some(text) => format!("{}; default `{text}`", field.kind),
            };
            out.push_str(&format!("| `{}` | {} | {} |\n", field.name, cell(&value), cell(&field.doc)));
        }
    }
    out
}

fn traits(traits: &[Property]) -> String {
    let words = traits.iter().map(|given| match given {
        Property::Decoded => "decoded",
        Property::Resampled => "resampled",
    });
    words.collect::<Vec<_>>().join(" and ")
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
