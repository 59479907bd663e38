//! The crates as trees of modules, read with `syn`: what each module defines, imports and mentions.
//!
//! Tests are left out: an item under `#[cfg(test)]`, and the file that such a `mod` line names.

use crate::files::repository;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use syn::{Attribute, Item, UseTree, Visibility, spanned::Spanned, visit::Visit};

/// The crates by the name of their library, which is also their folder.
pub const CRATES: [&str; 4] = ["datasets", "kernels", "stages", "pipeline"];

/// Who may name an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `pub`.
    Public,
    /// `pub(crate)` and its like.
    Crate,
    /// No visibility stated.
    Private,
}

/// What a name of a module stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A module, by its index.
    Module(usize),
    /// A struct, enum, union, trait or type alias.
    Type,
    /// A function, constant, static or macro.
    Value,
}

/// An item where it is defined.
#[derive(Clone, Debug)]
pub struct Defined {
    /// What it is.
    pub kind: Kind,
    /// Who may name it.
    pub reach: Reach,
}

/// One leaf of a `use`.
#[derive(Clone, Debug)]
pub struct Import {
    /// The name it gives. `None` for a glob.
    pub name: Option<String>,
    /// The path of what it imports.
    pub path: Vec<String>,
    /// Who may use the name.
    pub reach: Reach,
    /// The line it stands on, from 1.
    pub line: usize,
}

/// A path that code mentions.
#[derive(Clone, Debug)]
pub struct Mention {
    /// Its segments.
    pub path: Vec<String>,
    /// The line it stands on, from 1.
    pub line: usize,
}

/// A string literal outside doc comments.
#[derive(Clone, Debug)]
pub struct Literal {
    /// The file, by its path in the repository.
    pub file: PathBuf,
    /// The line it stands on, from 1.
    pub line: usize,
    /// Its value.
    pub value: String,
}

/// A module, inline or with a file of its own.
#[derive(Clone, Debug)]
pub struct Module {
    /// The crate.
    pub krate: String,
    /// The names that lead to it from the crate's root.
    pub path: Vec<String>,
    /// The module around it. `None` for a root.
    pub parent: Option<usize>,
    /// The file, by its path in the repository.
    pub file: PathBuf,
    /// What it defines, by name.
    pub items: BTreeMap<String, Vec<Defined>>,
    /// What it imports, inside of functions too.
    pub imports: Vec<Import>,
    /// The paths it mentions outside of `use`.
    pub mentions: Vec<Mention>,
}

/// All modules of all crates.
#[derive(Debug, Default)]
pub struct Source {
    /// The modules; indices into these are what `Kind::Module` holds.
    pub modules: Vec<Module>,
    /// The root of each library, by its name.
    pub roots: BTreeMap<String, usize>,
    /// Every string literal.
    pub literals: Vec<Literal>,
}

