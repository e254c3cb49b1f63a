//! Reads mappings field by field, collecting every problem.

use autoclave_policies::yaml::{self, Meaning, Node, Value};
use autoclave_policies::{Problem, Problems, Source};

use super::Dialect;
use super::keys::{self, Section};

/// Why a value cannot be taken, without its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub message: String,
    pub hint: Option<String>,
}

impl Trouble {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// What was found so far, over the whole file.
pub(super) struct Findings {
    pub dialect: Dialect,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl Findings {
    /// Reads a file as YAML: its root, and what is wrong up to here.
    ///
    /// # Errors
    ///
    /// The first problem of a file that is not YAML.
    pub fn open(source: &Source, dialect: Dialect) -> Result<(Node, Self), Problems> {
        match yaml::parse(&source.text) {
            Ok(document) => Ok((
                document.root,
                Self {
                    dialect,
                    problems: document.problems,
                    warnings: Vec::new(),
                },
            )),
            Err(problem) => Err(Problems {
                source: source.clone(),
                problems: vec![problem],
                included: Vec::new(),
            }),
        }
    }

    pub fn problem(&mut self, node: &Node, key: &str, trouble: Trouble) {
        self.problems.push(place(node, key, trouble));
    }

    /// Reports what our own files must not hold, but older files may.
    pub fn stricture(&mut self, node: &Node, key: &str, trouble: Trouble) {
        let problem = place(node, key, trouble);
        match self.dialect {
            Dialect::Autoclave => self.problems.push(problem),
            Dialect::Autoresearch => self.warnings.push(problem),
        }
    }
}

fn place(node: &Node, key: &str, trouble: Trouble) -> Problem {
    Problem {
        line: node.line,
        column: node.column,
        key: key.to_owned(),
        message: trouble.message,
        hint: trouble.hint,
    }
}

/// A cursor over the fields of one mapping.
///
/// What cannot be read is reported and stands as absent or as its default; whoever holds the
/// findings throws the result away then.
pub(super) struct Fields<'n, 'f> {
    pub findings: &'f mut Findings,
    pub path: String,
    section: &'static Section,
    /// Where missing keys are reported; `None` when that would only repeat an earlier problem.
    place: Option<&'n Node>,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n, 'f> Fields<'n, 'f> {
    /// Opens the mapping `node`, and reports the keys that `section` does not know.
    pub fn open(
        findings: &'f mut Findings,
        node: &'n Node,
        path: String,
        section: &'static Section,
    ) -> Self {
        let mut fields = Self {
            findings,
            path,
            section,
            place: Some(node),
            entries: Vec::new(),
        };
        match &node.value {
            Value::Mapping(pairs) => {
                for (key, value) in pairs {
                    fields.enter(key, value);
                }
            }
            Value::Scalar(_) | Value::Sequence(_) => {
                let trouble = Trouble::new(format!("expected a mapping, found {}", kind(node)))
                    .hint(format!("keys: {}", section.keys.join(", ")));
                fields.findings.problem(node, &fields.path, trouble);
                fields.place = None;
            }
        }
        fields
    }

    fn enter(&mut self, key: &'n Node, value: &'n Node) {
        let Value::Scalar(name) = &key.value else {
            let trouble = Trouble::new("a key must be plain text");
            self.findings.problem(key, &self.path, trouble);
            return;
        };
        let name = name.text.as_str();
        if !self.section.keys.contains(&name) {
            let trouble = keys::unknown(name, self.section);
            let path = self.key(name);
            self.findings.stricture(key, &path, trouble);
        } else if self.findings.dialect == Dialect::Autoresearch
            && !self.section.older.contains(&name)
        {
            let trouble = Trouble::new(format!("`{name}` is ignored"))
                .hint("to use it, move the file to `.autoclave/config.yaml`");
            let path = self.key(name);
            self.findings.stricture(key, &path, trouble);
        } else {
            self.entries.push((name, value));
        }
    }

    /// Returns the path of `name` within the file.
    pub fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Returns the value of `name`; a null is absent.
    pub fn node(&self, name: &'static str) -> Option<&'n Node> {
        debug_assert!(self.section.keys.contains(&name), "{name} is not in keys");
        let found = self.entries.iter().find(|(key, _)| *key == name);
        found.map(|(_, node)| *node).filter(|node| !is_null(node))
    }

    /// Returns the value of `name`, or reports that it is missing.
    pub fn required_node(&mut self, name: &'static str, hint: &str) -> Option<&'n Node> {
        let found = self.node(name);
        if let (None, Some(place)) = (found, self.place) {
            let empty = self.entries.iter().find(|(key, _)| *key == name);
            let (node, message) = match empty {
                Some((_, node)) => (*node, "is empty".to_owned()),
                None => (place, format!("`{name}` is missing")),
            };
            let trouble = Trouble::new(message).hint(hint);
            let path = match empty {
                Some(_) => self.key(name),
                None => self.path.clone(),
            };
            self.findings.problem(node, &path, trouble);
        }
        found
    }

    pub fn required<T>(
        &mut self,
        name: &'static str,
        hint: &str,
        read: impl Fn(&Node) -> Result<T, Trouble>,
    ) -> Option<T> {
        let node = self.required_node(name, hint)?;
        self.read(name, node, read)
    }

    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Node) -> Result<T, Trouble>,
    ) -> Option<T> {
        let node = self.node(name)?;
        self.read(name, node, read)
    }

    pub fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl Fn(&Node) -> Result<T, Trouble>,
    ) -> T {
        self.optional(name, read).unwrap_or(default)
    }

