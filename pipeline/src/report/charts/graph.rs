//! The graph of stages as a picture: columns by depth, lanes by lineage, wrapped into rows so that a long chain
//! stays readable.

use std::collections::BTreeMap;

use crate::report::data::StageView;
use crate::report::markup::{Text, clipped, count, put};

const BOX_WIDTH: f64 = 168.0;
const BOX_HEIGHT: f64 = 70.0;
const GAP: f64 = 42.0;
const MARGIN: f64 = 24.0;
/// Columns before a row is full.
const MOST_COLUMNS: usize = 5;
/// Height of a lane that only edges run through, and space around a box.
const LANE: f64 = 18.0;

/// The depth of every stage: one more than the deepest it reads. A stage that reads none stands just before the
/// first that reads it. Names of stages that are not there are ignored.
pub(in crate::report) fn layers(stages: &[StageView]) -> Vec<usize> {
    let parents = parents(stages);
    let mut layer = vec![0usize; stages.len()];
    // As many passes as stages are enough for a graph without cycles, and end for one with them.
    for _ in 0..stages.len() {
        let deeper: Vec<usize> = parents
            .iter()
            .map(|from| from.iter().map(|&p| layer[p] + 1).max().unwrap_or(0).min(stages.len() - 1))
            .collect();
        if deeper == layer {
            break;
        }
        layer = deeper;
    }
    for source in 0..stages.len() {
        if parents[source].is_empty() {
            let readers = parents.iter().enumerate().filter(|(_, from)| from.contains(&source));
            layer[source] = readers.map(|(i, _)| layer[i]).min().map_or(0, |first| first.saturating_sub(1));
        }
    }
    layer
}

/// The stages' indices in the order a reader follows them.
pub(in crate::report) fn reading_order(stages: &[StageView]) -> Vec<usize> {
    let layer = layers(stages);
    let mut order: Vec<usize> = (0..stages.len()).collect();
    order.sort_by_key(|&i| (layer[i], i));
    order
}

/// The picture. `None` without stages.
pub(in crate::report) fn graph(stages: &[StageView]) -> Option<String> {
    if stages.is_empty() {
        return None;
    }
    let layout = Layout::new(stages);
    let edges: usize = layout.edges.len();
    let mut out = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {:.0} {:.0}\" style=\"min-width:{:.0}px;max-width:{:.0}px\" role=\"img\" \
         aria-label=\"Graph of {} stages and {edges} connections; the table below lists them\">",
        layout.width,
        layout.height,
        layout.width * 0.85,
        layout.width,
        stages.len()
    );
    for edge in &layout.edges {
        put!(out, "<path class=\"edge\" d=\"{}\"/>", layout.path(edge));
        let (x, y) = layout.enter(edge.layers.1, edge.lanes[edge.lanes.len() - 1]);
        put!(out, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l-7 -4v8z\"/>");
    }
    for (i, stage) in stages.iter().enumerate() {
        let (x, y) = layout.enter(layout.layer[i], layout.lane[i]);
        node(&mut out, stage, x, y - BOX_HEIGHT / 2.0);
    }
    out.push_str("</svg>");
    Some(out)
}

fn node(out: &mut String, stage: &StageView, x: f64, y: f64) {
    let inner = BOX_WIDTH - 24.0;
    put!(out, "<g transform=\"translate({x:.1} {y:.1})\"><title>{} ({})", Text(&stage.name), Text(&stage.verb));
    put!(out, ": {} {} kept, {} dropped</title>", count(stage.kept), Text(&stage.unit), count(stage.dropped));
    put!(out, "<rect class=\"node\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"7\"/>");
    put!(out, "<text class=\"name\" x=\"12\" y=\"22\">{}</text>", Text(&clipped(&stage.name, 19)));
    put!(out, "<text class=\"soft verb\" x=\"12\" y=\"38\">{}</text>", Text(&clipped(&stage.verb, 22)));
    put!(out, "<text x=\"12\" y=\"56\">{} {}</text>", count(stage.kept), Text(&clipped(&stage.unit, 8)));
    if stage.dropped > 0 {
        put!(out, "<text class=\"end lost\" x=\"{}\" y=\"56\">", BOX_WIDTH - 12.0);
        put!(out, "\u{2212}{}</text>", count(stage.dropped));
    }
    let all = stage.kept.saturating_add(stage.dropped);
    if all > 0 {
        let lost = stage.dropped as f64 / all as f64 * inner;
        let lost = if stage.dropped > 0 { lost.max(2.0) } else { 0.0 };
        put!(out, "<rect class=\"bar\" x=\"12\" y=\"62\" width=\"{:.1}\" height=\"3\"/>", inner - lost);
        put!(out, "<rect class=\"lost\" x=\"{:.1}\" y=\"62\" width=\"{lost:.1}\" height=\"3\"/>", 12.0 + inner - lost);
    }
    out.push_str("</g>");
}

