//! Outputs of the base commit that a candidate must give too, compared outside of its process.

use autoclave_policies::{Glob, RepoPath};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::capture::Tail;
use super::measure::{Shell, describe};
use super::round::seeded;
use super::workshop::Workshop;
use crate::decide::golden::{GoldenInput, GoldenOutput};
use crate::marker::{Generate, Golden};
use crate::repo::TreeKind;
use crate::sandbox::{Exit, OutputSink, Snapshot, Stream};

/// What people and later briefs call this guard.
pub(super) const GOLDEN: &str = "golden";

/// An output that is not the base's.
#[derive(Debug)]
pub(super) struct Difference {
    pub input: GoldenInput,
    /// The agent may not know which input it is.
    pub is_hidden: bool,
    /// How the command ended, where it failed.
    how: Option<String>,
}

impl Difference {
    /// Returns what differs, in one line.
    pub fn told(&self) -> String {
        let (input, how) = (&self.input, self.how.as_deref());
        let how = how.map(|how| format!(": the command {how}"));
        let how = how.unwrap_or_default();
        format!("{GOLDEN}: the output for {input} differs{how}")
    }
}

/// What one run of the command gave.
struct Output {
    digest: String,
    exit: Exit,
    /// The last line on standard error.
    said: Option<String>,
}

/// Takes standard output into a digest as it comes.
struct Digesting {
    hash: Sha256,
    stderr: Tail,
}

impl OutputSink for Digesting {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        match stream {
            Stream::Stdout => self.hash.update(chunk),
            Stream::Stderr => self.stderr.push(chunk),
        }
    }
}

impl Workshop {
    /// Records the outputs of the base commit as `base` holds it, for every file that
    /// `golden.inputs` matches and for each of `seeds`; none where there is no `golden`.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox. The inner `Err` says why an output cannot be
    /// compared: a glob without a file, a command that cannot run, outputs that differ by
    /// themselves.
    pub(super) async fn golden_outputs(
        &self,
        base: &Snapshot,
        mut seed: impl FnMut() -> u32,
        cancel: &CancellationToken,
    ) -> Result<Result<Vec<GoldenOutput>, String>, CampaignError> {
        let Some(golden) = &self.marker.golden else {
            return Ok(Ok(Vec::new()));
        };
        let mut inputs = match self.golden_files(golden)? {
            Ok(files) => files,
            Err(why) => return Ok(Err(why)),
        };
        let count = golden.generate.as_ref().map_or(0, |made| made.count);
        inputs.extend((0..count).map(|_| GoldenInput::Seed(seed())));
        let mut outputs = Vec::new();
        for input in inputs {
            let mut digests = Vec::new();
            for _ in 0..2 {
                let bytes = match self.golden_bytes(&input, base, cancel).await? {
                    Ok(bytes) => bytes,
                    Err(why) => return Ok(Err(why)),
                };
                let output = self.golden_output(golden, base, bytes, cancel).await?;
                if !matches!(output.exit, Exit::Code(code) if code != 127) {
                    let how = describe(output.exit, golden.timeout);
                    let said = output.said.map(|said| format!("; it said: {said}"));
                    let said = said.unwrap_or_default();
                    let why = format!("{GOLDEN}: for {input} the command {how}{said}");
                    return Ok(Err(why));
                }
                digests.push(output.digest);
            }
            if digests[0] != digests[1] {
                return Ok(Err(format!(
                    "{GOLDEN}: the output for {input} differs from run to run on the base commit: \
                     it can only be compared when it is always the same"
                )));
            }
            let digest = digests.swap_remove(0);
            outputs.push(GoldenOutput { input, digest });
        }
        Ok(Ok(outputs))
    }

