//! Charts as inline SVG: bars, histograms, lines. Colors come from the page's style, so that both of its themes fit.

pub(in crate::report) mod graph;
pub(in crate::report) mod scale;

use super::markup::{Text, clipped, count, percent, put};
use scale::{Scale, step, tick_label};

/// Columns of text that fit beside the count in a panel of bars.
const LABEL_COLUMNS: usize = 30;
/// Bars shown before the rest is put together.
const MOST_BARS: usize = 12;
/// Points of a curve drawn; more are put together.
const MOST_POINTS: usize = 240;

/// One bar: label and number.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: u64,
}

/// Horizontal bars, longest first, each with its label, count and share. Beyond twelve, the rest is one bar.
pub(super) fn bars(title: &str, mut rows: Vec<Bar>) -> String {
    const WIDTH: f64 = 330.0;
    const ROW: usize = 34;
    rows.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.label.cmp(&b.label)));
    let total: u64 = rows.iter().map(|row| row.value).sum();
    if rows.len() > MOST_BARS {
        let rest = rows.split_off(MOST_BARS - 1);
        let label = format!("{} others", rest.len());
        rows.push(Bar { label, value: rest.iter().map(|row| row.value).sum() });
    }
    let longest = rows.iter().map(|row| row.value).max().unwrap_or(0).max(1);
    let said: Vec<String> = rows.iter().map(|row| format!("{} {}", row.label, count(row.value))).collect();
    let mut out = format!(
        "<svg class=\"chart bars\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}: {}\">",
        rows.len() * ROW,
        Text(title),
        Text(&said.join(", "))
    );
    for (i, row) in rows.iter().enumerate() {
        let y = i * ROW;
        let length = (row.value as f64 / longest as f64 * WIDTH).max(if row.value > 0 { 2.0 } else { 0.0 });
        put!(out, "<text x=\"0\" y=\"{}\">{}", y + 14, Text(&clipped(&row.label, LABEL_COLUMNS)));
        put!(out, "<title>{}</title></text>", Text(&row.label));
        put!(out, "<text class=\"end\" x=\"{WIDTH}\" y=\"{}\">{}", y + 14, count(row.value));
        put!(out, "<tspan class=\"soft\" dx=\"6\">{}</tspan></text>", percent(row.value, total));
        put!(out, "<rect class=\"track\" x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"7\" rx=\"2\"/>", y + 20);
        put!(out, "<rect class=\"bar\" x=\"0\" y=\"{}\" width=\"{length:.1}\" height=\"7\" rx=\"2\"/>", y + 20);
    }
    out.push_str("</svg>");
    out
}

