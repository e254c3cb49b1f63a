//! Lines out of chunks of bytes, within bounds.

/// The longest line that is read; a longer one is skipped and counted. As JSON values, a line that is
/// made for it takes some twenty times its bytes of memory.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    partial: Vec<u8>,
    is_skipping: bool,
    skipped: u32,
}

impl Lines {
    /// Returns a cutter that skips lines of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            partial: Vec::new(),
            is_skipping: false,
            skipped: 0,
        }
    }

    /// Calls `each` for every line that `chunk` ends, without its newline.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.take(&rest[..end]);
            rest = &rest[end + 1..];
            self.end(&mut each);
        }
        self.take(rest);
    }

    /// Ends the last line, where the stream did not.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() || self.is_skipping {
            self.end(&mut each);
        }
    }

    /// Returns how many lines were too long.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.is_skipping {
            return;
        }
        if self.partial.len() + bytes.len() > self.limit {
            self.is_skipping = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(&[u8])) {
        if self.is_skipping {
            self.is_skipping = false;
            self.skipped = self.skipped.saturating_add(1);
        } else {
            each(&self.partial);
            self.partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> (Vec<String>, u32) {
        let mut lines = Lines::new(4);
        let mut seen = Vec::new();
        let mut keep = |line: &[u8]| seen.push(String::from_utf8_lossy(line).into_owned());
        for chunk in chunks {
            lines.push(chunk, &mut keep);
        }
        lines.finish(&mut keep);
        (seen, lines.skipped())
    }

    #[test]
    fn half_lines_are_put_together() {
        assert_eq!(
            cut(&[b"a", b"b\n\nc"]),
            (vec!["ab".into(), String::new(), "c".into()], 0)
        );
    }

    #[test]
    fn only_the_line_that_is_too_long_is_lost() {
        assert_eq!(
            cut(&[b"abcd\nab", b"cde", b"f\nx\n"]),
            (vec!["abcd".into(), "x".into()], 1)
        );
        assert_eq!(cut(&[b"abcdefg"]), (Vec::new(), 1));
    }
}