    /// Returns the items of a list that can be read, with their nodes; none when it is absent.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Node) -> Result<T, Trouble>,
    ) -> Vec<(T, &'n Node)> {
        let Some(node) = self.node(name) else {
            return Vec::new();
        };
        let path = self.key(name);
        let Value::Sequence(items) = &node.value else {
            let found = kind(node);
            let trouble = Trouble::new(format!("expected a list, found {found}"));
            let trouble = match &node.value {
                Value::Scalar(text) => trouble.hint(format!("write `[{:?}]`", text.text)),
                Value::Sequence(_) | Value::Mapping(_) => trouble.hint("write `[a, b]`"),
            };
            self.findings.problem(node, &path, trouble);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(value) => values.push((value, item)),
                Err(trouble) => {
                    let path = format!("{path}[{index}]");
                    self.findings.problem(item, &path, trouble);
                }
            }
        }
        values
    }

    /// Opens the mapping under `name`; `None` when it is absent.
    pub fn section(
        &mut self,
        name: &'static str,
        section: &'static Section,
    ) -> Option<Fields<'n, '_>> {
        let node = self.node(name)?;
        let path = self.key(name);
        Some(Fields::open(self.findings, node, path, section))
    }

    /// Reports a problem with the value of `name`, or with the whole where it is absent.
    pub fn problem(&mut self, name: &'static str, trouble: Trouble) {
        if let Some(node) = self.node(name).or(self.place) {
            let path = self.key(name);
            self.findings.problem(node, &path, trouble);
        }
    }

    fn read<T>(
        &mut self,
        name: &str,
        node: &Node,
        read: impl Fn(&Node) -> Result<T, Trouble>,
    ) -> Option<T> {
        match read(node) {
            Ok(value) => Some(value),
            Err(trouble) => {
                let path = self.key(name);
                self.findings.problem(node, &path, trouble);
                None
            }
        }
    }
}

/// Says whether a value is written as nothing, `~` or `null`.
fn is_null(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.meaning() == Meaning::Null)
}

/// Returns what a value is, for people.
pub(super) fn kind(node: &Node) -> String {
    match &node.value {
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Scalar(scalar) => match scalar.meaning() {
            Meaning::Null => "nothing".to_owned(),
            Meaning::Bool(_) => format!("the truth value `{}`", scalar.text),
            Meaning::Integer(_) | Meaning::Float(_) => format!("the number `{}`", scalar.text),
            Meaning::Text => format!("the text `{}`", scalar.text),
        },
    }
}
