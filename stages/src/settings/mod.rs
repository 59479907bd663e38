//! Settings: typed, documented, lowered field by field from a spanned table.
//!
//! Knows values and their documentation. No verb and no row.
//!
//! One declaration gives the struct, its defaults, its documentation for the command line and the
//! JSON schema, the lowering with every complaint at once, and the canonical form that goes into keys.
//!
//! # What enters a key
//!
//! Two digests are made of a stage's settings: the plan's ([`Settings::identity`]), by which runs are named, and the one
//! in the keys of the stage's effect ([`Settings::keyed`], put there by [`Stage::key`](crate::stage::Stage::key)). A
//! setting that has its default is in neither, so a new setting with a default changes no key. An attribute on a field says
//! where it does not belong; without one, it is in both.
//!
//! | attribute | the setting | plan | key | instead |
//! |---|---|---|---|---|
//! | none | decides about the result | yes | yes | |
//! | `#[live]` | is often changed; `watch` applies a change without rebuilding the dataflow | yes | yes | |
//! | `#[selects]` | names the split of the rows that the stage reads | yes | no | digests of these rows |
//! | `#[unkeyed]` | does not decide about the result, given its rows | yes | no | |
//! | `#[refresh]` | says when the result is made anew | no | no | |
//! | `#[path]` | says where something lies | no | no | digests of what lies there |
//!
//! ```
//! use stages::settings::{Role, Settings};
//!
//! stages::settings! {
//!     /// Settings of a stage.
//!     pub struct Mix {
//!         /// The split to mix.
//!         #[selects]
//!         split: String = "train".to_owned(),
//!         /// Gain of every track.
//!         gain: f64 = 1.0,
//!     }
//! }
//!
//! assert_eq!(Mix::ROLES, [("split", Role::Selects), ("gain", Role::Keyed)]);
//! let plain = Mix { split: "train".into(), gain: 1.0 };
//! let other = Mix { split: "test".into(), ..plain.clone() };
//! assert_eq!(plain.keyed(), other.keyed());
//! assert_ne!(plain.identity(), other.identity());
//! assert_ne!(plain.keyed(), Mix { gain: 0.5, ..plain }.keyed());
//! ```
//!
//! # One meaning, one form
//!
//! Before any digest is made, each value is brought to the one form of its meaning ([`Setting::settle`]): what enters keys,
//! names points of a sweep and stands in a record is that form, however the manifest says it. The type of a setting, or an
//! attribute, says what is the same:
//!
//! | setting | the same | form |
//! |---|---|---|
//! | any | a default that is spelled out | left out |
//! | `BTreeSet<T>` | another order, an item twice | sorted, each once |
//! | [`PerLevel<T>`] | one item for all levels, the same for each | as the default says it: one item, or one for each level |
//! | [`OneOrEach<T>`] | one item, the same several times | one item |
//! | `f64` | `-0.0` | `0.0` |
//! | `#[otherwise(other)] own: Option<T>` | the value of `other`, spelled out | left out |
//!
//! ```
//! use stages::settings::{At, Data, Levels, PerLevel, Settings, Table, Value, Word};
//! use std::collections::BTreeSet;
//!
//! stages::settings! {
//!     /// Settings of a stage.
//!     pub struct Mix {
//!         /// Of each level: the hop.
//!         hops: Levels<u32> = Levels(vec![8, 32]),
//!         /// Of each level: the gain.
//!         gain: PerLevel<f64> = PerLevel(vec![1.0, 0.5]),
//!         /// Of each level: the noise.
//!         noise: PerLevel<f64> = PerLevel(vec![0.0]),
//!         /// Genres to mix.
//!         genres: BTreeSet<String> = BTreeSet::new(),
//!         /// Length in seconds.
//!         seconds: f64 = 10.0,
//!         /// Distance in seconds; by default the length.
//!         #[otherwise(seconds)]
//!         stride: Option<f64> = None,
//!     }
//! }
//!
//! let (at, mut wrong) = (At::default(), Vec::new());
//! let mut mix = |text: &str| {
//!     let fields = text.parse::<toml::Table>().unwrap().into_iter();
//!     let table = fields.map(|(name, value)| (Word { text: name, at }, Value { data: value.into(), at }));
//!     Mix::lower(&Table(table.collect()), at, &mut wrong).unwrap()
//! };
//! assert_eq!(mix("gain = [2.0]").keyed(), mix("gain = [2.0, 2.0]").keyed());
//! assert_eq!(mix("noise = [0.0, 0.0]\nstride = 10").changed(), []);
//! assert_eq!(mix("genres = ['b', 'a', 'b']").keyed(), mix("genres = ['a', 'b']").keyed());
//! ```
//!
//! A misspelt attribute does not compile:
//!
//! ```compile_fail
//! stages::settings! {
//!     /// Settings of a stage.
//!     pub struct Mix {
//!         /// The split to mix.
//!         #[select]
//!         split: String = "train".to_owned(),
//!     }
//! }
//! ```

