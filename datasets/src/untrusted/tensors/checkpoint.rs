//! What `torch.save` writes: a pickle of nested dictionaries, and storages that its tensors lie in.

use super::pickle::{Machine, Node, Value, element};
use super::place::{Found, Place, bytes_at, wrong};
use super::zip;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek};

/// The largest pickle that is read, in bytes.
const LARGEST_PICKLE: u64 = 64 << 20;
/// Dictionaries and lists within each other at most.
const DEEPEST: usize = 32;
/// Values that are looked at at most; one with a long name counts as several.
const MOST_VISITS: usize = 1 << 20;
/// Bytes of a name at most.
const LONGEST_NAME: usize = 1024;
/// The number that a stream begins with, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Places of storages by key: offset and length in bytes.
type Storages = BTreeMap<String, (u64, u64)>;

/// Reads what a zip archive of `torch.save` tells of its tensors.
pub(super) fn archived<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Found> {
    let entries = zip::entries(file, size)?;
    let pickles: Vec<&String> = entries.keys().filter(|name| pickled(name).is_some()).collect();
    let [pickle] = pickles[..] else {
        return Err(wrong(format!(
            "it is a zip archive with {} entries data.pkl, not one of `torch.save`",
            pickles.len()
        )));
    };
    let root = pickled(pickle).unwrap_or_default();
    if let Some(order) = entries.get(&format!("{root}byteorder")) {
        let (start, length) = zip::place(file, size, "byteorder", *order)?;
        if bytes_at(file, start, length.min(16))? != b"little" {
            return Err(wrong("its numbers are big-endian"));
        }
    }
    let (start, length) = zip::place(file, size, pickle, entries[pickle])?;
    if length > LARGEST_PICKLE {
        return Err(wrong(format!("its pickle has {length} bytes, more than the {LARGEST_PICKLE} that are read")));
    }
    let bytes = bytes_at(file, start, length)?;
    let mut machine = Machine::new(&bytes);
    let value = machine.run()?;
    let mut storages = Storages::new();
    for (name, entry) in &entries {
        if let Some(key) = name.strip_prefix(root).and_then(|rest| rest.strip_prefix("data/")) {
            storages.insert(key.to_owned(), zip::place(file, size, name, *entry)?);
        }
    }
    Flat::of(&machine, &storages, value)
}

/// The folder of a pickle's name, with its slash; `None` for an entry that is not the pickle.
fn pickled(name: &str) -> Option<&str> {
    name.strip_suffix("data.pkl")
        .filter(|root| root.is_empty() || root.ends_with('/') && root.matches('/').count() == 1)
}

/// Reads what a stream of `torch.save` tells of its tensors: a magic number, a version, facts of the machine, the value and
/// the keys of its storages, each a pickle; then for each key the number of elements and these.
pub(super) fn streamed<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Found> {
    let bytes = bytes_at(file, 0, size.min(LARGEST_PICKLE))?;
    let mut machine = Machine::new(&bytes);
    if machine.run()? != Value::Long(&MAGIC) {
        return Err(wrong("it is a pickle, but none of `torch.save`"));
    }
    if machine.run()? != Value::Int(1001) {
        return Err(wrong("it is of a version of `torch.save` that is not known"));
    }
    let facts = machine.run()?;
    let little = match machine.node(facts) {
        Some(Node::Dictionary(facts)) => {
            facts.iter().all(|(name, value)| *name != Value::Text("little_endian") || *value == Value::Bool(true))
        }
        _ => false,
    };
    if !little {
        return Err(wrong("its numbers are big-endian"));
    }
    let value = machine.run()?;
    let keys = machine.run()?;
    let Some(Node::List(keys)) = machine.node(keys) else {
        return Err(wrong("its storages have no list"));
    };
    let mut sizes = BTreeMap::new();
    machine.storages(|kind, key| {
        sizes.insert(key, element(kind).bytes());
    });
    let (mut storages, mut at, mut seen) = (Storages::new(), machine.position() as u64, BTreeSet::new());
    for key in keys {
        let Value::Text(key) = key else { return Err(wrong("the key of a storage is no text")) };
        let bytes = *sizes.get(key).ok_or_else(|| wrong(format!("no tensor lies in its storage {key:.100}")))?;
        let end = || wrong(format!("its storage {key:.100} is cut short"));
        if at.checked_add(8).is_none_or(|end| end > size) || !seen.insert(*key) {
            return Err(end());
        }
        let count = u64::from_le_bytes(bytes_at(file, at, 8)?.try_into().unwrap_or_default());
        let length = count.checked_mul(bytes).ok_or_else(end)?;
        at += 8;
        storages.insert((*key).to_owned(), (at, length));
        at = at.checked_add(length).filter(|end| *end <= size).ok_or_else(end)?;
    }
    Flat::of(&machine, &storages, value)
}

