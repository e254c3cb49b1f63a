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
    /// The test command, where one was found.
    pub guard: Option<String>,
}

/// Returns a configuration file that parses and only needs its metric filled in.
pub fn template(facts: &TemplateFacts) -> String {
    let guard = match &facts.guard {
        Some(command) => format!(
            "    guard:                           # must not get worse; the exit code decides\n      command: {}\n",
            quote(command)
        ),
        None => "    # guard:                         # must not get worse; the exit code decides\n    #   command: \"make test\"\n"
            .to_owned(),
    };
    include_str!("template.yaml")
        .replace("@NAME@", &quote(&facts.name))
        .replace("@MUTABLE@", &list(&facts.mutable))
        .replace("@IMMUTABLE@", &list(&facts.immutable))
        .replace("@SCRATCH@", &list(&facts.scratch))
        .replace("@GUARD@\n", &guard)
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