mod types;
mod value;

pub use types::{Auto, Levels, OneOrEach, PathSetting, PerLevel};
pub use value::{At, Complaint, Data, Table, Value, Word, suggest};

use datasets::{Digest, Key};

/// Which digests a setting enters; see the [table](self#what-enters-a-key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decides about the result: in the plan's digest and in the effect's key.
    Keyed,
    /// Keyed; where the dataflow stays up, it comes as a row.
    Live,
    /// Names the split of the rows that the stage reads: the key holds these rows instead.
    Selects,
    /// Does not decide about the result of the effect, given its rows: in the plan's digest only.
    Unkeyed,
    /// Decides when the result is made anew: in no digest.
    Refresh,
    /// Names a file or folder: in no digest.
    Path,
}

/// One field of a verb's settings, as documentation and schema show it.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in the manifest.
    pub name: &'static str,
    /// Which digests it enters.
    pub role: Role,
    /// Meaning of the field, with its unit.
    pub doc: String,
    /// Kind of value that the field takes, in words for people.
    pub kind: String,
    /// The default in TOML; none: the field must be given.
    pub default: Option<String>,
    /// The JSON schema of its value.
    pub schema: serde_json::Value,
}

/// A type that a setting may have.
pub trait Setting: Sized + PartialEq {
    /// Reads it from the manifest.
    ///
    /// # Errors
    /// All complaints about the value.
    fn read(value: &Value) -> Result<Self, Vec<Complaint>>;
    /// Canonical bytes of the value: floats by their bits.
    fn canonical(&self) -> Vec<u8>;
    /// The value in TOML.
    fn show(&self) -> String;
    /// Name of the type in a complaint: "a whole number".
    fn kind() -> String;
    /// JSON schema of the type.
    fn schema() -> serde_json::Value;
    /// Number of levels that this value says there are; `None` unless it is the list that decides about it.
    fn levels(&self) -> Option<usize> {
        None
    }
    /// The [one form](self#one-meaning-one-form) of the value's meaning beside its field's default and the number of levels.
    #[must_use]
    fn settle(self, _default: Option<&Self>, _levels: Option<usize>) -> Self {
        self
    }
}

/// A value that is left out because it is what would hold without it. Used by [`crate::settings!`].
pub fn unless<T: PartialEq>(own: Option<T>, otherwise: &T) -> Option<T> {
    own.filter(|own| own != otherwise)
}