/// Content of a cell in the grid of layers and lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Node,
    /// An edge passing by, with the stage that it leaves; edges of one stage share their way.
    Edge(usize),
}

#[derive(Clone, Debug)]
struct Edge {
    source: usize,
    /// The layers it leaves and enters.
    layers: (usize, usize),
    /// Lane of the edge in each layer from the first to the last.
    lanes: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Layout {
    layer: Vec<usize>,
    lane: Vec<usize>,
    edges: Vec<Edge>,
    per_row: usize,
    /// Center of each lane, per row.
    centers: Vec<Vec<f64>>,
    /// Gutter below each row but the last: its top, and the stages whose edges run through it.
    gutters: Vec<(f64, Vec<usize>)>,
    width: f64,
    height: f64,
}

impl Layout {
    fn new(stages: &[StageView]) -> Self {
        let parents = parents(stages);
        let layer = layers(stages);
        let mut cells: BTreeMap<(usize, usize), Cell> = BTreeMap::new();
        let mut lane = vec![0usize; stages.len()];
        for i in reading_order(stages) {
            let wished = parents[i].iter().max_by_key(|&&p| (layer[p], std::cmp::Reverse(p))).map_or(0, |&p| lane[p]);
            let free = |lane: &usize| !cells.contains_key(&(layer[i], *lane));
            lane[i] = std::iter::once(wished).chain(0..).find(free).unwrap_or(wished);
            cells.insert((layer[i], lane[i]), Cell::Node);
        }
        let mut edges = Vec::new();
        for (target, from) in parents.iter().enumerate() {
            for &source in from.iter().filter(|&&p| layer[p] < layer[target]) {
                let passing = layer[source] + 1..layer[target];
                let mine = |cell: Option<&Cell>| cell.is_none_or(|c| *c == Cell::Edge(source));
                let way = (0..).find(|&l| passing.clone().all(|at| mine(cells.get(&(at, l))))).unwrap_or(0);
                let mut lanes = vec![lane[source]];
                for at in passing {
                    cells.insert((at, way), Cell::Edge(source));
                    lanes.push(way);
                }
                lanes.push(lane[target]);
                edges.push(Edge { source, layers: (layer[source], layer[target]), lanes });
            }
        }
        let depth = layer.iter().max().map_or(1, |last| last + 1);
        let rows = depth.div_ceil(MOST_COLUMNS);
        let per_row = depth.div_ceil(rows);
        let mut layout =
            Self { layer, lane, edges, per_row, centers: Vec::new(), gutters: Vec::new(), width: 0.0, height: 0.0 };
        layout.measure(&cells, rows);
        layout
    }

    /// Gives every lane of every row its place.
    fn measure(&mut self, cells: &BTreeMap<(usize, usize), Cell>, rows: usize) {
        let mut y = 8.0;
        for row in 0..rows {
            let inside = || cells.iter().filter(|((layer, _), _)| layer / self.per_row == row);
            let lanes = inside().map(|((_, lane), _)| lane + 1).max().unwrap_or(0);
            let mut centers = Vec::with_capacity(lanes);
            for lane in 0..lanes {
                let boxed = inside().any(|((_, l), cell)| *l == lane && *cell == Cell::Node);
                let height = if boxed { BOX_HEIGHT + LANE } else { LANE };
                centers.push(y + height / 2.0);
                y += height;
            }
            self.centers.push(centers);
            if row + 1 < rows {
                let last = (row + 1) * self.per_row - 1;
                let mut sources: Vec<usize> =
                    self.edges.iter().filter(|e| e.layers.0 <= last && last < e.layers.1).map(|e| e.source).collect();
                sources.sort_unstable();
                sources.dedup();
                let height = 16.0 + 8.0 * sources.len() as f64;
                self.gutters.push((y, sources));
                y += height;
            }
        }
        self.height = y + 4.0;
        self.width = 2.0 * MARGIN + self.per_row as f64 * (BOX_WIDTH + GAP) - GAP;
    }

    /// Point at which edges enter a cell, `(x, y)`.
    fn enter(&self, layer: usize, lane: usize) -> (f64, f64) {
        let x = MARGIN + (layer % self.per_row) as f64 * (BOX_WIDTH + GAP);
        (x, self.centers[layer / self.per_row][lane])
    }

