//! Files that are made by hand to do harm.

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use datasets::shard::{self, ShardRow};
use parquet::arrow::ArrowWriter;
use stages::model::weights::{Arrays, from_bytes, to_bytes};
use std::{fs::File, path::Path, process::Command, sync::Arc};

/// A pipe that nobody writes to.
pub fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

/// A name, bytes, and the exit code that they must lead to if it is known.
type Named = (&'static str, Vec<u8>, Option<i32>);

fn parquet(columns: &[(&str, Vec<String>)]) -> Vec<u8> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
    let arrays = columns.iter().map(|(_, values)| Arc::new(StringArray::from_iter_values(values)) as _).collect();
    written(&RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a batch"))
}

fn written(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    bytes
}

/// Parquet with this footer.
fn footer(bytes: &[u8]) -> Vec<u8> {
    [&b"PAR1"[..], bytes, &(bytes.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// Lists inside of lists.
fn nested(depth: usize) -> Vec<u8> {
    let kind = (0..depth).fold(DataType::Utf8, |inner, _| DataType::List(Arc::new(Field::new("item", inner, true))));
    written(&RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("path", kind, true)]))))
}

/// Bytes that are no Parquet whoever asks.
fn no_parquet() -> Vec<Named> {
    let mut cut = parquet(&[("path", vec!["a.wav".into()])]);
    let length = cut.len();
    cut[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        ("nothing", Vec::new(), Some(3)),
        ("only marks", b"PAR1PAR1".to_vec(), Some(3)),
        ("an empty footer", footer(&[]), Some(3)),
        ("a footer of structs", footer(&[0x1c; 1 << 20]), Some(3)),
        ("a footer of lists", footer(&[0x19; 1 << 20]), Some(3)),
        ("a list of 2^31 elements", footer(&[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0]), Some(3)),
        ("a footer longer than its file", cut, Some(3)),
        ("columns inside of 200", nested(200), Some(3)),
    ]
}

/// Shards from a good one.
pub fn shards(good: &[u8]) -> Vec<Named> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), good).expect("written");
    let (meta, rows) = shard::read(file.path()).expect("a shard");
    let make = |change: &dyn Fn(&mut ShardRow)| {
        let mut row = rows[0].clone();
        change(&mut row);
        let mut bytes = Vec::new();
        shard::write(&[row], &meta, &mut bytes).expect("a shard");
        bytes
    };
    let count = 4_000_000;
    let many = make(&|row| {
        row.frames = count as u64 * u64::from(meta.hops[0]);
        row.codes = meta.hops.iter().map(|hop| vec![0; count * meta.hops[0] as usize / *hop as usize]).collect();
    });
    assert!(many.len() < 1 << 20, "{} bytes are no bomb", many.len());
    let mut all = vec![
        ("all frames there are", make(&|row| row.frames = u64::MAX), Some(3)),
        ("more frames than codes", make(&|row| row.frames *= 1000), Some(3)),
        ("no frames", make(&|row| row.frames = 0), Some(3)),
        ("no codes", make(&|row| row.codes.iter_mut().for_each(Vec::clear)), Some(3)),
        ("half an hour of codes in some kilobytes", many, Some(0)),
        ("the last frame there is", make(&|row| row.start = u64::MAX), Some(0)),
        ("a table", parquet(&[("path", vec!["a.wav".into()])]), Some(3)),
    ];
    all.extend(no_parquet());
    all
}

/// A safetensors file with this header and so many bytes behind it.
fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

/// A model with other numbers in its configuration, or other weights.
fn changed(good: &[u8], entry: &'static str, change: impl FnOnce(&mut serde_json::Value, &mut Arrays)) -> Vec<u8> {
    let (mut arrays, text) = from_bytes(good, entry).expect("a model");
    let mut header: serde_json::Value = serde_json::from_str(&text.expect("a configuration")).expect("JSON");
    change(&mut header["config"], &mut arrays);
    to_bytes(&arrays, (entry, header.to_string())).expect("a model")
}

