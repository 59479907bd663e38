//! `[sweep]`: what is varied. Axes are lists of values, the list of points is one axis more, and every combination of
//! them is a point. A point's values are judged as if they stood in the manifest, each where it is written.

use super::{
    set,
    text::Text,
    values::{misnamed, string},
};
use stages::settings::{At, Complaint, Data, Table, Value, Word, suggest};
use std::collections::BTreeSet;

/// A sweep of more points is taken for a slip.
const MOST: usize = 1000;

/// Help text: the syntax of an axis.
const AXIS: &str = "write an axis as `\"stage.NAME.FIELD\" = [..]` or `seed = [..]`";

/// The points of a manifest, in the order of the file, the first axis slowest.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(crate) points: Vec<Point>,
}

/// One combination of values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    /// The name of the `[[sweep.point]]`, where it has one.
    pub(crate) name: Option<String>,
    /// Number of values that come from `[[sweep.point]]`; they come first.
    pub(crate) listed: usize,
    /// Assigned settings.
    pub(crate) values: Vec<Assigned>,
}

/// One setting and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assigned {
    /// `seed`, or `stage`, the stage's name, a field, and fields of that.
    pub(crate) path: Vec<Word>,
    pub(crate) value: Value,
}

impl Assigned {
    /// The path as it is written: `stage.songs.top_p`.
    pub(crate) fn key(&self) -> String {
        key(&self.path)
    }

    /// The stage that it sets something of; none for the seed.
    pub(crate) fn stage(&self) -> Option<&str> {
        self.path.get(1).map(|word| word.text.as_str())
    }
}

fn key(path: &[Word]) -> String {
    path.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(".")
}

impl Point {
    /// The manifest's table at this point.
    pub(crate) fn apply(&self, table: &Table) -> Table {
        let mut table = table.clone();
        for Assigned { path, value } in &self.values {
            // Whatever the path names was found when the sweep was read.
            let _ = set::assign(&mut table, path, value.clone());
        }
        table
    }
}

impl Sweep {
    /// Reads `[sweep]`; none where there is none or nothing of it can be used.
    pub(crate) fn read(text: &Text, complaints: &mut Vec<Complaint>) -> Option<Sweep> {
        let (word, value) = text.table.0.iter().find(|(word, _)| word.text == "sweep")?;
        let Data::Table(table) = &value.data else {
            let message = format!("`sweep`: expected a table, found {}", value.data.kind());
            complaints.push(Complaint::new(value.at, message).help(format!("begin it with `[sweep]`; {AXIS}")));
            return None;
        };
        let first = complaints.len();
        let mut reader = Reader { text, complaints };
        let mut axes: Vec<(Vec<Word>, Value)> = Vec::new();
        for (word, value) in table.0.iter().filter(|(word, _)| word.text != "point") {
            reader.flatten(reader.parts(word), value, &mut |path, value| axes.push((path, value)));
        }
        let axes: Vec<Vec<Assigned>> = axes.into_iter().filter_map(|(path, value)| reader.axis(path, value)).collect();
        let listed = table.get("point").map(|value| reader.points(value));
        reader.twice(&axes, listed.as_deref().unwrap_or_default());
        if axes.is_empty() && listed.is_none() && complaints.len() == first {
            complaints.push(Complaint::new(word.at, "`[sweep]` varies nothing").help(AXIS));
        }
        if complaints.len() > first {
            return None;
        }
        let mut points = listed.unwrap_or_else(|| vec![Point::default()]);
        let all = axes.iter().map(Vec::len).fold(points.len(), usize::saturating_mul);
        if all > MOST {
            let message = format!("the sweep has {all} points, and {MOST} is the most");
            complaints.push(Complaint::new(word.at, message).help("take some values out"));
            return None;
        }
        for axis in &axes {
            let with = |point: &Point, value: &Assigned| {
                let mut point = point.clone();
                point.values.push(value.clone());
                point
            };
            points = points.iter().flat_map(|point| axis.iter().map(move |value| with(point, value))).collect();
        }
        Some(Sweep { points })
    }
}

/// Characters at most in the name of a point.
const NAME: usize = 60;

struct Reader<'a> {
    text: &'a Text,
    complaints: &'a mut Vec<Complaint>,
}

