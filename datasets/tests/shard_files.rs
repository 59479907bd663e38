//! Shards: same rows, same bytes; round trips; the view; encodings; plain tables.

use datasets::row::Labels;
use datasets::shard::{ShardError, ShardMeta, ShardReader, ShardRow, View, read, view, write};
use datasets::tables::{Column, table};
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use std::io::Write;

fn meta(codewords: u32) -> ShardMeta {
    ShardMeta { codec: [7; 32], rate: 44_100, hops: vec![8, 32, 128], codewords: vec![codewords; 3] }
}

/// A row whose codes follow from `i` by a linear congruence.
fn row(i: u64, frames: u64, meta: &ShardMeta) -> ShardRow {
    let mut state = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut code = |words: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(words)) as u16
    };
    let levels = meta.hops.iter().zip(&meta.codewords);
    let codes = levels.map(|(&hop, &words)| (0..frames / u64::from(hop)).map(|_| code(words)).collect()).collect();
    ShardRow {
        track: format!("set/{}.flac", i / 3),
        clip: format!("set/{}.flac/{i}", i / 3),
        split: ["train", "test"][usize::from(i.is_multiple_of(5))].to_owned(),
        start: i % 3 * frames,
        frames,
        rate: meta.rate,
        license: "CC-BY-4.0".to_owned(),
        attribution: format!("Ünïcödé 音楽 {i}"),
        labels: Labels {
            artist: i.is_multiple_of(2).then(|| "Ada".to_owned()),
            title: Some(String::new()),
            genre: (!i.is_multiple_of(4)).then(|| "jazz".to_owned()),
            ..Labels::default()
        },
        content: *blake3::hash(&i.to_le_bytes()).as_bytes(),
        samples: *blake3::hash(&(i / 3).to_le_bytes()).as_bytes(),
        codec: meta.codec,
        codes,
    }
}

fn rows(n: u64, frames: u64, meta: &ShardMeta) -> Vec<ShardRow> {
    (0..n).map(|i| row(i, frames, meta)).collect()
}

fn bytes(rows: &[ShardRow], meta: &ShardMeta) -> Vec<u8> {
    let mut out = Vec::new();
    let written = write(rows, meta, &mut out).unwrap();
    assert_eq!(written.bytes, out.len() as u64);
    assert_eq!(written.digest, *blake3::hash(&out).as_bytes());
    assert_eq!(written.rows, rows.len() as u64);
    out
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn sorted(mut rows: Vec<ShardRow>) -> Vec<ShardRow> {
    rows.sort_by(|a, b| (&a.split, &a.track, &a.clip).cmp(&(&b.split, &b.track, &b.clip)));
    rows
}

#[test]
fn shards_come_back_as_they_went() {
    let meta = meta(2048);
    let mut rows = rows(200, 1280, &meta);
    rows[3].codes = vec![Vec::new(); 3];
    rows[4].codes[1].clear();
    rows[5].track = "e\u{301}/名/🎵 \"x\"\n".to_owned();
    let file = on_disk(&bytes(&rows, &meta));
    let (back_meta, back) = read(file.path()).unwrap();
    assert_eq!(back_meta, meta);
    assert_eq!(back, sorted(rows));
    let mut reader = ShardReader::open(file.path()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), back[0]);
}

