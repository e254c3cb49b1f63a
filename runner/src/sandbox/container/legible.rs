//! Answers that Docker's client can read.

use std::time::Duration;

use bollard::errors::Error;
use tokio::time::{Instant, sleep};

/// How long a container may be between its end and being put away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks about containers until the answer can be read.
///
/// Between a container's end and the moment when it is put away Podman says that it is `stopped`,
/// which is no word of Docker's: its client then understands nothing of the whole answer.
pub async fn legible<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(Error::JsonDataError { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(10)).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn only_what_cannot_be_read_is_asked_for_again() {
        let illegible = || Error::JsonDataError {
            message: "unknown variant `stopped`".into(),
            column: 1,
        };
        let asked = Cell::new(0);
        let answer = legible(async || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 {
                Err(illegible())
            } else {
                Ok(asked.get())
            }
        });
        assert_eq!(answer.await.unwrap(), 3);
        let refused = legible(async || {
            asked.set(asked.get() + 1);
            Err::<(), _>(Error::RequestTimeoutError)
        });
        refused.await.unwrap_err();
        assert_eq!(asked.get(), 4);
    }
}
