//! One attack, and what each row of the table must answer.

use crate::place::{Place, Surroundings};
use crate::row::Row;

/// Cases that are played in one execution, so that containers stay quick.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub name: &'static str,
    pub cases: &'static [Case],
    /// Makes what its attacks need around them, beside the files of [`Place`].
    pub surroundings: fn(&Place) -> Surroundings,
}

/// One attack. In arguments, `{outside}` stands for a folder of the host that the sandbox is not
/// shown, `{shown}` for one that it is shown to read, `{workspace}`, `{home}` and `{tmp}` for what
/// the command has as these, `\xNN` for a byte; a group's surroundings may know more words. Where
/// no path is absolute, it is one of the workspace, see [`Place`].
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What is done, in a few words; no two of a group have the same.
    pub name: &'static str,
    /// A function of `programs/`.
    pub attack: &'static str,
    pub argument: &'static str,
    pub control: Control,
    /// An argument with which the same attack must get through inside.
    pub granted: Option<&'static str>,
    /// By row, in the order of [`Row::ALL`].
    pub expected: [Outcome; 6],
    pub reach: Reach,
}

/// The unconfined run that must get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The same attack with the same argument.
    Same,
    /// The same attack with this argument: what it needs lies elsewhere, or is harmful, outside.
    With(&'static str),
    /// The same, by whoever runs the tests: it takes root's rights.
    ByRoot,
    /// Nobody can do it on any machine that tests run on: another attack and its argument, which
    /// must get through instead, and why.
    Instead(&'static str, &'static str, &'static str),
}

/// What a row answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Refused with one of these errnos, or killed by one of these signals; with spaces between.
    Denied(&'static str),
    /// It gets through and is no escape: it reaches nothing but the sandbox's own, or why else.
    Harmless(&'static str),
    /// It ends the whole execution, so that it is not among those that are played together: the
    /// test that plays it.
    EndsAll(&'static str),
    /// It gets through and should not; why that is bearable. Told in SECURITY.md, too.
    Open(&'static str),
}

/// Who can try it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The agent: also played through the real one.
    Agent,
    /// Of the real agent's session it would end, or take, too much.
    CommandOnly,
}

impl Group {
    /// Returns the first attack that `row` leaves open, if there is one: then a canary's metadata
    /// may change.
    pub fn open_to_change(&self, row: Row) -> Option<&Case> {
        let is_open = |case: &&Case| matches!(case.expected_on(row), Outcome::Open(_));
        self.cases.iter().find(is_open)
    }
}

impl Case {
    /// Returns a case that every row refuses with one of `errnos`.
    pub const fn denied(
        name: &'static str,
        attack: &'static str,
        argument: &'static str,
        errnos: &'static str,
    ) -> Self {
        Self {
            name,
            attack,
            argument,
            control: Control::Same,
            granted: None,
            expected: [Outcome::Denied(errnos); 6],
            reach: Reach::Agent,
        }
    }

    /// Returns a case that gets through everywhere, and why that is no escape.
    pub const fn harmless(
        name: &'static str,
        attack: &'static str,
        argument: &'static str,
        why: &'static str,
    ) -> Self {
        Self {
            expected: [Outcome::Harmless(why); 6],
            ..Self::denied(name, attack, argument, "")
        }
    }

    /// Says what `rows` answer instead.
    #[must_use]
    pub const fn on(mut self, rows: &[Row], outcome: Outcome) -> Self {
        let mut at = 0;
        while at < rows.len() {
            self.expected[rows[at] as usize] = outcome;
            at += 1;
        }
        self
    }

    /// Says which argument is allowed inside.
    #[must_use]
    pub const fn granted(self, argument: &'static str) -> Self {
        Self {
            granted: Some(argument),
            ..self
        }
    }

    #[must_use]
    pub const fn control(self, control: Control) -> Self {
        Self { control, ..self }
    }

    /// Leaves it out where the real agent plays.
    #[must_use]
    pub const fn command_only(self) -> Self {
        Self {
            reach: Reach::CommandOnly,
            ..self
        }
    }

    pub fn expected_on(&self, row: Row) -> Outcome {
        self.expected[row as usize]
    }
}