/// Histogram of `values` in equal steps. Where a few are far longer than the rest, the last step takes all of them.
/// `unit` is written after the axis. `None` without values.
pub(super) fn histogram(title: &str, unit: &str, values: &[f64]) -> Option<String> {
    const WIDTH: f64 = 1040.0;
    const HEIGHT: f64 = 220.0;
    const BINS: usize = 32;
    let (left, right, top, bottom) = (46.0, WIDTH - 8.0, 12.0, HEIGHT - 34.0);
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite() && *v >= 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let (&shortest, &longest) = (sorted.first()?, sorted.last()?);
    let usual = sorted[(sorted.len() - 1) * 99 / 100];
    let overflows = longest > 3.0 * usual && usual > 0.0;
    let end = if overflows { usual } else { longest };
    let spread = (end - shortest).max(end * 0.05).max(1e-3);
    let width = step(spread, BINS);
    let first = (shortest / width).floor();
    let whole = ((end / width).floor() - first) as usize + 1;
    let bins = whole + usize::from(overflows);
    let mut counts = vec![0u64; bins];
    for value in &sorted {
        counts[(((value / width).floor() - first) as usize).min(bins - 1)] += 1;
    }

    let (low, high) = (first * width, (first + bins as f64) * width);
    let x = Scale::linear(low, high, left, right);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let y = Scale::linear(0.0, most as f64 * 1.06, bottom, top);
    let label = format!(
        "{title}: {} values from {} to {} {unit}, most in a step of {}: {}",
        sorted.len(),
        tick_label(shortest),
        tick_label(longest),
        tick_label(width),
        count(most)
    );
    let mut out = open(WIDTH, HEIGHT, &label);
    grid(&mut out, &y, &whole_ticks(&y), left, right);
    for (i, &n) in counts.iter().enumerate() {
        let from = x.place(low + i as f64 * width);
        let to = x.place(low + (i + 1) as f64 * width);
        let gap = ((to - from) * 0.12).min(2.0);
        let over = overflows && i == bins - 1;
        let place = y.place(n as f64);
        put!(
            out,
            "<rect class=\"{}\" x=\"{:.1}\" y=\"{place:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            if over { "bar over" } else { "bar" },
            from + gap,
            to - from - 2.0 * gap,
            bottom - place,
            Text(&format!(
                "{} {} {unit}: {}",
                if over { "over" } else { "from" },
                tick_label(low + i as f64 * width),
                count(n)
            ))
        );
    }
    let limit = low + whole as f64 * width;
    let ticks: Vec<f64> = x.ticks(10).into_iter().filter(|&tick| !overflows || tick < limit - width).collect();
    foot(&mut out, &x, &ticks, bottom, left, right);
    if overflows {
        put!(out, "<text class=\"end tick\" x=\"{right:.1}\" y=\"{:.1}\">over {}", bottom + 16.0, tick_label(limit));
        put!(out, ", to {}</text>", Text(&tick_label(longest.ceil())));
    }
    put!(out, "<text class=\"end soft\" x=\"{right:.1}\" y=\"{:.1}\">{}</text></svg>", HEIGHT - 3.0, Text(unit));
    Some(out)
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Written at its end and in the legend.
    pub(super) label: String,
    /// Index of the line's tone in the page's style.
    pub(super) tone: usize,
    /// Points of the line, in order of x; those that are not finite are left out.
    pub(super) points: Vec<(f64, f64)>,
}

/// Axes and captions of a line chart.
#[derive(Clone, Debug)]
pub(super) struct Axes<'a> {
    /// Description of the chart, for readers who cannot see it.
    pub(super) title: &'a str,
    /// Written at the end of the x axis.
    pub(super) x_unit: &'a str,
    /// A logarithmic x axis.
    pub(super) x_log: bool,
    /// A logarithmic y axis, where the values are positive and span a factor of eight or more.
    pub(super) y_log: bool,
}

