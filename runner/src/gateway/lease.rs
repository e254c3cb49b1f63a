//! A run's own part of a [shared gateway](super::shared), seen from the run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use super::shared::{Answer, MAX_LINE, Opened, Request};
use super::{GatewayError, Metered};
use crate::model::Cost;

/// How long the gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a gateway that is started together with the run may take.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A gateway of this run alone, in another process. It ends when this is dropped;
/// [`close`](Self::close) also waits for the last audit lines.
#[derive(Debug)]
#[must_use = "a lease ends when it is dropped"]
pub struct Lease {
    control: PathBuf,
    opened: Opened,
    /// Writes down what the gateway says about each request.
    recording: JoinHandle<io::Result<()>>,
    connection: OwnedWriteHalf,
}

impl Lease {
    /// Asks the gateway at the control socket `control` for one of this run's own, whose audit lines
    /// go to the file `audit`.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Audit`], or [`GatewayError::Shared`] where there is no gateway or it refuses.
    pub async fn open(
        control: &Path,
        max_cost: Option<Cost>,
        audit: &Path,
    ) -> Result<Self, GatewayError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(audit)
            .map_err(|cause| GatewayError::Audit {
                path: audit.to_owned(),
                cause,
            })?;
        let request = Request::Open {
            max_cost_usd: max_cost,
        };
        reach(control).await?;
        let (answer, reader, connection) = ask(control, &request).await?;
        let Answer::Opened(opened) = answer else {
            return Err(refused(control, &answer));
        };
        Ok(Self {
            control: control.to_owned(),
            opened,
            recording: tokio::spawn(record(reader, file)),
            connection,
        })
    }

    /// Returns the folder of the socket, as this process sees it.
    pub fn folder(&self) -> PathBuf {
        self.control.with_file_name(&self.opened.run)
    }

    /// Returns the environment that makes Claude Code use it from inside a sandbox.
    pub fn sandbox_env(&self) -> BTreeMap<String, String> {
        self.opened.env.clone()
    }

    /// Returns the totals since the start.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Shared`] when the gateway is gone.
    pub async fn metered(&self) -> Result<Metered, GatewayError> {
        let run = self.opened.run.clone();
        match ask(&self.control, &Request::Read { run }).await? {
            (Answer::Metered(metered), ..) => Ok(metered),
            (answer, ..) => Err(refused(&self.control, &answer)),
        }
    }

    /// Ends it, and waits until all it did is written down.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Shared`] when the audit lines broke off.
    pub async fn close(self) -> Result<(), GatewayError> {
        drop(self.connection);
        let recorded = self.recording.await.map_err(io::Error::other);
        recorded
            .and_then(|recorded| recorded)
            .map_err(|cause| GatewayError::Shared {
                control: self.control,
                cause,
            })
    }
}

/// Waits until a gateway answers at the control socket: it may be about to start.
///
/// # Errors
///
/// [`GatewayError::Shared`] when none does in time.
pub async fn reach(control: &Path) -> Result<(), GatewayError> {
    let start = tokio::time::Instant::now();
    loop {
        match UnixStream::connect(control).await {
            Ok(_answers) => return Ok(()),
            Err(_) if start.elapsed() < STARTS_WITHIN => tokio::time::sleep(BETWEEN_TRIES).await,
            Err(cause) => {
                return Err(GatewayError::Shared {
                    control: control.to_owned(),
                    cause,
                });
            }
        }
    }
}

/// Says one thing and hears one line.
async fn ask(
    control: &Path,
    request: &Request,
) -> Result<(Answer, BufReader<OwnedReadHalf>, OwnedWriteHalf), GatewayError> {
    let asked = async {
        let (reading, mut writing) = UnixStream::connect(control).await?.into_split();
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        writing.write_all(&line).await?;
        let mut reader = BufReader::new(reading);
        let mut answer = String::new();
        (&mut reader).take(MAX_LINE).read_line(&mut answer).await?;
        Ok((serde_json::from_str(&answer)?, reader, writing))
    };
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    let answered = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answered.map_err(|cause| GatewayError::Shared {
        control: control.to_owned(),
        cause,
    })
}

fn refused(control: &Path, answer: &Answer) -> GatewayError {
    let why = match answer {
        Answer::Failed(why) => why.clone(),
        Answer::Opened(_) | Answer::Metered(_) => "it answers something else".to_owned(),
    };
    GatewayError::Shared {
        control: control.to_owned(),
        cause: io::Error::other(why),
    }
}

/// Appends each line to the file. Where that fails, the connection ends, and the gateway with it:
/// nothing passes that is not written down.
async fn record(mut lines: BufReader<OwnedReadHalf>, mut file: File) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut lines)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await?
            == 0
        {
            return Ok(());
        }
        file.write_all(&line)?;
    }
}
