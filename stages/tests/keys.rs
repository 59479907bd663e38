//! What enters digests and keys: every verb's are pinned, and every setting is edited in turn.

use datasets::{
    Digest, Key,
    audio::{decode::DECODER, resample::RESAMPLER},
    effect::{key, numerics},
};
use stages::{
    STAGES,
    settings::{At, Data, PathSetting, Role, Table, Value, Word},
    stage::{ConfiguredStage, StageSpec},
};
use std::{collections::BTreeSet, sync::Arc};

fn fields(table: toml::Table) -> Table {
    let at = At::default();
    let field = |(name, value)| (Word { text: name, at }, Value { data: Data::from(value), at });
    Table(table.into_iter().map(field).collect())
}

/// A stage with settings in TOML.
fn configured(spec: &StageSpec, text: &str) -> Arc<dyn ConfiguredStage> {
    let mut complaints = Vec::new();
    let table = fields(text.parse().expect("TOML"));
    let stage = (spec.lower)(&table, At::default(), &mut complaints);
    stage.unwrap_or_else(|| panic!("{}: {text}: {complaints:?}", spec.verb))
}

/// The settings that a verb must be given.
fn least(verb: &str) -> &'static str {
    match verb {
        "ingest" => "root = 'a'",
        "license" => "allow = ['CC0-1.0']",
        "weights" | "import" => "file = 'a'",
        "train" => "level = 1",
        _ => "",
    }
}

#[test]
fn digests_of_stages_are_what_they_were() {
    let pinned = [
        ("ingest", "2ecbea13fd018197"),
        ("license", "bc8f92492a9bc3d3"),
        ("decode", "aefd43da6778c08f"),
        ("resample", "92cffe8e10ccd966"),
        ("dedup", "4596e32d7bea9105"),
        ("split", "3ba4d6e79160d2f2"),
        ("segment", "e50a4ee8d0123c07"),
        ("weights", "7ce7e4e68111e3c9"),
        ("import", "90621740d637e505"),
        ("fit", "9c8cc3c97c3ff53e"),
        ("encode", "f9379765a02a84b9"),
        ("shard", "de2b1287ddb16401"),
        ("train", "87d3385f8805b1aa"),
        ("sample", "e8f6b912988fa2ee"),
        ("evaluate", "216b5eb6d5a218bf"),
    ];
    let now = STAGES.iter().map(|spec| (spec.verb, configured(spec, least(spec.verb)).digest().short(16)));
    assert_eq!(now.collect::<Vec<_>>(), pinned.map(|(verb, digest)| (verb, digest.to_owned())));
}

#[test]
fn keys_of_effects_start_as_they_did() {
    let (seed, plain) = (Digest::of(b"seed"), Key::new("settings").finish());
    let level = Key::new("settings").text("level").number(1).finish();
    let resampler = format!("{RESAMPLER} {}", numerics());
    let expected = [
        ("decode", key("decode", 1).text(DECODER).text(numerics())),
        ("weights", key("weights", 1)),
        ("import", key("import", 1).digest(&plain)),
        ("fit", key("fit", 2).digest(&plain).digest(&seed).text(numerics()).text(&resampler)),
        ("encode", key("encode", 1).text(numerics()).text(&resampler)),
        ("shard", key("shard", 2)),
        ("train", key("train", 2).digest(&level).digest(&seed).text(numerics())),
        ("sample", key("sample", 2).digest(&plain).digest(&seed).text(numerics())),
        (
            "evaluate",
            key("evaluate", 3)
                .digest(&plain)
                .digest(&seed)
                .text(numerics())
                .text(&resampler)
                .text("log-mel-statistics")
                .number(1),
        ),
    ];
    for (verb, expected) in expected {
        let spec = STAGES.iter().find(|spec| spec.verb == verb).expect("a verb");
        let now = configured(spec, least(verb)).key(&seed).finish();
        assert_eq!(now, expected.finish(), "{verb}");
        let seeded = configured(spec, least(verb)).key(&Digest::of(b"another")).finish();
        assert_eq!(seeded != now, spec.random, "{verb} draws from its seed");
    }
}

/// Which digests a setting enters.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Both,
    Plan,
    Neither,
}

const TABLE: &str = "corpus = 'table'\nfile = 'a'\n";
const SYNTH: &str = "corpus = 'synth'\n";
const FMA: &str = "corpus = 'fma'\nroot = 'a'\n";