impl Reader<'_> {
    fn complain(&mut self, at: At, message: String, help: impl Into<String>) {
        self.complaints.push(Complaint::new(at, message).help(help));
    }

    /// The parts of a key in quotes, `"stage.songs.top_p"`, each with its place.
    fn parts(&self, word: &Word) -> Vec<Word> {
        let source = self.text.sources.get(usize::from(word.at.source)).map_or("", |source| source.text.as_str());
        let written = source.get(word.at.start as usize..word.at.end as usize).unwrap_or_default();
        let quote = u32::from(written.starts_with(['"', '\'']));
        // With an escape in it, the text is not what is written: the whole key is the place.
        let plain = written.get(quote as usize..).is_some_and(|rest| rest.starts_with(&word.text));
        let mut start = word.at.start + quote;
        let part = |part: &str| {
            let end = start + u32::try_from(part.len()).unwrap_or(u32::MAX);
            let at = if plain { At { start, end, ..word.at } } else { word.at };
            start = end + 1;
            Word { text: part.to_owned(), at }
        };
        word.text.split('.').map(part).collect()
    }

    /// Keys that are not in quotes are tables in tables.
    fn flatten(&self, path: Vec<Word>, value: &Value, give: &mut impl FnMut(Vec<Word>, Value)) {
        match &value.data {
            Data::Table(table) if !table.0.is_empty() => {
                for (word, value) in &table.0 {
                    self.flatten([path.as_slice(), &self.parts(word)].concat(), value, give);
                }
            }
            _ => give(path, value.clone()),
        }
    }

    /// Whether a path names something that can be varied.
    fn names(&mut self, path: &[Word]) -> bool {
        let (first, last) = (&path[0], &path[path.len() - 1]);
        let whole = At { end: last.at.end.max(first.at.end), ..first.at };
        let stages: Vec<String> = match self.text.table.get("stage") {
            Some(Value { data: Data::Table(stages), .. }) => stages.0.iter().map(|(w, _)| w.text.clone()).collect(),
            _ => Vec::new(),
        };
        match path {
            [seed] if seed.text == "seed" => true,
            [stage, name, _, ..] if stage.text == "stage" && stages.contains(&name.text) => true,
            [stage, name, ..] if stage.text == "stage" && stages.contains(&name.text) => {
                let message = format!("`[sweep]` names the stage `{}` but no field", name.text);
                self.complain(whole, message, format!("write `\"stage.{}.FIELD\" = [..]`", name.text));
                false
            }
            [stage, name, ..] if stage.text == "stage" => {
                self.complaints.push(set::unknown_stage(name.at, "`[sweep]` names the stage", &name.text, &stages));
                false
            }
            _ => {
                let help = match suggest(&first.text, ["stage", "seed", "point"]) {
                    Some(near) if near != first.text => format!("did you mean `{near}`?"),
                    _ if stages.contains(&first.text) => format!("did you mean `stage.{}`?", key(path)),
                    _ => AXIS.to_owned(),
                };
                self.complain(whole, format!("`[sweep]` cannot vary `{}`", key(path)), help);
                false
            }
        }
    }

    /// One axis: a setting with its values.
    fn axis(&mut self, path: Vec<Word>, value: Value) -> Option<Vec<Assigned>> {
        if !self.names(&path) {
            return None;
        }
        let Data::Array(items) = value.data else {
            let message = format!("`{}`: expected a list of values, found {}", key(&path), value.data.kind());
            self.complain(value.at, message, format!("write `[{}]`", shown(&value.data)));
            return None;
        };
        if items.is_empty() {
            let message = format!("`{}`: the list of values is empty", key(&path));
            self.complain(value.at, message, "name at least one value, or take the axis out");
            return None;
        }
        let mut seen: Vec<Data> = Vec::new();
        for item in &items {
            if seen.contains(&item.data) {
                let message = format!("`{}`: {} is in the list twice", key(&path), shown(&item.data));
                self.complain(item.at, message, "a point is computed once");
            }
            seen.push(item.data.clone());
        }
        Some(items.into_iter().map(|value| Assigned { path: path.clone(), value }).collect())
    }

    /// The list of points.
    fn points(&mut self, value: &Value) -> Vec<Point> {
        const CARDINALITY: &str =
            "write each point as `[[sweep.point]]`, with a `name` if you like and the values it sets";
        let Data::Array(items) = &value.data else {
            let message = format!("`sweep.point`: expected a list of tables, found {}", value.data.kind());
            self.complain(value.at, message, CARDINALITY);
            return Vec::new();
        };
        if items.is_empty() {
            self.complain(value.at, "`sweep.point`: the list of points is empty".into(), CARDINALITY);
        }
        let mut points: Vec<Point> = Vec::new();
        for item in items {
            let Data::Table(table) = &item.data else {
                let message = format!("`sweep.point`: expected a table, found {}", item.data.kind());
                self.complain(item.at, message, CARDINALITY);
                continue;
            };
            let before = self.complaints.len();
            let point = self.point(table);
            if self.complaints.len() > before {
                continue;
            }
            if point.name.is_none() && point.values.is_empty() {
                self.complain(item.at, "this point sets nothing".into(), "name it, or say what it sets");
            }
            let named = |point: &Point| match &point.name {
                Some(name) => format!("`{name}`"),
                None => "another".to_owned(),
            };
            let same = |other: &&Point| {
                let among = |value: &Assigned| {
                    point.values.iter().any(|own| own.key() == value.key() && own.value.data == value.value.data)
                };
                other.values.len() == point.values.len() && other.values.iter().all(among)
            };
            if let Some(other) = points.iter().find(same) {
                let message = format!("this point sets what {} sets", named(other));
                self.complain(item.at, message, "keep one of them");
            } else if let Some(name) = &point.name
                && points.iter().any(|other| other.name.as_ref() == Some(name))
            {
                let at = table.get("name").map_or(item.at, |value| value.at);
                self.complain(at, format!("two points are named \"{name}\""), "give one of them another name");
            }
            points.push(point);
        }
        points
    }

    fn point(&mut self, table: &Table) -> Point {
        let mut point = Point::default();
        for (word, value) in &table.0 {
            if word.text == "name" {
                point.name = string(value, "name", self.complaints);
                let wrong = point.name.as_ref().and_then(|name| misnamed("a point", name, NAME, value.at));
                self.complaints.extend(wrong);
                continue;
            }
            let mut values = Vec::new();
            self.flatten(self.parts(word), value, &mut |path, value| values.push(Assigned { path, value }));
            for value in values {
                if self.names(&value.path) {
                    point.values.push(value);
                }
            }
        }
        point.listed = point.values.len();
        point
    }

    /// A setting is varied by one axis, or by the list of points, and not by an option too.
    fn twice(&mut self, axes: &[Vec<Assigned>], points: &[Point]) {
        let mut seen = BTreeSet::new();
        for axis in axes.iter().filter_map(|axis| axis.first()) {
            if !seen.insert(axis.key()) {
                let at = axis.path[axis.path.len() - 1].at;
                self.complain(at, format!("`{}` is varied twice", axis.key()), "keep one of the two lists");
            }
        }
        for point in points {
            let mut own = BTreeSet::new();
            for value in &point.values {
                let at = value.path[value.path.len() - 1].at;
                if seen.contains(&value.key()) {
                    let message = format!("`{}` is varied by an axis too", value.key());
                    self.complain(at, message, "every point is combined with every value of the axes");
                } else if !own.insert(value.key()) {
                    self.complain(at, format!("`{}` is set twice", value.key()), "keep one of the two");
                }
            }
        }
        let all = axes.iter().filter_map(|axis| axis.first()).chain(points.iter().flat_map(|point| &point.values));
        let mut told = BTreeSet::new();
        for value in all {
            // An option sets the field itself, or the table that it is in.
            for depth in 1..=value.path.len() {
                if let Some(at) = set::placed(&self.text.table, &value.path[..depth])
                    && self.text.file(at).is_none()
                    && told.insert(at)
                {
                    let message = format!("`--set` sets `{}`, which `[sweep]` varies", key(&value.path[..depth]));
                    self.complain(at, message, "take the option out, or the setting out of `[sweep]`");
                }
            }
        }
    }
}

