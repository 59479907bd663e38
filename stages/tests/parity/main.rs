//! Metrics against other implementations: cases with known answers, computed in float64 by numpy, scipy, torch and the
//! tools that the field uses, on inputs that any language can make.

mod frechet;
mod generator;
mod listening;
mod sets;

use serde_json::Value;

/// A file of cases with their answers.
fn cases(name: &str) -> Value {
    let path = format!("{}/tests/parity/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Rows of a table without its heading.
fn rows(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/parity/data/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number")) as usize
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

/// Agreement within a share of the expected value, of small ones within that of a thousandth.
fn near(found: f64, expected: f64, tolerance: f64) {
    let close = (found - expected).abs() <= tolerance * expected.abs().max(1e-3);
    assert!(close, "{found} for {expected}");
}
