//! The JSON Schema of the configuration file, for editors.

/// The schema, as JSON text.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use super::super::keys::SECTIONS;
    use super::SCHEMA;

    #[test]
    fn the_schema_has_the_keys_that_are_read_and_no_others() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        for section in SECTIONS {
            let object = match section.name {
                "" => &schema,
                name => &schema["$defs"][name],
            };
            let properties = object["properties"].as_object().unwrap();
            let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
            assert_eq!(keys, section.keys, "{}", section.name);
            assert_eq!(object["additionalProperties"], false, "{}", section.name);
        }
    }
}
