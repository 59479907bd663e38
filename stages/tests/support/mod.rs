//! A crew whose members are threads of one process.

use stages::model::training::crew::{Apart, Crew};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::thread;

/// Messages by stream, turn and place; none where somebody left.
#[derive(Default)]
struct Table {
    messages: Mutex<Option<BTreeMap<(usize, u64, usize), Vec<u8>>>>,
    laid: Condvar,
}

struct Seat<'a> {
    place: usize,
    of: usize,
    table: &'a Table,
}

impl Crew for Seat<'_> {
    fn place(&self) -> (usize, usize) {
        (self.place, self.of)
    }
    fn share(&self, stream: usize, turn: u64, own: Vec<u8>) -> Result<Vec<Vec<u8>>, Apart> {
        let others = (0..self.of).filter(|place| *place != self.place).map(|place| (stream, turn, place));
        let mut table = self.table.messages.lock().expect("the table");
        if let Some(messages) = table.as_mut() {
            assert!(messages.insert((stream, turn, self.place), own).is_none(), "a turn came twice");
        }
        self.table.laid.notify_all();
        loop {
            let Some(messages) = table.as_ref() else { return Err(Apart::Said("a seat is empty".into())) };
            if let Some(all) = others.clone().map(|of| messages.get(&of).cloned()).collect() {
                return Ok(all);
            }
            table = self.table.laid.wait(table).expect("the table");
        }
    }
}

/// What each of so many members makes of a training.
pub fn crew<T: Send, E: Send>(of: usize, train: impl Fn(usize, &dyn Crew) -> Result<T, E> + Sync) -> Vec<Result<T, E>> {
    let table = Table { messages: Mutex::new(Some(BTreeMap::new())), ..Table::default() };
    thread::scope(|scope| {
        let member = |place| {
            let seat = Seat { place, of, table: &table };
            let made = train(place, &seat);
            if made.is_err() {
                *table.messages.lock().expect("the table") = None;
                table.laid.notify_all();
            }
            made
        };
        let members: Vec<_> = (0..of).map(|place| scope.spawn(move || member(place))).collect();
        members.into_iter().map(|member| member.join().expect("a member")).collect()
    })
}