    /// Point at which edges leave a cell, `(x, y)`.
    fn leave(&self, layer: usize, lane: usize) -> (f64, f64) {
        let (x, y) = self.enter(layer, lane);
        (x + BOX_WIDTH, y)
    }

    fn path(&self, edge: &Edge) -> String {
        let (mut x, mut y) = self.leave(edge.layers.0, edge.lanes[0]);
        let mut out = format!("M{x:.1} {y:.1}");
        for (i, &lane) in edge.lanes.iter().enumerate().skip(1) {
            let layer = edge.layers.0 + i;
            let (to_x, to_y) = self.enter(layer, lane);
            let row = (layer - 1) / self.per_row;
            if row == layer / self.per_row {
                let middle = (x + to_x) / 2.0;
                put!(out, "C{middle:.1} {y:.1} {middle:.1} {to_y:.1} {to_x:.1} {to_y:.1}");
            } else {
                let (top, sources) = &self.gutters[row];
                let track = sources.iter().position(|&s| s == edge.source).unwrap_or(0) as f64;
                let gutter = top + 8.0 + 8.0 * track;
                let right = x + 10.0 + (4.0 * track).min(12.0);
                let left = to_x - 15.0 - (3.0 * track).min(8.0);
                put!(out, "H{:.1}Q{right:.1} {y:.1} {right:.1} {:.1}V{:.1}", right - 6.0, y + 6.0, gutter - 6.0);
                put!(out, "Q{right:.1} {gutter:.1} {:.1} {gutter:.1}H{:.1}", right - 6.0, left + 6.0);
                put!(out, "Q{left:.1} {gutter:.1} {left:.1} {:.1}V{:.1}", gutter + 6.0, to_y - 6.0);
                put!(out, "Q{left:.1} {to_y:.1} {:.1} {to_y:.1}H{to_x:.1}", left + 6.0);
            }
            (x, y) = (to_x, to_y);
            if i + 1 < edge.lanes.len() {
                (x, y) = self.leave(layer, lane);
                put!(out, "H{x:.1}");
            }
        }
        out
    }
}

fn parents(stages: &[StageView]) -> Vec<Vec<usize>> {
    let index: BTreeMap<&str, usize> = stages.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
    stages
        .iter()
        .map(|stage| {
            let mut from: Vec<usize> = stage.from.iter().filter_map(|name| index.get(name.as_str()).copied()).collect();
            from.sort_unstable();
            from.dedup();
            from
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, from: &[&str]) -> StageView {
        let from = from.iter().map(|&f| f.to_owned()).collect();
        StageView { name: name.to_owned(), verb: "do".to_owned(), from, ..StageView::default() }
    }

    #[test]
    fn depth_follows_the_edges_whatever_the_order() {
        let stages = [
            stage("codes", &["clips", "codec"]),
            stage("codec", &["clips"]),
            stage("clips", &["tracks"]),
            stage("tracks", &[]),
            stage("prior", &[]),
            stage("songs", &["codes", "prior"]),
        ];
        assert_eq!(layers(&stages), [3, 2, 1, 0, 3, 4]);
        assert_eq!(reading_order(&stages), [3, 2, 1, 0, 4, 5]);
    }

    #[test]
    fn boxes_and_passing_edges_never_share_a_cell() {
        let stages = [
            stage("a", &[]),
            stage("b", &["a"]),
            stage("c", &["b", "a"]),
            stage("d", &["c", "b", "a"]),
            stage("e", &["a"]),
        ];
        let layout = Layout::new(&stages);
        for edge in &layout.edges {
            for (i, lane) in edge.lanes.iter().enumerate().take(edge.lanes.len() - 1).skip(1) {
                let at = edge.layers.0 + i;
                assert!((0..stages.len()).all(|s| (layout.layer[s], layout.lane[s]) != (at, *lane)));
            }
        }
        assert_eq!(layout.edges.len(), 7);
    }

    #[test]
    fn long_chains_wrap_and_cycles_or_strangers_do_not_hang() {
        let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
        let chain: Vec<StageView> = (0..12)
            .map(|i| stage(&names[i], &names[i.max(1) - 1..i].iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let layout = Layout::new(&chain);
        assert_eq!((layout.per_row, layout.centers.len()), (4, 3));
        assert!(layout.width < 1100.0);
        assert!(graph(&[stage("a", &["b"]), stage("b", &["a", "nobody"])]).is_some());
        assert_eq!(graph(&[]), None);
    }
}