/// Verb, setting, what stands beside it, another value, and what it enters.
const EDITS: &[(&str, &str, &str, &str, In)] = &[
    ("ingest", "corpus", SYNTH, "corpus = 'folder'\nroot = 'a'", In::Both),
    ("ingest", "root", "root = 'a'", "root = 'b'", In::Neither),
    ("ingest", "file", TABLE, "file = 'b'", In::Neither),
    ("ingest", "path", TABLE, "path = 'p'", In::Both),
    ("ingest", "digest", TABLE, "digest = 'd'", In::Both),
    ("ingest", "columns", TABLE, "columns = { title = 'song' }", In::Both),
    ("ingest", "carry", TABLE, "carry = ['bpm']", In::Both),
    ("ingest", "dataset", SYNTH, "dataset = 'x'", In::Both),
    ("ingest", "license", SYNTH, "license = 'x'", In::Both),
    ("ingest", "artist", SYNTH, "artist = 'x'", In::Both),
    ("ingest", "genre", SYNTH, "genre = 'x'", In::Both),
    ("ingest", "source", SYNTH, "source = 'x'", In::Both),
    ("ingest", "pieces", SYNTH, "pieces = 7", In::Both),
    ("ingest", "seconds", SYNTH, "seconds = 7.0", In::Both),
    ("ingest", "compose", SYNTH, "compose = 7", In::Both),
    ("ingest", "grid", SYNTH, "grid = 2048", In::Both),
    ("ingest", "metadata", FMA, "metadata = 'b'", In::Neither),
    ("ingest", "subset", FMA, "subset = 'small'", In::Both),
    ("ingest", "part", "corpus = 'lakh'\nroot = 'a'\n", "part = 'full'", In::Both),
    ("license", "allow", "", "allow = ['*']", In::Both),
    ("license", "deny", "", "deny = ['CC-BY-*']", In::Both),
    ("license", "unknown", "", "unknown = 'allow'", In::Both),
    ("license", "exclude", "", "exclude = 'gone.csv'", In::Neither),
    ("resample", "rate", "", "rate = 16000", In::Both),
    ("resample", "channels", "", "channels = 2", In::Both),
    ("dedup", "apart", "", "apart = ['velocity']", In::Both),
    ("split", "train", "", "train = 0.85\nvalid = 0.1", In::Both),
    ("split", "valid", "", "valid = 0.1\ntest = 0.0", In::Both),
    ("split", "test", "", "test = 0.1\nvalid = 0.0", In::Both),
    ("split", "by", "", "by = 'track'", In::Both),
    ("split", "column", "by = 'column'\ncolumn = 'a'\n", "column = 'b'", In::Both),
    ("split", "unassigned", "by = 'official'\n", "unassigned = 'train'", In::Both),
    ("split", "salt", "", "salt = 'x'", In::Both),
    ("segment", "seconds", "", "seconds = 5.0", In::Both),
    ("segment", "stride", "", "stride = 5.0", In::Both),
    ("segment", "minimum", "", "minimum = 0.5", In::Both),
    ("segment", "tail", "", "tail = 'drop'", In::Both),
    ("segment", "align", "", "align = 64", In::Both),
    ("weights", "file", "", "file = 'b'", In::Neither),
    ("import", "file", "", "file = 'b'", In::Neither),
    ("import", "rate", "", "rate = 16000", In::Both),
    ("import", "dilation_growth", "", "dilation_growth = 2", In::Both),
    ("import", "license", "", "license = 'CC-BY-4.0'", In::Plan),
    ("import", "source", "", "source = 'https://example.org'", In::Plan),
    ("fit", "split", "", "split = ''", In::Plan),
    ("fit", "refresh", "", "refresh = 'pinned'", In::Neither),
    ("fit", "rate", "", "rate = 16000", In::Both),
    ("fit", "downs", "", "downs = [[2], [3, 2], [3, 2, 2]]", In::Both),
    ("fit", "channels", "", "channels = 2", In::Both),
    ("fit", "strides", "crop = [55296]\n", "strides = [[3], [3, 2], [3, 2, 2]]", In::Both),
    ("fit", "width", "", "width = [64]", In::Both),
    ("fit", "depth", "", "depth = [2]", In::Both),
    ("fit", "dilation_growth", "", "dilation_growth = 2", In::Both),
    ("fit", "codewords", "", "codewords = [512]", In::Both),
    ("fit", "oscillators", "downs = [[10], [11], [12]]\ncrop = [8192]\n", "oscillators = [12]", In::Both),
    ("fit", "dim", "", "dim = 32", In::Both),
    ("fit", "steps", "", "steps = [3]", In::Both),
    ("fit", "batch", "", "batch = [3]", In::Both),
    ("fit", "micro_batch", "", "micro_batch = [3]", In::Both),
    ("fit", "precision", "", "precision = 'bf16'", In::Both),
    ("fit", "segments", "", "segments = 2", In::Plan),
    ("fit", "crop", "", "crop = [8192]", In::Both),
    ("fit", "spectral", "", "spectral = [0.5]", In::Both),
    ("fit", "log_spectral", "", "log_spectral = [0.5]", In::Both),
    ("fit", "unquantised", "", "unquantised = [0.5]", In::Both),
    ("fit", "commitment", "", "commitment = 0.5", In::Both),
    ("fit", "learning_rate", "", "learning_rate = 1e-3", In::Both),
    ("fit", "warmup", "", "warmup = 3", In::Both),
    ("fit", "schedule", "", "schedule = 'cosine'", In::Both),
    ("fit", "final_rate", "", "final_rate = 0.2", In::Both),
    ("fit", "ema_decay", "", "ema_decay = 0.9", In::Both),
    ("fit", "revival", "", "revival = 0.2", In::Both),
    ("fit", "kmeans", "", "kmeans = 3", In::Both),
    ("shard", "megabytes", "", "megabytes = 1.0", In::Plan),
    ("train", "level", "", "level = 0", In::Both),
    ("train", "split", "", "split = 'valid'", In::Plan),
    ("train", "held_out", "", "held_out = 'valid'", In::Plan),
    ("train", "refresh", "", "refresh = 'pinned'", In::Neither),
    ("train", "width", "", "width = 256", In::Both),
    ("train", "depth", "", "depth = 4", In::Both),
    ("train", "heads", "", "heads = 4", In::Both),
    ("train", "attn_ratio", "", "attn_ratio = 0.5", In::Both),
    ("train", "mlp_ratio", "", "mlp_ratio = 2.0", In::Both),
    ("train", "context", "", "context = 512", In::Both),
    ("train", "distances", "", "distances = 512", In::Both),
    ("train", "positions", "", "positions = 16", In::Both),
    ("train", "conditioner_depth", "", "conditioner_depth = 2", In::Both),
    ("train", "steps", "", "steps = 3", In::Both),
    ("train", "batch", "", "batch = 3", In::Both),
    ("train", "micro_batch", "", "micro_batch = 3", In::Both),
    ("train", "corruption", "", "corruption = 0.1", In::Both),
    ("train", "precision", "", "precision = 'f16'", In::Both),
    ("train", "segments", "", "segments = 2", In::Plan),
    ("train", "learning_rate", "", "learning_rate = 1e-3", In::Both),
    ("train", "warmup", "", "warmup = 3", In::Both),
    ("train", "final_rate", "", "final_rate = 0.2", In::Both),
    ("train", "weight_decay", "", "weight_decay = 0.1", In::Both),
    ("train", "clip", "", "clip = 2.0", In::Both),
    ("train", "scored", "", "scored = 3", In::Plan),
    ("sample", "genres", "", "genres = ['a']", In::Plan),
    ("sample", "songs", "", "songs = 3", In::Plan),
    ("sample", "seconds", "", "seconds = 3.0", In::Both),
    ("sample", "temperature", "", "temperature = 0.5", In::Both),
    ("sample", "top_p", "", "top_p = 0.5", In::Both),
    ("sample", "overlap", "", "overlap = 0.25", In::Both),
    ("sample", "level", "", "level = 1", In::Both),
    ("evaluate", "split", "", "split = ''", In::Plan),
    ("evaluate", "held_out", "", "held_out = ''", In::Plan),
    ("evaluate", "seconds", "", "seconds = 3.0", In::Both),
    ("evaluate", "clips", "", "clips = 3", In::Both),
];

