//! The commented configuration that `init` writes.

/// What `init` found out about the repository; each goes into the template as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFacts {
    /// A marker's name.
    pub name: String,
    /// Globs of what may change.
    pub mutable: Vec<String>,
    pub immutable: Vec<String>,
    pub scratch: Vec<String>,
    /// What fetches the packages that a build needs, where there is such a command.
    pub prepare: Option<String>,
    /// The command that measures.
    pub metric: String,
    pub extract: String,
    /// Run once per side, before it is measured.
    pub build: Option<String>,
    /// The test command, where one was found.
    pub guard: Option<String>,
    /// A preset's name.
    pub policy: String,
}

/// The column where comments stand, counted from 0.
const COMMENTS_AT: usize = 37;

/// Returns a configuration file that parses.
pub fn template(facts: &TemplateFacts) -> String {
    let prepare = match &facts.prepare {
        Some(command) => format!(
            "    prepare:                         # once per run, with network\n      command: {}\n      timeout: 10m",
            quote(command)
        ),
        None => {
            "    # prepare: {command: \"\", timeout: 10m}   # once per run, with network".to_owned()
        }
    };
    let build = match &facts.build {
        Some(command) => format!("      build: {}   # once per side", quote(command)),
        None => "      # build: \"\"                    # once per side, before it is measured"
            .to_owned(),
    };
    let guard = match &facts.guard {
        Some(command) => format!(
            "    guard:                           # must not get worse; the exit code decides\n      command: {}",
            quote(command)
        ),
        None => "    # guard:                         # must not get worse; the exit code decides\n    #   command: \"make test\""
            .to_owned(),
    };
    // Each place once, so that nothing that was filled in is taken for a place.
    let mut text = String::new();
    let mut rest = include_str!("template.yaml");
    for (place, value) in [
        ("@NAME@", quote(&facts.name)),
        ("@MUTABLE@", list(&facts.mutable)),
        ("@IMMUTABLE@", list(&facts.immutable)),
        ("@SCRATCH@", list(&facts.scratch)),
        ("@PREPARE@", prepare),
        ("@METRIC@", quote(&facts.metric)),
        ("@EXTRACT@", quote(&facts.extract)),
        ("@BUILD@", build),
        ("@GUARD@", guard),
        ("@POLICY@", facts.policy.clone()),
    ] {
        if let Some((before, after)) = rest.split_once(place) {
            text.push_str(before);
            text.push_str(&value);
            rest = after.trim_start_matches(' ');
            if rest.starts_with('#') {
                let line = text.rsplit('\n').next().unwrap_or_default();
                let blanks = COMMENTS_AT.saturating_sub(line.chars().count()).max(2);
                text.push_str(&" ".repeat(blanks));
            }
        }
    }
    text.push_str(rest);
    text
}

fn list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Writes text as a double-quoted scalar.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => quoted.extend([format!("\\u{:04x}", u32::from(c))]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