/// The settings of a verb; implemented by [`crate::settings!`].
pub trait Settings: Sized {
    /// Name and role of every field that is declared here, in the order of declaration.
    const ROLES: &'static [(&'static str, Role)];
    /// Name and role of every field: [`Settings::ROLES`], unless others are put together with them.
    fn roles() -> Vec<(&'static str, Role)> {
        Self::ROLES.to_vec()
    }
    /// All fields, in the order of declaration.
    fn fields() -> Vec<Field>;
    /// Lowers a table; `whole` is the place of the stage's header, for what is missing.
    fn lower(table: &Table, whole: At, complaints: &mut Vec<Complaint>) -> Option<Self>;
    /// Name and canonical value of every field that differs from its default, sorted by name.
    fn changed(&self) -> Vec<(&'static str, Vec<u8>)>;
    /// Name and TOML value of every field, in the order of declaration.
    fn shown(&self) -> Vec<(&'static str, String)>;

    /// Digest of the settings by which runs are named: all but [`Role::Path`] and [`Role::Refresh`].
    fn identity(&self) -> Digest {
        digest(self, |role| !matches!(role, Role::Path | Role::Refresh))
    }

    /// Digest of the settings in keys of effects: [`Role::Keyed`] and [`Role::Live`].
    fn keyed(&self) -> Digest {
        digest(self, |role| matches!(role, Role::Keyed | Role::Live))
    }

    /// Every setting of these roles with its value in TOML, in the order of declaration.
    fn with_role(&self, which: impl Fn(Role) -> bool) -> Vec<(&'static str, String)> {
        let roles = Self::roles();
        self.shown().into_iter().filter(|(name, _)| which(role_of(&roles, name))).collect()
    }
}

fn role_of(roles: &[(&'static str, Role)], name: &str) -> Role {
    roles.iter().find(|(own, _)| *own == name).map_or(Role::Keyed, |(_, role)| *role)
}

/// The digest of the settings of some roles that differ from their defaults.
fn digest<S: Settings>(settings: &S, which: impl Fn(Role) -> bool) -> Digest {
    let mut key = Key::new("settings");
    let roles = S::roles();
    for (name, value) in settings.changed().iter().filter(|(name, _)| which(role_of(&roles, name))) {
        key.add(name.as_bytes());
        key.add(value);
    }
    key.finish()
}

/// Reads fields from a table and remembers what was wrong. Used by [`crate::settings!`].
pub struct Reader<'t> {
    table: &'t Table,
    whole: At,
    complaints: &'t mut Vec<Complaint>,
}

impl<'t> Reader<'t> {
    /// Complains at once about every name that is no field.
    pub fn new(table: &'t Table, whole: At, names: &[&str], complaints: &'t mut Vec<Complaint>) -> Reader<'t> {
        for (word, _) in &table.0 {
            if !names.contains(&word.text.as_str()) {
                let help = match suggest(&word.text, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => "this stage takes no settings".to_owned(),
                    None => format!("expected one of `{}`", names.join("`, `")),
                };
                let message = match suggest(&word.text, names.iter().copied()) {
                    Some(near) => format!("unknown field `{}`, expected `{near}`", word.text),
                    None => format!("unknown field `{}`", word.text),
                };
                complaints.push(Complaint::new(word.at, message).help(help));
            }
        }
        Reader { table, whole, complaints }
    }

    /// One field: its value, its default, or a complaint.
    pub fn field<T: Setting>(&mut self, name: &str, default: Option<T>) -> Option<T> {
        match (self.table.get(name), default) {
            (Some(value), _) => match T::read(value) {
                Ok(read) => Some(read),
                Err(wrong) => {
                    self.complaints.extend(
                        wrong.into_iter().map(|c| Complaint { message: format!("`{name}`: {}", c.message), ..c }),
                    );
                    None
                }
            },
            (None, Some(default)) => Some(default),
            (None, None) => {
                self.complaints.push(
                    Complaint::new(self.whole, format!("missing field `{name}`"))
                        .help(format!("add `{name} = ..`, {}", T::kind())),
                );
                None
            }
        }
    }
}

/// Declares the settings of a verb. A field without `= default` must be given; after its documentation it may have one
/// attribute, which says [what it enters](crate::settings#what-enters-a-key), and behind it `#[otherwise(field)]`: left
/// out, it has the value of that field.
///
/// ```
/// use stages::settings::{At, Data, Settings, Table, Value, Word};
///
/// stages::settings! {
///     /// Settings of a stage that cuts tracks.
///     pub struct Cut {
///         /// The split to cut.
///         split: String,
///         /// Frames of a clip (44100).
///         frames: u32 = 44_100,
///     }
/// }
///
/// let at = At::default();
/// let table = |fields: &[(&str, Data)]| {
///     let field = |(name, data): &(&str, Data)| (Word { text: name.to_string(), at }, Value { data: data.clone(), at });
///     Table(fields.iter().map(field).collect())
/// };
/// let mut wrong = Vec::new();
/// let cut = Cut::lower(&table(&[("split", Data::String("train".into()))]), at, &mut wrong).unwrap();
/// assert_eq!((cut.split.as_str(), cut.frames), ("train", 44_100));
/// // What is left at its default is in no key.
/// assert_eq!(cut.changed().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["split"]);
///
/// // Everything that is wrong is told at once.
/// assert!(Cut::lower(&table(&[("frame", Data::Integer(7))]), at, &mut wrong).is_none());
/// let messages: Vec<&str> = wrong.iter().map(|complaint| complaint.message.as_str()).collect();
/// assert_eq!(messages, ["unknown field `frame`, expected `frames`", "missing field `split`"]);
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $(
        $(#[doc = $doc:literal])+
        $(#[live $($live:tt)?])? $(#[selects $($selects:tt)?])? $(#[unkeyed $($unkeyed:tt)?])?
        $(#[refresh $($refresh:tt)?])? $(#[path $($path:tt)?])? $(#[otherwise($otherwise:ident)])?
        $field:ident : $ty:ty $(= $default:expr)?
    ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $($(#[doc = $doc])+ pub $field: $ty),* }

        impl $crate::settings::Settings for $name {
            const ROLES: &'static [(&'static str, $crate::settings::Role)] = &[$((stringify!($field), $crate::settings!(
                @role $($($live)? Live)? $($($selects)? Selects)? $($($unkeyed)? Unkeyed)? $($($refresh)? Refresh)?
                $($($path)? Path)?
            ))),*];
            fn fields() -> Vec<$crate::settings::Field> {
                vec![$($crate::settings::Field {
                    name: stringify!($field),
                    role: $crate::settings!(
                        @role $($($live)? Live)? $($($selects)? Selects)? $($($unkeyed)? Unkeyed)?
                        $($($refresh)? Refresh)? $($($path)? Path)?
                    ),
                    doc: [$($doc.trim()),+].join(" "),
                    kind: <$ty as $crate::settings::Setting>::kind(),
                    default: $crate::settings!(@default $ty $(, $default)?).map(|v: $ty| $crate::settings::Setting::show(&v)),
                    schema: <$ty as $crate::settings::Setting>::schema(),
                }),*]
            }
            fn lower(
                table: &$crate::settings::Table,
                whole: $crate::settings::At,
                complaints: &mut Vec<$crate::settings::Complaint>,
            ) -> Option<Self> {
                let reader = &mut $crate::settings::Reader::new(table, whole, &[$(stringify!($field)),*], complaints);
                $(let $field: Option<$ty> = reader.field(stringify!($field), $crate::settings!(@default $ty $(, $default)?));)*
                // Read first, given up on afterwards: every field has its complaint.
                let _ = reader;
                $(let $field: $ty = $field?;)*
                let levels: Vec<Option<usize>> = vec![$($crate::settings::Setting::levels(&$field)),*];
                let levels: Option<usize> = levels.into_iter().flatten().next();
                // A verb without settings asks for none.
                let _ = levels;
                $(let $field = {
                    let default: Option<$ty> = $crate::settings!(@default $ty $(, $default)?);
                    $crate::settings::Setting::settle($field, default.as_ref(), levels)
                };)*
                $($(let $field = $crate::settings::unless($field, &$otherwise);)?)*
                Some($name { $($field),* })
            }
            fn changed(&self) -> Vec<(&'static str, Vec<u8>)> {
                let fields: Vec<(&'static str, Option<Vec<u8>>)> = vec![$({
                    let default: Option<$ty> = $crate::settings!(@default $ty $(, $default)?);
                    let changed = default.as_ref() != Some(&self.$field);
                    (stringify!($field), changed.then(|| $crate::settings::Setting::canonical(&self.$field)))
                }),*];
                let mut all: Vec<(&'static str, Vec<u8>)> =
                    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                all.sort();
                all
            }
            fn shown(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), $crate::settings::Setting::show(&self.$field))),*]
            }
        }
    };
    (@role) => { $crate::settings::Role::Keyed };
    (@role $role:ident) => { $crate::settings::Role::$role };
    (@default $ty:ty, $default:expr) => { Some::<$ty>($default) };
    (@default $ty:ty) => { None::<$ty> };
}

