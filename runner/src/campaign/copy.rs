//! A copy of what somebody else prints, that never fills the disk.

use std::fs::File;
use std::io::Write;

/// How much of one session's output is kept.
pub(super) const TRANSCRIPT_BYTES: u64 = 64 << 20;

/// A file that takes so many bytes and no more.
#[derive(Debug)]
pub(super) struct Copy {
    file: Option<File>,
    room: u64,
}

impl Copy {
    /// Returns a copy in `file` of the first `room` bytes.
    pub fn new(file: File, room: u64) -> Self {
        let file = Some(file);
        Self { file, room }
    }

    /// Writes what there is room for; says whether that has run out just now. A file that cannot be
    /// written takes nothing any more.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let fits = usize::try_from(self.room).map_or(chunk.len(), |room| room.min(chunk.len()));
        if let Err(cause) = file.write_all(&chunk[..fits]) {
            tracing::error!(%cause, "could not write the transcript");
            self.file = None;
            return false;
        }
        self.room -= fits as u64;
        let is_over = fits < chunk.len();
        if is_over {
            self.file = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("said");
        let mut copy = Copy::new(File::create(&path).unwrap(), 5);
        let told = ["abc", "de", "fgh", "i"].map(|chunk| copy.push(chunk.as_bytes()));
        assert_eq!(told, [false, false, true, false]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "abcde");
    }
}
