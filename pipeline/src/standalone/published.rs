//! `import` and `export`: codecs from and to the names that Jukebox's VQ-VAE was published under.

use crate::{error::Error, publish::bundle, standalone::targets};
use datasets::{
    Digest,
    store::{StoreError, Temp},
    untrusted::tensors::TensorFile,
};
use stages::model::{
    codec::{self, Codec, ImportError, Unstated},
    probe,
};
use std::{io::Write, path::Path};

/// What a codec is, in one line.
fn described(codec: &Codec) -> String {
    let config = codec.config();
    let list = |of: &dyn Fn(usize) -> usize| {
        let all: Vec<String> = (0..config.levels.len()).map(|level| of(level).to_string()).collect();
        all.join(", ")
    };
    format!(
        "{} Hz, {}, hops {}, codewords {}",
        config.rate,
        if config.channels == 1 { "mono" } else { "stereo" },
        list(&|level| config.levels[level].hop()),
        list(&|level| config.levels[level].codewords)
    )
}

/// Writes a file that is not there already, unless it may be replaced.
fn write(bytes: &[u8], source: &Path, target: &Path, overwrite: bool) -> Result<(), Error> {
    let sources = if source.is_dir() { Vec::new() } else { vec![source.to_owned()] };
    targets::free(&[target.to_owned()], &sources, overwrite, |_| false)?;
    let mut temp = Temp::at(target)?;
    temp.write_all(bytes).map_err(StoreError::io("write", target))?;
    Ok(temp.commit(target)?)
}

/// Imports a published file as a codec of Refrain's own. What it says of itself comes back.
///
/// # Errors
/// A file that cannot be read or is no published codec; a target that is in the way or cannot be written.
pub fn import(file: &Path, target: &Path, unstated: &Unstated, overwrite: bool) -> Result<String, Error> {
    let wrong = |error: ImportError| Error::Source(format!("{} cannot be imported: {error}", file.display()));
    targets::free(&[target.to_owned()], &[file.to_owned()], overwrite, |_| false)?;
    let mut published = TensorFile::open(file).map_err(|error| wrong(error.into()))?;
    let codec = codec::import(&mut published, unstated).map_err(wrong)?;
    probe::ready(&codec).map_err(|error| wrong(error.into()))?;
    let bytes = codec.to_bytes().map_err(|error| wrong(error.into()))?;
    write(&bytes, file, target, overwrite)?;
    let digest = Digest::of(&bytes).short(12);
    Ok(format!("{}  {digest}, {}\n", target.display(), described(&codec)))
}

/// Exports the codec of a bundle, or of a safetensors file, with the published names.
///
/// # Errors
/// A model that cannot be read or was never published in such a form; a target that is in the way or cannot be written.
pub fn export(model: &Path, target: &Path, overwrite: bool) -> Result<String, Error> {
    let (file, bytes) = bundle::codec(Some(model))?;
    let wrong = |why: String| Error::Source(format!("{} cannot be exported: {why}", file.display()));
    let codec = Codec::load(&bytes).map_err(|error| wrong(error.to_string()))?;
    let bytes = codec::export(&codec).map_err(|error| wrong(error.to_string()))?;
    write(&bytes, model, target, overwrite)?;
    let Unstated { rate, dilation_growth } = codec::unstated(codec.config());
    let flags =
        [rate.map(|rate| format!(" --rate {rate}")), dilation_growth.map(|n| format!(" --dilation-growth {n}"))];
    let flags: String = flags.into_iter().flatten().collect();
    let lost =
        if flags.is_empty() { flags } else { format!("; the names do not tell all of it: import it with{flags}") };
    Ok(format!("{}  {}{lost}\n", target.display(), described(&codec)))
}