/// Weights whose names have a word are all this number.
fn weights(word: &'static str, number: f32) -> impl FnOnce(&mut serde_json::Value, &mut Arrays) {
    move |_, arrays| {
        let mut met = arrays.iter_mut().filter(|(name, _)| name.contains(word)).peekable();
        assert!(met.peek().is_some(), "no tensor {word}");
        met.for_each(|(_, array)| array.data.fill(number));
    }
}

fn no_model() -> Vec<(String, Vec<u8>, Option<i32>)> {
    let tensor = |name: &str, shape: &str, end: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}"#)
    };
    let all = [
        ("a header of 2^63 bytes", [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat()),
        ("a header longer than its file", [&1000u64.to_le_bytes()[..], b"{}"].concat()),
        ("a header of lists", safetensors(&"[".repeat(1 << 20), 0)),
        ("a shape that overflows", safetensors(&format!("{{{}}}", tensor("a", "[4294967296,4294967296]", 0)), 0)),
        ("data beyond the file", safetensors(&format!("{{{}}}", tensor("a", "[1048576]", 4_194_304)), 4)),
        ("two tensors of a name", safetensors(&format!("{{{},{}}}", tensor("a", "[1]", 4), tensor("a", "[1]", 4)), 4)),
        ("no bytes", Vec::new()),
    ];
    all.into_iter().map(|(name, bytes)| (name.to_owned(), bytes, Some(3))).collect()
}

/// Codecs from a good one.
pub fn codecs(good: &[u8]) -> Vec<(String, Vec<u8>, Option<i32>)> {
    let config = |path: &str, number: serde_json::Value| {
        changed(good, "refrain_codec", |config, _| *config.pointer_mut(path).expect("a number") = number)
    };
    let numbers = [
        ("/rate", serde_json::json!(0)),
        ("/rate", serde_json::json!(u32::MAX)),
        ("/dim", serde_json::json!(0)),
        ("/dim", serde_json::json!(1u64 << 40)),
        ("/levels", serde_json::json!([])),
        ("/levels/0/downs", serde_json::json!([])),
        ("/levels/0/downs", serde_json::json!([0])),
        ("/levels/0/downs", serde_json::json!([4_294_967_295u32, 1])),
        ("/levels/0/downs", serde_json::json!(vec![1; 100_000])),
        ("/levels/0/depth", serde_json::json!(10_000_000)),
        ("/levels/0/width", serde_json::json!(1u64 << 40)),
        ("/levels/0/codewords", serde_json::json!(0)),
    ];
    let mut all = no_model();
    all.push(("whole".into(), good.to_vec(), Some(0)));
    for (path, number) in numbers {
        let name = format!("{path} {}", number.to_string().chars().take(30).collect::<String>());
        all.push((name, config(path, number), Some(3)));
    }
    let parts = [("encoders.0", 3e38), ("encoders.1", f32::NAN), ("decoders.2", 3e38), ("codebook", 3e38)];
    // Within what is read, but not once it is multiplied.
    let more = [("encoders.2", 1e14), ("decoders.0", 1e14)];
    for (word, number) in parts.into_iter().chain(more) {
        all.push((format!("{word} of {number}"), changed(good, "refrain_codec", weights(word, number)), Some(3)));
    }
    all
}

