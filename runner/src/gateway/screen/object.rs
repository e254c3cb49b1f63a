//! JSON objects, read so that no other reader can find something else in them.
//!
//! Readers differ in which of two equal keys they take, and some take a key that is written in
//! another way for one they know. Such keys are errors here, so that what was screened is what is
//! meant behind the gateway as well.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The keys that matter to the screening, in whichever object.
const KEYS: [&str; 16] = [
    "cache_control",
    "container",
    "content",
    "file_id",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "model",
    "source",
    "speed",
    "system",
    "tools",
    "ttl",
    "type",
    "url",
];
const MAX_SHOWN: usize = 80;

/// What an object is read into.
pub trait Fields: Default {
    /// Takes the value of `key`; `false` leaves it where it is.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// An object, and nothing that could stand for one.
#[derive(Default)]
pub struct Object<T>(pub T);

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        fields(map).map(Object)
    }
}

/// Reads the fields of an object.
pub fn fields<'de, T: Fields, A: MapAccess<'de>>(mut map: A) -> Result<T, A::Error> {
    let mut fields = T::default();
    let mut seen = HashSet::new();
    while let Some(key) = map.next_key::<String>()? {
        if let Some(meant) = KEYS.iter().find(|meant| is_alike(meant, &key))
            && *meant != key
        {
            let key = shown(&key);
            return Err(A::Error::custom(format!("`{key}` is written `{meant}`")));
        }
        if seen.contains(&key) {
            let key = shown(&key);
            return Err(A::Error::custom(format!("duplicate field `{key}`")));
        }
        if !fields.take(&key, &mut map)? {
            map.next_value::<IgnoredAny>()?;
        }
        seen.insert(key);
    }
    Ok(fields)
}

/// Says whether some reader takes both for the same key: in any case, as Unicode folds it, and
/// with words joined in any way.
fn is_alike(a: &str, b: &str) -> bool {
    letters(a).eq(letters(b))
}

fn letters(key: &str) -> impl Iterator<Item = char> {
    key.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            letter => letter.to_ascii_lowercase(),
        })
}

/// Returns as much of a caller's text as an answer holds.
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
