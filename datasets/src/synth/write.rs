//! The corpus as files: `<key>.wav` and a sidecar.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Piece, REVISION, SAMPLE_RATE, Synth, wav};

/// The name of the sidecar: columns path, license, artist, title, genre, key, metre, tempo,
/// motif, source.
pub const SIDECAR: &str = "tracks.csv";

/// Begins the comment of every file written here.
const MARK: &str = "refrain synth";

/// Result of [`Synth::write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SynthSummary {
    /// Audio files that were rendered and written.
    pub written: u32,
    /// Audio files that were right already.
    pub kept: u32,
    /// Files of earlier settings that were removed.
    pub removed: u32,
}

impl Synth {
    /// Writes every piece and the sidecar into `dir`, which is created. Files that are right
    /// already are left alone, whole ones replace the others at once, and audio that an earlier
    /// call wrote but that is no piece of this corpus is removed; files of others are not touched.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write(&self, dir: &Path) -> io::Result<SynthSummary> {
        fs::create_dir_all(dir)?;
        let pieces: Vec<Piece> = (0..self.pieces).map(|index| self.piece(index)).collect();
        let mut done = SynthSummary::default();
        for index in 0..self.pieces {
            if self.write_piece(index, dir)? {
                done.written += 1;
            } else {
                done.kept += 1;
            }
        }
        let table = self.sidecar(&pieces)?;
        let path = dir.join(SIDECAR);
        if read_if_any(&path)?.as_deref() != Some(&table) {
            replace(&path, &table)?;
        }
        let mut names: Vec<String> = pieces.iter().map(|piece| format!("{}.wav", piece.key)).collect();
        names.sort();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".wav") || names.binary_search(&name).is_ok() || !entry.file_type()?.is_file() {
                continue;
            }
            let ours = read_if_any(&entry.path())?
                .is_some_and(|file| wav::comment_and_data(&file).is_some_and(|(c, _)| c.starts_with(MARK)));
            if ours {
                fs::remove_file(entry.path())?;
                done.removed += 1;
            }
        }
        Ok(done)
    }

    /// Writes piece `index` into `dir` as `<key>.wav` unless the file there is right; true where
    /// it was written. Calls for different pieces may run at once.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn write_piece(&self, index: u32, dir: &Path) -> io::Result<bool> {
        let piece = self.piece(index);
        let path = dir.join(format!("{}.wav", piece.key));
        // The file says from what it was made and the digest of its samples: damage and other
        // settings are both seen without rendering.
        let recipe = format!(
            "{MARK} revision {REVISION} seed {} piece {index} seconds {:016x} blake3 ",
            self.seed,
            self.seconds.to_bits()
        );
        if let Some(file) = read_if_any(&path)?
            && let Some((comment, data)) = wav::comment_and_data(&file)
            && comment.strip_prefix(&recipe) == Some(blake3::hash(data).to_hex().as_str())
        {
            return Ok(false);
        }
        let samples = self.pcm(index);
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let comment = format!("{recipe}{}", blake3::hash(&bytes).to_hex());
        let info: &wav::Info = &[
            (b"INAM", &piece.title),
            (b"IART", &piece.artist),
            (b"IGNR", &piece.genre),
            (b"ICOP", &piece.license),
            (b"ICMT", &comment),
        ];
        replace(&path, &wav::encode(&samples, SAMPLE_RATE, info))?;
        Ok(true)
    }

    /// The sidecar's bytes.
    fn sidecar(&self, pieces: &[Piece]) -> io::Result<Vec<u8>> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([
            "path", "license", "artist", "title", "genre", "key", "metre", "tempo", "motif", "source",
        ])?;
        for piece in pieces {
            table.write_record([
                &format!("{}.wav", piece.key),
                &piece.license,
                &piece.artist,
                &piece.title,
                &piece.genre,
                &piece.musical_key,
                &format!("{}/{}", piece.metre.0, piece.metre.1),
                &piece.tempo_bpm.to_string(),
                &piece.motif,
                &format!("{MARK}, revision {REVISION}, seed {}", self.seed),
            ])?;
        }
        table.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// A file's bytes, or none where there is no such file.
fn read_if_any(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match crate::untrusted::read(path, crate::untrusted::LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts `bytes` at `path` so that a reader sees the old file or the new one. The temporary name
/// is hidden and holds the process id, so that two writers do not share it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary: PathBuf = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let result = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    result
}
