//! Peak memory of a build, as a formula of its settings, and the memory that there is. `docs/memory.md` states the
//! formula, and a test holds builds against it.
//!
//! It bounds what a process allocates. Samples and codes are read from files in the cache: the system
//! takes these pages back when it needs them.

use super::places::Places;
use crate::{
    model::{
        codec::{CodecConfig, form},
        cost, prior,
    },
    settings::Complaint,
};
use std::{collections::BTreeSet, fs};

/// Bytes of a pool job that streams audio: a decoder, a resampler, and blocks of samples.
const STREAM: u64 = 8 << 20;
/// Bytes per sample of a clip that `evaluate` measures: itself, its twin from the decoder, both resampled, and their
/// spectra.
const HEARD: u64 = 64;
/// Bytes per frame of a piece that is composed: voices, the mix and the file.
const RENDERED: u64 = 32;
/// Memory for writing a full shard, as a multiple of its target size: its codes, the Parquet writer's pages, and the
/// file in a buffer that grows by doubling.
const SHARD: f64 = 8.0;

/// Facts about the input rows of a stage that follow from settings alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Frames per second after resampling.
    pub rate: u32,
    /// Channels after mixing down.
    pub channels: u64,
    /// Frames of the longest clip.
    pub clip: u64,
    /// The codec in use; none where it is loaded from a file.
    pub codec: Option<CodecConfig>,
    /// Priors.
    pub priors: Vec<prior::config::PriorConfig>,
    /// Whether priors come in of which nothing is known, since their codec is not.
    pub unknown_priors: bool,
    /// Rates and channels of the clips; empty before they are settled.
    pub forms: BTreeSet<(u32, u16)>,
    /// The splits into which rows may fall; `None` where no stage assigns any.
    pub splits: Option<BTreeSet<String>>,
}

impl Known {
    /// Facts about several inputs together.
    pub fn join<'k>(inputs: impl IntoIterator<Item = &'k Known>) -> Known {
        inputs.into_iter().fold(Known::default(), |all, own| Known {
            rate: all.rate.max(own.rate),
            channels: all.channels.max(own.channels),
            clip: all.clip.max(own.clip),
            codec: all.codec.or_else(|| own.codec.clone()),
            priors: all.priors.into_iter().chain(own.priors.iter().cloned()).collect(),
            unknown_priors: all.unknown_priors || own.unknown_priors,
            forms: all.forms.union(&own.forms).copied().collect(),
            splits: match (all.splits, own.splits.clone()) {
                (Some(all), Some(own)) => Some(all.into_iter().chain(own).collect()),
                (all, own) => all.or(own),
            },
        })
    }

    /// Forgets what is known of rows alone: a model is of no split and has no form.
    pub(crate) fn without_rows(&mut self) {
        (self.forms, self.splits) = Default::default();
    }

    /// Complains where no row can fall into the split that a setting names; an empty name takes all.
    pub(crate) fn filled(&self, field: &str, name: &str, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if name.is_empty() || self.splits.as_ref().is_some_and(|splits| splits.contains(name)) {
            return;
        }
        let (message, help) = match &self.splits {
            None => (
                format!("`{field}` is the split {name:?}, and no stage before this one assigns splits"),
                "put a `split` stage before the clips are cut, or take all by an empty string".to_owned(),
            ),
            Some(splits) => {
                let names: Vec<String> = splits.iter().map(|split| format!("{split:?}")).collect();
                let message = format!("`{field}` is the split {name:?}, into which no row falls");
                (message, format!("rows fall into {}", names.join(", ")))
            }
        };
        complaints.push(Complaint::new(at.of(field), message).help(help));
    }

    /// Complains, at a field, of clips that a codec for such a rate and so many channels cannot read.
    pub(crate) fn formed(
        &self,
        (rate, channels): (u32, u16),
        field: &str,
        at: &Places<'_>,
        complaints: &mut Vec<Complaint>,
    ) {
        for (own, theirs) in self.forms.iter().filter(|form| **form != (rate, channels)) {
            let form = form(channels.into());
            let message =
                format!("the clips have {own} Hz and {theirs} channels, the codec works on {form} at {rate} Hz");
            let help = "set `rate` and `channels` of the `resample` stage before it";
            complaints.push(Complaint::new(at.of(field), message).help(help));
        }
    }

    /// Bytes of a codec in memory, and of one job that encodes or decodes with it.
    fn coder(&self) -> (u64, u64) {
        self.codec.as_ref().map_or((0, 0), |config| (cost::loaded(config), cost::tile(config)))
    }

    /// Bytes of a job of `evaluate` that measures a clip and what a decoder makes of its codes.
    pub fn listening(&self) -> u64 {
        HEARD * self.clip * self.channels.max(1) + self.coder().1
    }

    /// Bytes for sampling songs: the codec and all priors, as arrays and as laid out for sampling, with caches and the
    /// file.
    pub(crate) fn sampling(&self, songs: u64, frames: u64) -> u64 {
        let models: u64 = self.priors.iter().map(prior::cost::loaded).sum();
        // Levels are sampled one after the other. The file is made in a buffer that doubles.
        let caches = self.priors.iter().map(prior::cost::cache).max().unwrap_or(0);
        let (codec, tile) = self.coder();
        let channels = self.codec.as_ref().map_or(1, |codec| codec.channels as u64);
        models.saturating_add(songs.saturating_mul(caches)) + codec + tile + 3 * 2 * frames * channels
    }
}