/// Lines over one pair of axes. A curve of many points is drawn as the mean of its neighborhoods, with a band from
/// the least to the greatest. `None` where nothing can be drawn.
pub(super) fn lines(axes: &Axes<'_>, series: &[Series]) -> Option<String> {
    const WIDTH: f64 = 510.0;
    const HEIGHT: f64 = 250.0;
    let (left, right, top, bottom) = (48.0, WIDTH - 62.0, 10.0, HEIGHT - 36.0);
    let usable = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!axes.x_log || x > 0.0);
    let thinned: Vec<(&Series, Vec<Point>)> = series
        .iter()
        .map(|s| (s, thin(&s.points.iter().copied().filter(usable).collect::<Vec<_>>())))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || thinned.iter().flat_map(|(_, points)| points.iter());
    let (x_low, x_high) = extent(all().map(|p| p.x))?;
    let (y_low, y_high) = extent(all().flat_map(|p| [p.low, p.high]))?;
    let x = if axes.x_log {
        Scale::log(x_low, x_high, left, right)
    } else {
        Scale::linear(if x_low < 0.1 * x_high { 0.0 } else { x_low }, x_high, left, right)
    };
    let log = axes.y_log && y_low > 0.0 && y_high / y_low >= 8.0;
    let y = if log {
        Scale::log(y_low * 0.85, y_high * 1.15, bottom, top)
    } else {
        let unit = step(y_high - y_low.min(0.0), 5);
        let round = (y_high / unit).ceil() * unit;
        let high = if round <= y_high * 1.2 { round } else { y_high * 1.06 };
        Scale::linear(y_low.min(0.0), high, bottom, top)
    };

    let ends: Vec<String> = thinned
        .iter()
        .filter_map(|(s, points)| {
            points.last().map(|end| format!("{} ends at {}", s.label, tick_label(rounded(end.y))))
        })
        .collect();
    let mut out = open(WIDTH, HEIGHT, &format!("{}: {}", axes.title, ends.join(", ")));
    grid(&mut out, &y, &y.ticks(6), left, right);
    foot(&mut out, &x, &x.ticks(6), bottom, left, right);
    let unit = format!("{}{}", axes.x_unit, if log { " \u{b7} vertical axis logarithmic" } else { "" });
    put!(out, "<text class=\"end soft\" x=\"{right:.1}\" y=\"{:.1}\">{}</text>", HEIGHT - 3.0, Text(&unit));
    for (s, points) in &thinned {
        if points.iter().any(|p| p.low < p.high) {
            put!(out, "<path class=\"band t{}\" d=\"M", s.tone % TONES);
            let there = points.iter().map(|p| (p.x, p.high));
            let back = points.iter().rev().map(|p| (p.x, p.low));
            push_points(&mut out, there.chain(back), &x, &y);
            out.push_str("Z\"/>");
        }
    }
    for (s, points) in &thinned {
        put!(out, "<path class=\"line t{}\" d=\"M", s.tone % TONES);
        push_points(&mut out, points.iter().map(|p| (p.x, p.y)), &x, &y);
        out.push_str("\"/>");
        if let [only] = points.as_slice() {
            put!(out, "<circle class=\"dot t{}\" ", s.tone % TONES);
            put!(out, "cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x.place(only.x), y.place(only.y));
        }
    }
    let wanted: Vec<f64> = thinned.iter().map(|(_, points)| points.last().map_or(top, |p| y.place(p.y))).collect();
    for ((s, points), (from, to)) in thinned.iter().zip(wanted.iter().zip(apart(&wanted, 14.0, top + 4.0, bottom))) {
        let end = points.last().map_or(right, |p| x.place(p.x));
        put!(out, "<path class=\"lead\" d=\"M{:.1} {from:.1}L{:.1} {to:.1}\"/>", end + 2.0, end + 9.0);
        put!(out, "<text class=\"ink t{}\" x=\"{:.1}\" y=\"{:.1}\">", s.tone % TONES, end + 11.0, to + 4.0);
        put!(out, "{}</text>", Text(&clipped(&s.label, 9)));
    }
    out.push_str("</svg>");
    Some(out)
}

/// The lines' names beside their tones.
pub(super) fn legend(series: &[(usize, String)]) -> String {
    let mut out = String::from("<ul class=\"legend\">");
    for (tone, label) in series {
        put!(out, "<li><span class=\"swatch t{}\"></span>{}</li>", tone % TONES, Text(label));
    }
    out.push_str("</ul>");
    out
}

/// Number of tones in the page's style.
const TONES: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
    low: f64,
    high: f64,
}

/// Thins a line to at most [`MOST_POINTS`] points: each the mean of its neighborhood, with the least and the greatest
/// in it.
fn thin(points: &[(f64, f64)]) -> Vec<Point> {
    if points.len() <= MOST_POINTS {
        return points.iter().map(|&(x, y)| Point { x, y, low: y, high: y }).collect();
    }
    (0..MOST_POINTS)
        .map(|i| &points[i * points.len() / MOST_POINTS..(i + 1) * points.len() / MOST_POINTS])
        .map(|part| {
            let n = part.len() as f64;
            Point {
                x: part.iter().map(|p| p.0).sum::<f64>() / n,
                y: part.iter().map(|p| p.1).sum::<f64>() / n,
                low: part.iter().map(|p| p.1).fold(f64::INFINITY, f64::min),
                high: part.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max),
            }
        })
        .collect()
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |so_far, v| {
        let (low, high) = so_far.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    })
}

/// Three significant digits, enough to read aloud.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let unit = libm::pow(10.0, libm::log10(value.abs()).floor() - 2.0);
    (value / unit).round() * unit
}

fn push_points(out: &mut String, points: impl Iterator<Item = (f64, f64)>, x: &Scale, y: &Scale) {
    for (i, (px, py)) in points.enumerate() {
        put!(out, "{}{:.1} {:.1}", if i == 0 { "" } else { "L" }, x.place(px), y.place(py));
    }
}

/// Places as near to those wanted as can be, at least `gap` apart, within `top..=bottom` where they fit.
fn apart(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));
    let mut placed = wanted.to_vec();
    let mut least = top;
    for &i in &order {
        placed[i] = placed[i].max(least);
        least = placed[i] + gap;
    }
    let mut most = bottom;
    for &i in order.iter().rev() {
        placed[i] = placed[i].min(most);
        most = placed[i] - gap;
    }
    placed
}

