//! The files and folders that a plan rests on, and the wait for a change among them.

use crate::{error::Error, plan::Plan};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use stages::flow::Cancel;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

/// Changes come in bursts: a build waits until nothing has changed for so long,
const QUIET: Duration = Duration::from_millis(150);
/// and no longer than this.
const PATIENCE: Duration = Duration::from_secs(3);
/// Interval at which Ctrl-C is polled.
const GLANCE: Duration = Duration::from_millis(100);

/// Kinds of change since the last build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct What {
    /// Recordings or their labels changed.
    pub(super) sources: bool,
    /// The manifest, or one that it extends, changed.
    pub(super) manifest: bool,
    /// An opt-out list, a folder as a whole, or something unknown changed.
    pub(super) other: bool,
}

impl What {
    const OTHER: What = What { sources: false, manifest: false, other: true };

    fn and(self, more: What) -> What {
        What {
            sources: self.sources || more.sources,
            manifest: self.manifest || more.manifest,
            other: self.other || more.other,
        }
    }
}

/// Kind of change of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Created, removed or renamed.
    Whole,
    /// Content changed.
    Within,
}

/// Watched paths of a plan: sources, lists, manifest.
#[derive(Debug)]
struct Map {
    manifests: BTreeSet<PathBuf>,
    lists: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    /// Links on the way to these: one that is switched leads elsewhere.
    links: BTreeSet<PathBuf>,
    /// Files to which links in the folders lead.
    targets: BTreeSet<PathBuf>,
    store: PathBuf,
}

impl Map {
    /// The files that hold settings: manifests and opt-out lists.
    fn settings(&self) -> impl Iterator<Item = &PathBuf> {
        self.manifests.iter().chain(&self.lists)
    }

    fn what(&self, path: &Path, change: Change) -> What {
        if path.starts_with(&self.store) {
            return What::default();
        }
        // A folder that comes and goes as a whole is another one, which nobody watches yet, and so is what a link leads to.
        let other = self.folders.contains(path) || self.links.contains(path);
        if self.lists.contains(path) || other && change == Change::Whole {
            return What::OTHER;
        }
        // A manifest in a folder of recordings is a file of it, too.
        What {
            sources: self.files.contains(path)
                || self.targets.contains(path)
                || self.folders.iter().any(|folder| path.starts_with(folder)),
            manifest: self.manifests.contains(path),
            other: false,
        }
    }
}

/// The places of one plan, being watched.
pub(super) struct Places {
    map: Map,
    changes: Receiver<notify::Result<notify::Event>>,
    _watcher: RecommendedWatcher,
}

fn absolute(path: &Path) -> PathBuf {
    // What is told of are paths below those asked for, so both must be written in one way.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(parent), Some(name)) => parent.canonicalize().unwrap_or_else(|_| parent.to_owned()).join(name),
        _ => path,
    }
}

/// The links on the way to a path, the path itself among them: for each part of it that is a link, where that lies.
fn links(path: &Path) -> BTreeSet<PathBuf> {
    // As many as the system follows.
    const MOST: usize = 40;
    let (mut found, mut open) = (BTreeSet::new(), vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())]);
    while let Some(path) = open.pop().filter(|_| found.len() < MOST) {
        let prefixes: Vec<&Path> = path.ancestors().filter(|part| part.is_symlink()).collect();
        for link in prefixes {
            let (Some(parent), Some(name), Ok(to)) = (link.parent(), link.file_name(), link.read_link()) else {
                continue;
            };
            let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
            open.extend(found.insert(parent.join(name)).then(|| parent.join(to)));
        }
    }
    found
}

/// The files to which links below a folder lead, and the links on the way to them. Linked folders are gone through once.
fn led_to(folder: &Path, targets: &mut BTreeSet<PathBuf>, on_the_way: &mut BTreeSet<PathBuf>) {
    let (mut seen, mut open) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        if !folder.canonicalize().is_ok_and(|own| seen.insert(own)) {
            continue;
        }
        // What cannot be listed is told by the scan.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_symlink() && path.is_dir() => {
                    on_the_way.extend(links(&path));
                    open.push(path);
                }
                Ok(kind) if kind.is_symlink() => {
                    on_the_way.extend(links(&path));
                    let to = path.read_link().map_or_else(|_| path.clone(), |to| folder.join(to));
                    targets.insert(absolute(&to));
                }
                _ => {}
            }
        }
    }
}

