//! How an agent's session ended, and what the loop can do about it.

use std::sync::LazyLock;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use regex::Regex;

/// How an agent's session ended: a total classification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentOutcome {
    /// It came to its own end, or to its limit of turns: there is a candidate to look at.
    Finished,
    /// It ended with an error of its own.
    Failed {
        message: String,
    },
    /// The service refuses for now. `reset_ms` is when it serves again, in milliseconds since
    /// 1970, where anyone said so.
    UsageLimit {
        reset_ms: Option<i64>,
    },
    /// The service does not serve this credential: unknown, expired, not allowed, out of credit.
    Unauthorized {
        message: String,
    },
    /// The service failed or could not be reached; trying later helps.
    Overloaded {
        message: String,
    },
    TimedOut,
    Cancelled,
    BudgetExceeded,
    /// Its program could not be started: the errno of execve(2).
    NotStarted {
        errno: i32,
    },
}

impl AgentOutcome {
    /// Returns the outcome in one word, as events spell it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed { .. } => "failed",
            Self::UsageLimit { .. } => "usage_limit",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Overloaded { .. } => "overloaded",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::BudgetExceeded => "budget_exceeded",
            Self::NotStarted { .. } => "not_started",
        }
    }
}

/// How the agent's process ended; what the sandbox knows, in this module's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Code(i32),
    Signal(i32),
    TimedOut,
    Cancelled,
    OutOfMemory,
    NotStarted { errno: i32 },
}

/// What others than the agent know of its session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances<'a> {
    pub ending: Ending,
    /// The end of standard error; only for messages.
    pub stderr: &'a str,
    /// When the service said it serves again (`anthropic-ratelimit-unified-reset`), in
    /// milliseconds since 1970; it wins over what the agent's text says.
    pub reset_ms: Option<i64>,
    /// The budget refused a request of this session.
    pub is_over_budget: bool,
    /// Milliseconds since 1970; a text like `resets 3pm` is read from here.
    pub now_ms: i64,
}

/// What a stream-json `result` line says of the end, with the last `error` of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultLine {
    pub subtype: String,
    pub is_error: bool,
    pub status: Option<u16>,
    /// `rate_limit`, `authentication_failed`, `billing_error`, ...
    pub error: Option<String>,
    pub text: String,
}

/// Judges a Claude Code session; `said` is its `result` line, where there was one.
pub fn judge(said: Option<&ResultLine>, circumstances: &Circumstances<'_>) -> AgentOutcome {
    if circumstances.is_over_budget && circumstances.ending != Ending::Cancelled {
        return AgentOutcome::BudgetExceeded;
    }
    if let Some(stopped) = stopped(circumstances.ending) {
        return stopped;
    }
    match said {
        None => AgentOutcome::Failed {
            message: unexplained(circumstances),
        },
        Some(said) => judge_result(said, circumstances),
    }
}

/// Judges a program of which only the exit code counts.
pub fn judge_exit(circumstances: &Circumstances<'_>) -> AgentOutcome {
    if circumstances.is_over_budget && circumstances.ending != Ending::Cancelled {
        return AgentOutcome::BudgetExceeded;
    }
    if circumstances.ending == Ending::Code(0) {
        return AgentOutcome::Finished;
    }
    stopped(circumstances.ending).unwrap_or_else(|| AgentOutcome::Failed {
        message: unexplained(circumstances),
    })
}

/// Returns the outcome where not the agent ended its session.
fn stopped(ending: Ending) -> Option<AgentOutcome> {
    match ending {
        Ending::TimedOut => Some(AgentOutcome::TimedOut),
        Ending::Cancelled => Some(AgentOutcome::Cancelled),
        Ending::NotStarted { errno } => Some(AgentOutcome::NotStarted { errno }),
        Ending::OutOfMemory => Some(AgentOutcome::Failed {
            message: "killed: out of memory".to_owned(),
        }),
        Ending::Code(_) | Ending::Signal(_) => None,
    }
}

