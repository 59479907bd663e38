//! Documentation from the registry of verbs: the list for `refrain stages`, the JSON schema for editors, and the
//! reference page `docs/manifest.md`. All of it follows from the declarations of the verbs.
//!
//! Knows the verbs and the manifest. No plan and no dataflow.

mod markdown;

pub use markdown::reference_md;

use crate::manifest::EDITION;
use serde_json::{Map, Value, json};
use stages::{
    STAGES,
    settings::{Field, Role, suggest},
    stage::{Cardinality, StageSpec},
};

/// Lines of text are at most this long.
const WIDTH: usize = 100;

/// Regular expression of a valid name.
const NAME: &str = "^[A-Za-z0-9_-]+$";

/// The JSON schema (draft 2020-12) of a manifest, for editors: one definition per verb, chosen by `do`.
pub fn json_schema() -> Value {
    let mut definitions: Map<String, Value> =
        STAGES.iter().map(|entry| (entry.verb.to_owned(), verb_schema(entry))).collect();
    let stages =
        json!({ "oneOf": STAGES.iter().map(|e| json!({ "$ref": format!("#/$defs/{}", e.verb) })).collect::<Vec<_>>() });
    let names = json!({ "type": "array", "items": { "type": "string", "pattern": NAME }, "uniqueItems": true });
    definitions.insert("names".into(), names);
    let stage = json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": NAME },
        "description": "The stages, by name."
    });
    let whole = json!({
        "required": ["edition", "name", "stage"],
        "properties": { "stage": { "additionalProperties": stages } }
    });
    // What another manifest says need not be said again.
    let heir = json!({ "properties": { "stage": { "additionalProperties": { "type": "object" } } } });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Refrain manifest",
        "description": "A corpus, wired stage by stage.",
        "type": "object",
        "if": { "required": ["extends"] },
        "then": heir,
        "else": whole,
        "additionalProperties": false,
        "properties": {
            "edition": { "const": EDITION, "description": "The edition of the manifest's language." },
            "extends": {
                "type": "string",
                "minLength": 1,
                "description": "A manifest whose values hold where this one says nothing."
            },
            "name": { "type": "string", "pattern": NAME, "maxLength": 100, "description": "The name that its runs go by." },
            "seed": { "type": "integer", "minimum": 0, "default": 0, "description": "What all random draws start from." },
            "stage": stage,
            "sweep": sweep(),
        },
        "$defs": definitions,
    })
}

/// `[sweep]`: axes, and a list of points.
fn sweep() -> Value {
    let setting = "^stage\\.[A-Za-z0-9_-]+\\..+$";
    let axis = json!({ "type": "array", "minItems": 1, "uniqueItems": true });
    let seed = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "minProperties": 1,
        "description": "What is varied: every combination is a point.",
        "additionalProperties": false,
        "patternProperties": { setting: axis },
        "properties": {
            "seed": { "type": "array", "minItems": 1, "uniqueItems": true, "items": seed },
            "stage": { "type": "object", "description": "Axes whose keys are not in quotes." },
            "point": {
                "type": "array",
                "minItems": 1,
                "description": "Points that set several values together.",
                "items": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": false,
                    "patternProperties": { setting: {} },
                    "properties": {
                        "name": { "type": "string", "pattern": NAME, "maxLength": 60 },
                        "seed": seed,
                        "stage": { "type": "object" },
                    },
                },
            },
        },
    })
}

