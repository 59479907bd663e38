//! SPDX license expressions in one canonical form.

use serde::{Deserialize, Serialize};
use spdx::expression::{ExprNode, Operator};
use spdx::identifiers::{EXCEPTIONS, LICENSES};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// One license of an expression, with its exception if it has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leaf {
    /// An id of the SPDX list (with a trailing `+` for "or later" outside the GNU family), or
    /// `[DocumentRef-..:]LicenseRef-..`.
    pub id: String,
    /// Exception: the identifier after `WITH`.
    pub exception: Option<String>,
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match &self.exception {
            Some(exception) => write!(f, " WITH {exception}"),
            None => Ok(()),
        }
    }
}

/// A license expression whose operands are flattened, sorted and without repetition, so that two
/// spellings of one expression are equal and print the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Expression {
    /// One license.
    Leaf(Leaf),
    /// `AND`: every operand holds. At least two operands, none of them `All`.
    All(Vec<Expression>),
    /// `OR`: the licensee chooses. At least two operands, none of them `Any`.
    Any(Vec<Expression>),
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operands, word) = match self {
            Expression::Leaf(leaf) => return leaf.fmt(f),
            Expression::All(operands) => (operands, " AND "),
            Expression::Any(operands) => (operands, " OR "),
        };
        for (i, operand) in operands.iter().enumerate() {
            if i > 0 {
                f.write_str(word)?;
            }
            // AND binds tighter than OR, so only an OR inside an AND needs its parentheses.
            match operand {
                Expression::Any(_) => write!(f, "({operand})")?,
                _ => operand.fmt(f)?,
            }
        }
        Ok(())
    }
}

/// Why a text is not an SPDX expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {part:?}")]
pub struct Unreadable {
    /// The part of the text that was not understood.
    pub part: String,
    /// The reason, as a fragment.
    pub reason: String,
}

impl Expression {
    /// An expression of one license.
    pub fn leaf(id: &str) -> Expression {
        Expression::Leaf(Leaf { id: id.to_owned(), exception: None })
    }

    /// Reads an SPDX expression: strictly, and failing that with folded case, `/` for `OR`, and
    /// the GNU names that SPDX has retired (`GPL-2.0+` is `GPL-2.0-or-later`).
    ///
    /// # Errors
    /// The part that was not understood, and why.
    pub fn parse(text: &str) -> Result<Expression, Unreadable> {
        let strict = spdx::Expression::parse(text);
        let parsed = strict.or_else(|_| {
            let lenient = spdx::ParseMode { allow_imprecise_license_names: false, ..spdx::ParseMode::LAX };
            spdx::Expression::parse_mode(&fold_ids(text), lenient)
        });
        let parsed = parsed.map_err(|error| Unreadable {
            part: error
                .original
                .get(error.span.clone())
                .filter(|part| !part.is_empty())
                .unwrap_or(&error.original)
                .to_owned(),
            reason: error.reason.to_string(),
        })?;
        let mut stack: Vec<Expression> = Vec::new();
        for node in parsed.iter() {
            let next = match node {
                ExprNode::Req(req) => Expression::Leaf(Leaf::from(&req.req)),
                ExprNode::Op(op) => match (stack.pop(), stack.pop()) {
                    (Some(b), Some(a)) => gather(*op, vec![a, b]),
                    _ => return Err(unbalanced(text)),
                },
            };
            stack.push(next);
        }
        match (stack.pop(), stack.pop()) {
            (Some(whole), None) => Ok(whole),
            _ => Err(unbalanced(text)),
        }
    }

    /// `AND` of several expressions, in canonical form. Of one expression it is that expression.
    pub(super) fn all(operands: Vec<Expression>) -> Expression {
        gather(Operator::And, operands)
    }

    /// Every license named, in canonical order.
    pub fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Expression::Leaf(leaf) => vec![leaf],
            Expression::All(operands) | Expression::Any(operands) => {
                operands.iter().flat_map(Expression::leaves).collect()
            }
        }
    }
}

