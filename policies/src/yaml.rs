//! YAML 1.2 as a tree that knows its lines.
//!
//! Built on parser events, since serde loses the place of what it reads, and reads `.nan` as a
//! number without a word. Size and depth are bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::Problem;

const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
/// Counted after aliases are replaced by what they stand for.
const MAX_NODES: usize = 50_000;

/// A file's tree, with what is wrong in it although it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub root: Node,
    pub problems: Vec<Problem>,
}

/// A value, and where it starts; both counted from 1, the column in characters.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub line: usize,
    pub column: usize,
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file; scalar keys are unique.
    Mapping(Vec<(Node, Node)>),
}

/// A piece of text, and whether it was written in quotes (or as a block).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub is_quoted: bool,
}

/// What a scalar means by the core schema of YAML 1.2 (section 10.3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    Null,
    Bool(bool),
    Integer(i64),
    /// Also infinite, or not a number at all.
    Float(f64),
    Text,
}

impl Scalar {
    /// Returns what the scalar means; `yes`, `on` and `010` mean no more than in YAML 1.2.
    pub fn meaning(&self) -> Meaning {
        if self.is_quoted {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
            text => number(text).unwrap_or(Meaning::Text),
        }
    }
}

fn number(text: &str) -> Option<Meaning> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Meaning::Float(sign * f64::INFINITY));
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Meaning::Integer(integer));
    }
    // What is left of Rust's syntax for numbers beside `inf` and `nan` is that of the core schema.
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit());
    is_number.then(|| text.parse().ok().map(Meaning::Float))?
}

fn radix(digits: &str, radix: u32) -> Option<Meaning> {
    let is_plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let integer = i64::from_str_radix(digits, radix).ok();
    is_plain.then(|| integer.map(Meaning::Integer))?
}

