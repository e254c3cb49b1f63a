//! What tells one state of a marker from another.

use sha2::{Digest, Sha256};

use super::{Marker, Status};

impl Marker {
    /// Returns a digest of all that decides what an experiment is: `sha256:` and 32 hex digits.
    ///
    /// `status` and the limits of the loop are left out: a run goes on under other limits.
    pub fn digest(&self) -> String {
        let Self {
            name,
            description,
            status: Status::Active | Status::Paused,
            target,
            prepare,
            metric,
            guards,
            line_guards,
            golden,
            track,
            limits: _,
            agent,
            sandbox,
        } = self;
        let parts = (
            name,
            description,
            target,
            prepare,
            metric,
            guards,
            line_guards,
            golden,
            track,
            agent,
            sandbox,
        );
        let text = serde_json::to_vec(&parts).expect("a marker is plain data");
        let hash = Sha256::digest(&text);
        let digits: String = hash[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{digits}")
    }
}

#[cfg(test)]
mod tests {
    use crate::marker::{Dialect, Marker, parse_config};

    fn marker(text: &str) -> Marker {
        let text = format!(
            "markers:\n  - name: m\n    target: {{mutable: [src/**]}}\n    metric: {{command: m, \
             extract: cat, direction: lower}}\n{text}"
        );
        parse_config(&text, "config.yaml", Dialect::Autoclave, &|_| {
            Ok(String::new())
        })
        .unwrap()
        .markers
        .remove(0)
    }

    #[test]
    fn limits_and_status_may_change_and_nothing_else() {
        let digest = marker("").digest();
        assert_eq!(digest, "sha256:5e28fd8186910b0399217b5f96519d94");
        let more = "    loop: {max_experiments: 99}\n    status: paused\n";
        assert_eq!(marker(more).digest(), digest);
        for change in [
            "    description: other\n",
            "    guard: {command: g}\n",
            "    guard: {metric: rss}\n",
            "    golden: {command: c, generate: g}\n",
            "    track: [rss]\n",
            "    agent: {model: opus}\n",
            "    sandbox: {env: {A: b}}\n",
        ] {
            assert_ne!(marker(change).digest(), digest, "{change}");
        }
    }
}
