//! `docs/cli.md`, written from the definition of the command line, the exit codes and the environment variables.

use crate::error::EXITS;
use clap::{Arg, Command};
use datasets::environment::{Audience, ENVIRONMENT};
use std::fmt::Write as _;

/// The page up to the options of all commands.
const HEAD: &str = "# The command line

<!-- Written by the tests from the code; change the code and run them with REFRAIN_BLESS=1. -->

`refrain COMMAND --help` says the same on a terminal. [`refrain completions`](#refrain-completions) makes completions for
shells, [`refrain man`](#refrain-man) manual pages. What the commands are for is in the [README](../README.md).
";

/// `docs/cli.md`: every command with its options, the exit codes, the environment variables.
pub fn reference_md(mut command: Command) -> String {
    command.build();
    let mut out = HEAD.to_owned();
    let _ = writeln!(out, "\n## Options of every command\n");
    table(&mut out, command.get_arguments().filter(|arg| listed(arg) && arg.is_global_set()));
    for sub in command.get_subcommands() {
        section(&mut out, sub);
    }
    let _ = writeln!(out, "\n## Exit codes\n\n{}", exit_table());
    let _ = writeln!(out, "## Environment variables\n\n{}", environment_table(Audience::Users));
    out.push_str("Further ones, for developers, are in [CONTRIBUTING.md](../CONTRIBUTING.md#build-and-test).\n");
    out
}

/// The exit codes as a table in Markdown.
pub fn exit_table() -> String {
    let row = |exit: &crate::error::Exit| format!("| {} | {} |\n", exit.code, cell(exit.when));
    format!("| exit code | |\n|---|---|\n{}", EXITS.iter().map(row).collect::<String>())
}

/// The environment variables for `audience` as a table in Markdown.
pub fn environment_table(audience: Audience) -> String {
    let listed = ENVIRONMENT.iter().filter(|variable| variable.audience == audience);
    let row = |own: &datasets::environment::Variable| {
        format!("| `{}={}` | {} |\n", own.name, cell(own.value), cell(own.meaning))
    };
    format!("| variable | does |\n|---|---|\n{}", listed.map(row).collect::<String>())
}

/// Whether the page names an argument: `--help` and `--version` go without saying.
fn listed(arg: &Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn section(out: &mut String, command: &Command) {
    let subs: Vec<&Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    if command.get_name() == "help" {
        return;
    }
    if !subs.is_empty() {
        subs.into_iter().for_each(|sub| section(out, sub));
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let _ = writeln!(out, "\n## `{name}`\n\n{about}.\n\n    {usage}\n");
    table(out, command.get_arguments().filter(|arg| listed(arg) && !arg.is_global_set()));
}

/// Arguments first, then options, each in the order of the code.
fn table<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let (places, options): (Vec<&Arg>, Vec<&Arg>) = args.partition(|arg| arg.is_positional());
    if places.is_empty() && options.is_empty() {
        out.push_str("No arguments and no options of its own.\n");
        return;
    }
    out.push_str("| argument or option | default | meaning |\n|---|---|---|\n");
    for arg in places.into_iter().chain(options) {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "| {} | {} | {}{} |", name(arg), default(arg), cell(&help), values(arg));
    }
}

/// `` `-w`, `--workers N` ``
fn name(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().filter(|_| takes).map(|names| names.join(" ")).unwrap_or_default();
    if arg.is_positional() {
        return format!("`{value}`");
    }
    let space = if value.is_empty() { "" } else { " " };
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let long = arg.get_long().map(|long| format!("`--{long}{space}{value}`"));
    [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Default of an argument as the reference page shows it: its values, `required`, or empty.
fn default(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy())).collect();
    match (arg.is_required_set(), values.is_empty() || !arg.get_action().takes_values()) {
        (true, _) => "required".to_owned(),
        (false, true) => String::new(),
        (false, false) => values.join(" "),
    }
}

/// The words that an option takes, where it takes no others.
fn values(arg: &Arg) -> String {
    let word = |value: clap::builder::PossibleValue| format!("`{}`", value.get_name());
    let words: Vec<String> = match arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
        true => arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).map(word).collect(),
        false => Vec::new(),
    };
    if words.is_empty() { String::new() } else { format!(": {}", cell(&words.join(", "))) }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::Cli, error::Error};
    use clap::CommandFactory;

    #[test]
    fn every_command_and_option_is_on_the_page() {
        let (page, mut command) = (reference_md(Cli::command()), Cli::command());
        command.build();
        let mut open: Vec<&Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
        let mut seen = 0;
        while let Some(own) = open.pop() {
            open.extend(own.get_subcommands().filter(|sub| sub.get_name() != "help"));
            if own.get_subcommands().next().is_none() {
                let name = own.get_bin_name().expect("a name");
                assert!(page.contains(&format!("\n## `{name}`\n")), "{name}");
                seen += 1;
            }
            for arg in own.get_arguments().filter(|arg| listed(arg)) {
                assert!(page.contains(&name(arg)), "{}", arg.get_id());
                let help = arg.get_help().unwrap_or_else(|| panic!("{} says nothing of itself", arg.get_id()));
                assert!(!help.to_string().is_empty(), "{}", arg.get_id());
            }
        }
        assert!(seen >= 15, "{seen} commands");
    }

    #[test]
    fn every_error_ends_with_a_listed_exit_code() {
        let text = String::new;
        for error in [
            Error::Bug(text()),
            Error::Usage(text()),
            Error::Source(text()),
            Error::Lock(text()),
            Error::Damage(text()),
            Error::Guard(text()),
            Error::Stage(text()),
            Error::Lost(text()),
            Error::Output(text()),
            Error::Interrupted,
        ] {
            assert!(EXITS.iter().any(|exit| exit.code == error.code() && exit.code > 0), "{error:?}");
        }
        assert!(EXITS.is_sorted_by_key(|exit| exit.code));
    }
}
