//! YAML text as a JSON value: plain data only, no anchors and no tags.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Returns the one document of `text`; an empty text is `null`.
///
/// # Errors
///
/// A sentence fragment with line and column: text that is no YAML, or uses anchors or keys that
/// are no scalars.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<Node> = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|e| e.to_string())?;
        let done = match event {
            Event::SequenceStart(..) => {
                open.push(Node::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Node::Table(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Node::List(items)) => Value::Array(items),
                Some(Node::Table(entries, _)) => Value::Object(entries),
                None => return Err("an end without a start".to_owned()),
            },
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::Alias(_) => {
                return Err(format!("an alias at line {}", span.start.line()));
            }
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Node::List(items)) => items.push(done),
            Some(Node::Table(entries, key)) => match (key.take(), done) {
                (Some(key), value) => {
                    entries.insert(key, value);
                }
                (None, Value::String(text)) => *key = Some(text),
                (None, other @ (Value::Number(_) | Value::Bool(_))) => {
                    *key = Some(other.to_string());
                }
                (None, _) => return Err(format!("a key at line {} is no text", span.start.line())),
            },
        }
    }
    Ok(Value::Null)
}

/// A list or table that has not ended yet; a table remembers the key whose value comes next.
enum Node {
    List(Vec<Value>),
    Table(Map<String, Value>, Option<String>),
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text
            .parse::<i64>()
            .map(Value::from)
            .ok()
            .or_else(|| {
                let number = text.parse::<f64>().ok().filter(|n| n.is_finite())?;
                Number::from_f64(number).map(Value::Number)
            })
            .unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn scalars_lists_and_tables_become_json() {
        let text = "a: [1, 1.5, yes, true, '2', ~]\nb:\n  - c: |\n      x\n      y\n    d: {}\n";
        assert_eq!(
            parse(text),
            Ok(json!({"a": [1, 1.5, "yes", true, "2", null], "b": [{"c": "x\ny\n", "d": {}}]}))
        );
    }

    #[test]
    fn broken_text_is_refused() {
        assert!(parse("a: [1").unwrap_err().contains("line"));
    }
}