#[test]
fn row_groups_end_at_fixed_counts() {
    let meta = meta(4);
    let rows = rows(4097, 0, &meta);
    let mut out = Vec::new();
    assert_eq!(write(&rows, &meta, &mut out).unwrap().row_groups, 2);
    let reader = SerializedFileReader::new(on_disk(&out).reopen().unwrap()).unwrap();
    let groups = reader.metadata().row_groups().iter();
    assert_eq!(groups.map(|g| g.num_rows()).collect::<Vec<_>>(), [4096, 1]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let meta = meta(2048);
    let refuse = |change: fn(&mut Vec<ShardRow>, &mut ShardMeta)| {
        let (mut rows, mut meta) = (rows(3, 256, &meta), meta.clone());
        change(&mut rows, &mut meta);
        write(&rows, &meta, &mut Vec::new()).unwrap_err()
    };
    assert!(matches!(refuse(|rows, _| rows.clear()), ShardError::Empty));
    assert!(matches!(refuse(|_, m| m.hops.truncate(2)), ShardError::Levels(_)));
    assert!(matches!(refuse(|_, m| m.codewords[0] = 70_000), ShardError::Levels(_)));
    let says = |error: ShardError| error.to_string();
    let code = refuse(|rows, _| rows[1].codes[2][0] = 2048);
    assert_eq!(says(code), "clip \"set/0.flac/1\": level 2 has code 2048 of 2048 codewords");
    assert!(says(refuse(|rows, _| rows[0].rate = 8000)).contains("rate"));
    assert!(says(refuse(|rows, _| rows[0].codec = [0; 32])).contains("codec"));
    assert!(says(refuse(|rows, _| drop(rows[0].codes.pop()))).contains("levels"));
    assert!(says(refuse(|rows, _| rows.push(rows[0].clone()))).contains("twice"));
    let other = on_disk(b"PAR1 is not enough");
    assert!(ShardReader::open(other.path()).is_err());
    let mut plain = Vec::new();
    table(&[("step", Column::U64(vec![1]))], &mut plain).unwrap();
    let error = ShardReader::open(on_disk(&plain).path()).err().unwrap();
    assert!(matches!(error, ShardError::NotAShard(_)));
}

/// Bits that a column chunk takes for each code, and its encodings.
fn codes_chunk(bytes: &[u8], level: usize, codes: usize) -> (f64, Vec<Encoding>) {
    let reader = SerializedFileReader::new(on_disk(bytes).reopen().unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let path = format!("codes_{level}.list.element");
    let chunk = group.columns().iter().find(|c| c.column_path().string() == path).unwrap();
    let bits = chunk.compressed_size() as f64 * 8.0 / codes as f64;
    (bits, chunk.encodings().collect())
}

#[test]
fn the_dictionary_does_not_fall_back() {
    for (words, dictionary) in [(2048, true), (4096, true), (8192, false)] {
        let meta = meta(words);
        let rows = rows(64, 44_100, &meta);
        let codes: usize = rows.iter().map(|row| row.codes[0].len()).sum();
        let (bits, encodings) = codes_chunk(&bytes(&rows, &meta), 0, codes);
        let entropy = f64::from(words).log2();
        println!("{words} codewords: {bits:.3} bits a code, entropy {entropy:.3}, {encodings:?}");
        assert_eq!(encodings.contains(&Encoding::RLE_DICTIONARY), dictionary);
        assert_eq!(encodings.contains(&Encoding::BYTE_STREAM_SPLIT), !dictionary);
        // A fall back writes the dictionary and then 32-bit integers.
        assert!(bits < entropy + if dictionary { 0.3 } else { 3.5 }, "{bits} bits");
        if dictionary {
            // RLE codes the levels, PLAIN the dictionary page; nothing else is there.
            let known = [Encoding::RLE, Encoding::PLAIN, Encoding::RLE_DICTIONARY];
            assert!(encodings.iter().all(|e| known.contains(e)), "{encodings:?}");
        }
    }
}

#[test]
fn the_footer_is_what_readers_look_for() {
    let meta = meta(2048);
    let out = bytes(&rows(10, 1280, &meta), &meta);
    let reader = SerializedFileReader::new(on_disk(&out).reopen().unwrap()).unwrap();
    let file = reader.metadata().file_metadata();
    assert_eq!(file.created_by(), Some("refrain"));
    let pairs = file.key_value_metadata().unwrap();
    let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
    let want = ["huggingface", "refrain.codec", "refrain.codewords", "refrain.hops"];
    assert_eq!(keys[..4], want);
    assert_eq!(keys[4..], ["refrain.rate", "refrain.schema"]);
    let value = pairs[0].value.as_deref().unwrap();
    let features: serde_json::Value = serde_json::from_str(value).unwrap();
    assert_eq!(
        features["info"]["features"]["codes_2"],
        serde_json::json!({"feature": {"dtype": "uint16", "_type": "Value"}, "_type": "List"})
    );
    for column in reader.metadata().row_group(0).columns() {
        let path = column.column_path().string();
        let bloom = path == "track" || path == "clip";
        assert_eq!(column.bloom_filter_offset().is_some(), bloom, "{path}");
        assert!(column.offset_index_offset().is_some(), "{path}");
    }
}

#[test]
fn the_column_of_own_columns_is_there_where_a_row_has_some() {
    let meta = meta(2048);
    let plain = rows(9, 1280, &meta);
    let mut own = plain.clone();
    own[4].labels.set("mood", "calm \"x\"");
    own[4].labels.set("bpm", "90");
    let columns = |bytes: &[u8]| -> Vec<String> {
        let file = SerializedFileReader::new(on_disk(bytes).reopen().unwrap()).unwrap();
        let schema = file.metadata().file_metadata().schema().get_fields().to_vec();
        schema.iter().map(|field| field.name().to_owned()).collect()
    };
    let (without, with) = (columns(&bytes(&plain, &meta)), columns(&bytes(&own, &meta)));
    assert!(!without.contains(&"extra".to_owned()));
    assert_eq!(with.iter().filter(|name| *name != "extra").collect::<Vec<_>>(), without.iter().collect::<Vec<_>>());
    let file = bytes(&own, &meta);
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains(r#""extra": {"dtype": "string", "_type": "Value"}"#), "its footer tells no type of `extra`");
    let back = read(on_disk(&file).path()).unwrap().1;
    let extra: Vec<_> = back.iter().filter_map(|row| row.labels.extra_json()).collect();
    assert_eq!(extra, [r#"{"bpm":"90","mood":"calm \"x\""}"#]);
    assert_eq!(sorted(back), sorted(own));
}

#[test]
fn the_view_is_what_training_reads() {
    let meta = meta(2048);
    let rows = rows(9, 1280, &meta);
    let whole = view(&rows, &meta);
    let changed = |change: fn(&mut ShardRow)| {
        let mut rows = rows.clone();
        change(&mut rows[6]);
        view(&rows, &meta) != whole
    };
    assert!(!changed(|row| row.track = "renamed".into()));
    assert!(!changed(|row| row.clip = "a".into()));
    assert!(!changed(|row| row.labels.title = Some("corrected".into())));
    assert!(!changed(|row| row.license = "CC0-1.0".into()));
    assert!(!changed(|row| row.attribution = "B".into()));
    assert!(!changed(|row| row.labels.source = Some("x".into())));
    assert!(!changed(|row| row.content = [1; 32]));
    assert!(!changed(|row| row.codec = [1; 32]));
    assert!(!changed(|row| row.labels.set("bpm", "120")));
    assert!(changed(|row| row.split = "valid".into()));
    assert!(changed(|row| row.labels.genre = None));
    assert!(changed(|row| row.labels.genre = Some(String::new())));
    assert!(changed(|row| row.labels.artist = Some("B".into())));
    assert!(changed(|row| row.codes[1][0] ^= 1));
    assert!(changed(|row| row.samples = [1; 32]));
    assert!(changed(|row| row.start += 1));
    assert!(changed(|row| std::mem::swap(&mut row.labels.genre, &mut row.labels.artist)));
    // However clips are spread over shards, the view of all of them is one.
    let (a, b) = rows.split_at(4);
    assert_eq!(view(b, &meta).plus(view(a, &meta)), whole);
    assert_eq!(View::from_bytes(whole.bytes()), whole);
    // A sum carries over all bytes.
    let most = View::from_bytes([255; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(most.plus(View::from_bytes(one)), View::default());
}

#[test]
fn tables_are_deterministic_and_checked() {
    let columns = |n: usize| {
        [
            ("step", Column::U64((0..n as u64).collect())),
            ("loss", Column::F64((0..n).map(|i| 1.0 / (i as f64)).collect())),
            ("why", Column::Text(vec!["näh".to_owned(); n])),
        ]
    };
    for n in [0, 1, 100] {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        table(&columns(n), &mut a).unwrap();
        table(&columns(n), &mut b).unwrap();
        assert_eq!(a, b);
        let reader = SerializedFileReader::new(on_disk(&a).reopen().unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), n as i64);
        assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 3);
    }
    let uneven = [("a", Column::U64(vec![1])), ("b", Column::U64(vec![]))];
    assert!(matches!(table(&uneven, &mut Vec::new()), Err(ShardError::Columns(n)) if n == "b"));
    let twice = [("a", Column::U64(vec![1])), ("a", Column::U64(vec![1]))];
    assert!(table(&twice, &mut Vec::new()).is_err());
}

/// Writes two shards where `REFRAIN_SHARDS` says, for `scripts/open_shards.py`.
#[test]
#[ignore = "needs REFRAIN_SHARDS"]
fn shards_for_other_readers() {
    let folder = std::env::var_os("REFRAIN_SHARDS").expect("REFRAIN_SHARDS");
    let meta = meta(2048);
    let mut all = rows(300, 44_100, &meta);
    all.iter_mut().step_by(3).for_each(|row| row.labels.set("mood", "calm \"and\" l\u{e4}ndlich"));
    for (i, rows) in all.chunks(200).enumerate() {
        let path = std::path::Path::new(&folder).join(format!("{i:02}.parquet"));
        std::fs::write(path, bytes(rows, &meta)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_reaches_no_byte(
        order in Just((0..150u64).collect::<Vec<_>>()).prop_shuffle(),
        frames in 0u64..600,
    ) {
        let meta = meta(2048);
        let shuffled: Vec<ShardRow> = order.iter().map(|&i| row(i, frames, &meta)).collect();
        let plain = rows(150, frames, &meta);
        prop_assert_eq!(bytes(&shuffled, &meta), bytes(&plain, &meta));
        prop_assert_eq!(view(&shuffled, &meta), view(&plain, &meta));
    }

    #[test]
    fn any_row_comes_back(
        texts in prop::array::uniform4(".{0,12}"),
        maybe in prop::array::uniform4(prop::option::of(".{0,8}")),
        extra in prop::collection::btree_map(".{0,5}", ".{0,5}", 0..4),
        start: u64,
        frames: u64,
        rate: u32,
        digest: [u8; 32],
        codes in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..40), 2),
    ) {
        let meta = ShardMeta {
            codec: digest,
            rate,
            hops: vec![8, 16],
            codewords: vec![65_536, 65_536],
        };
        let [track, clip, license, attribution] = texts;
        let [artist, title, genre, source] = maybe;
        let labels = Labels { artist, title, genre, source, extra };
        let split = "train".to_owned();
        let row = ShardRow {
            track, clip, split, start, frames, rate, license, attribution,
            labels, content: digest, samples: digest, codec: digest, codes,
        };
        let file = on_disk(&bytes(std::slice::from_ref(&row), &meta));
        prop_assert_eq!(read(file.path()).unwrap(), (meta, vec![row]));
    }
}