/// Reads the one document of `text`; an empty text is a null.
///
/// Aliases are replaced by copies of what they stand for. Keys that appear twice are reported in
/// the document, which keeps the first.
///
/// # Errors
///
/// The first thing that is not YAML; an alias within its own anchor, a tag, a second document; more
/// than 1 MiB, 32 levels or 50,000 values.
pub fn parse(text: &str) -> Result<Document, Problem> {
    if text.len() > MAX_BYTES {
        return Err(problem(
            (1, 1),
            format!("is {} bytes long; at most {MAX_BYTES} are read", text.len()),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let end = end_of(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            hinted(
                place(error.marker(), end),
                &format!("not YAML: {}", error.info()),
                "check the indentation, quotes and brackets here and above",
            )
        })?;
        builder.accept(event, place(&span.start, end))?;
    }
    Ok(builder.finish())
}

/// Returns the place right behind the text.
fn end_of(text: &str) -> (usize, usize) {
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']);
    let last = lines.next_back().unwrap_or_default();
    (lines.count() + 1, last.chars().count() + 1)
}

/// Returns where a marker points. The parser counts one line more than there are behind a last line
/// without a newline.
fn place(marker: &Marker, end: (usize, usize)) -> (usize, usize) {
    (marker.line(), marker.col() + 1).min(end)
}

fn problem((line, column): (usize, usize), message: String) -> Problem {
    Problem {
        line,
        column,
        key: String::new(),
        message,
        hint: None,
    }
}

fn hinted(at: (usize, usize), message: &str, hint: &str) -> Problem {
    Problem {
        hint: Some(hint.to_owned()),
        ..problem(at, message.to_owned())
    }
}

/// Puts events together; holds the collections that are still open.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

struct Open {
    at: (usize, usize),
    anchor: usize,
    /// How many nodes there were before it.
    nodes_before: usize,
    is_mapping: bool,
    items: Vec<Node>,
}

impl Builder {
    fn accept(&mut self, event: Event<'_>, at: (usize, usize)) -> Result<(), Problem> {
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(hinted(
                at,
                "tags (`!...`) are not supported",
                "remove it; quote text that begins with `!`",
            )),
            Event::Scalar(text, style, anchor, None) => {
                let is_quoted = style != ScalarStyle::Plain;
                let text = text.into_owned();
                let value = Value::Scalar(Scalar { text, is_quoted });
                self.count(at, 1)?;
                self.add(node(at, value), anchor, 1)
            }
            Event::SequenceStart(anchor, None) => self.start(at, anchor, false),
            Event::MappingStart(anchor, None) => self.start(at, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((target, nodes)) => {
                    self.count(at, nodes)?;
                    self.add(target, 0, nodes)
                }
                None => Err(hinted(
                    at,
                    "an alias within what it stands for",
                    "write the value out; quote text that begins with `*`",
                )),
            },
            Event::DocumentStart(_) if self.root.is_some() => Err(hinted(
                at,
                "a second document; a file holds one",
                "remove the `---`",
            )),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn count(&mut self, at: (usize, usize), nodes: usize) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted in full");
            return Err(problem(at, message));
        }
        Ok(())
    }

    fn start(
        &mut self,
        at: (usize, usize),
        anchor: usize,
        is_mapping: bool,
    ) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels deep");
            return Err(problem(at, message));
        }
        let nodes_before = self.nodes;
        self.count(at, 1)?;
        self.open.push(Open {
            at,
            anchor,
            nodes_before,
            is_mapping,
            items: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else {
            return Err(problem(
                (1, 1),
                "not YAML: an end without a start".to_owned(),
            ));
        };
        let value = if open.is_mapping {
            Value::Mapping(self.pair(open.items))
        } else {
            Value::Sequence(open.items)
        };
        let nodes = self.nodes - open.nodes_before;
        self.add(node(open.at, value), open.anchor, nodes)
    }

    /// Makes keys and values of what alternates; reports keys that were there before.
    fn pair(&mut self, items: Vec<Node>) -> Vec<(Node, Node)> {
        let mut pairs: Vec<(Node, Node)> = Vec::with_capacity(items.len() / 2);
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if let Value::Scalar(scalar) = &key.value {
                if let Some(first) = seen.get(&scalar.text) {
                    let message = format!("duplicate key `{}`", scalar.text);
                    let hint = format!("it is given in line {first} already; remove one of them");
                    self.problems.push(Problem {
                        hint: Some(hint),
                        ..problem((key.line, key.column), message)
                    });
                    continue;
                }
                seen.insert(scalar.text.clone(), key.line);
            }
            pairs.push((key, value));
        }
        pairs
    }

    fn add(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), Problem> {
        let deepest = self.open.len() + depth(&node);
        if deepest > MAX_DEPTH + 1 {
            let message = format!("more than {MAX_DEPTH} levels deep, aliases counted in full");
            return Err(problem((node.line, node.column), message));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn finish(self) -> Document {
        let empty = Value::Scalar(Scalar {
            text: String::new(),
            is_quoted: false,
        });
        Document {
            root: self.root.unwrap_or_else(|| node((1, 1), empty)),
            problems: self.problems,
        }
    }
}

fn node((line, column): (usize, usize), value: Value) -> Node {
    Node {
        line,
        column,
        value,
    }
}

fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Mapping(pairs) => pairs
            .iter()
            .map(|(key, value)| depth(key).max(depth(value)))
            .max()
            .unwrap_or(0),
    };
    below + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> (usize, usize, String) {
        let problem = parse(text).unwrap_err();
        (problem.line, problem.column, problem.message)
    }

    #[test]
    fn nodes_know_where_they_start() {
        let document = parse("a: 1\nb:\n  - é: [x]\n").unwrap();
        let Value::Mapping(pairs) = document.root.value else {
            panic!("not a mapping")
        };
        assert_eq!((pairs[0].1.line, pairs[0].1.column), (1, 4));
        let Value::Sequence(items) = &pairs[1].1.value else {
            panic!("not a sequence")
        };
        let Value::Mapping(inner) = &items[0].value else {
            panic!("not a mapping")
        };
        assert_eq!((inner[0].0.line, inner[0].0.column), (3, 5));
        assert_eq!((inner[0].1.line, inner[0].1.column), (3, 8));
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        let meaning = |text: &str| {
            let is_quoted = false;
            let text = text.to_owned();
            Scalar { text, is_quoted }.meaning()
        };
        for text in [
            "yes", "no", "on", "1_000", "0b1", "inf", "nan", "1e", ".", "-", "1,2", "+-1",
        ] {
            assert_eq!(meaning(text), Meaning::Text, "{text}");
        }
        assert_eq!(meaning("010"), Meaning::Integer(10));
        assert_eq!(meaning("0o10"), Meaning::Integer(8));
        assert_eq!(meaning("0x1F"), Meaning::Integer(31));
        assert_eq!(meaning("-.5e3"), Meaning::Float(-500.0));
        assert_eq!(meaning("-.inf"), Meaning::Float(f64::NEG_INFINITY));
        assert_eq!(meaning("~"), Meaning::Null);
        assert_eq!(meaning("TRUE"), Meaning::Bool(true));
    }

    #[test]
    fn duplicate_keys_are_reported_where_they_are_repeated() {
        let document = parse("a: 1\nb: 2\n\"a\": 3\n").unwrap();
        let problem = &document.problems[0];
        assert_eq!((problem.line, problem.column), (3, 1));
        assert_eq!(problem.message, "duplicate key `a`");
    }

    #[test]
    fn aliases_are_copies_and_cannot_explode() {
        let document = parse("- &a [1, 2]\n- *a\n").unwrap();
        let Value::Sequence(items) = document.root.value else {
            panic!("not a sequence")
        };
        assert_eq!(items[0], items[1]);

        let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(9);
            bomb.extend([format!("a{level}: &a{level} [{alias}]\n")]);
        }
        assert_eq!(
            refused(&bomb).2,
            "more than 50000 values, aliases counted in full"
        );
        assert_eq!(refused("&a [*a]").2, "an alias within what it stands for");
    }

    #[test]
    fn places_lie_within_the_text() {
        let (line, column, _) = refused("a:\n-e n");
        assert_eq!((line, column), (2, 5));
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused_with_its_refused() {
        assert_eq!(refused("a: !!int 3").2, "tags (`!...`) are not supported");
        assert_eq!(refused("a: 1\n---\nb: 2\n").0, 2);
        assert_eq!(refused(&"[".repeat(40)).2, "more than 32 levels deep");
        assert_eq!(refused("a: [1\nb: 2").0, 2);
        assert!(refused(&"a".repeat(MAX_BYTES + 1)).2.contains("bytes long"));
        assert!(parse("").unwrap().problems.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _document = parse(&text);
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in "[-a:{}\\[\\],&*!|>'\"#% \n\t?0\r\u{feff}\u{85}.~]{0,60}") {
            let _document = parse(&text);
        }
    }
}
