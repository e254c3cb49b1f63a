//! The helper's status lines, taken out of a container's output.

use autoclave_enter::Status;

/// Longer than any status line.
const MAX_LINE: usize = 16 << 10;

/// Splits a stream into what the command wrote and what the helper reports.
///
/// A status line is a record separator, a nonce that the command never learns, a space,
/// JSON, `\n`. It may come in pieces and in the middle of other output.
#[derive(Debug)]
pub struct StatusSplitter {
    start: Vec<u8>,
    /// What may be the beginning of a status line.
    pending: Vec<u8>,
}

/// One piece of a stream, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Output(Vec<u8>),
    /// The JSON of a status line.
    Status(Vec<u8>),
}

impl StatusSplitter {
    pub fn new(nonce: &str) -> Self {
        Self {
            start: format!("\x1e{nonce} ").into_bytes(),
            pending: Vec::new(),
        }
    }

    /// Takes the next bytes; returns what is certain by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.pending.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some(at) = find(&self.pending, &self.start) {
            let line = at + self.start.len();
            let Some(length) = self.pending[line..].iter().position(|b| *b == b'\n') else {
                if self.pending.len() - line > MAX_LINE {
                    break;
                }
                output(&mut pieces, self.pending.drain(..at).collect());
                return pieces;
            };
            let json = self.pending[line..line + length].to_vec();
            output(&mut pieces, self.pending[..at].to_vec());
            pieces.push(Piece::Status(json));
            self.pending.drain(..=line + length);
        }
        let kept = tail_that_may_start(&self.pending, &self.start);
        let certain = self.pending.len() - kept;
        output(&mut pieces, self.pending.drain(..certain).collect());
        pieces
    }

    /// Returns what was held back; the stream has ended.
    pub fn finish(self) -> Vec<u8> {
        self.pending
    }
}

/// Reads a status line's JSON; `None` where it is none.
pub fn parse(json: &[u8]) -> Option<Status> {
    serde_json::from_slice(json).ok()
}

fn output(pieces: &mut Vec<Piece>, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        pieces.push(Piece::Output(bytes));
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // Its first byte is rare in text.
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|b| *b == needle[0]) {
        let at = from + at;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Returns how many bytes at the end of `text` are a beginning of `start`.
fn tail_that_may_start(text: &[u8], start: &[u8]) -> usize {
    (1..start.len().min(text.len() + 1))
        .rev()
        .find(|length| text.ends_with(&start[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut splitter = StatusSplitter::new("n0nce");
        let (mut text, mut statuses) = (Vec::new(), Vec::new());
        for chunk in chunks {
            for piece in splitter.push(chunk) {
                match piece {
                    Piece::Output(bytes) => text.extend(bytes),
                    Piece::Status(json) => statuses.push(json),
                }
            }
        }
        text.extend(splitter.finish());
        (text, statuses)
    }

    #[test]
    fn status_lines_are_found_however_the_stream_is_cut() {
        let stream = b"warning\n\x1en0nce {\"a\":1}\nmore\x1e\x1en0nce 2\nend\n\x1e";
        for size in 1..stream.len() {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            let (text, statuses) = split(&chunks);
            assert_eq!(text, b"warning\nmore\x1eend\n\x1e", "chunks of {size}");
            assert_eq!(statuses, [b"{\"a\":1}".to_vec(), b"2".to_vec()]);
        }
    }

    #[test]
    fn a_line_with_another_nonce_is_output() {
        let forged = b"\n\x1eother {\"exited\":{\"code\":0}}\n";
        assert_eq!(split(&[forged]), (forged.to_vec(), Vec::new()));
    }

    #[test]
    fn whole_lines_are_passed_on_at_once() {
        let mut splitter = StatusSplitter::new("n0nce");
        let pieces = splitter.push(b"a line\n");
        assert_eq!(pieces, [Piece::Output(b"a line\n".to_vec())]);
    }

    #[test]
    fn output_without_end_is_passed_on_and_not_collected() {
        let mut splitter = StatusSplitter::new("n0nce");
        let pieces = splitter.push(&vec![b'x'; 100_000]);
        assert_eq!(pieces, [Piece::Output(vec![b'x'; 100_000])]);
    }
}