/// Settings in TOML, of which the later ones count.
fn merged(texts: [&str; 3]) -> String {
    let tables = texts.map(|text| text.parse::<toml::Table>().expect("TOML"));
    tables.into_iter().flatten().collect::<toml::Table>().to_string()
}

#[test]
fn every_setting_enters_what_it_should() {
    let seed = Digest::default();
    for spec in STAGES {
        let own = EDITS.iter().filter(|(verb, ..)| *verb == spec.verb);
        let edited: BTreeSet<&str> = own.clone().map(|(_, setting, ..)| *setting).collect();
        let fields = (spec.fields)();
        assert_eq!(edited, fields.iter().map(|field| field.name).collect(), "{}: a setting is not edited", spec.verb);
        for (verb, setting, beside, value, enters) in own {
            let least = if *verb == "ingest" { "" } else { least(verb) };
            let was = configured(spec, &merged([least, beside, ""]));
            let now = configured(spec, &merged([least, beside, value]));
            let (plan, key) = (was.digest() != now.digest(), was.key(&seed).finish() != now.key(&seed).finish());
            let expected = (*enters != In::Neither, *enters == In::Both);
            assert_eq!((plan, key), expected, "{verb}: `{setting}` in the plan's digest, in the key");
        }
        for field in fields {
            let path = field.kind.ends_with(PathSetting::KIND);
            assert_eq!(field.role == Role::Path, path, "{}: `{}` is a path", spec.verb, field.name);
        }
    }
}