/// Checkpoints that are none, from the stream of a good one.
pub fn checkpoints(good: &[u8]) -> Vec<(&'static str, Put)> {
    let stream = |value: &[u8]| {
        // Magic number, version and facts of the machine are the first three pickles.
        let start = good.windows(3).position(|bytes| bytes == b"u.\x80").expect("a third pickle") + 2;
        Put::Bytes([&good[..start], &[0x80, 2], value, b".\x80\x02]."].concat())
    };
    let nested = |depth: usize| [b"(".repeat(depth), b"t".repeat(depth)].concat();
    // Of each list the next one holds two.
    let doubled = (0..200u8).fold(b"]".to_vec(), |inner, n| [&b"]("[..], &inner, &[b'q', n, b'h', n], b"e"].concat());
    let floats = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007NJ\xff\xff\xff\x7ftQ";
    let vast = [&b"ctorch._utils\n_rebuild_tensor_v2\n("[..], floats, b"K\0J\xff\xff\xff\x7f\x85K\0\x85tR"].concat();
    vec![
        ("a command", stream(b"cposix\nsystem\nX\x0a\0\0\0touch harm\x85R")),
        ("an import", stream(b"cbuiltins\n__import__\nX\x02\0\0\0os\x85R")),
        ("tuples in tuples", stream(&nested(500_000))),
        ("a million marks", stream(&b"(".repeat(1_100_000))),
        ("lists of lists", stream(&doubled)),
        ("a list in itself", stream(b"]q\x01h\x01a")),
        ("a text beyond the file", stream(b"X\xff\xff\xff\xff")),
        ("a number beyond the file", stream(b"\x8b\xff\xff\xff\x7f")),
        ("a tensor that repeats itself", stream(&vast)),
        ("a terabyte of holes", Put::Holes(1 << 40)),
        ("no pickle", Put::Bytes(good[..2].to_vec())),
        ("an empty archive", Put::Bytes([&b"PK\x05\x06"[..], &[0; 18]].concat())),
        ("an archive of ends", Put::Bytes([&b"PK\x03\x04"[..], &b"PK\x05\x06".repeat(20_000)].concat())),
        ("nothing", Put::Bytes(Vec::new())),
    ]
}

/// Priors from a good one.
pub fn priors(good: &[u8]) -> Vec<(String, Vec<u8>, Option<i32>)> {
    let config = |path: &str, number: serde_json::Value| {
        changed(good, "refrain_prior", |config, _| {
            if let Some(known) = config.pointer_mut(path) {
                *known = number;
            }
        })
    };
    let (arrays, _) = from_bytes(good, "refrain_prior").expect("a prior");
    let conditioned = arrays.keys().any(|name| name.starts_with("conditioner"));
    let numbers = [
        ("/upper/depth", serde_json::json!(10_000_000)),
        ("/upper/ratio", serde_json::json!(1u64 << 63)),
        ("/upper/codewords", serde_json::json!(0)),
        ("/hops", serde_json::json!([0, 0, 0])),
        ("/hops", serde_json::json!(vec![1; 100_000])),
        ("/codewords", serde_json::json!([0, 0, 0])),
        ("/rate", serde_json::json!(0)),
        ("/context", serde_json::json!(1u64 << 40)),
        ("/heads", serde_json::json!(0)),
        ("/depth", serde_json::json!(10_000_000)),
        ("/level", serde_json::json!(7)),
        ("/codec", serde_json::json!("0")),
    ];
    let mut all = no_model();
    for (path, number) in numbers.into_iter().filter(|(path, _)| conditioned || !path.starts_with("/upper")) {
        let name = format!("{} {}", path.replace('/', "."), number.to_string().chars().take(12).collect::<String>());
        all.push((name, config(path, number), Some(3)));
    }
    for (word, number) in [("embedding.codes", 3e38), ("logits.weight", f32::INFINITY), ("blocks.0.", 1e14)] {
        all.push((format!("{word} of {number}"), changed(good, "refrain_prior", weights(word, number)), Some(3)));
    }
    all
}

/// Good tables of the recordings in a folder, one of each format.
pub fn tables(music: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let paths: Vec<String> = (0..8).map(|n| music.join(format!("t{n}.wav")).display().to_string()).collect();
    let rows = |separator: &str, head: &str| {
        let row = |path: &String| format!("{path}{separator}CC0-1.0\n");
        head.to_owned() + &paths.iter().map(row).collect::<String>()
    };
    let object = |path: &String| serde_json::json!({ "path": path, "license": "CC0-1.0", "n": 1 });
    let objects: Vec<serde_json::Value> = paths.iter().map(object).collect();
    vec![
        ("csv", rows(",", "path,license\n").into()),
        ("tsv", rows("\t", "path\tlicense\n").into()),
        ("json", serde_json::json!(objects).to_string().into()),
        ("jsonl", objects.iter().map(|row| row.to_string() + "\n").collect::<String>().into()),
        ("parquet", parquet(&[("path", paths.clone()), ("license", vec!["CC0-1.0".into(); 8])])),
    ]
}