/// Declares a setting that is one of a few words.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant),* }

        impl $crate::settings::Setting for $name {
            fn read(value: &$crate::settings::Value) -> Result<Self, Vec<$crate::settings::Complaint>> {
                let word = <String as $crate::settings::Setting>::read(value)?;
                match word.as_str() {
                    $($word => Ok($name::$variant),)*
                    _ => {
                        let complaint = $crate::settings::Complaint::new(value.at, format!("`{word}` is not {}", Self::kind()));
                        Err(vec![match $crate::settings::suggest(&word, [$($word),*]) {
                            Some(near) => complaint.help(format!("did you mean \"{near}\"?")),
                            None => complaint,
                        }])
                    }
                }
            }
            fn canonical(&self) -> Vec<u8> { $crate::settings::Setting::canonical(&self.word().to_owned()) }
            fn show(&self) -> String { format!("{:?}", self.word()) }
            fn kind() -> String { format!("one of {}", [$(concat!("\"", $word, "\"")),*].join(", ")) }
            fn schema() -> serde_json::Value { serde_json::json!({ "enum": [$($word),*] }) }
        }
        impl $name {
            /// The word in the manifest.
            pub fn word(self) -> &'static str { match self { $($name::$variant => $word),* } }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    choice! {
        /// How.
        enum How { /// Fast.
            Fast = "fast", /// Slow.
            Slow = "slow" }
    }
    settings! {
        /// Some.
        struct Some3 {
            /// Frames
            /// a second.
            rate: u32 = 44_100,
            /// Needed.
            #[path]
            root: String,
            /// How.
            how: How = How::Fast,
        }
    }

    fn table(fields: &[(&str, Data)]) -> Table {
        let at = At::default();
        Table(fields.iter().map(|(n, d)| (Word { text: (*n).into(), at }, Value { data: d.clone(), at })).collect())
    }

    #[test]
    fn every_complaint_at_once() {
        let mut wrong = Vec::new();
        let lowered = Some3::lower(
            &table(&[("rat", Data::Integer(1)), ("how", Data::String("fats".into())), ("rate", Data::Integer(-1))]),
            At::default(),
            &mut wrong,
        );
        assert!(lowered.is_none());
        let text: Vec<String> = wrong.iter().map(|c| c.message.clone()).collect();
        assert_eq!(
            text,
            [
                "unknown field `rat`, expected `rate`",
                "`rate`: -1 is not a whole number from 0 to 4294967295",
                "missing field `root`",
                "`how`: `fats` is not one of \"fast\", \"slow\"",
            ]
        );
    }

    #[test]
    fn defaults_are_in_no_key() {
        let mut wrong = Vec::new();
        let root = ("root", Data::String("x".into()));
        let plain = Some3::lower(&table(std::slice::from_ref(&root)), At::default(), &mut wrong).expect("fine");
        let spelled =
            Some3::lower(&table(&[("rate", Data::Integer(44_100)), root]), At::default(), &mut wrong).expect("fine");
        assert_eq!((plain.keyed(), plain.identity()), (spelled.keyed(), spelled.identity()));
        let other = Some3 { rate: 48_000, ..plain.clone() };
        assert_ne!(plain.keyed(), other.keyed());
        let moved = Some3 { root: "y".into(), ..plain.clone() };
        assert_eq!((plain.keyed(), plain.identity()), (moved.keyed(), moved.identity()));
        assert_eq!(
            Some3::ROLES.iter().map(|(_, role)| *role).collect::<Vec<_>>(),
            [Role::Keyed, Role::Path, Role::Keyed]
        );
        assert_eq!(plain.changed().len(), 1);
        assert_eq!(Some3::fields()[0].doc, "Frames a second.");
    }
}