impl Places {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn of(plan: &Plan, store: &Path) -> Result<Places, Error> {
        let mut map = Map {
            manifests: plan.bases.iter().chain([&plan.file]).map(|path| absolute(path)).collect(),
            lists: BTreeSet::new(),
            files: BTreeSet::new(),
            folders: BTreeSet::new(),
            links: plan.bases.iter().chain([&plan.file]).flat_map(|path| links(path)).collect(),
            targets: BTreeSet::new(),
            store: absolute(store),
        };
        for stage in &plan.stages {
            let list = stage.ready.exclude(&plan.base);
            map.links.extend(list.iter().flat_map(|path| links(path)));
            map.lists.extend(list.map(|path| absolute(&path)));
            for place in stage.ready.watched_paths(&plan.base) {
                map.links.extend(links(&place));
                let place = absolute(&place);
                let kind = if place.is_dir() { &mut map.folders } else { &mut map.files };
                kind.insert(place);
            }
        }
        for folder in &map.folders {
            led_to(folder, &mut map.targets, &mut map.links);
        }
        let (tell, changes) = channel();
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |error: notify::Error| Error::Source(format!("{} cannot be watched: {error}", path.display()))
        };
        let mut watcher = notify::recommended_watcher(tell).map_err(refused(&plan.file))?;
        for folder in &map.folders {
            watcher.watch(folder, RecursiveMode::Recursive).map_err(refused(folder))?;
        }
        // A file that is replaced is another one: its folder knows.
        let all = map.settings().chain(&map.files).chain(&map.folders).chain(&map.links).chain(&map.targets);
        let beside: BTreeSet<&Path> = all.filter_map(|path| path.parent()).collect();
        let watched = |folder: &Path| map.folders.iter().any(|own| folder.starts_with(own));
        for folder in beside.into_iter().filter(|folder| !watched(folder)) {
            let folder = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
            watcher.watch(folder, RecursiveMode::NonRecursive).map_err(refused(folder))?;
        }
        Ok(Places { map, changes, _watcher: watcher })
    }

    /// All watched paths, for display.
    pub(super) fn shown(&self) -> Vec<String> {
        let all = self.map.settings().chain(&self.map.files).chain(&self.map.folders);
        all.map(|path| path.display().to_string()).collect()
    }

    /// The watched paths as a sentence for people.
    pub(super) fn sentence(&self) -> String {
        format!("watching {}; Ctrl-C ends", self.shown().join(", "))
    }

    fn judge(&self, event: notify::Result<notify::Event>) -> What {
        match event {
            // Reading is no change.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => What::default(),
            // Too many at once for the system to tell them apart.
            Ok(event) if event.need_rescan() => What::OTHER,
            Ok(event) => {
                let change = match event.kind {
                    EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                        Change::Whole
                    }
                    _ => Change::Within,
                };
                let what = |path: &PathBuf| {
                    let what = self.map.what(path, change);
                    // A new link leads to what nobody watches yet.
                    let leads = what.sources && change == Change::Whole && path.is_symlink();
                    if leads { What::OTHER } else { what }
                };
                event.paths.iter().fold(What::default(), |all, path| all.and(what(path)))
            }
            Err(_) => What::OTHER,
        }
    }

    /// Waits for a change and the quiet after it; none on Ctrl-C.
    pub(super) fn wait(&self, cancel: &Cancel) -> Option<What> {
        let mut first: Option<Instant> = None;
        let mut what = What::default();
        while !cancel.cancelled() {
            let limit = if first.is_some() { QUIET } else { GLANCE };
            match self.changes.recv_timeout(limit) {
                Ok(event) => {
                    what = what.and(self.judge(event));
                    if what != What::default() {
                        first.get_or_insert_with(Instant::now);
                    }
                    if first.is_some_and(|first| first.elapsed() > PATIENCE) {
                        return Some(what);
                    }
                }
                Err(RecvTimeoutError::Timeout) if first.is_some() => return Some(what),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(What::OTHER),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_by_where_it_lies() {
        let set = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let map = Map {
            manifests: set(&["/m/manifest.toml", "/m/music/base.toml"]),
            lists: set(&["/m/optout.tsv"]),
            files: set(&["/m/tracks.csv"]),
            folders: set(&["/m/music"]),
            links: set(&["/m/current"]),
            targets: set(&["/elsewhere/one.wav"]),
            store: "/m/music/.refrain".into(),
        };
        let what = |path: &str| map.what(Path::new(path), Change::Within);
        let none = What::default();
        let (sources, manifest) = (What { sources: true, ..none }, What { manifest: true, ..none });
        assert_eq!((what("/m/manifest.toml"), what("/m/optout.tsv")), (manifest, What::OTHER));
        assert_eq!((what("/m/tracks.csv"), what("/m/music/album/1.wav")), (sources, sources));
        assert_eq!((what("/m/music/.refrain/objects/ab"), what("/m/manifest.lock")), (none, none));
        assert_eq!((what("/m/musical"), what("/m/music")), (none, sources));
        assert_eq!(what("/m/music/base.toml"), sources.and(manifest));
        assert_eq!(map.what(Path::new("/m/music"), Change::Whole), What::OTHER);
        assert_eq!(map.what(Path::new("/m/current"), Change::Whole), What::OTHER);
        assert_eq!((what("/elsewhere/one.wav"), what("/elsewhere/two.wav")), (sources, none));
    }

    #[test]
    fn links_are_followed_to_what_they_lead_to() {
        use std::os::unix::fs::symlink;
        let top = tempfile::tempdir().expect("a folder");
        let top = top.path().canonicalize().expect("a path");
        for folder in ["a", "a/sub", "b", "c"] {
            std::fs::create_dir(top.join(folder)).expect("a folder");
        }
        for file in ["b/one.wav", "c/two.wav"] {
            std::fs::write(top.join(file), "").expect("a file");
        }
        let link = |to: &str, at: &str| symlink(to, top.join(at)).expect("a link");
        link("../b/one.wav", "a/one.wav");
        link("../../c", "a/sub/c");
        link("hop.wav", "b/again.wav");
        link("../c/two.wav", "b/hop.wav");
        link("../b/again.wav", "a/again.wav");
        link("a", "current");
        link("nowhere", "a/dangling.wav");
        link("..", "a/sub/circle");
        let below = |names: &[&str]| names.iter().map(|name| top.join(name)).collect::<BTreeSet<_>>();
        assert_eq!(links(&top.join("current/sub")), below(&["current"]));
        assert_eq!(links(&top.join("a/again.wav")), below(&["a/again.wav", "b/again.wav", "b/hop.wav"]));
        let (mut targets, mut on_the_way) = Default::default();
        led_to(&top.join("a"), &mut targets, &mut on_the_way);
        assert_eq!(targets, below(&["b/one.wav", "c/two.wav", "a/nowhere"]));
        assert!(below(&["a/one.wav", "a/sub/c", "b/hop.wav"]).is_subset(&on_the_way));
    }
}
