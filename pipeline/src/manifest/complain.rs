//! All that is wrong with a manifest, shown where it stands.

use crate::terminal::escape::escaped;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use stages::settings::{At, Complaint};
use std::fmt;

/// The place of a complaint about no text at all, such as a file that is not there.
pub const NOWHERE: At = At { source: u16::MAX, start: 0, end: 0 };

/// The screen is taken to be this wide, so that the same mistake always reads the same.
const WIDTH: usize = 100;

/// More complaints than this are counted, not shown.
const SHOWN: usize = 50;

/// A text that complaints point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the source text: the manifest's path as typed, or the command line's option.
    pub label: String,
    /// Source text.
    pub text: String,
}

/// Everything wrong, sorted by place. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaints {
    sources: Vec<Source>,
    list: Vec<Complaint>,
}

impl Complaints {
    /// Sorts by place and drops repetitions. `sources` are indexed by [`At::source`].
    pub fn new(sources: Vec<Source>, mut list: Vec<Complaint>) -> Complaints {
        list.sort();
        list.dedup();
        Complaints { sources, list }
    }

    /// The complaints, sorted by place.
    pub fn list(&self) -> &[Complaint] {
        &self.list
    }

    /// The last line: how many there are, and that nothing happened.
    pub fn summary(&self) -> String {
        match self.list.len() {
            1 => "1 complaint; nothing was run".to_owned(),
            many => format!("{many} complaints; nothing was run"),
        }
    }

    /// Renders each complaint with its lines of text, underlined; with ANSI colours if `color`. What a terminal would act
    /// on in manifest and names is escaped.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_links(false)
            .without_syntax_highlighting()
            .without_primary_span_start();
        let mut out = String::new();
        for complaint in self.list.iter().take(SHOWN) {
            let shown = Shown::new(complaint, self.sources.get(usize::from(complaint.at.source)));
            // Writing into a string fails only if a label lies outside its text, which `Shown` prevents.
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&format!("  {}\n", self.line(complaint)));
            }
            out.push('\n');
        }
        if self.list.len() > SHOWN {
            out.push_str(&format!("  .. and {} more\n\n", self.list.len() - SHOWN));
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }

    /// One line: place, message, help.
    fn line(&self, complaint: &Complaint) -> String {
        let place = match self.sources.get(usize::from(complaint.at.source)) {
            Some(source) => format!("{}: ", place(source, complaint.at)),
            None => String::new(),
        };
        let help = complaint.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{place}{}{help}", complaint.message)
    }
}

/// One line per complaint, `file:line:column: message (help)`, for logs and editors.
impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for complaint in &self.list {
            writeln!(f, "{}", self.line(complaint))?;
        }
        f.write_str(&self.summary())
    }
}

impl std::error::Error for Complaints {}

/// `label:line:column`, both from 1, the column in characters.
fn place(source: &Source, at: At) -> String {
    let (start, _) = within(&source.text, at);
    let before = &source.text[..start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    format!("{}:{line}:{column}", source.label)
}

/// A span cut to the text, to whole characters, and to its first line.
fn within(text: &str, at: At) -> (usize, usize) {
    let floor = |mut offset: usize| {
        offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let mut start = floor(at.start as usize);
    // The end of a text is shown at the end of its last line, and so are the blanks before it.
    start = start.min(text.trim_end().len());
    let end = floor(at.end as usize).min(text.trim_end().len()).max(start);
    let line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
    (start, line)
}

/// A complaint as miette wants it.
#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    span: (usize, usize),
}

impl Shown {
    fn new(complaint: &Complaint, source: Option<&Source>) -> Shown {
        let (start, end) = source.map_or((0, 0), |source| within(&source.text, complaint.at));
        // Escaped before miette measures and colors it; the span moves with the text.
        let length = |from: usize, to: usize| source.map_or(0, |s| escaped(&s.text[from..to]).len());
        let named = |s: &Source| {
            let name = escaped(&place(s, complaint.at)).into_owned();
            // Without a last line break, miette underlines nothing at the very end.
            NamedSource::new(name, format!("{}\n", escaped(s.text.trim_end())))
        };
        Shown {
            message: escaped(&complaint.message).into_owned(),
            help: complaint.help.as_deref().map(|help| escaped(help).into_owned()),
            source: source.map(named),
            span: (length(0, start), length(start, end)),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, self.span))))
    }
}
