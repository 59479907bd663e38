//! A source as a run recorded it: settings as texts, and the paths where it lay. `why` looks its evidence up as `ingest` reads
//! it, by the same settings with the same defaults.

use super::settings::Ingest;
use crate::settings::{At, Data, Settings, Table, Value, Word};
use datasets::corpus::{Evidence, Place};
use std::path::PathBuf;

impl Ingest {
    /// The stage of settings in TOML, as [`Settings::shown`] gives them; `None` if they are those of no corpus that is known.
    pub fn recorded<'s>(settings: impl IntoIterator<Item = (&'s str, &'s str)>) -> Option<Ingest> {
        let at = At::default();
        let read = |(name, text): (&str, &str)| {
            // What is not set is empty, and no TOML.
            let value = toml::from_str::<toml::Table>(&format!("v = {text}")).ok()?.remove("v")?;
            Some((Word { text: name.to_owned(), at }, value_of(value)?))
        };
        let table = Table(settings.into_iter().filter_map(read).collect());
        Ingest::lower(&table, at, &mut Vec::new())
    }

    /// Looks up the license statement for a key now, at the paths where the source was; of several rows of a table, one
    /// that says `words` is preferred. `stage` is the stage's name.
    ///
    /// # Errors
    /// Why it cannot be looked up.
    pub fn evidence(
        &self,
        paths: &[PathBuf],
        key: &str,
        words: Option<&str>,
        stage: &str,
    ) -> Result<Option<Evidence>, String> {
        let Some(adapter) = self.corpus.adapter(paths) else {
            return Err("the run does not say where its source was".to_owned());
        };
        if let Some(gone) = paths.first().filter(|path| !path.exists()) {
            return Err(format!("the source {} is not there", gone.display()));
        }
        let stated = adapter.evidence(key, words).map_err(|error| error.to_string())?;
        let setting = || {
            let place = Place::Setting { stage: stage.to_owned() };
            Some(Evidence { license: self.common.license.clone()?, place })
        };
        Ok(stated.or_else(setting))
    }
}

fn value_of(value: toml::Value) -> Option<Value> {
    let data = match value {
        toml::Value::String(text) => Data::String(text),
        toml::Value::Integer(number) => Data::Integer(number),
        toml::Value::Float(number) => Data::Float(number),
        toml::Value::Boolean(yes) => Data::Boolean(yes),
        toml::Value::Array(items) => Data::Array(items.into_iter().map(value_of).collect::<Option<_>>()?),
        toml::Value::Table(fields) => {
            let field = |(name, value)| Some((Word { text: name, at: At::default() }, value_of(value)?));
            Data::Table(Table(fields.into_iter().map(field).collect::<Option<_>>()?))
        }
        toml::Value::Datetime(_) => return None,
    };
    Some(Value { data, at: At::default() })
}
