//! What a relay and the runner say to each other on the relay's streams.
//!
//! A frame is a head of [`HEAD_BYTES`] and `length` bytes. Both sides use the same frames.

/// The bytes of a [`Head`].
pub const HEAD_BYTES: usize = 12;
/// The most bytes that one frame carries.
pub const MAX_BYTES: usize = 64 << 10;
/// How many connections a relay has open at a time; a gateway takes as many.
pub const MAX_CONNECTIONS: usize = 64;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Counted by the relay, never used twice.
    pub connection: u32,
    pub kind: Kind,
    /// Bytes that follow.
    pub length: u32,
}

/// What a frame says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The relay listens; of no connection.
    Ready,
    /// Somebody connected.
    Opened,
    /// Some bytes of it.
    Bytes,
    /// No more bytes will come from this side.
    Ended,
    /// It is gone, in both directions.
    Dropped,
}

const KINDS: [Kind; 5] = [
    Kind::Ready,
    Kind::Opened,
    Kind::Bytes,
    Kind::Ended,
    Kind::Dropped,
];

impl Head {
    /// Returns the head of a frame that carries nothing.
    pub fn bare(connection: u32, kind: Kind) -> Self {
        Self {
            connection,
            kind,
            length: 0,
        }
    }

    pub fn encode(self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&self.connection.to_le_bytes());
        head[4] = self.kind as u8;
        head[8..].copy_from_slice(&self.length.to_le_bytes());
        head
    }

    /// Reads a head; `None` where it is none, or promises more than [`MAX_BYTES`].
    pub fn decode(head: [u8; HEAD_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let kind = *KINDS.get(usize::from(head[4]))?;
        let length = number(8);
        let is_sound = head[5..8] == [0; 3]
            && length as usize <= MAX_BYTES
            && (length == 0 || kind == Kind::Bytes);
        is_sound.then_some(Self {
            connection: number(0),
            kind,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for kind in KINDS {
            let length = if kind == Kind::Bytes { 65_536 } else { 0 };
            let head = Head {
                connection: 0x0102_0304,
                kind,
                length,
            };
            assert_eq!(Head::decode(head.encode()), Some(head));
        }
    }

    #[test]
    fn what_no_relay_says_is_refused() {
        let long = Head {
            connection: 1,
            kind: Kind::Bytes,
            length: 65_537,
        };
        assert_eq!(Head::decode(long.encode()), None);
        let loaded = Head {
            length: 1,
            ..Head::bare(1, Kind::Ended)
        };
        assert_eq!(Head::decode(loaded.encode()), None);
        let mut unknown = Head::bare(1, Kind::Dropped).encode();
        unknown[4] = 5;
        assert_eq!(Head::decode(unknown), None);
    }
}
