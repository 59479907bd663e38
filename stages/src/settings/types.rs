//! The types that a setting may have.

use super::{Complaint, Data, Setting, Table, Value};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    path::{Path, PathBuf},
};

fn wrong<T: Setting>(value: &Value) -> Vec<Complaint> {
    let complaint = Complaint::new(value.at, format!("expected {}, found {}", T::kind(), value.data.kind()));
    // A number in quotes is a common slip.
    let Data::String(text) = &value.data else { return vec![complaint] };
    let plain = match (text.parse(), text.parse(), text.parse()) {
        (Ok(n), ..) => Data::Integer(n),
        (_, Ok(x), _) => Data::Float(x),
        (.., Ok(b)) => Data::Boolean(b),
        _ => return vec![complaint],
    };
    match T::read(&Value { data: plain, at: value.at }) {
        Ok(_) => vec![complaint.help(format!("write it without quotes: `{text}`"))],
        Err(_) => vec![complaint],
    }
}

macro_rules! whole { ($($ty:ty),*) => { $(impl Setting for $ty {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match value.data {
            Data::Integer(n) => <$ty>::try_from(n).map_err(|_| vec![Complaint::new(value.at, format!("{n} is not {}", Self::kind()))]),
            _ => Err(wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> { u64::from(*self).to_le_bytes().to_vec() }
    fn show(&self) -> String { self.to_string() }
    fn kind() -> String {
        if <$ty>::BITS == 64 { "a whole number from 0".into() } else { format!("a whole number from 0 to {}", <$ty>::MAX) }
    }
    fn schema() -> serde_json::Value { json!({ "type": "integer", "minimum": 0 }) }
})* } }
whole!(u16, u32, u64);

impl Setting for f64 {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match value.data {
            // Added to 0, so that no zero is negative.
            Data::Float(x) if x.is_finite() => Ok(x + 0.0),
            Data::Integer(n) => Ok(n as f64),
            Data::Float(x) => Err(vec![Complaint::new(value.at, format!("{x} is not a finite number"))]),
            _ => Err(wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> {
        self.to_bits().to_le_bytes().to_vec()
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
    fn kind() -> String {
        "a number".into()
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "number" })
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match value.data {
            Data::Boolean(b) => Ok(b),
            _ => Err(wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> {
        vec![u8::from(*self)]
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn kind() -> String {
        "true or false".into()
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match &value.data {
            Data::String(text) => Ok(text.clone()),
            _ => Err(wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
    fn show(&self) -> String {
        toml::Value::String(self.clone()).to_string()
    }
    fn kind() -> String {
        "a string".into()
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// A value, or "auto": the program finds one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto<T> {
    /// The word.
    Auto,
    /// The value.
    Is(T),
}

impl<T> Auto<T> {
    /// The value; none for "auto".
    pub fn given(self) -> Option<T> {
        match self {
            Auto::Auto => None,
            Auto::Is(value) => Some(value),
        }
    }
}

impl<T: Setting> Setting for Auto<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match &value.data {
            Data::String(word) if word == "auto" => Ok(Auto::Auto),
            _ => T::read(value).map(Auto::Is).map_err(|_| wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> {
        match self {
            Auto::Auto => Vec::new(),
            Auto::Is(value) => value.canonical(),
        }
    }
    fn show(&self) -> String {
        match self {
            Auto::Auto => "auto".to_owned().show(),
            Auto::Is(value) => value.show(),
        }
    }
    fn kind() -> String {
        format!("\"auto\" or {}", T::kind())
    }
    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "const": "auto" }, T::schema()] })
    }
}

/// The path of a file or a folder. In the manifest it starts at the manifest's folder, in `--set` at the
/// working directory (the planner makes it absolute). A path is in no key: what counts is what lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSetting(pub String);

impl PathSetting {
    /// [`Setting::kind`] of a path; that of a list of paths ends in it.
    pub const KIND: &'static str = "a path";

    /// The path as the process may open it, where a relative one starts at `base`.
    pub fn resolve(&self, base: &Path) -> PathBuf {
        base.join(&self.0)
    }
}

impl Setting for PathSetting {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        match &value.data {
            Data::String(text) if text.is_empty() => Err(vec![Complaint::new(value.at, "the path is empty")]),
            Data::String(text) if text.contains('\0') => {
                Err(vec![Complaint::new(value.at, "a path holds no zero character")])
            }
            Data::String(text) => Ok(PathSetting(text.clone())),
            _ => Err(wrong::<Self>(value)),
        }
    }
    fn canonical(&self) -> Vec<u8> {
        Vec::new()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        Self::KIND.into()
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// Absent by default; shown as an empty string, which no optional setting takes.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        T::read(value).map(Some)
    }
    fn canonical(&self) -> Vec<u8> {
        self.as_ref().map_or_else(Vec::new, |v| [&[1], v.canonical().as_slice()].concat())
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
    fn kind() -> String {
        T::kind()
    }
    fn schema() -> serde_json::Value {
        T::schema()
    }
    fn settle(self, default: Option<&Self>, levels: Option<usize>) -> Self {
        self.map(|value| value.settle(default.and_then(Option::as_ref), levels))
    }
}

/// Reads each item of a list.
fn items<T: Setting>(value: &Value) -> Result<Vec<T>, Vec<Complaint>> {
    let Data::Array(items) = &value.data else {
        // One item without its brackets is a common slip.
        let written = T::read(value).ok().map(|item| format!("write it as a list: `[{}]`", item.show()));
        return Err(wrong::<Vec<T>>(value).into_iter().map(|c| Complaint { help: written.clone(), ..c }).collect());
    };
    let (mut read, mut complaints) = (Vec::new(), Vec::new());
    for item in items {
        match T::read(item) {
            Ok(item) => read.push(item),
            Err(wrong) => complaints.extend(wrong),
        }
    }
    if complaints.is_empty() { Ok(read) } else { Err(complaints) }
}

/// Canonical bytes of a list: its length, and each item behind its own.
fn listed<'t, T: Setting + 't>(items: impl ExactSizeIterator<Item = &'t T>) -> Vec<u8> {
    let mut bytes = (items.len() as u64).to_le_bytes().to_vec();
    for item in items {
        let item = item.canonical();
        bytes.extend((item.len() as u64).to_le_bytes());
        bytes.extend(item);
    }
    bytes
}

/// A list in TOML.
fn shown<'t, T: Setting + 't>(items: impl Iterator<Item = &'t T>) -> String {
    format!("[{}]", items.map(T::show).collect::<Vec<_>>().join(", "))
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        items(value)
    }
    fn canonical(&self) -> Vec<u8> {
        listed(self.iter())
    }
    fn show(&self) -> String {
        shown(self.iter())
    }
    fn kind() -> String {
        format!("a list, each item {}", T::kind())
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A list whose order and repetitions mean nothing.
impl<T: Setting + Ord> Setting for BTreeSet<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        items(value).map(|items: Vec<T>| items.into_iter().collect())
    }
    fn canonical(&self) -> Vec<u8> {
        listed(self.iter())
    }
    fn show(&self) -> String {
        shown(self.iter())
    }
    fn kind() -> String {
        Vec::<T>::kind()
    }
    fn schema() -> serde_json::Value {
        Vec::<T>::schema()
    }
}

/// A list of which one item holds for all: where all items are the same, it is that one.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrEach<T>(pub Vec<T>);

impl<T: Setting + PartialEq> Setting for OneOrEach<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        let mut items: Vec<T> = items(value)?;
        if items.iter().skip(1).all(|item| *item == items[0]) {
            items.truncate(1);
        }
        Ok(OneOrEach(items))
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.canonical()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        Vec::<T>::kind()
    }
    fn schema() -> serde_json::Value {
        Vec::<T>::schema()
    }
}

/// A list with an item for each level, the bottom first: how many there are is the number of levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels<T>(pub Vec<T>);

/// A value for each level, the bottom first, or one that holds for all. Its [`Levels`] stand among the same settings.
#[derive(Clone, Debug, PartialEq)]
pub struct PerLevel<T>(pub Vec<T>);

macro_rules! list {
    ($List:ident) => {
        impl<T> Deref for $List<T> {
            type Target = [T];
            fn deref(&self) -> &[T] {
                &self.0
            }
        }
    };
}
list!(Levels);
list!(PerLevel);

impl<T: Setting> Setting for Levels<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        items(value).map(Levels)
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.canonical()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        Vec::<T>::kind()
    }
    fn schema() -> serde_json::Value {
        Vec::<T>::schema()
    }
    fn levels(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

impl<T: Setting + Clone> Setting for PerLevel<T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        items(value).map(PerLevel)
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.canonical()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        Vec::<T>::kind()
    }
    fn schema() -> serde_json::Value {
        Vec::<T>::schema()
    }
    /// A default of one item has that form, and so has whatever holds for all; any other spells every level out.
    fn settle(self, default: Option<&Self>, levels: Option<usize>) -> Self {
        let one = default.is_some_and(|default| default.len() == 1);
        match (self.0.as_slice(), levels) {
            ([first, rest @ ..], Some(levels))
                if one && rest.len() + 1 == levels && rest.iter().all(|x| x == first) =>
            {
                PerLevel(vec![first.clone()])
            }
            ([all], Some(levels)) if !one => PerLevel(vec![all.clone(); levels]),
            _ => self,
        }
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        let Data::Table(Table(fields)) = &value.data else { return Err(wrong::<Self>(value)) };
        let (mut read, mut complaints) = (BTreeMap::new(), Vec::new());
        for (word, value) in fields {
            match T::read(value) {
                Ok(value) => drop(read.insert(word.text.clone(), value)),
                Err(wrong) => complaints.extend(
                    wrong.into_iter().map(|c| Complaint { message: format!("`{}`: {}", word.text, c.message), ..c }),
                ),
            }
        }
        if complaints.is_empty() { Ok(read) } else { Err(complaints) }
    }
    fn canonical(&self) -> Vec<u8> {
        let flat: Vec<(String, Vec<u8>)> = self.iter().map(|(k, v)| (k.clone(), v.canonical())).collect();
        let mut bytes = (flat.len() as u64).to_le_bytes().to_vec();
        for (name, value) in flat {
            for part in [name.as_bytes(), &value] {
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend(part);
            }
        }
        bytes
    }
    fn show(&self) -> String {
        let fields: Vec<String> = self.iter().map(|(k, v)| format!("{k} = {}", v.show())).collect();
        if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
    }
    fn kind() -> String {
        format!("a table, each value {}", T::kind())
    }
    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