fn verb_schema(entry: &StageSpec) -> Value {
    let mut properties = Map::new();
    let mut required = vec!["do".to_owned()];
    properties.insert("do".into(), json!({ "const": entry.verb, "description": entry.about }));
    if !entry.ports.is_empty() {
        let ports: Map<String, Value> = entry
            .port_names()
            .filter_map(|called| {
                let kind = entry.ports[entry.port(called)?].kind.to_string();
                let name = json!({ "type": "string", "pattern": NAME });
                let takes = json!({ "oneOf": [name, { "$ref": "#/$defs/names" }], "description": kind });
                Some((called.to_owned(), takes))
            })
            .collect();
        let named = json!({ "type": "object", "properties": ports, "additionalProperties": false });
        let from = json!({ "oneOf": [{ "$ref": "#/$defs/names" }, named], "description": "The stages that feed it." });
        properties.insert("from".into(), from);
        required.push("from".into());
    }
    let guard = json!({ "type": "number", "minimum": 0, "maximum": 1, "description": GUARD });
    properties.insert("max_dropped".into(), guard);
    let fields = (entry.fields)();
    if draws(entry, &fields) {
        properties.insert("salt".into(), json!({ "type": "string", "default": "", "description": SALT }));
    }
    for field in fields {
        let mut schema = field.schema.clone();
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".into(), field.doc.clone().into());
            if let Some(default) = default(&field) {
                schema.insert("default".into(), default);
            }
        }
        if field.default.is_none() {
            required.push(field.name.to_owned());
        }
        properties.insert(field.name.to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": entry.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Description of `max_dropped`.
const GUARD: &str = "The largest fraction of its rows that may be dropped; above it the run stops before publishing.";
/// Description of `salt`.
const SALT: &str = "Tells its random draws from those of another stage with the same verb.";

/// Whether the common field `salt` is for this verb.
fn draws(entry: &StageSpec, fields: &[Field]) -> bool {
    entry.random && fields.iter().all(|field| field.name != "salt")
}

/// A default as JSON; none if the field must be given, or is absent by default.
fn default(field: &Field) -> Option<Value> {
    let text = field.default.as_ref().filter(|text| !text.is_empty())?;
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// Describes in words what a verb does with each row.
fn shape(shape: Cardinality) -> &'static str {
    match shape {
        Cardinality::Source => "rows come from outside",
        Cardinality::OneToOne => "each row is kept or dropped",
        Cardinality::OneToMany => "each row gives one or more, or is dropped",
        Cardinality::Reduce => "rows are gathered",
        Cardinality::Corpus => "one row from all",
        Cardinality::Made => "one row or more from all",
    }
}

/// "clips (Clip, one or more stages), codec (Weights, one stage)".
fn ports(entry: &StageSpec) -> String {
    let port = |port: &stages::stage::Port| {
        let others = entry.names.iter().filter(|(_, own)| *own == port.name).map(|(other, _)| format!("`{other}`"));
        let others: Vec<String> = others.collect();
        let also = if others.is_empty() { String::new() } else { format!(", also as {}", others.join(", ")) };
        let feeding = if port.many { "one or more stages" } else { "one stage" };
        let optional = if port.optional { ", optional" } else { "" };
        format!("{} ({}, {feeding}{optional}{also})", port.name, port.kind)
    };
    match entry.ports {
        [] => "nothing: a source".to_owned(),
        ports => ports.iter().map(port).collect::<Vec<_>>().join(", "),
    }
}

/// Text of a setting's default: `required`, `unset`, or its TOML.
fn default_text(field: &Field) -> String {
    match field.default.as_deref() {
        None => "required".to_owned(),
        Some("") => "unset".to_owned(),
        Some(text) => format!("default {text}"),
    }
}

/// Breaks text at spaces; the first line is indented by `first`, the others by `rest` spaces.
fn wrap(text: &str, first: usize, rest: usize) -> String {
    let mut out = " ".repeat(first);
    let mut column = first;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let start = out.is_empty() || out.ends_with(' ');
        if !start && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(rest));
            column = rest;
        } else if !start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// The text of `refrain stages`: every verb, or the one named, with its inputs, its rows and its settings.
///
/// # Errors
/// A sentence about a verb that does not exist.
pub fn stages_text(verb: Option<&str>) -> Result<String, String> {
    let verbs = || STAGES.iter().map(|entry| entry.verb);
    let Some(verb) = verb else {
        let mut out: String = STAGES.iter().map(|entry| stage_text(entry) + "\n").collect();
        out.push_str(
            "Every stage also takes `do`, `from` (all but sources) and `max_dropped`. See docs/manifest.md.\n",
        );
        return Ok(out);
    };
    match (STAGES.iter().find(|entry| entry.verb == verb), suggest(verb, verbs())) {
        (Some(entry), _) => Ok(stage_text(entry)),
        (None, Some(near)) => Err(format!("unknown verb `{verb}`; did you mean `{near}`?")),
        (None, None) => {
            Err(format!("unknown verb `{verb}`; expected one of `{}`", verbs().collect::<Vec<_>>().join("`, `")))
        }
    }
}

fn stage_text(entry: &StageSpec) -> String {
    let mut out = wrap(&format!("{}: {}", entry.verb, entry.about), 0, 4);
    out.push_str(&wrap(&format!("takes {}", ports(entry)), 2, 8));
    out.push_str(&wrap(
        &format!("gives {}, counted in {}; {}", entry.gives, entry.unit, shape(entry.cardinality)),
        2,
        8,
    ));
    let fields = (entry.fields)();
    let salt = draws(entry, &fields).then(|| Field {
        name: "salt",
        role: Role::Keyed,
        doc: SALT.to_owned(),
        kind: "a string".to_owned(),
        default: Some("\"\"".to_owned()),
        schema: Value::Null,
    });
    for field in fields.iter().chain(&salt) {
        out.push_str(&wrap(&format!("{}: {}; {}", field.name, field.kind, default_text(field)), 4, 8));
        out.push_str(&wrap(&field.doc, 8, 8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_readable() {
        let text = stages_text(None).expect("all verbs");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH || !line.trim().contains(' '), "{line}");
        }
        for entry in STAGES {
            assert!(text.contains(&stages_text(Some(entry.verb)).expect("a verb")));
            for field in (entry.fields)() {
                assert!(text.contains(&format!("    {}: ", field.name)), "{}", field.name);
                assert!(field.default.as_deref().is_none_or(str::is_empty) || default(&field).is_some(), "{field:?}");
            }
        }
        assert_eq!(stages_text(Some("ingset")).expect_err("no verb"), "unknown verb `ingset`; did you mean `ingest`?");
    }

    #[test]
    fn every_field_is_in_the_schema() {
        let schema = json_schema();
        for entry in STAGES {
            let verb = &schema["$defs"][entry.verb];
            assert_eq!(verb["properties"]["do"]["const"], entry.verb);
            for field in (entry.fields)() {
                assert_eq!(verb["properties"][field.name]["description"], field.doc);
            }
        }
    }

    #[test]
    fn the_reference_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manifest.md");
        let said = reference_md();
        if datasets::environment::BLESS.get().is_some() {
            std::fs::write(path, &said).expect("docs/manifest.md is written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == said, "docs/manifest.md is out of date: run the tests once with REFRAIN_BLESS=1");
    }
}
