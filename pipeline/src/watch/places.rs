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
/// How often Ctrl-C is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Recordings or what is said about them.
    Sources,
    /// The manifest, what it extends, or an opt-out list.
    Settings,
}

/// How a path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It came or went, or got another name.
    Whole,
    /// What is in it changed.
    Within,
}

/// What a path has to do with a plan.
#[derive(Debug)]
struct Map {
    settings: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    store: PathBuf,
}

impl Map {
    fn what(&self, path: &Path, change: Change) -> Option<What> {
        if path.starts_with(&self.store) {
            return None;
        }
        // A folder that comes and goes as a whole is another one, which nobody watches yet.
        if self.settings.contains(path) || self.folders.contains(path) && change == Change::Whole {
            return Some(What::Settings);
        }
        let source = self.files.contains(path) || self.folders.iter().any(|folder| path.starts_with(folder));
        source.then_some(What::Sources)
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

impl Places {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn of(plan: &Plan, store: &Path) -> Result<Places, Error> {
        let mut map = Map {
            settings: plan.bases.iter().chain([&plan.file]).map(|path| absolute(path)).collect(),
            files: BTreeSet::new(),
            folders: BTreeSet::new(),
            store: absolute(store),
        };
        for stage in &plan.stages {
            map.settings.extend(stage.ready.exclude(&plan.base).map(|path| absolute(&path)));
            for place in stage.ready.places(&plan.base) {
                let place = absolute(&place);
                let kind = if place.is_dir() { &mut map.folders } else { &mut map.files };
                kind.insert(place);
            }
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
        let all = map.settings.iter().chain(&map.files).chain(&map.folders);
        let beside: BTreeSet<&Path> = all.filter_map(|path| path.parent()).collect();
        for folder in beside.into_iter().filter(|folder| !map.folders.contains(*folder)) {
            let folder = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
            watcher.watch(folder, RecursiveMode::NonRecursive).map_err(refused(folder))?;
        }
        Ok(Places { map, changes, _watcher: watcher })
    }

    /// All of them.
    pub(super) fn shown(&self) -> Vec<String> {
        let all = self.map.settings.iter().chain(&self.map.files).chain(&self.map.folders);
        all.map(|path| path.display().to_string()).collect()
    }

    /// The same for a person.
    pub(super) fn sentence(&self) -> String {
        format!("watching {}; Ctrl-C ends", self.shown().join(", "))
    }

    fn judge(&self, event: notify::Result<notify::Event>) -> Option<What> {
        match event {
            // Reading is no change.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => None,
            // Too many at once for the system to tell them apart.
            Ok(event) if event.need_rescan() => Some(What::Settings),
            Ok(event) => {
                let change = match event.kind {
                    EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                        Change::Whole
                    }
                    _ => Change::Within,
                };
                event.paths.iter().filter_map(|path| self.map.what(path, change)).max()
            }
            Err(_) => Some(What::Settings),
        }
    }

    /// Waits for a change and the quiet after it; none on Ctrl-C.
    pub(super) fn wait(&self, cancel: &Cancel) -> Option<What> {
        let mut first: Option<Instant> = None;
        let mut what: Option<What> = None;
        while !cancel.cancelled() {
            let limit = if first.is_some() { QUIET } else { GLANCE };
            match self.changes.recv_timeout(limit) {
                Ok(event) => {
                    what = what.max(self.judge(event));
                    if what.is_some() {
                        first.get_or_insert_with(Instant::now);
                    }
                    if first.is_some_and(|first| first.elapsed() > PATIENCE) {
                        return what;
                    }
                }
                Err(RecvTimeoutError::Timeout) if what.is_some() => return what,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(What::Settings),
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
            settings: set(&["/m/manifest.toml", "/m/optout.tsv"]),
            files: set(&["/m/tracks.csv"]),
            folders: set(&["/m/music"]),
            store: "/m/music/.refrain".into(),
        };
        let what = |path: &str| map.what(Path::new(path), Change::Within);
        assert_eq!(what("/m/manifest.toml"), Some(What::Settings));
        assert_eq!(what("/m/tracks.csv"), Some(What::Sources));
        assert_eq!(what("/m/music/album/1.wav"), Some(What::Sources));
        assert_eq!(what("/m/music/.refrain/objects/ab"), None);
        assert_eq!(what("/m/manifest.lock"), None);
        assert_eq!(what("/m/musical"), None);
        assert_eq!(what("/m/music"), Some(What::Sources));
        assert_eq!(map.what(Path::new("/m/music"), Change::Whole), Some(What::Settings));
    }
}
