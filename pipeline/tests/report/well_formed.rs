//! A checker of HTML as this project writes it: every element closed in order, every attribute quoted, every
//! ampersand an entity, every id unique.

const VOID: [&str; 4] = ["meta", "br", "img", "input"];

/// The first fault of a page, if it has one.
pub(crate) fn fault(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut ids: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>")?;
    while let Some(at) = rest.find('<') {
        if let Some(text) = bad_text(&rest[..at], open.last() == Some(&"style")) {
            return Some(text);
        }
        rest = &rest[at + 1..];
        let mut quoted = false;
        let end = rest.char_indices().find(|&(_, c)| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let Some((end, _)) = end else { return Some(format!("a tag without end: {:.60}", rest)) };
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes nothing, inside {open:?}"));
            }
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or("");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Some(format!("not a name: {tag:.60}"));
        }
        if let Some(text) = bad_text(tag, false) {
            return Some(text);
        }
        // Outside the quotes, every part but the last must end in the equals sign of its attribute.
        let outside: Vec<&str> = tag.split('"').step_by(2).collect();
        let values = outside.len() - 1;
        if tag.matches('"').count() != 2 * values || outside[..values].iter().any(|part| !part.ends_with('=')) {
            return Some(format!("quotes of <{tag:.60}>"));
        }
        if let Some(id) = tag.split(" id=\"").nth(1).and_then(|id| id.split('"').next()) {
            if ids.contains(&id) {
                return Some(format!("id {id} twice"));
            }
            ids.push(id);
        }
        if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    (!open.is_empty()).then(|| format!("never closed: {open:?}"))
}

/// A bare ampersand or a bare `>`, which only a style sheet may hold.
fn bad_text(text: &str, style: bool) -> Option<String> {
    if style {
        return None;
    }
    let entity = |after: &str| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| after.starts_with(e));
    let bare = text.split('&').skip(1).find(|after| !entity(after));
    bare.map(|after| format!("bare ampersand before {after:.30}"))
        .or_else(|| text.contains('>').then(|| format!("bare > in {text:.60}")))
}

#[test]
fn faults_are_found() {
    assert_eq!(fault("<!DOCTYPE html><p a=\"1\">x &amp; y<br></p>"), None);
    for bad in [
        "<p>",
        "<p></b></p>",
        "<p>a & b</p>",
        "<p a=\"1>x</p>",
        "<p a=1\">x</p>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "a > b<p></p>",
    ] {
        assert!(fault(&format!("<!DOCTYPE html>{bad}")).is_some(), "{bad}");
    }
}
