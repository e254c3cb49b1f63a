//! What a command printed, kept within bounds.

use crate::sandbox::{OutputSink, Stream};

/// The last bytes of each stream of a command.
#[derive(Debug)]
pub struct Capture {
    pub stdout: Tail,
    pub stderr: Tail,
}

/// The last bytes of a stream.
#[derive(Debug)]
pub struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    /// Bytes that came, kept or not.
    seen: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes of standard output and 64 KiB of standard error.
    pub fn new(limit: usize) -> Self {
        Self {
            stdout: Tail::new(limit),
            stderr: Tail::new(64 << 10),
        }
    }

    /// Returns both streams as text for people, the last `limit` bytes of each.
    pub fn for_people(&self, limit: usize) -> String {
        let mut text = String::new();
        for (tail, label) in [(&self.stdout, "stdout"), (&self.stderr, "stderr")] {
            let bytes = tail.bytes();
            if bytes.is_empty() {
                continue;
            }
            let start = bytes.len().saturating_sub(limit);
            let cut = tail.seen - (bytes.len() - start) as u64;
            text.push_str(&format!("--- {label}"));
            if cut > 0 {
                text.push_str(&format!(", first {cut} bytes left out"));
            }
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(&bytes[start..]));
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        text
    }
}

impl OutputSink for Capture {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.push(chunk),
            Stream::Stderr => self.stderr.push(chunk),
        }
    }
}

impl Tail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            seen: 0,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        self.seen += chunk.len() as u64;
        // Cut rarely: moving the tail for every chunk would cost quadratic time.
        if self.bytes.len() > 2 * self.limit {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..excess);
    }

    /// Says whether more came than is kept.
    pub fn is_cut(&self) -> bool {
        self.seen > self.bytes().len() as u64
    }

    /// Returns the last line that is not blank, cut to 200 characters.
    pub fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes());
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(line.trim().chars().take(200).collect())
    }

    /// Returns the kept bytes, at most the limit.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.limit)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_last_bytes() {
        let mut capture = Capture::new(4);
        for digit in b"0123456789" {
            capture.write(Stream::Stdout, &[*digit]);
        }
        assert_eq!(capture.stdout.bytes(), b"6789");
        assert_eq!(
            capture.for_people(2),
            "--- stdout, first 8 bytes left out\n89\n"
        );
    }
}
