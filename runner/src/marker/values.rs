//! Single values: texts, numbers, words of a closed set, paths.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use autoclave_policies::yaml::{Meaning, Node, Scalar, Value};
use autoclave_policies::{Glob, is_sandboxes_own};
use regex::Regex;

use super::decode::{Trouble, kind};
use super::keys::nearest;
use crate::model::{Cost, Metric};

/// Directories that a sandbox makes itself, to mount its own beneath.
const FRAMES: [&str; 5] = ["/etc", "/home", "/opt", "/root", "/var"];

/// Returns the scalar that `node` is, of any meaning.
pub(super) fn scalar<'n>(node: &'n Node, wanted: &str) -> Result<&'n Scalar, Trouble> {
    match &node.value {
        Value::Scalar(scalar) => Ok(scalar),
        Value::Sequence(_) | Value::Mapping(_) => {
            let message = format!("expected {wanted}, found {}", kind(node));
            Err(Trouble::new(message).hint("write a single value, without brackets or dashes"))
        }
    }
}

/// Reads text, maybe empty; what reads as a number or truth value needs quotes.
pub(super) fn text(node: &Node) -> Result<String, Trouble> {
    let scalar = scalar(node, "text")?;
    if scalar.meaning() != Meaning::Text {
        return Err(Trouble::new(format!("expected text, found {}", kind(node)))
            .hint(format!("write `\"{}\"`", scalar.text)));
    }
    if scalar.text.contains('\0') {
        return Err(Trouble::new("holds a NUL byte").hint("remove `\\0`"));
    }
    Ok(scalar.text.clone())
}

/// Reads text that is more than white space.
pub(super) fn filled(node: &Node) -> Result<String, Trouble> {
    let text = text(node)?;
    if text.trim().is_empty() {
        return Err(Trouble::new("is empty").hint("write it, or remove the key"));
    }
    Ok(text)
}

/// Reads `true` or `false`.
pub(super) fn boolean(node: &Node) -> Result<bool, Trouble> {
    match scalar(node, "true or false")?.meaning() {
        Meaning::Bool(value) => Ok(value),
        Meaning::Null | Meaning::Integer(_) | Meaning::Float(_) | Meaning::Text => {
            let message = format!("expected true or false, found {}", kind(node));
            Err(Trouble::new(message).hint("write `true` or `false`, without quotes"))
        }
    }
}

/// Reads a finite number.
pub(super) fn real(node: &Node) -> Result<f64, Trouble> {
    let scalar = scalar(node, "a number")?;
    match scalar.meaning() {
        // Whole numbers beyond 2^53 lose digits that no measurement has.
        Meaning::Integer(integer) => Ok(integer as f64),
        Meaning::Float(number) if number.is_finite() => Ok(number),
        Meaning::Float(_) => Err(
            Trouble::new(format!("`{}` is not a finite number", scalar.text))
                .hint("write a number, such as `12.5`"),
        ),
        Meaning::Null | Meaning::Bool(_) | Meaning::Text => Err(no_number(node, scalar)),
    }
}

fn no_number(node: &Node, scalar: &Scalar) -> Trouble {
    let trouble = Trouble::new(format!("expected a number, found {}", kind(node)));
    let unquoted = Scalar {
        text: scalar.text.clone(),
        is_quoted: false,
    };
    match unquoted.meaning() {
        Meaning::Integer(_) | Meaning::Float(_) => {
            trouble.hint(format!("remove the quotes: `{}`", scalar.text))
        }
        Meaning::Null | Meaning::Bool(_) | Meaning::Text => {
            trouble.hint("write digits, such as `12`, without a unit")
        }
    }
}

pub(super) fn metric(node: &Node) -> Result<Metric, Trouble> {
    let number = real(node)?;
    Metric::try_from(number).map_err(|error| Trouble::new(error.to_string()))
}

