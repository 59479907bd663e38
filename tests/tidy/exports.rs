//! One public path for each type.

use crate::{
    files::none,
    source::{CRATES, Source},
};

#[test]
fn no_type_name_is_exported_twice_from_one_crate() {
    let source = Source::of_repository();
    let mut twice = Vec::new();
    for name in CRATES {
        let types = source.shown(name);
        assert!(types.len() > 5, "{name} shows only {types:?}");
        let paths = types.values().filter(|paths| paths.len() > 1);
        twice.extend(paths.map(|paths| paths.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    none("one name of a type at several public paths", twice);
}