/// The bytes that a stage takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes held from the stage's first job to the end of the build.
    pub held: u64,
    /// Bytes of one job of the stage; every slot of the pool may run one.
    pub job: u64,
    /// Bytes of one job that writes a shard of the target size.
    pub full: u64,
    /// Bytes held while the stage has the pool alone.
    pub alone: u64,
}

impl Memory {
    pub(crate) fn streaming() -> Memory {
        Memory { job: STREAM, ..Memory::default() }
    }

    pub(crate) fn rendering(frames: u64) -> Memory {
        Memory { job: RENDERED * frames, ..Memory::default() }
    }

    pub(crate) fn encoding(known: &Known) -> Memory {
        let (held, tile) = known.coder();
        let hops = known.codec.iter().flat_map(|config| &config.levels).map(|level| level.hop() as u64);
        // As words, and packed.
        let codes: u64 = hops.map(|hop| known.clip.div_ceil(hop) * 4).sum();
        Memory { held, job: STREAM + tile + codes, ..Memory::default() }
    }

    pub(crate) fn packing(megabytes: f64) -> Memory {
        Memory { full: (SHARD * megabytes * f64::from(1 << 20)) as u64, ..Memory::default() }
    }

    pub(crate) fn alone(bytes: u64) -> Memory {
        Memory { alone: bytes, ..Memory::default() }
    }

    pub(crate) fn sampling(known: &Known, songs: u64, frames: u64) -> Memory {
        Memory::alone(known.sampling(songs, frames))
    }

    pub(crate) fn listening(known: &Known, workers: u64) -> Memory {
        Memory::alone(known.coder().0 + workers * (known.listening() + STREAM))
    }
}

/// The memory that this process may use in bytes, where the system says: that of the host, or of its control group.
/// `REFRAIN_MEMORY=BYTES` says it instead.
pub fn memory() -> Option<u64> {
    if let Some(told) = datasets::environment::MEMORY.text().and_then(|told| told.parse().ok()) {
        return Some(told);
    }
    let host = fs::read_to_string("/proc/meminfo").ok().and_then(|text| host(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    host.into_iter().chain(group).min()
}

fn host(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_hosts_memory_is_read() {
        assert_eq!(host("MemTotal:       24567890 kB\nMemFree: 1 kB\n"), Some(24_567_890 * 1024));
        assert_eq!(host(""), None);
    }
}
