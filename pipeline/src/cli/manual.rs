//! `refrain completions` and `refrain man`: completions for shells and manual pages, from the definition of the command line.

use crate::{
    error::{EXITS, Error},
    terminal::output,
};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use datasets::{
    environment::{Audience, ENVIRONMENT},
    store::{StoreError, replace},
};
use std::{fs, io, path::Path};

/// The completions of `command` for a shell, as the script that the shell reads.
pub(crate) fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "refrain", &mut script);
    script
}

/// Writes the manual pages of `command` and of all commands below it to a folder; makes the folder. Returns how many.
///
/// # Errors
/// When a page would replace a file that is none, or the folder or a file cannot be written.
pub(crate) fn man(command: Command, folder: &Path) -> Result<usize, Error> {
    // The exit codes have a section of their own.
    let mut command = command.disable_help_subcommand(true).after_help("");
    command.build();
    let mut open = vec![(command, true)];
    let mut pages = Vec::new();
    while let Some((command, first)) = open.pop() {
        open.extend(command.get_subcommands().map(|sub| (sub.clone(), false)));
        let page = Man::new(command).manual("Refrain");
        let path = folder.join(page.get_filename());
        let text = render(&page, first).map_err(StoreError::io("render", &path))?;
        pages.push((path, text));
    }
    let page = |path: &Path| {
        datasets::untrusted::read(path, datasets::untrusted::LARGEST_TEXT)
            .is_ok_and(|text| text.windows(TITLE.len()).any(|own| own == TITLE))
    };
    let foreign = pages.iter().find(|(path, _)| fs::symlink_metadata(path).is_ok() && !page(path));
    if let Some((path, _)) = foreign {
        return Err(Error::Usage(format!(
            "{} is there already and is no page of this manual; nothing was done. Choose another folder",
            path.display()
        )));
    }
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    for (path, text) in &pages {
        replace(path, text)?;
    }
    let pages = pages.len();
    output::summary(&format!("{pages} pages in {}: man {}\n", folder.display(), folder.join("refrain.1").display()));
    Ok(pages)
}

/// How the title of a page of this manual begins.
const TITLE: &[u8] = b".TH refrain";

/// One page; the first one has the environment too.
fn render(page: &Man, first: bool) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut more = Roff::new();
    more.control("SH", ["EXIT STATUS"]);
    for exit in EXITS {
        more.control("TP", []).text([bold(exit.code.to_string())]).text([roman(plain(exit.when))]);
    }
    if first {
        more.control("SH", ["ENVIRONMENT"]);
        for variable in ENVIRONMENT.iter().filter(|variable| variable.audience == Audience::Users) {
            let term = format!("{}={}", variable.name, variable.value);
            more.control("TP", []).text([bold(term)]).text([roman(plain(variable.meaning))]);
        }
    }
    more.to_writer(&mut text)?;
    Ok(text)
}

/// Text without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace(['`', '<', '>'], "")
}
