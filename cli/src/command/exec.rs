//! `autoclave exec`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Run any command in the sandbox, on a snapshot of HEAD
///
/// Ends with the command's own exit code; 124 when it ran out of time, 125 when autoclave failed.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave exec --write 'src/**' --branch formatted -- cargo fmt")]
pub struct ExecArgs {
    /// Take paths, limits and environment from this marker
    #[arg(short, long, value_name = "NAME")]
    pub marker: Option<String>,

    /// Let the command write what the glob matches; may be given more than once
    #[arg(long, value_name = "GLOB")]
    pub write: Vec<String>,

    /// Commit the changes to this new branch instead of only listing them
    #[arg(long, value_name = "B")]
    pub branch: Option<String>,

    /// Write what happened to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Kill the command after this time, such as 90s or 10m
    #[arg(long, value_name = "DUR", default_value = "1h", value_parser = timeout)]
    pub timeout: Duration,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    match Duration::try_from(span) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be longer than nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_unit_and_are_positive() {
        assert_eq!(timeout("10m"), Ok(Duration::from_secs(600)));
        for bad in ["10", "0s", "-3s", "", "soon"] {
            assert!(timeout(bad).is_err(), "{bad:?}");
        }
    }
}
