//! Lists of paths in JSON, whatever bytes they hold.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path as text where it is text: most are, and bytes take four times the space.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(paths.iter().map(|path| match path.to_str() {
        Some(text) => Written::Text(text.to_owned()),
        None => Written::Bytes(path.as_os_str().as_bytes().to_vec()),
    }))
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    let written = Vec::<Written>::deserialize(from)?;
    let paths = written.into_iter().map(|path| match path {
        Written::Text(text) => PathBuf::from(text),
        Written::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
    });
    Ok(paths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Landlock;

    #[test]
    fn any_bytes_are_read_back() {
        let odd = ["a", "new\nline", "\u{e9}\""].map(PathBuf::from);
        let raw = PathBuf::from(OsString::from_vec(b"raw\xff".to_vec()));
        let landlock = Landlock {
            abi: 3,
            readable: Vec::new(),
            denies_tcp: false,
            has_terminals: false,
            trees: odd.to_vec(),
            files: vec![raw],
        };
        let text = serde_json::to_string(&landlock).expect("any path can be written");
        let read: Landlock = serde_json::from_str(&text).expect("what was written is read");
        assert_eq!((read.trees, read.files), (landlock.trees, landlock.files));
    }
}
