//! One row of the table: what contains, and who calls.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoclave_policies::{Backend, HostCapabilities, Limits, Plan, PlanRequest, View, compile};
use autoclave_runner::sandbox::container::{
    self, ContainerOptions, ContainerSandbox, EngineAddress,
};
use autoclave_runner::sandbox::process::{Feature, ProcessOptions, ProcessSandbox, probe};
use autoclave_runner::sandbox::{Execution, Exit, Finished, OutputSink, Sandbox, Snapshot, Stream};

use super::world::World;
use crate::containers::{Outcome, causes};

/// Where every sandbox finds the prober.
const PROBER: &str = "/opt/prober";

/// One row of the table: what contains the prober.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Sealed,
    /// As sealed, where overlays cannot be mounted.
    Copied,
    Landlock,
    /// On the engine at an address, with an image.
    Container {
        engine: String,
        image: String,
    },
}

impl Row {
    pub fn backend(&self) -> Backend {
        match self {
            Self::Sealed | Self::Copied | Self::Landlock => Backend::Process,
            Self::Container { .. } => Backend::Container,
        }
    }
}

/// What runs the prober in sandboxes.
pub struct Stage {
    pub sandbox: Box<dyn Sandbox>,
    capabilities: HostCapabilities,
    request: PlanRequest,
    prober: View,
}

impl Stage {
    /// Makes the row's sandbox, which keeps its files in `state`; `prober` is the program.
    ///
    /// # Errors
    ///
    /// A backend that is not there.
    pub async fn new(row: &Row, state: &Path, prober: &Path) -> Outcome<Self> {
        let label = format!("agreement-{}", std::process::id());
        let process = |without: Vec<Feature>| -> Outcome<_> {
            let options = ProcessOptions {
                state: state.to_owned(),
                run_label: label.clone(),
                without: without.clone(),
            };
            let sandbox: Box<dyn Sandbox> = Box::new(ProcessSandbox::new(&options)?);
            Ok((sandbox, probe(state, state, &without)))
        };
        let (sandbox, capabilities) = match row {
            Row::Sealed => process(Vec::new())?,
            Row::Copied => process(vec![Feature::Overlay])?,
            Row::Landlock => process(vec![Feature::Namespaces])?,
            Row::Container { engine, image } => {
                let options = ContainerOptions {
                    address: EngineAddress {
                        host: engine.clone(),
                        certificates: None,
                        patience: EngineAddress::PATIENCE,
                    },
                    image: image.clone(),
                    state: state.to_owned(),
                    run_label: label,
                    is_alive: |_, _| true,
                };
                let sandbox = ContainerSandbox::open(options).await?;
                (
                    Box::new(sandbox) as Box<dyn Sandbox>,
                    container::capabilities(),
                )
            }
        };
        let allow_degraded = match row {
            Row::Landlock => vec!["landlock".to_owned()],
            Row::Sealed | Row::Copied | Row::Container { .. } => Vec::new(),
        };
        Ok(Self {
            sandbox,
            capabilities,
            request: PlanRequest {
                views: Vec::new(),
                env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
                limits: Limits {
                    memory_bytes: 512 << 20,
                    cpus: 2.0,
                    pids: 128,
                    disk_bytes: 64 << 20,
                },
                allow_degraded,
            },
            prober: View {
                source: prober.to_owned(),
                target: PathBuf::from(PROBER),
            },
        })
    }

    /// # Errors
    ///
    /// What the host cannot enforce.
    pub fn plan(&self, world: &World) -> Outcome<Plan> {
        let plan = compile(
            &world.policy,
            &world.tree,
            &self.capabilities,
            &self.request,
        );
        plan.map_err(|refusals| format!("{refusals:?}").into())
    }

    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn import(&self, world: &World, plan: &Plan) -> Outcome<Snapshot> {
        let mut entries = world.visible().into_iter().map(Ok);
        Ok(self.sandbox.import(&mut entries, plan).await?)
    }

    /// Gives the prober `input`; returns what it printed.
    ///
    /// # Errors
    ///
    /// Those of the sandbox, and a prober that does not come to its end.
    pub async fn probe(
        &self,
        (snapshot, plan): (&Snapshot, &Plan),
        words: &[&str],
        input: Vec<u8>,
    ) -> Outcome<(Finished, String)> {
        let argv = std::iter::once(&PROBER).chain(words);
        let argv = argv.map(OsString::from).collect();
        let execution = Execution {
            stdin: input,
            views: vec![self.prober.clone()],
            ..Execution::offline(snapshot, plan, argv, Duration::from_secs(300))
        };
        let mut printed = Printed::default();
        let finished = self.sandbox.execute(execution, &mut printed).await;
        let finished = finished.map_err(|error| causes(&error))?;
        match finished.exit {
            Exit::Code(0) => Ok((finished, String::from_utf8(printed.stdout)?)),
            exit => {
                let said = String::from_utf8_lossy(&printed.stderr);
                Err(format!("the prober ended with {exit:?}: {said}").into())
            }
        }
    }
}

#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl OutputSink for Printed {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(chunk),
            Stream::Stderr => self.stderr.extend_from_slice(chunk),
        }
    }
}
