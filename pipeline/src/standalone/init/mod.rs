//! `init`: a commented manifest for one's own folder of recordings.

use crate::error::Error;
use datasets::{corpus, license::License, store::StoreError};
use std::{
    fmt::Write as _,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The manifest, with a word between two `@` for each thing that the folder decides.
const TEMPLATE: &str = include_str!("manifest.toml");

/// What `refrain init` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct InitArgs {
    /// The folder with the recordings
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The manifest to write; by default beside the folder and called after it: DIR.toml
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The license of the recordings for which none is stated: an SPDX expression such as CC-BY-4.0, or LicenseRef-own
    #[arg(long, value_name = "LICENSE")]
    license: Option<String>,
}

/// Writes a manifest for a folder of recordings, and says what to do next. A file that is there is left as it is.
///
/// # Errors
/// When the folder cannot be listed, the license cannot be read, the manifest is there already, would lie among the
/// recordings, or cannot be written.
pub fn init(args: &InitArgs) -> Result<String, Error> {
    let license = args.license.as_deref().map(stated).transpose()?;
    let scan = corpus::scan(&args.folder)
        .map_err(|error| Error::Source(format!("{error}: name the folder that holds your recordings")))?;
    let home = fs::canonicalize(&args.folder).map_err(StoreError::io("read", &args.folder))?;
    let file = match &args.manifest {
        Some(file) => file.clone(),
        None => beside(&args.folder, &home)?,
    };
    let text = manifest(&args.folder, &home, &file, license.as_deref())?;
    write_new(&file, &text)?;

    let files = scan.entries.len();
    let silent = scan.entries.iter().filter(|entry| entry.license.is_none()).count();
    let mut said = format!("wrote {} for {} in {}\n\nnext\n", file.display(), files_of(files), args.folder.display());
    let shown = word(&file.display().to_string());
    let commands = [
        (format!("refrain check {shown}"), "says what is wrong with it, and how much memory it takes"),
        (format!("refrain plan {shown}"), "says what a run would do, and why"),
        (format!("refrain run {shown}"), "trains a small codec, and writes the codes of all recordings"),
        ("refrain report --open".to_owned(), "shows what came of it"),
    ];
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (command, does) in commands {
        let _ = writeln!(said, "  {command:width$}  {does}");
    }
    if files == 0 {
        let _ = writeln!(said, "\nThe folder is empty: put recordings there before you run it.");
    } else if silent > 0 && license.is_none() {
        let _ = writeln!(
            said,
            "\nNo sidecar states a license for {} of {}. Those whose tags state none either are kept as NOASSERTION, which will\n\
             do to try it out. Before you hand anything on, fill in `license` under [stage.tracks], which says how.",
            silent,
            files_of(files)
        );
    }
    Ok(said)
}

fn files_of(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// A license as the manifest states it.
fn stated(text: &str) -> Result<String, Error> {
    let license = License::read(text);
    if license.expression().is_none() {
        return Err(Error::Usage(format!(
            "--license `{text}` names no license: write an SPDX expression such as CC-BY-4.0 or CC0-1.0, or LicenseRef-own \
             for recordings of your own"
        )));
    }
    Ok(license.canonical())
}

/// `DIR.toml` beside the folder.
fn beside(typed: &Path, home: &Path) -> Result<PathBuf, Error> {
    let parts = |path: &Path| Some((path.parent()?.to_owned(), path.file_name()?.to_os_string()));
    let (parent, mut name) = parts(typed).or_else(|| parts(home)).ok_or_else(|| {
        Error::Usage(format!("{} has no place beside it: say with --manifest where to write", typed.display()))
    })?;
    name.push(".toml");
    Ok(parent.join(name))
}

/// The text of the manifest.
fn manifest(typed: &Path, home: &Path, file: &Path, license: Option<&str>) -> Result<String, Error> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = fs::canonicalize(parent).map_err(StoreError::io("write to", parent))?;
    if base.starts_with(home) {
        return Err(Error::Usage(format!(
            "{} lies in {}, and would be taken for a recording: choose another place with --manifest",
            file.display(),
            typed.display()
        )));
    }
    let root = home.strip_prefix(&base).unwrap_or(home);
    let root = root
        .to_str()
        .ok_or_else(|| Error::Usage(format!("{} has a name that is not Unicode: rename the folder", root.display())))?;
    let shown = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let lock = Path::new(&shown).with_extension("lock").display().to_string();
    let (license, unknown) = match license {
        Some(license) => (format!("license = {}", quoted(license)), "\"refuse\"".to_owned()),
        None => (
            "# license = \"LicenseRef-own\"".to_owned(),
            "\"allow\"                   # keeps recordings of which nobody states one; \"refuse\" drops them"
                .to_owned(),
        ),
    };
    let mut text = TEMPLATE.to_owned();
    for (word, value) in [
        ("@file@", &word(&shown)),
        ("@lock@", &lock),
        ("@name@", &quoted(&run_name(home))),
        ("@root@", &quoted(root)),
        ("@license@", &license),
        ("@unknown@", &unknown),
    ] {
        text = text.replace(word, value);
    }
    Ok(text)
}

/// One word for a shell.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./,:+".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// A string in TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Name of the runs: the folder's name, with `-` for every character that a name may not hold; at most 60 characters.
fn run_name(home: &Path) -> String {
    let name = home.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = name.chars().map(fine).take(60).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "recordings".to_owned() } else { name.to_owned() }
}

/// Writes a file that is not there yet.
fn write_new(file: &Path, text: &str) -> Result<(), Error> {
    if fs::symlink_metadata(file).is_ok() {
        return Err(Error::Usage(format!(
            "{} is there already, and stays as it is: choose another name with --manifest",
            file.display()
        )));
    }
    let failed = |error: io::Error| StoreError::io("write", file)(error);
    let mut open = fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    Ok(open.write_all(text.as_bytes()).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_are_names() {
        for (folder, name) in [
            ("/a/My Music", "My-Music"),
            ("/a/b.wav", "b-wav"),
            ("/a/Übung", "bung"),
            ("/", "recordings"),
            ("/é", "recordings"),
        ] {
            assert_eq!(run_name(Path::new(folder)), name);
        }
    }

    #[test]
    fn a_name_is_one_word_for_a_shell() {
        assert_eq!(word("there/my_music.toml"), "there/my_music.toml");
        assert_eq!(word("it's mine.toml"), r"'it'\''s mine.toml'");
    }

    #[test]
    fn the_manifest_lies_beside_the_folder() {
        let home = Path::new("/home-of/music.d");
        let at = |typed: &str| beside(Path::new(typed), home).expect("a place").display().to_string();
        assert_eq!(at("music.d"), "music.d.toml");
        assert_eq!(at("there/music.d/"), "there/music.d.toml");
        assert_eq!(at("."), "/home-of/music.d.toml");
        assert_eq!(at("there/.."), "/home-of/music.d.toml");
        assert!(beside(Path::new("/"), Path::new("/")).is_err());
    }
}
