//! `autoclave clean`.

use std::time::Duration;

use clap::Args;

/// Remove what crashed sandboxes left, and old runs on demand
///
/// Commits of kept experiments are never removed.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave clean --runs 30d --yes")]
pub struct CleanArgs {
    /// Also remove finished runs that ended longer ago than this, such as 30d
    #[arg(long, value_name = "OLDER", value_parser = age)]
    pub runs: Option<Duration>,

    /// Remove; without it, only list what would be removed
    #[arg(long)]
    pub yes: bool,
}

/// Reads an age in which a day is 24 hours.
fn age(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    let duration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| "must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_counted_in_days_too() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(age("-1d").is_err());
        assert!(age("1 moon").is_err());
    }
}
