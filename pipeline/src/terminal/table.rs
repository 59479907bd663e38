//! Aligned columns.

use crate::terminal::escape::in_line;
use std::fmt::Write as _;

/// Columns of one width, two spaces apart: the first flush left, the others flush right. All lines have as many cells. A
/// cell is escaped before it is measured, and stays in its line.
pub(crate) fn aligned<L: AsRef<[String]>>(lines: &[L]) -> String {
    let shown = |line: &L| line.as_ref().iter().map(|cell| in_line(cell).into_owned()).collect();
    let lines: Vec<Vec<String>> = lines.iter().map(shown).collect();
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(i, (cell, width))| match i {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}
