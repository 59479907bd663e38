//! Who may write to the two standard streams.

use crate::files::{is, none, texts};
use proc_macro2::{TokenStream, TokenTree};
use std::path::Path;
use syn::{Attribute, Item, spanned::Spanned};

/// The macros and functions that write to a standard stream, or hand it out.
const WRITERS: [&str; 7] = ["print", "println", "eprint", "eprintln", "dbg", "stdout", "stderr"];

/// Whether an item is for tests alone.
fn of_tests(attributes: &[Attribute]) -> bool {
    let configured = |attribute: &Attribute| attribute.path().is_ident("cfg") && quoted(attribute) == "test";
    attributes.iter().any(|attribute| attribute.path().is_ident("test") || configured(attribute))
}

/// What stands between the brackets of an attribute.
fn quoted(attribute: &Attribute) -> String {
    attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default()
}

/// Lines of code outside of tests on which a standard stream is written to or named.
fn lines(text: &str) -> Vec<usize> {
    fn collect(tokens: TokenStream, found: &mut Vec<usize>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => collect(group.stream(), found),
                TokenTree::Ident(ident) if WRITERS.contains(&ident.to_string().as_str()) => {
                    let next = tokens.get(at + 1);
                    let used = match next {
                        Some(TokenTree::Punct(mark)) => mark.as_char() == '!',
                        // A method of this name, such as that of a command, is somebody else's stream.
                        Some(TokenTree::Group(_)) => !matches!(
                            at.checked_sub(1).and_then(|before| tokens.get(before)),
                            Some(TokenTree::Punct(mark)) if mark.as_char() == '.'
                        ),
                        _ => false,
                    };
                    found.extend(used.then(|| ident.span().start().line));
                }
                _ => {}
            }
        }
    }
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut skipped: Vec<(usize, usize)> = Vec::new();
    for item in &file.items {
        let attributes: &[Attribute] = match item {
            Item::Mod(own) => &own.attrs,
            Item::Fn(own) => &own.attrs,
            _ => &[],
        };
        if of_tests(attributes) {
            skipped.push((item.span().start().line, item.span().end().line));
        }
    }
    let mut found = Vec::new();
    collect(text.parse().unwrap_or_else(|error| panic!("{error}: {text}")), &mut found);
    found.retain(|line| !skipped.iter().any(|(from, to)| (from..=to).contains(&line)));
    found
}

#[test]
fn the_search_finds_writers_and_passes_over_tests() {
    let text = "fn a() {\n println!(\"x\");\n io::stderr().lock();\n command.stdout(Stdio::null());\n let print = 1;\n}\n\
                #[cfg(test)]\nmod tests {\n fn b() { eprintln!(); }\n}\n";
    assert_eq!(lines(text), [2, 3]);
}

/// A bare `println!` panics where its reader went away, and shows what a file name holds.
#[test]
fn one_writer_writes_to_both_streams() {
    let writer = Path::new("pipeline/src/terminal/channel.rs");
    // Asks standard error for its size.
    let bars = Path::new("pipeline/src/terminal/bars.rs");
    let (mut wrong, mut seen) = (Vec::new(), false);
    for (path, text) in texts() {
        let own = is(&path, &["rs"]) && path.iter().nth(1).is_some_and(|folder| folder == "src");
        if !own || path == bars {
            continue;
        }
        for line in lines(&text) {
            match path == writer {
                true => seen = true,
                false => wrong.push(format!("{}:{line}", path.display())),
            }
        }
    }
    assert!(seen, "the search finds not even the writer");
    none("streams that are written to past `terminal::output`", wrong);
}
