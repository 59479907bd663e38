//! `docs/manifest.md`, written from the code.

use super::{GUARD, SALT, default_text, draws, ports, shape};
use stages::{STAGES, stage::Trait};

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

A path is relative to the manifest's folder. No path and no stage's name is in the key of any result: files
are known by what they hold.

## On the command line

`--set stage.NAME.FIELD=VALUE` replaces a field of a stage that the manifest has, `--set name=VALUE` and
`--set seed=VALUE` the others. VALUE is read as TOML and, failing that, as a string. A relative path in it
starts at the working directory. `--set` is judged like the file. `--to NAME` cuts the plan to one stage and
all that it rests on.

`[sweep]` and `extends` come with a later release and are refused until then.

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
        out.push_str(&format!("- Gives {}, counted in {}: {}.\n", entry.gives, entry.unit, shape(entry.shape)));
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

fn traits(traits: &[Trait]) -> String {
    let words = traits.iter().map(|given| match given {
        Trait::Decoded => "decoded",
        Trait::Resampled => "resampled",
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