/// Verb, and two ways to say the same.
const SAME: &[(&str, &str, &str)] = &[
    ("ingest", "root = 'a'", "root = 'a'\ndataset = 'folder'\ncorpus = 'folder'"),
    ("ingest", SYNTH, "corpus = 'synth'\ndataset = 'synth'\nseconds = 8"),
    ("ingest", "root = 'a'\ncarry = ['b', 'a']", "root = 'a'\ncarry = ['a', 'b', 'a']"),
    ("license", "allow = ['CC0-1.0', 'CC-BY-4.0']", "allow = ['cc-by-4.0', 'CC0-1.0', 'cc0-1.0']"),
    ("license", "allow = ['*']\ndeny = ['CC-BY-*', 'MIT']", "allow = ['*']\ndeny = ['mit', 'CC-BY-*']"),
    ("segment", "seconds = 4.0", "seconds = 4\nstride = 4.0"),
    ("fit", "width = [64]", "width = [64, 64, 64]"),
    ("fit", "", "strides = [[2], [2, 2], [2, 2, 2]]\nchannels = 1"),
    (
        "fit",
        "spectral = [0.5]\ndowns = [[1], [2]]\nwidth = [8]\ndepth = [1]\ncodewords = [8]\nsteps = [1]\nbatch = [1]\ncrop = [8]",
        "spectral = [0.5, 0.5]\ndowns = [[1], [2]]\nwidth = [8, 8]\ndepth = [1, 1]\ncodewords = [8]\nsteps = [1]\nbatch = [1]\ncrop = [8]",
    ),
    ("fit", "", "spectral = [1]\nlog_spectral = [0.0, 0.0, 0.0]\nunquantised = [-0.0]\ncommitment = 0.25"),
    ("fit", "batch = [8]", "batch = [8, 8, 8]\nmicro_batch = [8]"),
    ("train", "level = 0", "level = 0\nmicro_batch = 16\nprecision = 'f32'\nsegments = 'auto'"),
    ("fit", "unquantised = [0.4]", "unquantised = [0.4, 0.4, 0.4]"),
    ("sample", "genres = ['b', 'a']\ntemperature = 0.0", "genres = ['a', 'b', 'b']\ntemperature = -0.0"),
];

#[test]
fn the_same_meaning_has_the_same_digests() {
    let seed = Digest::default();
    for (verb, one, other) in SAME {
        let spec = STAGES.iter().find(|spec| spec.verb == *verb).expect("a verb");
        let [one, other] = [one, other].map(|text| configured(spec, text));
        let of = |stage: &Arc<dyn ConfiguredStage>| (stage.digest(), stage.key(&seed).finish(), stage.shown());
        assert_eq!(of(&one), of(&other), "{verb}");
    }
}

#[test]
fn a_list_for_other_levels_is_still_complained_of() {
    let spec = STAGES.iter().find(|spec| spec.verb == "fit").expect("a verb");
    for wrong in ["width = [64, 64]", "log_spectral = [0.0, 0.0]", "unquantised = [0.5, 0.5, 0.5, 0.5]"] {
        let mut complaints = Vec::new();
        let table = fields(wrong.parse().expect("TOML"));
        assert!((spec.lower)(&table, At::default(), &mut complaints).is_none(), "{wrong}");
        assert!(complaints[0].message.contains("levels, `downs` for 3"), "{wrong}: {complaints:?}");
    }
}
