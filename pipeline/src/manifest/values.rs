//! Values that several readers of a manifest judge alike: the edition, names, strings.

use stages::settings::{At, Complaint, Data, Setting, Value};

/// The edition of the manifest's language that this release reads.
pub const EDITION: i64 = 1;

/// Whether this release reads the edition.
pub(super) fn edition(value: &Value, complaints: &mut Vec<Complaint>) {
    let found = match &value.data {
        Data::Integer(EDITION) => return,
        Data::Integer(n) => n.to_string(),
        other => other.kind().to_owned(),
    };
    let message = format!("this release reads edition {EDITION} of the manifest, found {found}");
    complaints.push(Complaint::new(value.at, message).help(format!("write `edition = {EDITION}`")));
}

/// Rule for names, as words in a complaint.
const NAMES: &str = "a name holds the letters a to z and A to Z, digits, `-` and `_`";

/// Characters at most in the name of a run or a stage: names of files are made of it.
pub(super) const LONGEST: usize = 100;

/// The complaint about a text that cannot name `what`: it holds other characters, or more than `longest`. `None` if it can.
pub(super) fn misnamed(what: &str, name: &str, longest: usize, at: At) -> Option<Complaint> {
    let (message, help) = match plain(name) {
        true if name.len() <= longest => return None,
        true => (format!("a name of {} characters cannot name {what}", name.len()), format!("at most {longest}")),
        false => (format!("\"{name}\" cannot name {what}"), NAMES.to_owned()),
    };
    Some(Complaint::new(at, message).help(help))
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Reads a value, and says which field was wrong.
pub(super) fn setting<T: Setting>(value: &Value, field: &str, complaints: &mut Vec<Complaint>) -> Option<T> {
    match T::read(value) {
        Ok(read) => Some(read),
        Err(wrong) => {
            complaints
                .extend(wrong.into_iter().map(|c| Complaint { message: format!("`{field}`: {}", c.message), ..c }));
            None
        }
    }
}

pub(super) fn string(value: &Value, field: &str, complaints: &mut Vec<Complaint>) -> Option<String> {
    setting::<String>(value, field, complaints)
}