fn judge_result(said: &ResultLine, circumstances: &Circumstances<'_>) -> AgentOutcome {
    let message = || said.text.clone();
    match said.subtype.as_str() {
        "error_max_turns" => return AgentOutcome::Finished,
        "error_max_budget_usd" => return AgentOutcome::BudgetExceeded,
        _ if !said.is_error => return AgentOutcome::Finished,
        _ => {}
    }
    let error = said.error.as_deref().unwrap_or_default();
    let is_limit = error == "rate_limit" || LIMIT.is_match(&said.text);
    match said.status {
        Some(401 | 403) => AgentOutcome::Unauthorized { message: message() },
        Some(429) => usage_limit(said, circumstances),
        _ if is_limit => usage_limit(said, circumstances),
        _ if matches!(
            error,
            "authentication_failed" | "billing_error" | "oauth_org_not_allowed"
        ) =>
        {
            AgentOutcome::Unauthorized { message: message() }
        }
        Some(408 | 500..) => AgentOutcome::Overloaded { message: message() },
        // A lost connection has no status; its text begins like that of every failed request.
        None if error == "server_error" || said.text.starts_with("API Error") => {
            AgentOutcome::Overloaded { message: message() }
        }
        Some(_) | None => AgentOutcome::Failed { message: message() },
    }
}

fn usage_limit(said: &ResultLine, circumstances: &Circumstances<'_>) -> AgentOutcome {
    let told = || reset_in_text(&said.text, circumstances.now_ms);
    AgentOutcome::UsageLimit {
        reset_ms: circumstances.reset_ms.or_else(told),
    }
}

fn unexplained(circumstances: &Circumstances<'_>) -> String {
    let end = match circumstances.ending {
        Ending::Code(code) => format!("ended with exit code {code}"),
        Ending::Signal(signal) => format!("killed by signal {signal}"),
        Ending::TimedOut | Ending::Cancelled | Ending::OutOfMemory | Ending::NotStarted { .. } => {
            "stopped".to_owned()
        }
    };
    match super::text::last_line(circumstances.stderr).as_str() {
        "" => end,
        line => format!("{end}: {line}"),
    }
}

static LIMIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)limit reached|(?:hit|reached) your .{0,40}limit|out of extra usage")
        .expect("the pattern is constant")
});

/// `...limit reached|1749924000`, `resets 3pm (America/New_York)`, `resets at 11:30am`,
/// `resets Oct 6, 1pm (UTC)`.
static RESET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) limit\ reached\|(?<unix>\d{10})\b
        | resets?\ (?:at\ |on\ )?(?:(?<month>[a-z]{3})[a-z]*\ (?<day>\d{1,2})(?:,|\ at)*\ )?
          (?<hour>\d{1,2})(?::(?<minute>\d{2}))?\ ?(?<half>am|pm)(?:\ \((?<zone>[A-Za-z0-9_/+-]+)\))?",
    )
    .expect("the pattern is constant")
});