    /// Returns the first output of `candidate` that is not as `known` on the base commit, if one
    /// is not.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox; [`CampaignError::BaselineNotGreen`] when an input
    /// cannot be had any more.
    pub(super) async fn golden_difference(
        &self,
        (base, candidate): (&Snapshot, &Snapshot),
        known: &[GoldenOutput],
        cancel: &CancellationToken,
    ) -> Result<Option<Difference>, CampaignError> {
        let Some(golden) = &self.marker.golden else {
            return Ok(None);
        };
        for GoldenOutput { input, digest } in known {
            let bytes = self.golden_bytes(input, base, cancel).await?;
            let bytes = bytes.map_err(CampaignError::BaselineNotGreen)?;
            let output = self.golden_output(golden, candidate, bytes, cancel).await?;
            if output.digest != *digest {
                let is_hidden = match input {
                    GoldenInput::File(path) => self.is_hidden(path),
                    GoldenInput::Seed(_) => false,
                };
                let how = describe(output.exit, golden.timeout);
                return Ok(Some(Difference {
                    input: input.clone(),
                    is_hidden,
                    how: (!output.exit.is_success()).then_some(how),
                }));
            }
        }
        Ok(None)
    }

    /// Returns the files of the base commit that `golden.inputs` names, in the order of the globs;
    /// the inner `Err` names a glob that matches none.
    fn golden_files(
        &self,
        golden: &Golden,
    ) -> Result<Result<Vec<GoldenInput>, String>, CampaignError> {
        let tree = self.repo.tree(&self.base)?;
        let files = tree
            .into_iter()
            .filter(|(_, kind)| matches!(kind, TreeKind::File { .. }));
        let files: Vec<RepoPath> = files.map(|(path, _)| path).collect();
        let mut inputs = Vec::new();
        for text in &golden.inputs {
            let glob = Glob::parse(text).ok();
            let is_match = |path: &RepoPath| glob.as_ref().is_some_and(|glob| glob.matches(path));
            let found: Vec<&RepoPath> = files.iter().filter(|path| is_match(path)).collect();
            if found.is_empty() {
                return Ok(Err(format!(
                    "{GOLDEN}: `{text}` of `golden.inputs` matches no file of the base commit"
                )));
            }
            for path in found {
                let input = GoldenInput::File(path.clone());
                if !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
        }
        Ok(Ok(inputs))
    }

    /// Returns the bytes of an input; the inner `Err` says why there are none.
    async fn golden_bytes(
        &self,
        input: &GoldenInput,
        base: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<Result<Vec<u8>, String>, CampaignError> {
        let generate = self
            .marker
            .golden
            .as_ref()
            .and_then(|g| g.generate.as_ref());
        match (input, generate) {
            (GoldenInput::File(path), _) => {
                let bytes = self.repo.read_file(&self.base, path)?;
                Ok(bytes.ok_or_else(|| format!("{GOLDEN}: the base commit has no file {input}")))
            }
            (GoldenInput::Seed(seed), Some(Generate { command, .. })) => {
                let shell = Shell {
                    env: seeded(*seed),
                    ..Shell::new(base, command, self.marker.metric.timeout)
                };
                let printed = self.input(shell, "`golden.generate`", cancel).await?;
                Ok(printed.map_err(|refused| format!("{}\n{}", refused.why, refused.output)))
            }
            (GoldenInput::Seed(_), None) => {
                Ok(Err(format!("{GOLDEN}: nothing generates {input} any more")))
            }
        }
    }

    async fn golden_output(
        &self,
        golden: &Golden,
        snapshot: &Snapshot,
        input: Vec<u8>,
        cancel: &CancellationToken,
    ) -> Result<Output, CampaignError> {
        let mut digesting = Digesting {
            hash: Sha256::new(),
            stderr: Tail::new(4 << 10),
        };
        let shell = Shell {
            stdin: input,
            ..Shell::new(snapshot, &golden.command, golden.timeout)
        };
        let exit = self.shell(shell, cancel, &mut digesting).await?.exit;
        let Digesting { mut hash, stderr } = digesting;
        // How it ended comes last: the output is taken in before anybody knows.
        hash.update(serde_json::to_vec(&exit).expect("an exit is plain data"));
        let digest = hash.finalize();
        Ok(Output {
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            exit,
            said: stderr.last_line(),
        })
    }
}