/// Nested dictionaries as names with dots.
struct Flat<'m, 'p> {
    machine: &'m Machine<'p>,
    storages: &'m Storages,
    visits: usize,
    found: Found,
}

impl<'m, 'p> Flat<'m, 'p> {
    fn of(machine: &'m Machine<'p>, storages: &'m Storages, value: Value<'p>) -> io::Result<Found> {
        let mut flat = Flat { machine, storages, visits: 0, found: Found::default() };
        flat.visit(&mut String::new(), value, 0)?;
        Ok(flat.found)
    }

    fn visit(&mut self, name: &mut String, value: Value<'p>, depth: usize) -> io::Result<()> {
        self.visits += 1 + name.len() / 16;
        // A dictionary may be in many others, and each of them again.
        if depth > DEEPEST || self.visits > MOST_VISITS || name.len() > LONGEST_NAME {
            return Err(wrong("its dictionaries are nested beyond all that is read"));
        }
        if let Value::Int(number) = value {
            self.found.numbers.insert(name.clone(), number);
        }
        match self.machine.node(value) {
            Some(Node::Dictionary(pairs)) => {
                for (key, value) in pairs {
                    let key = match key {
                        Value::Text(text) => (*text).to_owned(),
                        Value::Int(number) => number.to_string(),
                        // Nothing that a name could be made of.
                        _ => continue,
                    };
                    self.within(name, &key, *value, depth)?;
                }
            }
            Some(Node::List(items)) => {
                for (at, value) in items.iter().enumerate() {
                    self.within(name, &at.to_string(), *value, depth)?;
                }
            }
            Some(Node::Tensor(storage, offset, shape, strides)) => {
                let place = self.place(*storage, *offset, shape, strides);
                let place = place.map_err(|why| wrong(format!("tensor `{name}`: {why}")))?;
                if self.found.places.insert(name.clone(), place).is_some() {
                    return Err(wrong(format!("two tensors are named `{name}`")));
                }
            }
            Some(Node::Storage(..)) | None => {}
        }
        Ok(())
    }

    fn within(&mut self, name: &mut String, key: &str, value: Value<'p>, depth: usize) -> io::Result<()> {
        let before = name.len();
        if before > 0 {
            name.push('.');
        }
        name.push_str(key);
        self.visit(name, value, depth + 1)?;
        name.truncate(before);
        Ok(())
    }

    fn place(&self, storage: usize, offset: i64, shape: &[i64], strides: &[i64]) -> Result<Place, String> {
        let Some(Node::Storage(kind, key, elements)) = self.machine.node(Value::Node(storage)) else {
            return Err("it lies in no storage".to_owned());
        };
        let element = element(*kind);
        let (start, length) = self.storages.get(*key).ok_or_else(|| format!("its storage {key:.100} is not there"))?;
        let stated = u64::try_from(*elements).ok().and_then(|elements| elements.checked_mul(element.bytes()));
        let Some(stated) = stated.filter(|stated| stated <= length) else {
            return Err(format!("its storage {key:.100} has {length} bytes, less than its pickle says"));
        };
        Place::new(element, (shape, strides), (*start, stated), offset).map_err(str::to_owned)
    }
}
