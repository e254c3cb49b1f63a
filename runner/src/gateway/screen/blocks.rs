//! The content blocks of a request.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::object::{Fields, Object, fields};

/// Sources that are in the request itself. What is not listed is refused, sources to come included.
const LOCAL_SOURCES: [&str; 3] = ["base64", "content", "text"];
/// The lifetime of a cache that costs what is usual.
const USUAL_LIFETIME: &str = "5m";

/// Content blocks; text and anything else that is not a list or an object holds none.
#[derive(Default)]
pub struct Blocks(Vec<Object<Block>>);

#[derive(Default)]
struct Block {
    kind: Option<String>,
    source: Source,
    content: Blocks,
    cache_control: Option<Object<CacheControl>>,
}

/// Where a block has its content from; a text is only a name.
#[derive(Default)]
struct Source {
    kind: Option<String>,
    /// The key that leads elsewhere.
    leads: Option<&'static str>,
    content: Blocks,
}

#[derive(Default)]
pub struct CacheControl {
    ttl: Option<String>,
}

impl Fields for Block {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "source" => self.source = map.next_value()?,
            "content" => self.content = map.next_value()?,
            "cache_control" => self.cache_control = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Fields for Source {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "content" => self.content = map.next_value()?,
            "url" => self.leads = Some("url"),
            "file_id" => self.leads = Some("file_id"),
            _ => return Ok(false),
        }
        Ok(!matches!(key, "url" | "file_id"))
    }
}

impl Fields for CacheControl {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "ttl" => self.ttl = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Blocks {
    /// Returns what the service would fetch or run.
    pub fn server_side(&self) -> Option<String> {
        self.0.iter().find_map(|Object(block)| block.server_side())
    }

    /// Says whether any of them is to be cached for longer than usual.
    pub fn are_for_an_hour(&self) -> bool {
        self.0.iter().any(|Object(block)| {
            is_for_an_hour(block.cache_control.as_ref())
                || block.content.are_for_an_hour()
                || block.source.content.are_for_an_hour()
        })
    }
}

/// Says whether something is to be cached for longer than usual.
pub fn is_for_an_hour(cache: Option<&Object<CacheControl>>) -> bool {
    let lifetime = cache.and_then(|Object(cache)| cache.ttl.as_deref());
    lifetime.is_some_and(|lifetime| lifetime != USUAL_LIFETIME)
}

impl Block {
    fn server_side(&self) -> Option<String> {
        let kind = self.kind.as_deref().unwrap_or_default();
        if kind == "container_upload" {
            return Some(kind.to_owned());
        }
        let source = self.source.kind.as_deref();
        let elsewhere = source.filter(|source| !LOCAL_SOURCES.contains(source));
        if let Some(source) = elsewhere.or(self.source.leads) {
            return Some(format!("{kind} by {source}"));
        }
        self.content
            .server_side()
            .or_else(|| self.source.content.server_side())
    }
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlocksVisitor)
    }
}

struct BlocksVisitor;

impl<'de> Visitor<'de> for BlocksVisitor {
    type Value = Blocks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of content blocks")
    }

    fn visit_unit<E>(self) -> Result<Blocks, E> {
        Ok(Blocks::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Blocks, E> {
        Ok(Blocks::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blocks, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = seq.next_element()? {
            blocks.push(block);
        }
        Ok(Blocks(blocks))
    }

    /// Results of server tools hold one object where others hold a list.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Blocks, A::Error> {
        Ok(Blocks(vec![Object(fields(map)?)]))
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an object with a type")
    }

    fn visit_unit<E>(self) -> Result<Source, E> {
        Ok(Source::default())
    }

    /// The source of a search result is a text.
    fn visit_str<E>(self, _: &str) -> Result<Source, E> {
        Ok(Source::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
        fields(map)
    }
}
