//! A place in the sources, and the text that makes it a choice.

/// One replacement of exact text.
#[derive(Debug, Clone)]
pub struct Edit {
    pub file: &'static str,
    /// Occurs exactly once in the file.
    pub near: &'static str,
    /// Occurs exactly once in `near`; this is what is replaced.
    pub original: &'static str,
    /// What stands there instead, with the choice in it.
    pub becomes: String,
}

/// Why an edit cannot be made.
#[derive(Debug, PartialEq, Eq)]
pub struct NoLongerApplies(String);

impl std::fmt::Display for NoLongerApplies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns `text`, the contents of `file`, with all of `edits` made.
///
/// # Errors
///
/// Each edit whose text is not there once, and each that overlaps with another.
pub fn edited(file: &str, text: &str, edits: &[&Edit]) -> Result<String, Vec<NoLongerApplies>> {
    let mut problems = Vec::new();
    let mut places = Vec::new();
    for edit in edits {
        match place(text, edit) {
            Ok(place) => places.push((place, edit)),
            Err(problem) => problems.push(problem),
        }
    }
    places.sort_by_key(|(place, _)| *place);
    for pair in places.windows(2) {
        if pair[1].0 < pair[0].0 + pair[0].1.original.len() {
            problems.push(NoLongerApplies(format!(
                "{file}: two mutations replace the same text: `{}` and `{}`",
                pair[0].1.original, pair[1].1.original
            )));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut changed = String::new();
    let mut at = 0;
    for (place, edit) in places {
        changed.push_str(&text[at..place]);
        changed.push_str(&edit.becomes);
        at = place + edit.original.len();
    }
    changed.push_str(&text[at..]);
    Ok(changed)
}

fn place(text: &str, edit: &Edit) -> Result<usize, NoLongerApplies> {
    let near = only(text, edit.near, edit.file)?;
    Ok(near + only(edit.near, edit.original, edit.file)?)
}

fn only(text: &str, part: &str, file: &str) -> Result<usize, NoLongerApplies> {
    let count = text.matches(part).count();
    match text.find(part) {
        Some(at) if count == 1 => Ok(at),
        _ => Err(NoLongerApplies(format!(
            "a mutation of {file} no longer applies: the text below is there {count} times, and once \
             is needed; tell tests/tests/mutations/mutations what enforces it now\n{part}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(near: &'static str, original: &'static str) -> Edit {
        Edit {
            file: "a.rs",
            near,
            original,
            becomes: "new".to_owned(),
        }
    }

    #[test]
    fn only_the_place_that_is_meant_is_replaced() {
        let made = edited(
            "a.rs",
            "f(x); g(x);",
            &[&edit("g(x)", "x"), &edit("f(", "f")],
        );
        assert_eq!(made.unwrap(), "new(x); g(new);");
    }

    #[test]
    fn what_is_gone_or_not_alone_or_shared_is_told() {
        for (text, edits) in [
            ("f(y);", vec![edit("f(x)", "x")]),
            ("f(x); f(x);", vec![edit("f(x)", "x")]),
            ("f(x);", vec![edit("f(x)", "f(x"), edit("f(x)", "x")]),
        ] {
            let edits: Vec<&Edit> = edits.iter().collect();
            assert_eq!(edited("a.rs", text, &edits).unwrap_err().len(), 1, "{text}");
        }
    }
}