/// Reads a whole number within `range`.
pub(super) fn count(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Result<u32, Trouble> {
    move |node| {
        let scalar = scalar(node, "a whole number")?;
        match scalar.meaning() {
            Meaning::Integer(integer) => u32::try_from(integer)
                .ok()
                .filter(|integer| range.contains(integer))
                .ok_or_else(|| out_of_range(scalar, range.start(), range.end())),
            // Digits only, but more than 64 bits hold.
            Meaning::Float(_) if scalar.text.chars().all(|c| c.is_ascii_digit()) => {
                Err(out_of_range(scalar, range.start(), range.end()))
            }
            Meaning::Float(_) => Err(Trouble::new(format!(
                "`{}` is not a whole number",
                scalar.text
            ))
            .hint("write digits only, such as `10`")),
            Meaning::Null | Meaning::Bool(_) | Meaning::Text => Err(no_number(node, scalar)),
        }
    }
}

fn out_of_range(scalar: &Scalar, low: impl Display, high: impl Display) -> Trouble {
    Trouble::new(format!("`{}` is out of range", scalar.text)).hint(format!("from {low} to {high}"))
}

/// Reads the chance of a false keep: between 0 and 0.5, exclusive.
pub(super) fn alpha(node: &Node) -> Result<f64, Trouble> {
    let alpha = real(node)?;
    if alpha > 0.0 && alpha < 0.5 {
        return Ok(alpha);
    }
    Err(Trouble::new(format!("`{alpha}` is out of range"))
        .hint("a chance above 0 and below 0.5, such as `0.02`"))
}

/// Reads dollars above 0.
pub(super) fn dollars(node: &Node) -> Result<Cost, Trouble> {
    let dollars = real(node)?;
    if dollars > 0.0 && Cost::from(dollars) > Cost::ZERO {
        return Ok(Cost::from(dollars));
    }
    Err(Trouble::new("must be above 0").hint("leave it out for no limit"))
}

/// Reads cores above 0.
pub(super) fn cores(node: &Node) -> Result<f64, Trouble> {
    const FEWEST: f64 = 0.01;
    const MOST: f64 = 4096.0;
    let cores = real(node)?;
    if (FEWEST..=MOST).contains(&cores) {
        return Ok(cores);
    }
    Err(out_of_range(scalar(node, "a number")?, FEWEST, MOST))
}

/// Reads one of the words that `words` pairs with values.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, Trouble> {
    move |node| {
        let found = &scalar(node, "a word")?.text;
        if let Some((_, value)) = words.iter().find(|(word, _)| word == found) {
            return Ok(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let trouble = Trouble::new(format!("unknown value `{found}`"));
        let hint = match nearest(found, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", known.join(", ")),
        };
        Err(trouble.hint(hint))
    }
}

/// Reads a marker's name, which is also a branch's.
pub(super) fn marker_name(node: &Node) -> Result<String, Trouble> {
    const HINT: &str = "lowercase letters, digits and dashes, such as `sort-speed`";
    let name = filled(node)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > 64 {
        return Err(Trouble::new("is longer than 64 characters").hint(HINT));
    }
    if !name.chars().all(is_plain) || name.starts_with('-') {
        return Err(Trouble::new(format!("`{name}` cannot name a marker")).hint(HINT));
    }
    Ok(name)
}

/// Reads a guard's name, which people see and files are named after.
pub(super) fn guard_name(node: &Node) -> Result<String, Trouble> {
    let name = filled(node)?;
    let is_plain = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    if name.len() > 64 || !name.chars().all(is_plain) || name.starts_with(['.', ' ', '-']) {
        return Err(Trouble::new(format!("`{name}` cannot name a guard"))
            .hint("letters, digits, blanks, `.`, `_` and `-`; at most 64"));
    }
    Ok(name)
}

/// Reads the name of a metric in `METRIC name=value` lines, or empty text.
pub(super) fn metric_name(node: &Node) -> Result<String, Trouble> {
    let name = text(node)?;
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=') {
        return Err(
            Trouble::new(format!("`{}` cannot name a metric", name.escape_debug()))
                .hint("no blanks and no `=`"),
        );
    }
    Ok(name)
}

/// Reads a pattern over paths relative to the repository root.
pub(super) fn glob(node: &Node) -> Result<String, Trouble> {
    let glob = text(node)?;
    let trouble = if glob.trim().is_empty() {
        Trouble::new("is an empty glob").hint("write a path such as `src/**`, or remove it")
    } else if glob.starts_with('/') {
        Trouble::new(format!("`{glob}` is absolute"))
            .hint("globs are relative to the repository root")
    } else if glob.starts_with('~') {
        Trouble::new(format!("`{glob}` is in a home directory"))
            .hint("globs are relative to the repository root")
    } else if glob.starts_with('!') {
        Trouble::new(format!("`{glob}` is a negation"))
            .hint("list under `immutable` what must not change")
    } else if glob.split('/').any(|component| component == "..") {
        Trouble::new(format!("`{glob}` leaves the repository")).hint("remove `..`")
    } else if glob.split('/').any(|component| component == ".") {
        Trouble::new(format!("`{glob}` has a `.` component"))
            .hint("remove it; `**` is the whole repository")
    } else if glob.contains("//") {
        Trouble::new(format!("`{glob}` has an empty component")).hint("remove a `/`")
    } else {
        match Glob::parse(&glob) {
            Ok(_) => return Ok(glob),
            Err(error) => Trouble::new(error.to_string())
                .hint("`*`, `?`, `[a-z]` and `{a,b}` stand within a name, `**` for any folders"),
        }
    };
    Err(trouble)
}

/// Reads a path of the host that the sandbox may see.
pub(super) fn host_path(node: &Node) -> Result<String, Trouble> {
    const HINT: &str = "write an absolute path or one such as `~/.rustup`";
    let path = filled(node)?;
    let within = path.strip_prefix("~/").or_else(|| path.strip_prefix('/'));
    let Some(within) = within else {
        return Err(Trouble::new(format!("`{path}` is not a path of the host")).hint(HINT));
    };
    if within.split('/').any(|component| component == "..") {
        return Err(Trouble::new(format!("`{path}` has a `..` component")).hint(HINT));
    }
    if within
        .split('/')
        .all(|component| component.is_empty() || component == ".")
    {
        return Err(Trouble::new(format!("`{path}` would show everything")).hint(HINT));
    }
    let plain = Path::new(&path);
    if is_sandboxes_own(plain) {
        return Err(Trouble::new(format!("`{path}` cannot be shown"))
            .hint("every sandbox has its own /proc, /dev, /tmp, /run, home and workspace"));
    }
    if FRAMES.iter().any(|frame| plain == Path::new(frame)) {
        return Err(Trouble::new(format!("`{path}` would show too much"))
            .hint("name the folders in it that are needed"));
    }
    Ok(path)
}

/// Reads `permission_mode`, which is passed through.
pub(super) fn permission_mode(node: &Node) -> Result<String, Trouble> {
    let mode = filled(node)?;
    if mode.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(mode);
    }
    Err(Trouble::new(format!("`{mode}` is not a permission mode"))
        .hint("such as `bypassPermissions`, `acceptEdits` or `plan`"))
}

/// Compiles the pattern of a `regex:` extractor.
pub(super) fn pattern(pattern: &str) -> Result<(), Trouble> {
    let regex = Regex::new(pattern).map_err(|error| {
        let cause = error.to_string();
        let cause = cause.lines().last().unwrap_or("cannot be compiled");
        let cause = cause.trim_start_matches("error: ").trim();
        Trouble::new(format!("bad regular expression: {cause}"))
            .hint("patterns are those of Rust's regex crate; try single quotes around `\\`")
    })?;
    if regex.captures_len() < 2 {
        return Err(Trouble::new("the regular expression has no group")
            .hint("put parentheses around the number: `regex:ms=([0-9.]+)`"));
    }
    Ok(())
}
