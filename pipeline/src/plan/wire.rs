//! Wiring: names become edges, edges find their ports by the kind of rows, and the graph is put in order.

use super::lower::Lowered;
use crate::manifest::{self, From};
use stages::{
    rows::Kind,
    settings::{At, Complaint, Word, suggest},
    stage::{Places, Port, Property, StageSpec, memory::Known},
};
use std::collections::{BTreeMap, BTreeSet};

/// The wired stages, by their index in the file.
pub(super) struct Graph {
    /// Each stage after those that feed it, otherwise in the order of the file.
    pub(super) order: Vec<usize>,
    /// For each stage and each of its ports, the stages that feed it.
    pub(super) ports: Vec<Vec<Vec<usize>>>,
}

impl Graph {
    /// All that a stage rests on.
    pub(super) fn upstream(&self, stage: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![stage];
        while let Some(next) = open.pop() {
            open.extend(self.ports[next].iter().flatten().filter(|&&fed| found.insert(fed)));
        }
        found
    }
}

/// A name in `from` that is a stage.
struct Edge<'m> {
    word: &'m Word,
    port: Option<&'m Word>,
    from: usize,
}

/// An edge that found its port.
struct Bound {
    port: usize,
    from: usize,
    at: At,
}

struct Wirer<'a, 'm> {
    registry: &'static [StageSpec],
    stages: &'a [Lowered<'m>],
    edges: Vec<Vec<Edge<'m>>>,
    /// Stages with inputs that are not known, so that nothing can be said about what is missing.
    unsure: Vec<bool>,
    complaints: &'a mut Vec<Complaint>,
}

/// Wires all stages. The graph is whole only if there was no complaint.
pub(super) fn wire(registry: &'static [StageSpec], stages: &[Lowered<'_>], complaints: &mut Vec<Complaint>) -> Graph {
    let mut wirer = Wirer {
        registry,
        stages,
        edges: Vec::new(),
        unsure: stages.iter().map(|s| s.entry.is_none() || s.from_lost || matches!(s.from, From::Wrong)).collect(),
        complaints,
    };
    wirer.resolve();
    let bound: Vec<Vec<Bound>> = (0..stages.len()).map(|stage| wirer.bind(stage)).collect();
    let order = wirer.order();
    wirer.traits(&order, &bound);
    wirer.foresee(&order, &bound);
    let ports = stages.iter().zip(&bound).map(|(stage, bound)| {
        let count = stage.entry.map_or(0, |entry| entry.ports.len());
        (0..count).map(|port| bound.iter().filter(|b| b.port == port).map(|b| b.from).collect()).collect()
    });
    Graph { order, ports: ports.collect() }
}

fn listed(words: &[String], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}

fn quoted<'w>(words: impl IntoIterator<Item = &'w str>, and: &str) -> String {
    listed(&words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>(), and)
}