/// Returns the reset that a text tells, the first after now; without a zone it is read as UTC.
fn reset_in_text(text: &str, now_ms: i64) -> Option<i64> {
    let found = RESET.captures(text)?;
    if let Some(unix) = found.name("unix") {
        return Some(unix.as_str().parse::<i64>().ok()? * 1000);
    }
    let number = |name| found.name(name)?.as_str().parse::<i8>().ok();
    let hour = number("hour")?;
    let is_afternoon = found["half"].eq_ignore_ascii_case("pm");
    let time = Time::new(
        hour % 12 + if is_afternoon { 12 } else { 0 },
        number("minute").unwrap_or(0),
        0,
        0,
    )
    .ok()?;
    let zone = match found.name("zone") {
        Some(zone) => TimeZone::get(zone.as_str()).ok()?,
        None => TimeZone::UTC,
    };
    let now = Timestamp::from_millisecond(now_ms)
        .ok()?
        .to_zoned(zone.clone());
    let (mut date, step) = match (found.name("month"), number("day")) {
        (Some(month), Some(day)) => (
            jiff::civil::Date::new(now.year(), month_number(month.as_str())?, day).ok()?,
            1.year(),
        ),
        _ => (now.date(), 1.day()),
    };
    if date.to_datetime(time).to_zoned(zone.clone()).ok()? <= now {
        date = date.checked_add(step).ok()?;
    }
    Some(
        date.to_datetime(time)
            .to_zoned(zone)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}

fn month_number(name: &str) -> Option<i8> {
    let months = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let at = months
        .iter()
        .position(|month| name.eq_ignore_ascii_case(month))?;
    i8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T12:00:00Z.
    const NOW_MS: i64 = 1_769_860_800_000;
    const HOUR_MS: i64 = 3_600_000;

    fn ended(ending: Ending) -> Circumstances<'static> {
        Circumstances {
            ending,
            stderr: "",
            reset_ms: None,
            is_over_budget: false,
            now_ms: NOW_MS,
        }
    }

    fn refused(status: Option<u16>, error: &str, text: &str) -> AgentOutcome {
        let said = ResultLine {
            subtype: "success".to_owned(),
            is_error: true,
            status,
            error: Some(error.to_owned()),
            text: text.to_owned(),
        };
        judge(Some(&said), &ended(Ending::Code(1)))
    }

    #[test]
    fn each_refusal_of_the_service_has_its_outcome() {
        let message = String::new;
        assert_eq!(
            refused(Some(429), "rate_limit", ""),
            AgentOutcome::UsageLimit { reset_ms: None }
        );
        assert_eq!(
            refused(Some(401), "authentication_failed", ""),
            AgentOutcome::Unauthorized { message: message() }
        );
        assert_eq!(
            refused(Some(400), "billing_error", ""),
            AgentOutcome::Unauthorized { message: message() }
        );
        assert_eq!(
            refused(Some(529), "server_error", ""),
            AgentOutcome::Overloaded { message: message() }
        );
        assert_eq!(
            refused(Some(500), "server_error", ""),
            AgentOutcome::Overloaded { message: message() }
        );
        assert_eq!(
            refused(Some(413), "invalid_request", ""),
            AgentOutcome::Failed { message: message() }
        );
        let lost = "API Error: Unable to connect to API (ECONNREFUSED)";
        assert_eq!(
            refused(None, "unknown", lost),
            AgentOutcome::Overloaded {
                message: lost.to_owned()
            }
        );
    }

    #[test]
    fn the_reset_is_read_out_of_the_text() {
        for (text, reset_ms) in [
            (
                "Claude AI usage limit reached|1769868000",
                Some(1_769_868_000_000),
            ),
            (
                "5-hour limit reached ∙ resets 3pm",
                Some(NOW_MS + 3 * HOUR_MS),
            ),
            (
                "You've hit your session limit · resets 8:30am (America/New_York)",
                Some(NOW_MS + 3 * HOUR_MS / 2),
            ),
            (
                "You've hit your limit · resets 11am (UTC)",
                Some(NOW_MS + 23 * HOUR_MS),
            ),
            (
                "You've hit your weekly limit · resets Feb 2, 12pm (UTC)",
                Some(NOW_MS + 48 * HOUR_MS),
            ),
            ("You've hit your limit · resets 3pm (Mars/Olympus)", None),
            ("limit reached", None),
        ] {
            assert_eq!(
                refused(None, "", text),
                AgentOutcome::UsageLimit { reset_ms },
                "{text}"
            );
        }
    }

    #[test]
    fn the_reset_that_the_service_said_wins_over_the_text() {
        let said = ResultLine {
            is_error: true,
            status: Some(429),
            text: "limit reached|1769868000".to_owned(),
            ..ResultLine::default()
        };
        let circumstances = Circumstances {
            reset_ms: Some(7),
            ..ended(Ending::Code(1))
        };
        assert_eq!(
            judge(Some(&said), &circumstances),
            AgentOutcome::UsageLimit { reset_ms: Some(7) }
        );
    }

    #[test]
    fn a_limit_of_turns_leaves_a_candidate() {
        let said = ResultLine {
            subtype: "error_max_turns".to_owned(),
            is_error: true,
            ..ResultLine::default()
        };
        assert_eq!(
            judge(Some(&said), &ended(Ending::Code(1))),
            AgentOutcome::Finished
        );
    }

    #[test]
    fn an_end_without_a_result_says_how_and_why() {
        let circumstances = Circumstances {
            stderr: "boom\nTypeError: x\n",
            ..ended(Ending::Code(143))
        };
        assert_eq!(
            judge(None, &circumstances),
            AgentOutcome::Failed {
                message: "ended with exit code 143: TypeError: x".to_owned()
            }
        );
        assert_eq!(
            judge(None, &ended(Ending::TimedOut)),
            AgentOutcome::TimedOut
        );
        assert_eq!(
            judge(None, &ended(Ending::Cancelled)),
            AgentOutcome::Cancelled
        );
        assert_eq!(
            judge(None, &ended(Ending::NotStarted { errno: 2 })),
            AgentOutcome::NotStarted { errno: 2 }
        );
        assert_eq!(judge_exit(&ended(Ending::Code(0))), AgentOutcome::Finished);
    }

    #[test]
    fn a_refusal_of_the_budget_is_no_fault_of_the_agent() {
        let circumstances = Circumstances {
            is_over_budget: true,
            ..ended(Ending::Code(1))
        };
        assert_eq!(judge(None, &circumstances), AgentOutcome::BudgetExceeded);
    }
}
