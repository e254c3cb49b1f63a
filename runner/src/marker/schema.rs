//! The JSON Schema of the configuration file, for editors.

/// The schema, as JSON text.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use autoclave_policies::yaml::{self, Meaning, Node};
    use autoclave_policies::{PRESETS, yaml::Value as Yaml};
    use serde_json::{Value, json};

    use super::super::keys::SECTIONS;
    use super::SCHEMA;

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// Returns the object of the schema that describes `section`.
    fn described<'s>(schema: &'s Value, section: &str) -> &'s Value {
        match section {
            "" => schema,
            name => &schema["$defs"][name],
        }
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read_and_no_others() {
        let schema = schema();
        for section in SECTIONS {
            let object = described(&schema, section.name);
            let properties = object["properties"].as_object().unwrap();
            let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
            assert_eq!(keys, section.keys, "{}", section.name);
            assert_eq!(object["additionalProperties"], false, "{}", section.name);
        }
        let sections = SECTIONS.map(|section| section.name);
        for (name, object) in schema["$defs"].as_object().unwrap() {
            let is_section = object.get("properties").is_some();
            assert_eq!(is_section, sections.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn the_manual_lists_every_key_with_its_default_and_no_others() {
        let manual = include_str!("../../../docs/config.md");
        let schema = schema();
        for section in SECTIONS.iter().filter(|section| !section.name.is_empty()) {
            let object = described(&schema, section.name);
            let heading = match section.name {
                "marker" => "## A marker".to_owned(),
                "policy" => "## Policy files".to_owned(),
                name => format!("### `{name}`"),
            };
            let (_, after) = manual
                .split_once(&heading)
                .unwrap_or_else(|| panic!("docs/config.md has no `{heading}`"));
            let text = after.split("\n##").next().unwrap();
            let rows: Vec<Vec<&str>> = text
                .lines()
                .filter(|line| line.starts_with("| `"))
                .map(|line| line.split(" | ").collect())
                .collect();
            let keys: Vec<&str> = rows
                .iter()
                .map(|row| row[0].trim_start_matches("| ").trim_matches('`'))
                .collect();
            assert_eq!(keys, section.keys, "{heading}");
            for (row, key) in rows.iter().zip(section.keys) {
                assert_eq!(row.len(), 4, "{heading}: {row:?}");
                let default = match &object["properties"][key]["default"] {
                    Value::Null => continue,
                    Value::String(text) if text.is_empty() => "none".to_owned(),
                    Value::String(text) => format!("`{text}`"),
                    Value::Array(list) => format!(
                        "`[{}]`",
                        list.iter()
                            .filter_map(Value::as_str)
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                    other => format!("`{other}`"),
                };
                assert_eq!(row[2], default, "{heading}: {key}");
            }
        }
    }

    #[test]
    fn what_is_read_is_valid_and_slips_are_not() {
        let schema = schema();
        let faults = |at: &Value, text: &str| {
            let document = yaml::parse(text).unwrap();
            let mut faults = Vec::new();
            validate(&schema, at, &to_json(&document.root), "", &mut faults);
            faults
        };
        let none: Vec<String> = Vec::new();
        let sample = include_str!("tests/sample.yaml");
        assert_eq!(faults(&schema, sample), none);
        for (name, text) in PRESETS {
            let found = faults(&schema["$defs"]["policy"], text);
            assert_eq!(found, none, "{name}");
        }
        for (from, to, fault) in [
            ("mutable: [", "mutabel: [", "mutabel"),
            ("max_pairs: 60", "max_pairs: 0", "max_pairs"),
            ("timeout: 5m", "timeout: 5", "timeout"),
            ("alpha: 0.02", "alpha: 0.5", "alpha"),
            ("memory: 8G", "memory: 8", "memory"),
            ("direction: lower", "direction: sideways", "direction"),
            ("[\"src/**/*.py\"]", "[\"/src\"]", "mutable"),
            ("- name: sort-speed", "- name: Sort", "name"),
            ("min_effect: 0%", "min_effect: 3", "min_effect"),
        ] {
            assert!(sample.contains(from), "{from}");
            let found = faults(&schema, &sample.replacen(from, to, 1));
            assert!(
                found.iter().any(|found| found.contains(fault)),
                "{to}: {found:?}"
            );
        }
    }

    fn to_json(node: &Node) -> Value {
        match &node.value {
            Yaml::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => Value::Null,
                Meaning::Bool(truth) => json!(truth),
                Meaning::Integer(integer) => json!(integer),
                Meaning::Float(number) => json!(number),
                Meaning::Text => json!(scalar.text),
            },
            Yaml::Sequence(items) => items.iter().map(to_json).collect(),
            Yaml::Mapping(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| {
                    let Yaml::Scalar(key) = &key.value else {
                        panic!("a key that is no text")
                    };
                    (key.text.clone(), to_json(value))
                });
                Value::Object(pairs.collect())
            }
        }
    }

    /// Collects what of `value` does not fit `rule`: as much of JSON Schema as our schema uses; an
    /// unknown keyword is a fault of the schema.
    fn validate(schema: &Value, rule: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, wanted) in rule.as_object().unwrap() {
            let number = value.as_f64();
            let length = |limit: fn(usize, usize) -> bool| {
                let size = match value {
                    Value::String(text) => text.chars().count(),
                    Value::Array(items) => items.len(),
                    _ => return true,
                };
                limit(size, usize::try_from(wanted.as_u64().unwrap()).unwrap())
            };
            let bound = |holds: fn(f64, f64) -> bool| {
                number.is_none_or(|number| holds(number, wanted.as_f64().unwrap()))
            };
            let fits = match keyword.as_str() {
                "$ref" => {
                    let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    validate(schema, &schema["$defs"][name], value, at, faults);
                    true
                }
                "type" => match wanted.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("unknown type {other}"),
                },
                "enum" => wanted.as_array().unwrap().contains(value),
                "pattern" => value.as_str().is_none_or(|text| {
                    let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                    pattern.is_match(text)
                }),
                "minLength" | "minItems" => length(|size, least| size >= least),
                "maxLength" => length(|size, most| size <= most),
                "minimum" => bound(|number, least| number >= least),
                "maximum" => bound(|number, most| number <= most),
                "exclusiveMinimum" => bound(|number, least| number > least),
                "exclusiveMaximum" => bound(|number, most| number < most),
                "anyOf" => wanted.as_array().unwrap().iter().any(|rule| {
                    let mut faults = Vec::new();
                    validate(schema, rule, value, at, &mut faults);
                    faults.is_empty()
                }),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        validate(schema, wanted, item, &format!("{at}[{index}]"), faults);
                    }
                    true
                }
                "properties" => {
                    for (key, rule) in wanted.as_object().unwrap() {
                        if let Some(value) = value.get(key) {
                            validate(schema, rule, value, &format!("{at}.{key}"), faults);
                        }
                    }
                    true
                }
                "required" => {
                    let mut keys = wanted.as_array().unwrap().iter();
                    keys.all(|key| value.get(key.as_str().unwrap()).is_some())
                }
                "additionalProperties" => {
                    let known = rule.get("properties").and_then(Value::as_object);
                    for (key, value) in value.as_object().into_iter().flatten() {
                        let at = format!("{at}.{key}");
                        if known.is_some_and(|known| known.contains_key(key)) {
                            continue;
                        }
                        match wanted {
                            Value::Bool(_) => faults.push(format!("{at}: unknown")),
                            rule => validate(schema, rule, value, &at, faults),
                        }
                    }
                    true
                }
                "propertyNames" => {
                    for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                        validate(schema, wanted, &json!(key), at, faults);
                    }
                    true
                }
                "$schema" | "$defs" | "title" | "description" | "default" | "examples" => true,
                other => panic!("unknown keyword {other}"),
            };
            if !fits {
                faults.push(format!("{at}: {keyword} {wanted}"));
            }
        }
    }
}