/// "Clip and Weights".
fn kinds(ports: &[Port]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for port in ports.iter().map(|port| port.kind.to_string()) {
        if !kinds.contains(&port) {
            kinds.push(port);
        }
    }
    listed(&kinds, "and")
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

impl<'m> Wirer<'_, 'm> {
    fn name(&self, stage: usize) -> &'m str {
        &self.stages[stage].name.text
    }

    fn complain(&mut self, at: At, message: String, help: String) {
        self.complaints.push(Complaint::new(at, message).help(help));
    }

    /// Names to stages.
    fn resolve(&mut self) {
        let index: BTreeMap<&str, usize> =
            self.stages.iter().enumerate().map(|(i, stage)| (stage.name.text.as_str(), i)).collect();
        for (stage, lowered) in self.stages.iter().enumerate() {
            // A source's `from` has to go as a whole.
            let source = lowered.entry.is_some_and(|entry| entry.ports.is_empty());
            let words: Vec<(Option<&'m Word>, &'m Word)> = match lowered.from {
                _ if source => Vec::new(),
                From::Names(_, words) => words.iter().map(|word| (None, word)).collect(),
                From::Ports(_, ports) => {
                    ports.iter().flat_map(|(port, words)| words.iter().map(move |word| (Some(port), word))).collect()
                }
                From::Absent | From::Wrong => Vec::new(),
            };
            let mut edges: Vec<Edge<'m>> = Vec::new();
            for (port, word) in words {
                match index.get(word.text.as_str()) {
                    Some(&from) if edges.iter().any(|edge| edge.from == from && edge.port == port) => {
                        self.complain(word.at, format!("`from` names `{}` twice", word.text), "name it once".into());
                    }
                    Some(&from) => edges.push(Edge { word, port, from }),
                    None => {
                        self.unsure[stage] = true;
                        let others = self.stages.iter().map(|other| other.name.text.clone());
                        let others: Vec<String> = others.filter(|other| *other != lowered.name.text).collect();
                        self.complaints.push(manifest::unknown_stage(word.at, "`from` names", &word.text, &others));
                    }
                }
            }
            self.edges.push(edges);
        }
    }

    /// Edges of one stage to its ports.
    fn bind(&mut self, stage: usize) -> Vec<Bound> {
        let lowered = &self.stages[stage];
        let Some(entry) = lowered.entry else { return Vec::new() };
        if entry.ports.is_empty() {
            if let From::Names(at, _) | From::Ports(at, _) = lowered.from {
                let message = format!("`{}` is a source: nothing flows into it", entry.verb);
                self.complain(*at, message, "remove `from`".into());
            }
            return Vec::new();
        }
        let mut bound: Vec<Bound> = Vec::new();
        let mut broken = self.unsure[stage];
        for edge in std::mem::take(&mut self.edges[stage]) {
            match self.port(stage, entry, &edge) {
                Some(port) => bound.push(Bound { port, from: edge.from, at: edge.word.at }),
                None => broken = true,
            }
            // An edge that does not fit closes no circle. That of an unknown verb may well fit.
            if bound.last().is_some_and(|b| b.at == edge.word.at) || self.stages[edge.from].entry.is_none() {
                self.edges[stage].push(edge);
            }
        }
        if let From::Ports(_, ports) = lowered.from {
            for (word, _) in ports.iter().filter(|(word, _)| entry.port(&word.text).is_none()) {
                broken = true;
                let help = match suggest(&word.text, entry.port_names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("its inputs are {}", quoted(entry.ports.iter().map(|port| port.name), "and")),
                };
                self.complain(word.at, format!("`{}` has no input `{}`", entry.verb, word.text), help);
            }
        }
        for (index, port) in entry.ports.iter().enumerate().filter(|(_, port)| !port.many) {
            let fed: Vec<&Bound> = bound.iter().filter(|b| b.port == index).collect();
            if let [_, second, ..] = fed.as_slice() {
                let names = quoted(fed.iter().map(|b| self.name(b.from)), "and");
                let message =
                    format!("`{}` takes one stage that gives {}, `from` names {names}", entry.verb, port.kind);
                let (at, kept) = (second.at, self.name(fed[0].from));
                self.complain(at, message, format!("keep one of them, such as `{kept}`"));
            }
        }
        if !broken {
            let fed = |index: usize| bound.iter().any(|b| b.port == index);
            let open: Vec<&Port> =
                (0..).zip(entry.ports).filter(|(i, p)| !p.optional && !fed(*i)).map(|(_, p)| p).collect();
            self.open(stage, entry, &open);
        }
        self.unsure[stage] |= broken;
        bound
    }

    /// The port that an edge belongs to.
    fn port(&mut self, stage: usize, entry: &StageSpec, edge: &Edge<'m>) -> Option<usize> {
        // A stage with an unknown verb gives who knows what.
        let gives = self.stages[edge.from].entry?.gives;
        let name = &edge.word.text;
        if let Some(word) = edge.port {
            let port = entry.port(&word.text)?;
            let takes = entry.ports[port].kind;
            if takes == gives {
                return Some(port);
            }
            let message = format!("`{}` of `{}` takes {takes}, `{name}` gives {gives}", word.text, entry.verb);
            let help = self.remedy(stage, gives, &entry.ports[port..=port]);
            self.complain(edge.word.at, message, help);
            return None;
        }
        let fitting: Vec<usize> = (0..entry.ports.len()).filter(|&port| entry.ports[port].kind == gives).collect();
        match fitting.as_slice() {
            [port] => Some(*port),
            [] => {
                let message = format!("`{}` takes {}, `{name}` gives {gives}", entry.verb, kinds(entry.ports));
                let help = self.remedy(stage, gives, entry.ports);
                self.complain(edge.word.at, message, help);
                None
            }
            many => {
                let names: Vec<&str> = many.iter().map(|&port| entry.ports[port].name).collect();
                let message = format!("`{}` has {} inputs of {gives}: which is `{name}`?", entry.verb, many.len());
                let written = names.iter().map(|name| format!("{name} = \"..\"")).collect::<Vec<_>>().join(", ");
                self.complain(edge.word.at, message, format!("name them: `from = {{ {written} }}`"));
                None
            }
        }
    }

    /// Suggests what gives the right kind of rows: a stage of the manifest, else a verb.
    fn remedy(&self, stage: usize, gives: Kind, ports: &[Port]) -> String {
        let wanted: Vec<Kind> = ports.iter().map(|port| port.kind).collect();
        if let Some((kind, found)) = wanted.iter().find_map(|&kind| Some((kind, self.candidate(stage, kind)?))) {
            return format!("`{}` gives {kind}", self.name(found));
        }
        let makes = |entry: &&StageSpec| wanted.contains(&entry.gives) && entry.ports.iter().any(|p| p.kind == gives);
        match self.registry.iter().find(makes) {
            Some(entry) => format!("{} `{}` stage makes {} of {gives}", article(entry.verb), entry.verb, entry.gives),
            None => self.makers(wanted[0]),
        }
    }

    /// The verbs that make a kind of rows from something else.
    fn makers(&self, kind: Kind) -> String {
        let makes = |entry: &&StageSpec| entry.gives == kind && entry.ports.iter().all(|port| port.kind != kind);
        let verbs: Vec<&str> = self.registry.iter().filter(makes).map(|entry| entry.verb).collect();
        match verbs.first() {
            Some(first) => format!("add {} {} stage and name it in `from`", article(first), quoted(verbs, "or")),
            None => format!("no verb of this release gives {kind}"),
        }
    }

    /// The stage before this one, or else after it, that gives a kind and does not rest on it.
    fn candidate(&self, stage: usize, kind: Kind) -> Option<usize> {
        let mut below = BTreeSet::from([stage]);
        loop {
            let before = below.len();
            for (other, edges) in self.edges.iter().enumerate() {
                if edges.iter().any(|edge| below.contains(&edge.from)) {
                    below.insert(other);
                }
            }
            if below.len() == before {
                break;
            }
        }
        let gives = |other: &usize| {
            !below.contains(other) && self.stages[*other].entry.is_some_and(|entry| entry.gives == kind)
        };
        (0..stage).rev().find(gives).or_else(|| (stage..self.stages.len()).find(gives))
    }

    /// Complains about ports that nothing feeds.
    fn open(&mut self, stage: usize, entry: &StageSpec, open: &[&Port]) {
        if open.is_empty() {
            return;
        }
        let lowered = &self.stages[stage];
        let owned: Vec<Port> = open.iter().map(|port| **port).collect();
        let needed = kinds(&owned);
        let found: Option<Vec<usize>> = open.iter().map(|port| self.candidate(stage, port.kind)).collect();
        let lacking = || open.iter().find(|port| self.candidate(stage, port.kind).is_none());
        let (at, message) = match lowered.from {
            From::Names(at, _) | From::Ports(at, _) => {
                let by = match lowered.from {
                    From::Ports(..) => format!(" for {}", quoted(open.iter().map(|port| port.name), "and")),
                    _ => String::new(),
                };
                (*at, format!("`{}` needs {needed}{by}, and `from` names no stage that gives it", entry.verb))
            }
            _ => (lowered.name.at, format!("`{}` has no `from`: `{}` needs {needed}", lowered.name.text, entry.verb)),
        };
        let help = match (found, lowered.from) {
            (Some(found), From::Ports(..)) => {
                let written = open.iter().zip(found).map(|(port, f)| format!("{} = \"{}\"", port.name, self.name(f)));
                format!("add `{}`", written.collect::<Vec<_>>().join(", "))
            }
            (Some(found), _) => {
                let names = self.edges[stage].iter().map(|edge| edge.from).chain(found);
                let names: Vec<String> = names.map(|from| format!("\"{}\"", self.name(from))).collect();
                format!("write `from = [{}]`", names.join(", "))
            }
            (None, _) => lacking().map_or_else(String::new, |port| self.makers(port.kind)),
        };
        self.complain(at, message, help);
    }

    /// The stages in order, after a complaint about every circle.
    fn order(&mut self) -> Vec<usize> {
        let count = self.stages.len();
        let feeds = |edges: &[Edge<'_>]| edges.iter().map(|edge| edge.from).collect::<BTreeSet<_>>();
        let above: Vec<BTreeSet<usize>> = self.edges.iter().map(|edges| feeds(edges)).collect();
        let mut below = vec![Vec::new(); count];
        for (stage, feeding) in above.iter().enumerate() {
            feeding.iter().for_each(|&from| below[from].push(stage));
        }
        let mut waits: Vec<usize> = above.iter().map(BTreeSet::len).collect();
        let mut ready: BTreeSet<usize> = (0..count).filter(|&stage| waits[stage] == 0).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(stage) = ready.pop_first() {
            order.push(stage);
            for &next in &below[stage] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.insert(next);
                }
            }
        }
        // Whatever is left lies in a circle or behind one, so walking upstream ends in a circle.
        let left: BTreeSet<usize> = (0..count).filter(|&stage| waits[stage] > 0).collect();
        let mut seen = BTreeSet::new();
        for &start in &left {
            let mut walk: Vec<usize> = Vec::new();
            let mut next = start;
            while seen.insert(next) {
                walk.push(next);
                match above[next].iter().find(|from| left.contains(from)) {
                    Some(&from) => next = from,
                    None => break,
                }
            }
            if let Some(first) = walk.iter().position(|&stage| stage == next) {
                self.circle(&walk[first..]);
            }
        }
        order
    }

    /// `upstream`: each stage is fed by the next, the last by the first.
    fn circle(&mut self, upstream: &[usize]) {
        let mut circle: Vec<usize> = upstream.iter().rev().copied().collect();
        let least = (0..circle.len()).min_by_key(|&i| circle[i]).unwrap_or(0);
        circle.rotate_left(least);
        let (Some(&first), Some(&last)) = (circle.first(), circle.last()) else { return };
        let names: Vec<String> =
            circle.iter().chain([&first]).map(|&stage| format!("`{}`", self.name(stage))).collect();
        let at = self.edges[first].iter().find(|edge| edge.from == last);
        let at = at.map_or(self.stages[first].name.at, |edge| edge.word.at);
        if circle.len() == 1 {
            let others = self.stages[first].entry.map_or(&[][..], |entry| entry.ports);
            let other = others.iter().find_map(|port| self.candidate(first, port.kind));
            let help = other
                .map_or("name another stage".into(), |o| format!("name another stage, such as `{}`", self.name(o)));
            return self.complain(at, format!("`{}` names itself in `from`", self.name(first)), help);
        }
        let message = format!("stages feed each other in a circle: {}", names.join(" -> "));
        self.complain(at, message, "take one of these names out of a `from`".into());
    }

    /// Propagates the properties of tracks along the edges that carry tracks or clips.
    fn traits(&mut self, order: &[usize], bound: &[Vec<Bound>]) {
        let all = BTreeSet::from([Property::Decoded, Property::Resampled]);
        let mut given: Vec<BTreeSet<Property>> = vec![all.clone(); self.stages.len()];
        for &stage in order {
            let Some(entry) = self.stages[stage].entry else { continue };
            if self.unsure[stage] {
                continue;
            }
            let carries = |b: &&Bound| matches!(entry.ports[b.port].kind, Kind::Track | Kind::Clip);
            let fed: Vec<&Bound> = bound[stage].iter().filter(carries).collect();
            let mut gives = if fed.is_empty() { BTreeSet::new() } else { all.clone() };
            for edge in fed {
                let has = &given[edge.from];
                let mut verbs = Vec::new();
                let mut had = has.clone();
                for need in entry.needs {
                    self.steps(*need, &mut had, &mut verbs);
                }
                if !verbs.is_empty() {
                    let lacks: Vec<&str> =
                        entry.needs.iter().filter(|need| !has.contains(need)).map(|need| word(*need)).collect();
                    let not = match lacks.as_slice() {
                        [one] => format!("not {one}"),
                        several => format!("neither {}", several.join(" nor ")),
                    };
                    let lacks = lacks.join(" and ");
                    let what = if entry.ports[edge.port].kind == Kind::Clip { "clips" } else { "tracks" };
                    let from = self.name(edge.from);
                    let message =
                        format!("`{}` needs {lacks} {what}, `{from}` gives {what} that are {not}", entry.verb);
                    let verbs: Vec<String> = verbs.iter().map(|verb| format!("{} `{verb}`", article(verb))).collect();
                    let verbs = listed(&verbs, "and then");
                    let between = match what {
                        "clips" => format!("put {verbs} stage before the clips are cut"),
                        _ => format!("put {verbs} stage between `{from}` and `{}`", self.name(stage)),
                    };
                    self.complain(edge.at, message, between);
                }
                // What has been complained about is not missed again further down.
                gives = gives.intersection(&had).copied().collect();
            }
            gives.extend(entry.adds);
            given[stage] = gives;
        }
    }

    /// Follows what is known from settings alone along all edges: each stage says what cannot come of it.
    fn foresee(&mut self, order: &[usize], bound: &[Vec<Bound>]) {
        // `None`: not even this is known.
        let (stages, mut given) = (self.stages, vec![None::<Known>; self.stages.len()]);
        for &stage in order {
            let lowered = &stages[stage];
            let (Some(entry), Some(ready), false) = (lowered.entry, &lowered.ready, self.unsure[stage]) else {
                continue;
            };
            let fed = |port: usize| bound[stage].iter().filter(move |b| b.port == port).map(|b| given[b.from].as_ref());
            let ports: Option<Vec<Known>> =
                (0..entry.ports.len()).map(|port| fed(port).collect::<Option<Vec<_>>>().map(Known::join)).collect();
            let Some(ports) = ports else { continue };
            ready.foresee(&ports, &Places { table: &lowered.written, whole: lowered.name.at }, self.complaints);
            let mut own = Known::join(&ports);
            ready.memory(&mut own, 1);
            given[stage] = Some(own);
        }
    }

    /// The verbs that are still to come before tracks have been through `need`.
    fn steps(&self, need: Property, had: &mut BTreeSet<Property>, verbs: &mut Vec<&'static str>) {
        if !had.insert(need) {
            return;
        }
        if let Some(entry) = self.registry.iter().find(|entry| entry.adds.contains(&need)) {
            entry.needs.iter().for_each(|before| self.steps(*before, had, verbs));
            verbs.push(entry.verb);
        }
    }
}

fn word(given: Property) -> &'static str {
    match given {
        Property::Decoded => "decoded",
        Property::Resampled => "resampled",
    }
}
