//! Archives out of containers: tar entries of any kind, or any bytes.
//!
//! An input that starts with an even byte is an archive as it is, but for the checksums of its headers,
//! which are made right; any other is a recipe for one.
#![no_main]

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use autoclave_policies::RepoPath;
use autoclave_runner::sandbox::container::fuzzing::{
    Delta, Difference, Manifest, Now, ReadLimits, Record, Recorded, compare, record,
};
use libfuzzer_sys::fuzz_target;
use tar::{EntryType, Header};

const LIMITS: ReadLimits = ReadLimits {
    entries: 20,
    bytes: 8 << 10,
    changed_bytes: 1 << 10,
    path_bytes: 120,
};
const BLOCK: usize = 512;

/// One archive, entry by entry.
#[derive(Debug, Arbitrary)]
struct Recipe {
    entries: Vec<Ingredient>,
    is_ended: bool,
}

#[derive(Debug, Arbitrary)]
struct Ingredient {
    name: Name,
    /// The type in the header: any byte, but mostly one that means something.
    kind: u8,
    is_any_kind: bool,
    mode: u32,
    link: Name,
    contents: Vec<u8>,
    /// The size that the header tells, where that is not the contents'.
    lie: Option<u64>,
    is_ustar: bool,
}

#[derive(Debug, Arbitrary)]
enum Name {
    Plain { folder: u8, names: Vec<u8> },
    Raw(Vec<u8>),
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let archive = if first % 2 == 0 {
        checksummed(rest)
    } else {
        match Recipe::arbitrary(&mut Unstructured::new(rest)) {
            Ok(recipe) => recipe.bake(),
            Err(_) => return,
        }
    };
    let root = RepoPath::try_from("src").expect("a plain path");
    for root in [None, Some(&root)] {
        check(&archive, root);
    }
});

fn check(archive: &[u8], root: Option<&RepoPath>) {
    let kept = RepoPath::try_from("src/kept").expect("a plain path");
    let before = Record::from([(kept.clone(), Recorded::file(b"kept", false))]);
    let manifest = Manifest::new(Arc::new(before), &Delta::default());
    let mut whole = Cut::new(archive, usize::MAX);
    let found = compare(&mut whole, root, LIMITS, &manifest);
    let consumed = whole.given;
    assert!(consumed <= bound(), "{consumed} bytes were read");
    // However the stream is cut into pieces, it is the same archive.
    let in_pieces = compare(Cut::new(archive, 7), root, LIMITS, &manifest);
    match (&found, &in_pieces) {
        (Ok(found), Ok(in_pieces)) => assert_eq!(found, in_pieces),
        (Err(_), Err(_)) => {}
        _ => panic!("read whole: {found:?}, in pieces: {in_pieces:?}"),
    }
    let Ok(found) = found else {
        return;
    };
    for length in [consumed - 1, consumed / 2] {
        assert!(
            compare(&archive[..length], root, LIMITS, &manifest).is_err(),
            "{length} of {consumed} bytes were taken for the whole"
        );
    }
    check_differences(&found, root);

    // What is recorded of an archive is what it holds.
    let mut recorded = Record::new();
    record(archive, root, LIMITS, &mut recorded).expect("it could be read before");
    assert!(recorded.len() <= LIMITS.entries);
    let manifest = Manifest::new(Arc::new(recorded), &Delta::default());
    let again = compare(archive, root, LIMITS, &manifest).expect("it could be read before");
    for difference in again {
        assert!(matches!(difference.now, Now::Refused(_)), "{difference:?}");
    }
}

/// Returns the most bytes that reading may take: those of the files, and headers of all entries.
fn bound() -> usize {
    usize::try_from(LIMITS.bytes).expect("small") + LIMITS.entries * 16 * 1024
}

