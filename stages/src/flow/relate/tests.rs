use super::*;
use differential_dataflow::input::Input;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use timely::dataflow::ProbeHandle;

type Pair = (u8, u16);
type Count<R> = BTreeMap<R, isize>;
/// Updates that came out: row, time and difference.
type Told<R> = Arc<Mutex<Vec<(R, Time, isize)>>>;

fn tell<R: Travels + Send>(rows: Rows<'_, R>, told: &Told<R>, probe: &ProbeHandle<Time>) {
    let told = told.clone();
    rows.inspect(move |change| told.lock().unwrap().push(change.clone())).probe_with(probe);
}

fn until<R: Ord + Clone>(told: &[(R, Time, isize)], end: Time) -> Count<R> {
    let mut sums = Count::new();
    told.iter().filter(|(_, time, _)| *time <= end).for_each(|(row, _, n)| *sums.entry(row.clone()).or_default() += n);
    sums.retain(|_, count| *count != 0);
    sums
}

/// The number of different values, the sum of all, and each with its number.
fn described(_: &u8, values: &[(u16, isize)]) -> Vec<((u16, isize), isize)> {
    let sum = values.iter().map(|(value, count)| *value as isize * count).sum();
    std::iter::once(((values.len() as u16, sum), 1)).chain(values.iter().map(|(v, n)| ((v + 1000, 0), *n))).collect()
}

/// Random changes, a few at each of many times, of which several are fed before anything is done.
fn changes(seed: u64) -> Vec<(Pair, Time, isize)> {
    let mut state = seed;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut there: Count<Pair> = Count::new();
    let mut changes = Vec::new();
    for time in 0..30 {
        for _ in 0..draw(12) {
            let row = (draw(5) as u8, draw(9) as u16);
            let count = there.entry(row).or_default();
            let change = if *count > 0 && draw(2) == 0 { -*count } else { 1 + draw(2) as isize };
            *count += change;
            changes.push((row, time, change));
        }
    }
    changes
}

#[test]
fn operators_give_what_plain_loops_give_at_every_time() {
    for (seed, workers) in [(1, 1), (2, 1), (3, 2), (4, 3)] {
        let (left, right) = (changes(seed), changes(seed + 100));
        let (grouped, paired, others): (Told<(u8, (u16, isize))>, Told<(u8, u16, u16)>, Told<Pair>) =
            Default::default();
        let (left_, right_, told) = (left.clone(), right.clone(), (grouped.clone(), paired.clone(), others.clone()));
        let guards = timely::execute(timely::Config::process(workers), move |worker| {
            let probe = ProbeHandle::new();
            let (mut one, mut two) = worker.dataflow::<Time, _, _>(|scope| {
                let (one, left) = scope.new_collection::<Pair, isize>();
                let (two, right) = scope.new_collection::<Pair, isize>();
                let (left, right) = (Rows::from(left), Rows::from(right));
                tell(group(left.clone(), "described", described), &told.0, &probe);
                tell(pair(left.clone(), right.clone()), &told.1, &probe);
                tell(without(left, right.map(|(key, _)| key)), &told.2, &probe);
                (one, two)
            });
            let first = worker.index() == 0;
            for step in 0..10 {
                for (input, rows) in [(&mut one, &left_), (&mut two, &right_)] {
                    for time in 3 * step..3 * step + 3 {
                        input.advance_to(time);
                        let some = rows.iter().filter(|(_, at, _)| *at == time && first);
                        some.for_each(|(row, _, change)| input.update(*row, *change));
                    }
                    input.advance_to(3 * step + 3);
                    input.flush();
                }
                while probe.less_than(&(3 * step + 3)) {
                    worker.step_or_park(None);
                }
            }
        });
        guards.unwrap().join().into_iter().for_each(|ended| ended.unwrap());
        for time in 0..30 {
            let (left, right) = (until(&left, time), until(&right, time));
            let mut keys: BTreeMap<u8, Vec<(u16, isize)>> = BTreeMap::new();
            left.iter().for_each(|((key, value), count)| keys.entry(*key).or_default().push((*value, *count)));
            let rows = keys
                .iter()
                .flat_map(|(key, values)| described(key, values).into_iter().map(|(row, count)| ((*key, row), count)));
            assert_eq!(until(&grouped.lock().unwrap(), time), rows.collect(), "seed {seed}, time {time}");
            let mut rows = Count::new();
            for ((key, a), n) in &left {
                right
                    .iter()
                    .filter(|((k, _), _)| k == key)
                    .for_each(|((_, b), m)| assert_eq!(rows.insert((*key, *a, *b), n * m), None));
            }
            assert_eq!(until(&paired.lock().unwrap(), time), rows, "seed {seed}, time {time}");
            let lone = left.into_iter().filter(|((key, _), _)| right.keys().all(|(k, _)| k != key));
            assert_eq!(until(&others.lock().unwrap(), time), lone.collect(), "seed {seed}, time {time}");
        }
    }
}

#[test]
fn a_large_batch_is_passed_on_little_by_little_and_whole() {
    let told: Told<(u32, u32)> = Told::default();
    let given = told.clone();
    timely::execute_directly(move |worker| {
        let probe = ProbeHandle::new();
        let mut input = worker.dataflow::<Time, _, _>(|scope| {
            let (input, rows) = scope.new_collection::<(u32, u32), isize>();
            tell(group(rows.into(), "all", |_, values: &[(u32, isize)]| values.to_vec()), &given, &probe);
            input
        });
        (0..3 * AT_ONCE as u32).for_each(|n| input.insert((n / 2, n)));
        input.advance_to(1);
        input.flush();
        let mut seen = Vec::new();
        while probe.less_than(&1) {
            worker.step();
            seen.push(given.lock().unwrap().len());
        }
        seen.dedup();
        assert!(seen.len() > 3, "{seen:?}");
    });
    let all = until(&told.lock().unwrap(), 0);
    assert_eq!((all.len(), all.values().sum::<isize>()), (3 * AT_ONCE, 3 * AT_ONCE as isize));
}
