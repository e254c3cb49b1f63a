//! What is removed, where it matters, and who must notice.

use crate::edit::Edit;
use crate::play::{Effort, MUCH};
use crate::row::Row;

/// One enforcement that is removed.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// Switches it on; letters, digits and dashes.
    pub name: String,
    /// For people: what is gone.
    pub removes: String,
    /// Each is played.
    pub rows: Vec<Row>,
    pub edits: Vec<Edit>,
    /// Part of the line with which the sandbox's own proof refuses; `None` where it cannot tell.
    pub proof: Option<&'static str>,
    pub noticed: Noticed,
}

/// Who notices.
#[derive(Debug, Clone)]
pub enum Noticed {
    /// These cases, at least.
    By(Vec<String>),
    /// Nothing runs any more: the failure, or what the proof says, holds this text.
    Breaks(&'static str),
    /// No case alone, because `by` denies the same. With these mutations together, these cases do.
    Together {
        by: &'static str,
        others: Vec<&'static str>,
        cases: Vec<&'static str>,
    },
    /// Nobody but the proof, which looks at a moment that no command sees.
    ByTheProof(&'static str),
}

impl Mutation {
    pub fn new(name: impl Into<String>, removes: impl Into<String>, row: Row) -> Self {
        Self {
            name: name.into(),
            removes: removes.into(),
            rows: vec![row],
            edits: Vec::new(),
            proof: None,
            noticed: Noticed::By(Vec::new()),
        }
    }

    /// Plays it on another row, too.
    pub fn also(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Leaves a statement out.
    pub fn without(self, file: &'static str, statement: &'static str) -> Self {
        self.raw(file, statement, statement, "if !@ON { @ORIGINAL }")
    }

    /// Replaces an expression.
    pub fn instead(self, file: &'static str, original: &'static str, other: &str) -> Self {
        self.instead_near(file, original, original, other)
    }

    /// Replaces an expression of which there are several, by what is around it.
    pub fn instead_near(
        self,
        file: &'static str,
        near: &'static str,
        original: &'static str,
        other: &str,
    ) -> Self {
        let becomes = format!("(if @ON {{ {other} }} else {{ @ORIGINAL }})");
        self.raw(file, near, original, &becomes)
    }

    /// Replaces text by other text, in which `@ON` is the choice and `@ORIGINAL` what was there.
    pub fn raw(
        mut self,
        file: &'static str,
        near: &'static str,
        original: &'static str,
        becomes: &str,
    ) -> Self {
        let on = format!("autoclave_enter::mutant::is(\"{}\")", self.name);
        let becomes = becomes.replace("@ON", &on).replace("@ORIGINAL", original);
        self.edits.push(Edit {
            file,
            near,
            original,
            becomes,
        });
        self
    }

    /// Returns whether its cases take much.
    pub fn effort(&self) -> Effort {
        let is_much = match &self.noticed {
            Noticed::By(cases) => cases.iter().any(|case| MUCH.contains(&case.as_str())),
            Noticed::Breaks(_) | Noticed::Together { .. } | Noticed::ByTheProof(_) => false,
        };
        if is_much {
            Effort::Much
        } else {
            Effort::Little
        }
    }

    pub fn proof(mut self, line: &'static str) -> Self {
        self.proof = Some(line);
        self
    }

    pub fn caught_by(mut self, cases: &[&str]) -> Self {
        self.noticed = Noticed::By(cases.iter().map(|case| (*case).to_owned()).collect());
        self
    }

    pub fn breaks(mut self, message: &'static str) -> Self {
        self.noticed = Noticed::Breaks(message);
        self
    }

    pub fn covered(
        mut self,
        by: &'static str,
        others: &[&'static str],
        cases: &[&'static str],
    ) -> Self {
        self.noticed = Noticed::Together {
            by,
            others: others.to_vec(),
            cases: cases.to_vec(),
        };
        self
    }

    pub fn only_by_the_proof(mut self, line: &'static str, why: &'static str) -> Self {
        self.proof = Some(line);
        self.noticed = Noticed::ByTheProof(why);
        self
    }
}
