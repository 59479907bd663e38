//! A path in a manifest.

use super::{Complaint, Setting, Value};
use std::path::{Path, PathBuf};

/// A path as typed: relative to the manifest's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSetting(pub String);

impl PathSetting {
    /// The path that is meant.
    pub fn resolve(&self, base: &Path) -> PathBuf {
        base.join(&self.0)
    }
}

impl Setting for PathSetting {
    fn read(value: &Value) -> Result<Self, Vec<Complaint>> {
        let text = String::read(value).map_err(|wrong| {
            wrong.into_iter().map(|c| Complaint { message: c.message.replace("a string", "a path"), ..c }).collect::<Vec<_>>()
        })?;
        if text.is_empty() { Err(vec![Complaint::new(value.at, "an empty path")]) } else { Ok(PathSetting(text)) }
    }
    fn canonical(&self) -> Vec<u8> {
        self.0.canonical()
    }
    fn show(&self) -> String {
        self.0.show()
    }
    fn kind() -> String {
        "a path".into()
    }
    fn schema() -> serde_json::Value {
        String::schema()
    }
}