impl Source {
    /// The four crates of the repository, read once.
    pub fn of_repository() -> &'static Source {
        static READ: OnceLock<Source> = OnceLock::new();
        READ.get_or_init(Source::read)
    }

    fn read() -> Source {
        let mut source = Source::default();
        for name in CRATES {
            let src = Path::new(name).join("src");
            let root = source.file(name, &src.join("lib.rs"), None, Vec::new());
            source.roots.insert(name.to_owned(), root);
            // A program is a crate of its own above its library.
            if repository().join(&src).join("main.rs").is_file() {
                source.file(&format!("{name}-main"), &src.join("main.rs"), None, Vec::new());
            }
        }
        source
    }

    /// One crate of one file.
    pub fn of_files(name: &str, files: &[(&str, &str)]) -> Source {
        let mut source = Source::default();
        let root = source.module(name, Path::new("lib.rs"), None, Vec::new());
        source.roots.insert(name.to_owned(), root);
        for (file, text) in files {
            let stem = file.trim_end_matches(".rs");
            let at = match stem {
                "lib" => root,
                _ => {
                    let child = source.module(name, Path::new(file), Some(root), vec![stem.to_owned()]);
                    source.define(root, stem.to_owned(), Kind::Module(child), Reach::Public);
                    child
                }
            };
            let parsed = syn::parse_file(text).expect("a source file");
            source.fill(at, Path::new(file), &parsed.items);
        }
        source
    }

    fn module(&mut self, krate: &str, file: &Path, parent: Option<usize>, path: Vec<String>) -> usize {
        let (items, imports, mentions) = Default::default();
        let module = Module { krate: krate.to_owned(), path, parent, file: file.to_owned(), items, imports, mentions };
        self.modules.push(module);
        self.modules.len() - 1
    }

    fn define(&mut self, module: usize, name: String, kind: Kind, reach: Reach) {
        self.modules[module].items.entry(name).or_default().push(Defined { kind, reach });
    }

    fn file(&mut self, krate: &str, file: &Path, parent: Option<usize>, path: Vec<String>) -> usize {
        let text = fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let module = self.module(krate, file, parent, path);
        self.fill(module, file, &parsed.items);
        module
    }

    /// Reads items into a module. A `mod` line leads to its file.
    fn fill(&mut self, at: usize, file: &Path, items: &[Item]) {
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            if let Item::Mod(inner) = item {
                let name = inner.ident.to_string();
                let (krate, mut path) = (self.modules[at].krate.clone(), self.modules[at].path.clone());
                path.push(name.clone());
                let child = match &inner.content {
                    Some((_, items)) => {
                        let child = self.module(&krate, file, Some(at), path);
                        self.fill(child, file, items);
                        child
                    }
                    None => {
                        let own = ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| file.ends_with(root));
                        let folder = if own { file.with_file_name("") } else { file.with_extension("") };
                        let flat = folder.join(format!("{name}.rs"));
                        let nested = folder.join(&name).join("mod.rs");
                        let found = if repository().join(&flat).is_file() { flat } else { nested };
                        self.file(&krate, &found, Some(at), path)
                    }
                };
                self.define(at, name, Kind::Module(child), reach(&inner.vis));
                continue;
            }
            for (name, kind, reach) in defines(item) {
                self.define(at, name, kind, reach);
            }
            let mut reader = Reader::default();
            reader.visit_item(item);
            self.modules[at].imports.extend(reader.imports);
            self.modules[at].mentions.extend(reader.mentions);
            let literal = |(line, value)| Literal { file: file.to_owned(), line, value };
            self.literals.extend(reader.literals.into_iter().map(literal));
        }
    }
}

/// Whether an item is there for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list().map(|list| list.tokens.to_string());
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg") && list.is_ok_and(|tokens| tokens == "test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::ExternCrate(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

fn reach(visibility: &Visibility) -> Reach {
    match visibility {
        Visibility::Public(_) => Reach::Public,
        Visibility::Restricted(_) => Reach::Crate,
        Visibility::Inherited => Reach::Private,
    }
}

/// The names that an item gives, with macros that declare types: `settings! { pub struct .. }`.
fn defines(item: &Item) -> Vec<(String, Kind, Reach)> {
    let one = |name: &syn::Ident, kind, vis| vec![(name.to_string(), kind, reach(vis))];
    match item {
        Item::Enum(i) => one(&i.ident, Kind::Type, &i.vis),
        Item::Struct(i) => one(&i.ident, Kind::Type, &i.vis),
        Item::Trait(i) => one(&i.ident, Kind::Type, &i.vis),
        Item::Type(i) => one(&i.ident, Kind::Type, &i.vis),
        Item::Union(i) => one(&i.ident, Kind::Type, &i.vis),
        Item::Const(i) => one(&i.ident, Kind::Value, &i.vis),
        Item::Static(i) => one(&i.ident, Kind::Value, &i.vis),
        Item::Fn(i) => one(&i.sig.ident, Kind::Value, &i.vis),
        Item::Macro(i) => {
            let mut all = declared(i.mac.tokens.clone());
            all.extend(i.ident.as_ref().map(|name| (name.to_string(), Kind::Value, Reach::Crate)));
            all
        }
        _ => Vec::new(),
    }
}

/// What the tokens of a macro declare: `struct NAME` and its like, at any depth of braces.
fn declared(tokens: TokenStream) -> Vec<(String, Kind, Reach)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    };
    let mut all = Vec::new();
    for at in 0..tokens.len() {
        let kind = match word(at).as_str() {
            "struct" | "enum" | "trait" | "type" => Kind::Type,
            "fn" | "static" => Kind::Value,
            _ => {
                if let TokenTree::Group(group) = &tokens[at]
                    && group.delimiter() != Delimiter::Bracket
                {
                    all.extend(declared(group.stream()));
                }
                continue;
            }
        };
        let reach = match at.checked_sub(1).map(&word).as_deref() {
            Some("pub") => Reach::Public,
            _ => Reach::Private,
        };
        if !word(at + 1).is_empty() {
            all.push((word(at + 1), kind, reach));
        }
    }
    all
}