/// Ticks of an axis of counts.
fn whole_ticks(scale: &Scale) -> Vec<f64> {
    scale.ticks(5).into_iter().filter(|tick| (tick - tick.round()).abs() < 1e-9).collect()
}

fn open(width: f64, height: f64, label: &str) -> String {
    format!("<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">", Text(label))
}

fn grid(out: &mut String, y: &Scale, ticks: &[f64], left: f64, right: f64) {
    for &tick in ticks {
        let place = y.place(tick);
        put!(out, "<path class=\"grid\" d=\"M{left:.1} {place:.1}H{right:.1}\"/>");
        put!(out, "<text class=\"end tick\" x=\"{:.1}\" y=\"{:.1}\">", left - 7.0, place + 4.0);
        put!(out, "{}</text>", tick_label(tick));
    }
}

fn foot(out: &mut String, x: &Scale, ticks: &[f64], bottom: f64, left: f64, right: f64) {
    put!(out, "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>");
    for &tick in ticks {
        let place = x.place(tick);
        put!(out, "<path class=\"axis\" d=\"M{place:.1} {bottom:.1}v4\"/>");
        put!(out, "<text class=\"mid tick\" x=\"{place:.1}\" y=\"{:.1}\">{}</text>", bottom + 16.0, tick_label(tick));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_beyond_twelve_become_one_and_nothing_is_lost() {
        let rows = (0..20).map(|i| Bar { label: format!("g{i}"), value: 100 - i }).collect();
        let svg = bars("genre", rows);
        assert_eq!(svg.matches("class=\"bar\"").count(), 12);
        let rest: u64 = (11..20).map(|i| 100 - i).sum();
        assert!(svg.contains("9 others") && svg.contains(&format!(">{rest}<")));
    }

    #[test]
    fn a_histogram_counts_every_value_once() {
        let values: Vec<f64> = (0..500).map(|i| f64::from(i % 37) + 0.5).chain([4_000.0]).collect();
        let svg = histogram("length", "seconds", &values).expect("values");
        assert!(svg.contains("over 38, to 4000"), "{svg}");
        let total: u64 = svg
            .split("<title>")
            .skip(1)
            .filter_map(|s| s.split("</title>").next()?.rsplit(' ').next()?.replace(',', "").parse::<u64>().ok())
            .sum();
        assert_eq!(total, 501);
        assert_eq!(histogram("length", "seconds", &[]), None);
        assert!(histogram("length", "seconds", &[12.0; 9]).is_some());
        assert!(histogram("length", "seconds", &[0.0]).is_some());
    }

    #[test]
    fn thinning_keeps_the_extremes_in_the_band() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), if i == 777 { 9.0 } else { 1.0 })).collect();
        let thinned = thin(&points);
        assert_eq!(thinned.len(), MOST_POINTS);
        assert_eq!(extent(thinned.iter().flat_map(|p| [p.low, p.high])), Some((1.0, 9.0)));
    }

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        let placed = apart(&[50.0, 51.0, 49.0, 200.0], 14.0, 0.0, 200.0);
        assert!(placed[2] + 14.0 <= placed[0] && placed[0] + 14.0 <= placed[1] && placed[3] == 200.0);
        let crowded = apart(&[198.0, 199.0, 200.0], 14.0, 0.0, 200.0);
        assert_eq!(crowded, [172.0, 186.0, 200.0]);
    }

    #[test]
    fn lines_without_a_finite_point_draw_nothing() {
        let axes = Axes { title: "loss", x_unit: "step", x_log: false, y_log: true };
        let series = |points: Vec<(f64, f64)>| [Series { label: "level 0".to_owned(), tone: 0, points }];
        assert_eq!(lines(&axes, &series(vec![(1.0, f64::NAN)])), None);
        assert!(lines(&axes, &series(vec![(1.0, 0.5)])).is_some_and(|svg| svg.contains("<circle")));
        assert!(lines(&axes, &series(vec![(0.0, 1.0), (1.0, 0.01)])).is_some_and(|svg| svg.contains("logarithmic")));
    }
}