/// What a file is made of.
pub enum Put {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes that take no room on the disk.
    Holes(u64),
}

impl Put {
    /// Makes the file.
    pub fn put(&self, path: &Path) {
        match self {
            Put::Bytes(bytes) => std::fs::write(path, bytes).expect("written"),
            Put::Holes(bytes) => File::create(path).and_then(|file| file.set_len(*bytes)).expect("a file of holes"),
        }
    }
}

/// Tables that are none: name, ending of the file, content, exit code.
pub fn bad_tables() -> Vec<(&'static str, &'static str, Put, Option<i32>)> {
    let many =
        |count: usize, between: &str| (0..count).map(|n| format!("\"c{n}\":1")).collect::<Vec<_>>().join(between);
    let rows: Vec<String> = vec!["a.wav".to_owned(); 3_000_000];
    let mut all: Vec<_> = ["csv", "tsv", "json", "jsonl", "parquet"]
        .into_iter()
        .map(|ending| ("a terabyte of holes", ending, Put::Holes(1 << 40), Some(3)))
        .collect();
    let texts = [
        ("lists in lists", "json", "[".repeat(1 << 20)),
        ("too many columns", "jsonl", (0..5000).map(|n| format!("{{\"path\":\"a\",\"c{n}\":1}}\n")).collect()),
        ("too many columns", "json", format!("[{{{}}}]", many(5000, ","))),
        ("too many columns", "csv", "path".to_owned() + &",c".repeat(100_000) + "\n"),
    ];
    all.extend(texts.into_iter().map(|(name, ending, text)| (name, ending, Put::Bytes(text.into()), Some(3))));
    all.push(("millions of rows in some kilobytes", "parquet", Put::Bytes(parquet(&[("path", rows)])), Some(3)));
    all.extend(no_parquet().into_iter().map(|(name, bytes, code)| (name, "parquet", Put::Bytes(bytes), code)));
    all
}

/// Beginnings of sound files of several formats, before bytes of a WAV.
pub fn heads(wav: &[u8]) -> Vec<Vec<u8>> {
    let heads: [&[u8]; 10] = [
        b"",
        b"fLaC\x00\x00\x00\x22\x10\x00\x10\x00\x00\x00\x00\x00\x00\x00\x0a\xc4\x42\xf0\xff\xff\xff\xff",
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fTIT2\xff\xff\xff\xff\x00\x00",
        b"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1e\x01vorbis",
        b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42\xff\xff\xff\xffmoov",
        b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
        b"FORM\xff\xff\xff\xffAIFFCOMM\x00\x00\x00\x12",
        b"caff\x00\x01\x00\x00desc\xff\xff\xff\xff\xff\xff\xff\xff",
        b"RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xfb\x90\x64",
    ];
    heads.into_iter().map(|head| [head, wav].concat()).collect()
}

/// Manifests that are none.
pub fn manifests() -> Vec<(&'static str, Vec<u8>)> {
    let head = "edition = 1\nname = \"x\"\n";
    vec![
        ("lists in lists", (head.to_owned() + "a = " + &"[".repeat(200_000)).into()),
        ("tables in tables", (head.to_owned() + &"a.".repeat(100_000) + "a = 1\n").into()),
        ("inline tables", (head.to_owned() + "a = " + &"{a=".repeat(100_000)).into()),
        ("more than a megabyte", (head.to_owned() + &"# x\n".repeat(1 << 19)).into()),
        ("a number beyond all", (head.to_owned() + "seed = 99999999999999999999999999\n").into()),
        ("bytes", vec![0xff; 1000]),
    ]
}
