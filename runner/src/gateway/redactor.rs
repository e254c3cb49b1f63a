//! Takes the secret out of what the service answers, also where it comes in pieces.

use bytes::Bytes;

/// Replaces each occurrence of a secret by as many `*`, so that an announced length stays true.
pub struct Redactor {
    secret: Vec<u8>,
    /// The beginning of the secret, perhaps: not passed on before it is known.
    held: Vec<u8>,
}

impl Redactor {
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.as_bytes().to_vec(),
            held: Vec::new(),
        }
    }

    /// Takes the next piece, and returns what may be passed on.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() && self.find(&piece).is_none() && self.begun(&piece) == 0 {
            return piece;
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(&piece);
        let mut from = 0;
        while let Some(at) = self.find(&bytes[from..]) {
            let end = from + at + self.secret.len();
            bytes[from + at..end].fill(b'*');
            from = end;
        }
        let begun = self.begun(&bytes);
        self.held = bytes.split_off(bytes.len() - begun);
        bytes.into()
    }

    /// Takes the end, and returns what was held back.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let first = *self.secret.first()?;
        let mut from = 0;
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
            from += at;
            if bytes[from..].starts_with(&self.secret) {
                return Some(from);
            }
            from += 1;
        }
        None
    }

    /// Returns how many bytes at the end begin the secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let most = bytes.len().min(self.secret.len().saturating_sub(1));
        (1..=most)
            .rev()
            .find(|count| bytes.ends_with(&self.secret[..*count]))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what comes of `text` in pieces of `size` bytes.
    fn redacted(text: &str, size: usize) -> String {
        let mut redactor = Redactor::new("sk-sk-1");
        let mut passed = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            passed.extend(redactor.push(Bytes::copy_from_slice(piece)));
        }
        passed.extend(redactor.finish());
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn every_occurrence_is_replaced_in_pieces_of_any_size() {
        for size in 1..30 {
            assert_eq!(
                redacted("a sk-sk-1sk-sk-1 sk-sk-sk-1 sk-sk-", size),
                "a ************** sk-******* sk-sk-",
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_the_secret() {
        let mut redactor = Redactor::new("sk-1");
        assert_eq!(redactor.push("data: s\n\n".into()), "data: s\n\n");
        assert_eq!(redactor.push("data: sk".into()), "data: ");
        assert_eq!(redactor.push("i\n\n".into()), "ski\n\n");
    }
}
