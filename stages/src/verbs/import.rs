//! `import`: a codec from a published file, as one of Refrain's own.
//!
//! Reads safetensors and the checkpoints of PyTorch with the names of Jukebox's VQ-VAE, in 32 or 16 bits. What comes out is a
//! codec like any other: the same tensors with their configuration.

use crate::{
    flow::{Env, Item, Verified, memoised},
    media::models::{describe, no_codec, scan_file},
    model::{
        codec::{ImportError, Unstated, import},
        probe,
    },
    rows::{Input, scan::Scan},
    settings::{Complaint, PathSetting},
    stage::{Cardinality, Context, Facts, Places, Port, SourceError, Stage, StageOutput},
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    license::{License, Standing},
    row::{Found, Origin, Weights},
    untrusted::tensors::TensorFile,
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

crate::settings! {
    /// Settings of `import`.
    pub struct Import {
        /// The published file: safetensors, or what `torch.save` writes.
        #[path]
        file: PathSetting,
        /// Sample rate in Hz of the audio that the codec works on; by default what the file states, or Jukebox's 44,100.
        rate: Option<u32> = None,
        /// The dilation of residual block i is this to the power of i; by default what the file states, or Jukebox's 3.
        dilation_growth: Option<u32> = None,
        /// License of the weights, an SPDX expression; the model card states it.
        #[unkeyed]
        license: Option<String> = None,
        /// Where the weights come from, such as a web address; the model card states it.
        #[unkeyed]
        source: Option<String> = None,
    }
}

/// Reads the file and puts the codec that it makes into the store.
struct Convert {
    start: Key,
    unstated: Unstated,
    env: Arc<Env>,
}

impl Effect for Convert {
    type Work = Digest;
    type Output = Weights;
    const LOAD: Load = Load::Light;
    const CORPUS: bool = true;
    const SOURCE: bool = true;

    fn key(&self, content: &Digest) -> Digest {
        self.start.clone().digest(content).finish()
    }

    fn objects(&self, weights: &Weights) -> Vec<Digest> {
        vec![weights.digest]
    }

    fn run(&self, content: &Digest) -> Result<Weights, Fault> {
        let codec = self.env.read(content, |path| {
            let file = Verified::open(path, content)?;
            let length = file.length();
            let codec = TensorFile::new(file, length)
                .map_err(ImportError::from)
                .and_then(|mut file| import(&mut file, &self.unstated))
                .and_then(|codec| Ok(probe::ready(&codec).map(|_| codec)?));
            codec.map_err(|error| match error {
                ImportError::Read(error) if error.kind() != ErrorKind::InvalidData => {
                    Fault::failed(&path.display().to_string(), &error)
                }
                other => no_codec(path, &other),
            })
        })?;
        let bytes = codec.to_bytes().map_err(|e| Fault::Failed(e.to_string()))?;
        Ok(describe(&codec, self.env.store.put(&bytes)?))
    }
}

impl Stage for Import {
    const VERB: &'static str = "import";
    const ABOUT: &'static str =
        "imports a codec that was published with the names of Jukebox's VQ-VAE, by PyTorch or as safetensors";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[];
    const CARDINALITY: Cardinality = Cardinality::Source;
    const UNIT: &'static str = "models";
    const FACTS: Facts = Facts { on_card: true, ..Facts::NONE };
    type In = Found;
    type Out = Weights;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let stated = self.license.as_deref().map(License::read);
        if let Some(License { standing: Standing::Unknown | Standing::Unreadable(_), stated, .. }) = stated {
            complaints.push(
                Complaint::new(at.of("license"), format!("`license` is {stated:?}, which names no license"))
                    .help("an SPDX expression, such as \"CC-BY-4.0\" or \"LicenseRef-jukebox\""),
            );
        }
    }

    fn scan(&self, base: &Path, env: &Env) -> Result<Scan, SourceError> {
        scan_file(env, &self.file.resolve(base))
    }

    fn source_paths(&self, base: &Path) -> Vec<PathBuf> {
        vec![self.file.resolve(base)]
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Found>) -> StageOutput<'s, Weights> {
        let files = input.kept.flat_map(|found| match found.origin {
            Origin::File { content, .. } => Some((content, found.key)),
            _ => None,
        });
        let unstated = Unstated { rate: self.rate, dilation_growth: self.dilation_growth };
        let effect = Convert { start: self.key(cx), unstated, env: cx.env.clone() };
        let done = memoised(cx, effect, files, String::clone);
        let license = self.license.as_deref().map(|stated| License::read(stated).canonical());
        let source = self.source;
        done.split(cx, Item::Other).map(move |(_, weights)| Weights {
            license: license.clone(),
            source: source.clone(),
            ..weights
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_is_watched_where_it_lies() {
        let file = PathSetting("models/vqvae.pth.tar".into());
        let stage = Import { file, rate: None, dilation_growth: None, license: None, source: None };
        let place = [PathBuf::from("/base/models/vqvae.pth.tar")];
        assert_eq!(
            (stage.source_paths(Path::new("/base")), stage.watched_paths(Path::new("/base"))),
            (place.to_vec(), place.to_vec())
        );
    }
}