/// A value as TOML.
pub(crate) fn shown(data: &Data) -> String {
    match data {
        Data::String(text) => toml::Value::String(text.clone()).to_string(),
        Data::Integer(n) => n.to_string(),
        Data::Float(x) => format!("{x:?}"),
        Data::Boolean(b) => b.to_string(),
        Data::Array(items) => {
            format!("[{}]", items.iter().map(|item| shown(&item.data)).collect::<Vec<_>>().join(", "))
        }
        Data::Table(table) => {
            let field = |(word, value): &(Word, Value)| format!("{} = {}", word.text, shown(&value.data));
            format!("{{ {} }}", table.0.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Source, parse};

    fn read(sweep: &str) -> (Option<Sweep>, Vec<String>) {
        let file = format!("[stage.songs]\ndo = \"sample\"\n[stage.top]\ndo = \"train\"\n{sweep}");
        let mut wrong = Vec::new();
        let table = parse::document(0, &file, &mut wrong);
        let sources = vec![Source { label: "m.toml".into(), text: file.clone() }];
        let text = Text { sources, table, ..Text::default() };
        // Without files, everything would be an option.
        let text = Text { files: vec![Default::default()], ..text };
        let sweep = Sweep::read(&text, &mut wrong);
        let place = |c: &Complaint| file[c.at.start as usize..c.at.end as usize].to_owned();
        (sweep, wrong.iter().map(|c| format!("{} @ {}", c.message, place(c))).collect())
    }

    fn values(sweep: Option<Sweep>) -> Vec<String> {
        let value = |value: &Assigned| format!("{}={}", value.key(), shown(&value.value.data));
        let point = |point: &Point| {
            let name = point.name.iter().cloned();
            name.chain(point.values.iter().map(value)).collect::<Vec<_>>().join(" ")
        };
        sweep.expect("a sweep").points.iter().map(point).collect()
    }

    #[test]
    fn every_combination_is_a_point_however_keys_are_written() {
        let quoted = read("[sweep]\n\"stage.songs.top_p\" = [0.9, 1]\nseed = [1, 2]\n");
        assert_eq!(quoted.1, [""; 0]);
        let expected = ["0.9 seed=1", "0.9 seed=2", "1 seed=1", "1 seed=2"];
        let expected: Vec<String> = expected.iter().map(|rest| format!("stage.songs.top_p={rest}")).collect();
        assert_eq!(values(quoted.0), expected);
        let bare = read("[sweep]\nstage.songs.top_p = [0.9, 1]\nseed = [1, 2]\n");
        assert_eq!(values(bare.0), expected);
    }

    #[test]
    fn the_list_of_points_is_an_axis_more() {
        let text = "[sweep]\nseed = [1, 2]\n[[sweep.point]]\nname = \"cold\"\nstage.songs.top_p = 0.5\n\
                    [[sweep.point]]\nname = \"base\"\n";
        let (sweep, wrong) = read(text);
        assert_eq!(wrong, [""; 0]);
        let cold = ["cold stage.songs.top_p=0.5 seed=1", "cold stage.songs.top_p=0.5 seed=2"];
        assert_eq!(values(sweep), [cold[0], cold[1], "base seed=1", "base seed=2"]);
    }

    #[test]
    fn complaints_stand_at_the_part_that_is_wrong() {
        let said = |text: &str| read(text).1;
        assert_eq!(
            said("[sweep]\n\"stage.song.top_p\" = [1]\n"),
            ["`[sweep]` names the stage `song`, which is not in the manifest @ song"]
        );
        assert_eq!(said("[sweep]\nname = [\"a\"]\n"), ["`[sweep]` cannot vary `name` @ name"]);
        assert_eq!(
            said("[sweep]\nseed = [1, 2, 1]\n\"stage.songs\" = [1]\n\"stage.top.steps\" = 5\n"),
            [
                "`seed`: 1 is in the list twice @ 1",
                "`[sweep]` names the stage `songs` but no field @ stage.songs",
                "`stage.top.steps`: expected a list of values, found a whole number @ 5",
            ]
        );
        let many = format!("[sweep]\nseed = {:?}\nstage.top.steps = {0:?}\n", (0..40).collect::<Vec<u32>>());
        assert_eq!(said(&many), ["the sweep has 1600 points, and 1000 is the most @ sweep"]);
    }
}
