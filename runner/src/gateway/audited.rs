//! Reading an audit file back: what all its requests came to.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Deserialize;

use crate::model::{Cost, Usage};

/// What counts of a line of the [audit](super::audit) file.
#[derive(Deserialize)]
struct Settled {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: Cost,
}

/// Returns what the requests in an audit file came to; a missing file holds none, and what is no
/// line of it counts for nothing. A last line that was torn is ended, so that it spoils no other.
///
/// # Errors
///
/// When the file is there and cannot be read or written.
pub fn audited(path: &Path) -> io::Result<Usage> {
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Usage::default()),
        Err(cause) => return Err(cause),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut total = Usage::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(settled) = serde_json::from_slice::<Settled>(line) {
            total += Usage {
                turns: 0,
                input_tokens: settled.input_tokens,
                output_tokens: settled.output_tokens,
                cost_usd: settled.cost_usd,
            };
        }
    }
    if bytes.last().is_some_and(|last| *last != b'\n') {
        file.write_all(b"\n")?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::audit::{Audit, AuditLine, AuditTo};

    fn line(cost: u64) -> AuditLine<'static> {
        AuditLine {
            at_ms: 1,
            method: "POST",
            path: "/v1/messages",
            model: None,
            status: Some(200),
            input_tokens: 10,
            output_tokens: 2,
            cost_usd: Cost::from_microdollars(cost),
            ms: 5,
            refused: None,
        }
    }

    #[test]
    fn what_was_audited_is_added_up_and_a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.jsonl");
        assert_eq!(audited(&path).unwrap(), Usage::default());
        let write = |cost| {
            let audit = Audit::open(AuditTo::File(path.clone())).unwrap();
            audit.write(&line(cost)).unwrap();
        };
        write(7);
        write(1_234_567);
        let of = |requests: u64, cost| Usage {
            turns: 0,
            input_tokens: 10 * requests,
            output_tokens: 2 * requests,
            cost_usd: Cost::from_microdollars(cost),
        };
        assert_eq!(audited(&path).unwrap(), of(2, 1_234_574));

        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(audited(&path).unwrap(), of(1, 7));
        write(100);
        assert_eq!(audited(&path).unwrap(), of(2, 107));
    }
}