fn check_differences(found: &[Difference], root: Option<&RepoPath>) {
    // Each hard link refuses what it names, too.
    assert!(found.len() <= 2 * LIMITS.entries + 1);
    let paths: BTreeSet<&RepoPath> = found.iter().map(|difference| &difference.path).collect();
    assert_eq!(paths.len(), found.len(), "one path, one difference");
    let mut kept_bytes = 0;
    for Difference { path, now } in found {
        assert_eq!(RepoPath::new(path.as_bytes()).as_ref(), Ok(path), "no path");
        assert!(
            root.is_none_or(|root| path.is_within(root)),
            "{path} escapes"
        );
        match now {
            Now::File { bytes, .. } => kept_bytes += bytes.len() as u64,
            Now::Link { .. } => {}
            Now::Gone => assert_eq!(path.as_bytes(), b"src/kept"),
            Now::Refused(why) => {
                assert!(!why.is_empty());
                continue;
            }
        }
        assert!(path.as_bytes().len() <= LIMITS.path_bytes);
        assert!(!path.components().any(|name| name == b".git"), "{path}");
    }
    assert!(
        kept_bytes <= LIMITS.changed_bytes,
        "{kept_bytes} bytes are kept"
    );
}

/// Makes the checksum of each header right, as far as sizes lead from one to the next.
fn checksummed(bytes: &[u8]) -> Vec<u8> {
    let mut archive = bytes.to_vec();
    let mut at = 0_usize;
    while let Some(block) = archive.get(at..at.saturating_add(BLOCK)) {
        if block.iter().all(|byte| *byte == 0) {
            at += BLOCK;
            continue;
        }
        let mut header = Header::from_byte_slice(block).clone();
        header.set_cksum();
        let size = header.entry_size().unwrap_or(0);
        archive[at..at + BLOCK].copy_from_slice(header.as_bytes());
        let blocks = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(BLOCK);
        at = at
            .saturating_add(BLOCK)
            .saturating_add(blocks.saturating_mul(BLOCK));
    }
    archive
}

impl Recipe {
    fn bake(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for entry in &self.entries {
            entry.add_to(&mut archive);
        }
        if self.is_ended {
            archive.extend_from_slice(&[0; 2 * BLOCK]);
        }
        archive
    }
}

impl Ingredient {
    fn add_to(&self, archive: &mut Vec<u8>) {
        // Files, links, directories, devices; long names, extended headers, sparse files.
        const KINDS: &[u8] = b"00000112556347LKxgSsDV\0";
        let mut header = if self.is_ustar {
            Header::new_ustar()
        } else {
            Header::new_gnu()
        };
        let kind = if self.is_any_kind {
            self.kind
        } else {
            KINDS[usize::from(self.kind) % KINDS.len()]
        };
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(self.mode);
        let size = self.lie.unwrap_or(self.contents.len() as u64);
        header.set_size(size);
        put(&mut header.as_old_mut().name, &self.name.bytes());
        put(&mut header.as_old_mut().linkname, &self.link.bytes());
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(&self.contents);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
}

impl Name {
    /// Returns a path of words that matter, or any bytes.
    fn bytes(&self) -> Vec<u8> {
        const FOLDERS: [&str; 4] = ["workspace/", "src/", "/workspace/", "./"];
        const NAMES: [&str; 8] = [
            "a",
            "b",
            "kept",
            "..",
            ".git",
            "",
            ".",
            "a-long-name-for-a-folder",
        ];
        match self {
            Name::Raw(bytes) => bytes.clone(),
            Name::Plain { folder, names } => {
                let folder = FOLDERS[usize::from(*folder) % FOLDERS.len()];
                let names: Vec<&str> = names
                    .iter()
                    .map(|name| NAMES[usize::from(*name) % NAMES.len()])
                    .collect();
                format!("{folder}{}", names.join("/")).into_bytes()
            }
        }
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// A stream that gives at most `piece` bytes at a time, and counts them.
struct Cut<'b> {
    rest: &'b [u8],
    piece: usize,
    given: usize,
}

impl<'b> Cut<'b> {
    fn new(rest: &'b [u8], piece: usize) -> Self {
        Self {
            rest,
            piece,
            given: 0,
        }
    }
}

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.piece);
        let given = self.rest.read(&mut buffer[..length])?;
        self.given += given;
        Ok(given)
    }
}