fn unbalanced(text: &str) -> Unreadable {
    Unreadable { part: text.to_owned(), reason: "an operator lacks an operand".to_owned() }
}

fn gather(op: Operator, sides: Vec<Expression>) -> Expression {
    let mut operands = Vec::new();
    for side in sides {
        match (op, side) {
            (Operator::And, Expression::All(inner)) | (Operator::Or, Expression::Any(inner)) => {
                operands.extend(inner);
            }
            (_, other) => operands.push(other),
        }
    }
    operands.sort();
    operands.dedup();
    if operands.len() == 1 {
        return operands.swap_remove(0);
    }
    match op {
        Operator::And => Expression::All(operands),
        Operator::Or => Expression::Any(operands),
    }
}

impl From<&spdx::LicenseReq> for Leaf {
    fn from(req: &spdx::LicenseReq) -> Leaf {
        let id = match &req.license {
            spdx::LicenseItem::Spdx { id, or_later } => current_id(id.name, *or_later),
            other @ spdx::LicenseItem::Other(_) => other.to_string(),
        };
        Leaf { id, exception: req.addition.as_ref().map(ToString::to_string) }
    }
}

/// The id that SPDX uses today: bare GNU names became `-only`, and with a `+` `-or-later`.
fn current_id(name: &str, or_later: bool) -> String {
    if name.ends_with("-only") || name.ends_with("-or-later") {
        return name.to_owned();
    }
    let suffixed = format!("{name}-{}", if or_later { "or-later" } else { "only" });
    if spdx::license_id(&suffixed).is_some() {
        return suffixed;
    }
    match or_later && !name.ends_with('+') {
        true => format!("{name}+"),
        false => name.to_owned(),
    }
}

/// Ids of the list by their lower-case form.
pub(super) fn by_folded_id(folded: &str) -> Option<&'static str> {
    static IDS: OnceLock<BTreeMap<String, &'static str>> = OnceLock::new();
    let ids = IDS.get_or_init(|| {
        let licenses = LICENSES.iter().map(|license| license.name);
        let exceptions = EXCEPTIONS.iter().map(|exception| exception.name);
        licenses.chain(exceptions).map(|name| (name.to_ascii_lowercase(), name)).collect()
    });
    ids.get(folded).copied()
}

/// The id of a license by its full name in the SPDX list, ignoring case ("Apache License 2.0").
/// Several ids may share a name (GNU `-only` and the retired bare id): then there is no answer,
/// unless all but one are retired.
pub(super) fn full_name(text: &str) -> Option<String> {
    const RETIRED: u8 = spdx::flags::IS_DEPRECATED;
    let named = |license: &&spdx::License| license.full_name.eq_ignore_ascii_case(text);
    let mut current = LICENSES.iter().filter(|license| license.flags & RETIRED == 0).filter(named);
    let first = current.next()?;
    current.next().is_none().then(|| first.name.to_owned())
}

/// Replaces every id by its spelling in the list, and operators by upper case.
fn fold_ids(text: &str) -> String {
    let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_id(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let folded = word.to_ascii_lowercase();
        match folded.as_str() {
            "and" | "or" | "with" => out.push_str(&folded.to_ascii_uppercase()),
            _ => match by_folded_id(&folded) {
                Some(id) => out.push_str(id),
                None => out.push_str(&reference_case(word)),
            },
        }
        let gap = tail.find(is_id).unwrap_or(tail.len());
        out.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    out
}

/// `licenseref-X` as `LicenseRef-X`; what follows the prefix is the author's and stays.
fn reference_case(word: &str) -> String {
    const PREFIX: &str = "LicenseRef-";
    match word.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => {
            format!("{PREFIX}{}", &word[PREFIX.len()..])
        }
        _ => word.to_owned(),
    }
}
