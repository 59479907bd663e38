//! Rows that are packed come back.

use super::*;
use datasets::{
    Digest,
    row::{Clip, Labels, Metric, Weights},
};
use std::collections::BTreeMap;

fn track(id: &str, title: &str) -> Track {
    let labels = Labels { title: Some(title.into()), ..Labels::default() };
    let content = Digest::of(id.as_bytes());
    Track { id: id.into(), content, bytes: 1, license: None, labels, recording: None, chain: None, split: None }
}

fn clip(track: &Track, start: u64) -> Clip {
    Clip { track: Arc::new(track.clone()), start, frames: 640 }
}

fn kept<R: Row>(parts: &[&[(R, isize)]]) -> Kept {
    let keepers: Vec<Keeper> = parts.iter().map(|_| Keeper::default()).collect();
    for (keeper, rows) in keepers.iter().zip(parts) {
        let rows: Vec<(R, Time, isize)> = rows.iter().map(|(row, count)| (row.clone(), 0, *count)).collect();
        keeper.keep(&rows);
    }
    Kept::gathered(&keepers).laid(None)
}

#[test]
fn rows_come_back_whatever_part_they_came_in() {
    let tracks: Vec<(Track, isize)> = (0..40_000).map(|n| (track(&format!("t/{n}"), "a"), 1)).collect();
    let (one, two) = (kept(&[&tracks]), kept(&[&tracks[700..], &tracks[..700]]));
    assert!(one.chunks.len() > 1, "one chunk holds all");
    assert_eq!(one.iter().collect::<Vec<_>>(), two.iter().collect::<Vec<_>>());
    assert!(one.are(Kind::Track) && !one.are(Kind::Clip));
    let mut sorted: Vec<Track> = tracks.into_iter().map(|(track, _)| track).collect();
    sorted.sort();
    assert_eq!(one.rows::<Track>(), sorted);
    assert_eq!((one.rows::<Weights>(), one.made()), (Vec::new(), Vec::new()));
    let ids: Vec<String> = one.tracks().map(|track| track.id).collect();
    assert!(ids.is_sorted() && ids.len() == 40_000);
}

#[test]
fn what_went_is_gone_and_what_is_there_twice_counts_twice() {
    let (a, b, c) = (track("a", "a"), track("b", "b"), track("c", "c"));
    let both = kept(&[&[(a.clone(), 1), (b.clone(), 1), (c.clone(), 1)], &[(b.clone(), -1), (c.clone(), 1)]]);
    assert_eq!((both.len(), both.clone().repeated().len()), (2, 3));
    assert_eq!(both.repeated().rows::<Track>(), [a, c.clone(), c]);
}

#[test]
fn changes_give_what_all_at_once_gives() {
    let mut rows: BTreeMap<Track, isize> = BTreeMap::new();
    let mut now = Kept::default();
    for round in 0..40_usize {
        let mut changes = Vec::new();
        for n in 0..60 {
            let row = track(&format!("t/{}", (round * 7 + n * 13) % 90), &"title ".repeat(40 + round % 3));
            let count = rows.entry(row.clone()).or_default();
            let change = if *count > 0 { -*count } else { 1 + (n % 2) as isize };
            *count += change;
            changes.push((row, change));
        }
        now = now.changed(kept(&[&changes]), None);
        rows.retain(|_, count| *count != 0);
        let all: Vec<(Track, isize)> = rows.clone().into_iter().collect();
        let whole = kept(&[&all]);
        assert_eq!(
            now.changes(0..now.len()).collect::<Vec<_>>(),
            whole.changes(0..whole.len()).collect::<Vec<_>>(),
            "round {round}"
        );
    }
    let (held, live) = (now.chunks.iter().map(|c| c.len()).sum::<usize>(), now.places.iter().map(|p| p.len as usize));
    assert!(held <= 2 * live.sum::<usize>() + FIRST, "{held} bytes are held");
}

#[test]
fn rows_that_two_stages_keep_lie_in_one_place() {
    let rows = |title: &str, ids: &mut dyn Iterator<Item = u32>| -> Vec<(Track, isize)> {
        ids.map(|n| (track(&format!("t/{n}"), title), 1)).collect()
    };
    let whole = kept(&[&rows("a", &mut (0..60_000))]);
    let shares = |rows: &[(Track, isize)]| {
        let own = kept(&[rows]);
        let laid = own.clone().laid(Some(&whole));
        assert_eq!(laid.iter().collect::<Vec<_>>(), own.iter().collect::<Vec<_>>());
        assert!(laid.held() <= 2 * own.held());
        let inside = |chunk: &&Arc<Vec<u8>>| whole.chunks.iter().any(|other| Arc::ptr_eq(other, chunk));
        let others: usize = laid.chunks.iter().filter(|chunk| !inside(chunk)).map(|chunk| chunk.len()).sum();
        (others, own.held())
    };
    assert_eq!(shares(&rows("a", &mut (0..60_000))).0, 0);
    assert_eq!(shares(&rows("a", &mut (0..60_000).filter(|n| n % 3 > 0))).0, 0);
    let mut mixed = rows("a", &mut (0..60_000).filter(|n| n % 5 > 0));
    mixed.extend(rows("b", &mut (0..600)));
    mixed[7].1 = 2;
    let (own, held) = shares(&mixed);
    assert!(0 < own && own < held / 20, "{own} of {held} bytes are its own");
    // Few that are the same are copied, or all of the others would be held for them.
    let few = shares(&rows("a", &mut (0..9_000)));
    assert_eq!(few.0, few.1);
    let others = shares(&rows("b", &mut (0..30_000)));
    assert_eq!(others.0, others.1);
    let clips = kept(&[&[(clip(&track("t/1", "a"), 0), 1)]]);
    assert_eq!(clips.clone().laid(Some(&whole)).get(0), clips.get(0));
    assert_eq!(Kept::default().laid(Some(&whole)).len() + whole.clone().laid(Some(&Kept::default())).len(), 60_000);
}

#[test]
fn any_row_reads_what_a_type_packed() {
    let weights = Weights {
        digest: Digest::of(b"w"),
        rate: 44_100,
        hops: vec![8],
        codewords: vec![16],
        curves: None,
        lineage: None,
        channels: 2,
        license: Some("CC0-1.0".into()),
        source: None,
    };
    let clip = clip(&track("t", "a"), 128);
    assert_eq!(kept(&[&[(clip.clone(), 1)]]).get(0), AnyRow::Clip(clip));
    let one = kept(&[&[(weights.clone(), 1)]]);
    assert_eq!((one.made(), one.rows::<Metric>().len()), (vec![AnyRow::Weights(weights)], 0));
}

#[test]
fn the_last_stage_that_has_a_track_speaks_of_it() {
    let rows =
        |title: &str, ids: &[&str]| -> Vec<(Track, isize)> { ids.iter().map(|id| (track(id, title), 1)).collect() };
    let (first, second) = (kept(&[&rows("1", &["a/1", "a/2", "b", "a/10"])]), kept(&[&rows("2", &["a/2", "b", "c"])]));
    let clips = kept(&[&[(clip(&track("b", "3"), 0), 1), (clip(&track("b", "3"), 640), 1)]]);
    let none = kept::<Weights>(&[]);
    let all = Corpus::of(vec![&first, &none, &second, &clips]);
    let told: Vec<(&str, &str)> = all.iter().map(|t| (t.id, t.labels.title.unwrap_or(""))).collect();
    assert_eq!(told, [("a/1", "1"), ("a/10", "1"), ("a/2", "2"), ("b", "3"), ("c", "2")]);
    assert!(Corpus::of(Vec::new()).is_empty());
}
