//! `weights`: loads a codec from a safetensors file.
//!
//! Refrain's own files carry their configuration; of Jukebox's published tensor names the configuration
//! is read off the shapes. Files of other kinds are for `import`.

use crate::{
    flow::{Env, Item, Verified, memoised},
    media::models::{describe, no_codec, scan_file},
    model::{codec::Codec, probe},
    rows::{Input, scan::Scan},
    settings::PathSetting,
    stage::{Cardinality, Context, Facts, Port, SourceError, Stage, StageOutput},
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    row::{self, Found, Origin},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

crate::settings! {
    /// Settings of `weights`.
    pub struct Weights {
        /// The safetensors file.
        #[path]
        file: PathSetting,
    }
}

/// Copies the file into the store and reads what it is.
struct Import {
    start: Key,
    env: Arc<Env>,
}

impl Effect for Import {
    type Work = Digest;
    type Output = row::Weights;
    const LOAD: Load = Load::Light;
    const CORPUS: bool = true;
    const SOURCE: bool = true;

    fn key(&self, content: &Digest) -> Digest {
        self.start.clone().digest(content).finish()
    }

    fn objects(&self, weights: &row::Weights) -> Vec<Digest> {
        vec![weights.digest]
    }

    fn run(&self, content: &Digest) -> Result<row::Weights, Fault> {
        let (codec, bytes) = self.env.read(content, |path| {
            let bytes = match datasets::untrusted::model::read(path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                    Verified::open(path, content)?;
                    return Err(no_codec(path, &e));
                }
                Err(e) => return Err(Fault::failed(&path.display().to_string(), &e)),
            };
            if Digest::of(&bytes) != *content {
                return Err(Fault::Failed(format!("{} changed while it was read; run again", path.display())));
            }
            let codec = Codec::load(&bytes).and_then(|codec| probe::ready(&codec).map(|_| codec));
            let codec = codec.map_err(|e| no_codec(path, &e))?;
            Ok((codec, bytes))
        })?;
        let digest = self.env.store.put(&bytes)?;
        Ok(describe(&codec, digest))
    }
}

impl Stage for Weights {
    const VERB: &'static str = "weights";
    const ABOUT: &'static str =
        "loads a codec from a safetensors file, Refrain's or with Jukebox's published tensor names";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[];
    const CARDINALITY: Cardinality = Cardinality::Source;
    const UNIT: &'static str = "models";
    const FACTS: Facts = Facts { on_card: true, ..Facts::NONE };
    type In = Found;
    type Out = row::Weights;

    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        scan_file(env, &self.file.resolve(base))
    }

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        vec![self.file.resolve(base)]
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Found>) -> StageOutput<'s, row::Weights> {
        let files = input.kept.flat_map(|found| match found.origin {
            Origin::File { content, .. } => Some((content, found.key)),
            _ => None,
        });
        let done = memoised(cx, Import { start: self.key(cx), env: cx.env.clone() }, files, String::clone);
        done.split(cx, Item::Other).map(|(_, weights)| weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_lies_where_its_file_is_and_is_watched_there() {
        let stage = Weights { file: PathSetting("models/codec.safetensors".into()) };
        let place = [PathBuf::from("/base/models/codec.safetensors")];
        assert_eq!(
            (stage.source_paths(Path::new("/base")), stage.watched_paths(Path::new("/base"))),
            (place.to_vec(), place.to_vec())
        );
    }
}
