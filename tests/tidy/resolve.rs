//! From names to the files where items are defined, through imports and re-exports; arrows between files.

use crate::source::{Kind, Reach, Source};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A module, by its index.
    Module(usize),
    /// A type and the module that defines it.
    Type(usize, String),
    /// Another item and the module that defines it.
    Value(usize, String),
}

/// An arrow from one file to an item of another.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// The file that mentions the item.
    pub from: PathBuf,
    /// The line of the mention, from 1.
    pub line: usize,
    /// The file that defines the item.
    pub to: PathBuf,
    /// The path as it is written.
    pub path: String,
}

impl Source {
    /// What a path stands for in a module; empty for what is outside of the crates.
    pub fn resolve(&self, module: usize, path: &[String]) -> BTreeSet<Target> {
        self.walk(module, path, &mut BTreeSet::new())
    }

    fn walk(&self, module: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> BTreeSet<Target> {
        let Some((first, rest)) = path.split_first() else { return BTreeSet::new() };
        let root = |mut at: usize| {
            while let Some(parent) = self.modules[at].parent {
                at = parent;
            }
            at
        };
        let mut now = match first.as_str() {
            "crate" => BTreeSet::from([Target::Module(root(module))]),
            "self" => BTreeSet::from([Target::Module(module)]),
            "super" => self.modules[module].parent.map(Target::Module).into_iter().collect(),
            name => {
                let local = self.lookup(module, name, seen);
                match local.is_empty() {
                    true => self.roots.get(name).map(|root| Target::Module(*root)).into_iter().collect(),
                    false => local,
                }
            }
        };
        for name in rest {
            let mut next = BTreeSet::new();
            for target in now {
                match target {
                    Target::Module(at) if name == "super" => next.extend(self.modules[at].parent.map(Target::Module)),
                    Target::Module(at) => next.extend(self.lookup(at, name, seen)),
                    // A variant, a constant or a function of a type.
                    Target::Type(..) => drop(next.insert(target)),
                    Target::Value(..) => {}
                }
            }
            now = next;
        }
        now
    }

    /// What a name stands for in a module: its own items, its imports, then its globs.
    fn lookup(&self, at: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> BTreeSet<Target> {
        if !seen.insert((at, name.to_owned())) {
            return BTreeSet::new();
        }
        let module = &self.modules[at];
        let own = module.items.get(name).into_iter().flatten().map(|item| match item.kind {
            Kind::Module(child) => Target::Module(child),
            Kind::Type => Target::Type(at, name.to_owned()),
            Kind::Value => Target::Value(at, name.to_owned()),
        });
        let mut all: BTreeSet<Target> = own.collect();
        for import in module.imports.iter().filter(|import| import.name.as_deref() == Some(name)) {
            all.extend(self.walk(at, &import.path, seen));
        }
        if all.is_empty() {
            for glob in module.imports.iter().filter(|import| import.name.is_none()) {
                for target in self.walk(at, &glob.path, seen) {
                    if let Target::Module(inside) = target {
                        all.extend(self.lookup(inside, name, seen));
                    }
                }
            }
        }
        seen.remove(&(at, name.to_owned()));
        all
    }

    /// The file of an item. `None` for a module: naming it uses nothing of it yet.
    fn file_of(&self, target: &Target) -> Option<&PathBuf> {
        match target {
            Target::Module(_) => None,
            Target::Type(module, _) | Target::Value(module, _) => Some(&self.modules[*module].file),
        }
    }

    /// Every arrow between files. Re-exports are none.
    pub fn arrows(&self) -> Vec<Arrow> {
        let mut all = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            let imports = module.imports.iter().filter(|import| import.reach == Reach::Private);
            let imports = imports.map(|import| (&import.path, import.line));
            let mentions = module.mentions.iter().map(|mention| (&mention.path, mention.line));
            for (path, line) in imports.chain(mentions) {
                for target in self.resolve(at, path) {
                    if let Some(file) = self.file_of(&target)
                        && *file != module.file
                    {
                        let (from, to, path) = (module.file.clone(), file.clone(), path.join("::"));
                        all.push(Arrow { from, line, to, path });
                    }
                }
            }
        }
        all
    }

    /// The types that a crate shows to others, by name, each with its public paths.
    pub fn shown(&self, krate: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut open = vec![(self.roots[krate], krate.to_owned())];
        let mut seen = BTreeSet::new();
        while let Some((at, path)) = open.pop() {
            if !seen.insert((at, path.clone())) {
                continue;
            }
            let module = &self.modules[at];
            let items = module.items.iter().flat_map(|(name, items)| items.iter().map(move |item| (name, item)));
            let own = items.filter(|(_, item)| item.reach == Reach::Public).map(|(name, item)| match item.kind {
                Kind::Module(child) => (name, Target::Module(child)),
                Kind::Type => (name, Target::Type(at, name.clone())),
                Kind::Value => (name, Target::Value(at, name.clone())),
            });
            let imports = module.imports.iter().filter(|import| import.reach == Reach::Public);
            let again = imports.flat_map(|import| {
                let name = import.name.as_ref().unwrap_or_else(|| panic!("{}: a glob is exported", path));
                self.resolve(at, &import.path).into_iter().map(move |target| (name, target))
            });
            for (name, target) in own.chain(again) {
                let path = format!("{path}::{name}");
                match target {
                    Target::Module(inside) => open.push((inside, path)),
                    Target::Type(..) => drop(all.entry(name.clone()).or_default().insert(path)),
                    Target::Value(..) => {}
                }
            }
        }
        all
    }
}

/// A shortest circle of every group of files that reach each other, as arrows.
pub fn circles(arrows: &[Arrow]) -> Vec<Vec<Arrow>> {
    let mut out: BTreeMap<&PathBuf, BTreeMap<&PathBuf, &Arrow>> = BTreeMap::new();
    for arrow in arrows {
        out.entry(&arrow.from).or_default().entry(&arrow.to).or_insert(arrow);
    }
    let mut covered: BTreeSet<&PathBuf> = BTreeSet::new();
    let mut found = Vec::new();
    for start in out.keys().copied() {
        if covered.contains(start) {
            continue;
        }
        // Breadth first from a file, back to itself.
        let mut came: BTreeMap<&PathBuf, &Arrow> = BTreeMap::new();
        let mut front = vec![start];
        while let Some(at) = (!front.is_empty()).then(|| front.remove(0)) {
            for (next, arrow) in out.get(at).into_iter().flatten() {
                if !came.contains_key(*next) {
                    came.insert(next, arrow);
                    front.push(next);
                }
            }
        }
        let mut circle = Vec::new();
        let mut at = start;
        while let Some(arrow) = came.get(at) {
            circle.push((*arrow).clone());
            at = &arrow.from;
            if at == start {
                break;
            }
        }
        if at == start && !circle.is_empty() {
            circle.reverse();
            covered.extend(out.keys().filter(|file| circle.iter().any(|arrow| arrow.from == ***file)));
            found.push(circle);
        }
    }
    found
}
