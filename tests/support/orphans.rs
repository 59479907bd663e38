//! What `gc` must leave: nothing but what a published run, a lock file or unfinished work needs.

use super::{
    on_store,
    support::{Place, Said, files},
};
use datasets::{
    Digest,
    store::{Recorded, Root, Store},
};
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

/// Cleans up: then nothing lies in the store but what a published run or a lock file needs.
pub fn nothing_is_left_over(place: &Place, keep: &str) {
    let swept = Said::of(&on_store(place, &["gc", "--keep", keep]).output().expect("the binary starts"));
    assert_eq!(swept.code, Some(0), "{}", swept.err);
    let notes = swept.all("gc").next().expect("an event")["notes"].to_string();

    // Of a lock file that was being written, beside the manifest, one at most.
    let beside = fs::read_dir(place.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let beside: Vec<_> = beside.filter(|name| name.as_encoded_bytes().starts_with(b".")).collect();
    assert!(beside.iter().all(|name| name == ".tiny.lock.tmp"), "{beside:?}");
    let hidden = |path: &Path| path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    let left: Vec<PathBuf> = files(&place.store()).into_keys().filter(|path| hidden(path)).collect();
    assert!(left.is_empty(), "{left:?}");
    let store = Store::open(&place.store()).expect("a store");
    let (segments, roots) = (store.segments().expect("segments"), store.roots().expect("roots"));
    let pins: BTreeSet<Digest> =
        store.pins().expect("pins").into_iter().flat_map(|(_, pins)| pins.weights.into_iter()).collect();
    let runs = fs::read_dir(store.runs()).expect("runs").map(|entry| entry.expect("an entry").file_name());
    let runs: BTreeSet<String> = runs.map(|name| name.to_string_lossy().into_owned()).collect();
    let mut known: BTreeSet<String> = roots.iter().map(|root| root.run.clone()).chain(["latest".to_owned()]).collect();
    assert_eq!(known.len(), roots.len() + 1);
    // One that was published and stopped before its root was recorded: a run of its manifest records it.
    known.extend(runs.iter().filter(|run| notes.contains(&format!("{run} is left as it is"))).cloned());
    assert_eq!(runs, known);
    let last = roots.iter().map(|Recorded { root: Root { segment, .. }, .. }| *segment).max().expect("a root");
    let keys: HashSet<Digest> = roots.iter().flat_map(|recorded| recorded.root.keys.iter().copied()).collect();
    let contents = store.contents().expect("contents");
    // What was begun and interrupted is told of while its state is there.
    let begun = |value: &[u8]| contents.checkpoints.iter().any(|(effect, _)| effect.0[..] == *value);
    let mut named: HashSet<Digest> = pins.iter().copied().collect();
    for segment in &segments {
        assert!(segment.name.is_empty() || segment.number <= last, "segment {} is of nobody", segment.number);
        for (key, receipt) in &segment.receipts {
            let pinned = receipt.objects.iter().any(|object| pins.contains(object));
            let found = format!("{} in segment {}, of {:?}", key.hex(), segment.number, receipt.objects);
            assert!(
                pinned || keys.contains(key) || begun(&receipt.value),
                "a receipt that no run looked up: {found}; pinned: {pins:?}"
            );
            named.extend(receipt.objects.iter());
        }
    }
    let orphans: Vec<_> = contents.objects.iter().filter(|(digest, _)| !named.contains(digest)).collect();
    assert!(orphans.is_empty(), "{orphans:?}");
    // Somebody may go on with what was interrupted, for a while; with what finished nobody does.
    let done = |key: &Digest| segments.iter().any(|segment| segment.receipts.contains_key(key));
    let done: Vec<_> = contents.checkpoints.iter().filter(|(key, _)| done(key)).collect();
    assert!(done.is_empty(), "{done:?}");
    let wanted: HashSet<Digest> = roots.iter().flat_map(|recorded| recorded.root.pcm.iter().copied()).collect();
    assert!(contents.pcm.iter().all(|(name, _)| name.is_some_and(|name| wanted.contains(&name))));
}
