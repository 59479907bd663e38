//! The columns of a shard, its footer, and how each column is encoded.

use super::{ShardError, ShardRow, hex};
use crate::row::Labels;
use arrow_schema::{DataType, Field, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Codebooks up to this size are dictionary-encoded: an index takes just the bits of a code.
const DICTIONARY_CODEWORDS: u32 = 4096;

/// The writer's name in every footer. It names no version: a shard's bytes are promised by its
/// rows, and a change of layout raises `refrain.schema`.
const CREATED_BY: &str = "refrain";

/// Version of the columns and of the keys beside `huggingface`.
const SCHEMA: &str = "1";

/// Codec, rate, hops and codewords that all clips of a shard share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardMeta {
    /// Digest of the codec's weights.
    pub codec: [u8; 32],
    /// Frames per second.
    pub rate: u32,
    /// Frames per code by level, level 0 at the bottom.
    pub hops: Vec<u32>,
    /// Size of each level's codebook, 1 to 65536.
    pub codewords: Vec<u32>,
}

impl ShardMeta {
    /// Checks that there is a hop and a codebook for each of at least one level.
    pub(super) fn check(&self) -> Result<(), ShardError> {
        let fits = |&words: &u32| (1..=1 << 16).contains(&words);
        let levels = self.hops.len() == self.codewords.len() && !self.hops.is_empty();
        match levels && self.hops.iter().all(|&hop| hop > 0) && self.codewords.iter().all(fits) {
            true => Ok(()),
            false => Err(ShardError::Levels(format!("hops {:?}, codewords {:?}", self.hops, self.codewords))),
        }
    }

    /// Checks that a clip is of this codec, at this rate, with codes that have codewords.
    pub(super) fn fits(&self, row: &ShardRow) -> Result<(), ShardError> {
        let misfit = |reason: String| Err(ShardError::Row { clip: row.clip.clone(), reason });
        if row.codec != self.codec {
            return misfit("it was encoded with another codec".to_owned());
        }
        if row.rate != self.rate {
            return misfit(format!("its rate is {}, the shard's {}", row.rate, self.rate));
        }
        if row.codes.len() != self.hops.len() {
            let (has, want) = (row.codes.len(), self.hops.len());
            return misfit(format!("it has {has} levels of codes, the shard {want}"));
        }
        for (level, (codes, &words)) in row.codes.iter().zip(&self.codewords).enumerate() {
            if let Some(code) = codes.iter().find(|&&code| u32::from(code) >= words) {
                return misfit(format!("level {level} has code {code} of {words} codewords"));
            }
        }
        Ok(())
    }

    /// Checks that a clip has as many codes as a codec makes of its frames: those of the clip with zeros up to a
    /// multiple of the largest hop.
    ///
    /// # Errors
    /// More or fewer codes at a level, or a number of frames that no clip has.
    pub fn whole(&self, row: &ShardRow) -> Result<(), ShardError> {
        let misfit = |reason: String| Err(ShardError::Row { clip: row.clip.clone(), reason });
        let align = self.hops.iter().copied().max().map_or(1, u64::from);
        let Some(padded) = row.frames.checked_next_multiple_of(align) else {
            return misfit(format!("no clip has {} frames", row.frames));
        };
        for (level, (codes, &hop)) in row.codes.iter().zip(&self.hops).enumerate() {
            let (has, want) = (codes.len() as u64, padded / u64::from(hop));
            if has != want {
                return misfit(format!("level {level} has {has} codes for {} frames, which make {want}", row.frames));
            }
        }
        Ok(())
    }

    /// The footer's own keys; `huggingface` stands beside them.
    fn footer(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("refrain.codec", hex(&self.codec)),
            ("refrain.codewords", list(&self.codewords)),
            ("refrain.hops", list(&self.hops)),
            ("refrain.rate", self.rate.to_string()),
            ("refrain.schema", SCHEMA.to_owned()),
        ])
    }

    /// Reads a footer back.
    pub(super) fn from_footer(pairs: &[KeyValue]) -> Result<ShardMeta, ShardError> {
        let get = |key: &str| {
            let pair = pairs.iter().find(|pair| pair.key == key);
            let value = pair.and_then(|pair| pair.value.as_deref());
            value.ok_or_else(|| ShardError::NotAShard(format!("its footer lacks `{key}`")))
        };
        let wrong = |key: &str| ShardError::NotAShard(format!("its footer's `{key}` is broken"));
        let numbers = |key: &'static str| -> Result<Vec<u32>, ShardError> {
            let parts = get(key)?.split(',').map(str::parse);
            parts.collect::<Result<_, _>>().map_err(|_| wrong(key))
        };
        if get("refrain.schema")? != SCHEMA {
            return Err(ShardError::NotAShard("it has another schema version".to_owned()));
        }
        let codec = blake3::Hash::from_hex(get("refrain.codec")?);
        let meta = ShardMeta {
            codec: codec.map_err(|_| wrong("refrain.codec"))?.into(),
            rate: get("refrain.rate")?.parse().map_err(|_| wrong("refrain.rate"))?,
            hops: numbers("refrain.hops")?,
            codewords: numbers("refrain.codewords")?,
        };
        meta.check()?;
        Ok(meta)
    }
}

fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(",")
}

/// The first columns: name, type, and whether a row may lack it.
const COLUMNS: [(&str, DataType, bool); 8] = [
    ("track", DataType::Utf8, false),
    ("clip", DataType::Utf8, false),
    ("split", DataType::Utf8, false),
    ("start", DataType::UInt64, false),
    ("frames", DataType::UInt64, false),
    ("rate", DataType::UInt32, false),
    ("license", DataType::Utf8, false),
    ("attribution", DataType::Utf8, false),
];

/// The columns of labels, which a row may lack, behind [`COLUMNS`]: all of [`Labels::NAMES`], in the order of the format.
pub const LABELS: [&str; Labels::NAMES.len()] = ["artist", "title", "genre", "source"];

/// The columns of digests behind these.
const DIGESTS: [&str; 3] = ["content", "samples", "codec"];

/// The column of what a corpus says in columns of its own.
pub(super) const EXTRA: &str = "extra";

/// Sort order of a shard's rows, `split`, `track`, `clip`, as indices into [`COLUMNS`].
const ORDER: [i32; 3] = [2, 0, 1];

/// The element of a list of codes.
pub(super) fn code_field() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::UInt16, false))
}

/// The Arrow schema of a shard with so many levels, and with or without the column [`EXTRA`]. Digests are hexadecimal text,
/// which every reader shows; codes are `list<uint16>` without nulls.
pub(super) fn schema(levels: usize, extra: bool) -> Arc<Schema> {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let fixed = COLUMNS.map(|(name, kind, nullable)| Field::new(name, kind, nullable)).into_iter();
    let labels = LABELS.map(|name| text(name, true));
    let digests = DIGESTS.map(|name| text(name, false));
    let extra = extra.then(|| text(EXTRA, true));
    let codes = (0..levels).map(|level| Field::new(format!("codes_{level}"), DataType::List(code_field()), false));
    Arc::new(Schema::new(fixed.chain(labels).chain(digests).chain(extra).chain(codes).collect::<Vec<_>>()))
}

/// The features as Hugging Face `datasets` writes them, in the order of the columns.
fn huggingface(schema: &Schema) -> String {
    let value = |dtype: &str| format!(r#"{{"dtype": "{dtype}", "_type": "Value"}}"#);
    let features = schema.fields().iter().map(|field| {
        let feature = match field.data_type() {
            DataType::UInt64 => value("uint64"),
            DataType::UInt32 => value("uint32"),
            DataType::Float64 => value("float64"),
            DataType::List(_) => {
                format!(r#"{{"feature": {}, "_type": "List"}}"#, value("uint16"))
            }
            _ => value("string"),
        };
        // Escapes what names of table columns may hold.
        let name = serde_json::Value::String(field.name().clone());
        format!("{name}: {feature}")
    });
    let features: Vec<String> = features.collect();
    format!(r#"{{"info": {{"features": {{{}}}}}}}"#, features.join(", "))
}

/// Writer properties of every file: zstd at level 3, statistics by page, a fixed writer's name, the sorted footer, and
/// nothing that depends on when or where it is written.
pub(crate) fn properties(
    schema: &Schema,
    mut footer: BTreeMap<&'static str, String>,
) -> Result<WriterPropertiesBuilder, ParquetError> {
    footer.insert("huggingface", huggingface(schema));
    let pairs = footer.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    Ok(WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(None))
}

/// The properties of a shard whose largest row group holds `group` rows.
pub(super) fn shard_properties(
    meta: &ShardMeta,
    schema: &Schema,
    group: usize,
) -> Result<WriterProperties, ParquetError> {
    let ascending = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let mut builder = properties(schema, meta.footer())?.set_sorting_columns(Some(ORDER.map(ascending).to_vec()));
    for id in ["track", "clip"] {
        builder = builder.set_column_bloom_filter_max_ndv(ColumnPath::from(id), group as u64);
    }
    for (level, &codewords) in meta.codewords.iter().enumerate() {
        let path = || {
            let parts = [format!("codes_{level}"), "list".into(), "element".into()];
            ColumnPath::new(parts.to_vec())
        };
        // The smallest and the largest code of a page tell nobody anything.
        builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::Chunk);
        if codewords > DICTIONARY_CODEWORDS {
            builder = builder
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::BYTE_STREAM_SPLIT);
        }
    }
    Ok(builder.build())
}