/// Collects imports, paths and string literals of one item.
#[derive(Default)]
struct Reader {
    imports: Vec<Import>,
    mentions: Vec<Mention>,
    literals: Vec<(usize, String)>,
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'a syn::ImplItemFn) {
        if !is_test(&method.attrs) {
            syn::visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        leaves(&item.tree, &mut Vec::new(), reach(&item.vis), &mut self.imports);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mentions.push(Mention { path: names, line: path.span().start().line });
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'a syn::Macro) {
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }

    fn visit_lit_str(&mut self, literal: &'a syn::LitStr) {
        self.literals.push((literal.span().start().line, literal.value()));
    }

    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        if let Ok(list) = attribute.meta.require_list() {
            let TokenTexts(texts) = TokenTexts::of(list.tokens.clone());
            self.literals.extend(texts);
        }
    }

    fn visit_vis_restricted(&mut self, _: &'a syn::VisRestricted) {}
}

impl Reader {
    /// Paths and literals in the tokens of a macro: `name (:: name)*` that no `.` precedes.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, mark: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == mark);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => self.literals.extend(text_of(literal)),
                TokenTree::Punct(_) => {}
                TokenTree::Ident(first) => {
                    let field = at > 0 && is(at - 1, '.') && !(at > 1 && is(at - 2, '.'));
                    let rest = at > 1 && is(at - 1, ':') && is(at - 2, ':');
                    let mut path = vec![first.to_string()];
                    while is(at + 1, ':') && is(at + 2, ':') {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                        path.push(next.to_string());
                        at += 3;
                    }
                    if !field && !rest {
                        self.mentions.push(Mention { path, line: first.span().start().line });
                    }
                }
            }
            at += 1;
        }
    }
}

/// String literals of tokens, with their lines.
struct TokenTexts(Vec<(usize, String)>);

impl TokenTexts {
    fn of(tokens: TokenStream) -> TokenTexts {
        let mut all = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Group(group) => all.extend(TokenTexts::of(group.stream()).0),
                TokenTree::Literal(literal) => all.extend(text_of(&literal)),
                _ => {}
            }
        }
        TokenTexts(all)
    }
}

fn text_of(literal: &proc_macro2::Literal) -> Option<(usize, String)> {
    let text: syn::LitStr = syn::parse_str(&literal.to_string()).ok()?;
    Some((literal.span().start().line, text.value()))
}

fn leaves(tree: &UseTree, before: &mut Vec<String>, reach: Reach, out: &mut Vec<Import>) {
    let line = tree.span().start().line;
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, reach, out);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, reach, out)),
        UseTree::Glob(_) => out.push(Import { name: None, path: before.clone(), reach, line }),
        UseTree::Name(name) if name.ident == "self" => {
            out.push(Import { name: before.last().cloned(), path: before.clone(), reach, line });
        }
        UseTree::Name(name) => {
            let path = before.iter().cloned().chain([name.ident.to_string()]).collect();
            out.push(Import { name: Some(name.ident.to_string()), path, reach, line });
        }
        UseTree::Rename(rename) => {
            let own = (rename.ident != "self").then(|| rename.ident.to_string());
            let path = before.iter().cloned().chain(own).collect();
            out.push(Import { name: Some(rename.rename.to_string()), path, reach, line });
        }
    }
}
