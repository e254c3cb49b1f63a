//! Whether the agent and the measurements have the same programs, where their backends differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::report::{Area, CheckReport};
use crate::campaign::CampaignError;
use crate::campaign::bench::Role;
use crate::campaign::capture::Capture;
use crate::campaign::workshop::{Base, Workshop};
use crate::marker::{Extract, Marker};

/// How many words are looked at: a long script is no list of programs.
const MOST_WORDS: usize = 200;

/// Says of each argument that is a program on the PATH what it answers to `--version`.
const SCRIPT: &str = r#"
for word do
  path=$(command -v -- "$word") || continue
  case $path in /*) ;; *) continue ;; esac
  version=$(timeout 5 "$path" --version 2>/dev/null </dev/null | head -n 1)
  printf '%s\t%s\n' "$word" "$version"
done
"#;

/// Compares the programs that the marker's commands and shell scripts name.
///
/// # Errors
///
/// Those of the sandbox and the repository.
pub(super) async fn check(
    workshop: &Workshop,
    base: &Base,
    report: &mut CheckReport,
    cancel: &CancellationToken,
) -> Result<(), CampaignError> {
    if workshop.benches.parted().is_none() {
        return Ok(());
    }
    let mut texts = commands(&workshop.marker);
    for path in &workshop.harness {
        let bytes = workshop.repo.read_file(&workshop.base, path)?;
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        if is_shell_script(path.as_bytes(), &text) {
            texts.push(text);
        }
    }
    let words: Vec<String> = words(&texts).into_iter().take(MOST_WORDS).collect();
    let mut found = Vec::new();
    for role in [Role::Agent, Role::Measure] {
        found.push(programs(workshop, (role, base), &words, cancel).await?);
    }
    let places = [Role::Agent, Role::Measure].map(|role| workshop.bench(role).kind.word());
    let unlike = differences([&found[0], &found[1]], places);
    if unlike.is_empty() {
        let detail = "those that the commands name are the same in both backends";
        report.ok(Area::Sandbox, "programs", detail);
    } else {
        let detail = format!("they differ: {}", unlike.join("; "));
        let hint = "what the agent tries out can come out otherwise when it is measured: have the \
                    same versions in both, or leave `sandbox.measure` out";
        report.warn(Area::Sandbox, "programs", detail, Some(hint));
    }
    Ok(())
}

/// Returns the version of each program among `words`; empty where it tells none.
async fn programs(
    workshop: &Workshop,
    (role, base): (Role, &Base),
    words: &[String],
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, String>, CampaignError> {
    let mut output = Capture::new(256 << 10);
    let mut command = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    command.extend(words.iter().cloned());
    let timeout = Duration::from_secs(120);
    let snapshot = base.visible.of(role);
    let finished = workshop
        .run_words((role, snapshot), command, timeout, cancel, &mut output)
        .await?;
    drop(finished);
    let text = String::from_utf8_lossy(output.stdout.bytes()).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(lines
        .map(|(name, version)| (name.to_owned(), version.trim().to_owned()))
        .collect())
}

/// Says where the programs of two places are not the same.
fn differences(found: [&BTreeMap<String, String>; 2], places: [&str; 2]) -> Vec<String> {
    let [agent, measure] = found;
    let names: BTreeSet<&String> = agent.keys().chain(measure.keys()).collect();
    let unlike = names
        .into_iter()
        .filter_map(|name| match (agent.get(name), measure.get(name)) {
            (Some(here), Some(there)) if here == there => None,
            (Some(here), Some(there)) => Some(format!(
                "`{name}` is `{here}` in {} and `{there}` in {}",
                places[0], places[1]
            )),
            (Some(_), None) => Some(format!("`{name}` is only in {}", places[0])),
            (None, _) => Some(format!("`{name}` is only in {}", places[1])),
        });
    unlike.collect()
}

/// Returns everything of a marker that a shell runs.
fn commands(marker: &Marker) -> Vec<String> {
    let filter = |extract: &Extract| match extract {
        Extract::Filter(filter) => Some(filter.clone()),
        Extract::Regex(_) | Extract::MetricLines { .. } => None,
    };
    let Marker {
        prepare,
        metric,
        guards,
        ..
    } = marker;
    let mut commands = vec![metric.command.clone()];
    commands.extend(filter(&metric.extract));
    commands.extend(metric.build.clone());
    commands.extend(prepare.iter().map(|step| step.command.clone()));
    for guard in guards {
        commands.push(guard.command.clone());
        commands.extend(guard.extract.as_ref().and_then(filter));
    }
    commands
}

fn is_shell_script(path: &[u8], text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    path.ends_with(b".sh") || (first.starts_with("#!") && first.ends_with("sh"))
}

/// Returns the words that can name a program on the PATH, sorted; which do, only a shell knows.
fn words(texts: &[String]) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-+./=$".contains(c);
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains(['/', '=', '$'])
    };
    let lines = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split(|c| !is_part(c)))
        .filter(is_name)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(programs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let programs = programs.iter();
        programs
            .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
            .collect()
    }

    #[test]
    fn another_version_and_a_missing_program_are_told_and_nothing_else() {
        let agent = found(&[("sh", ""), ("python3", "Python 3.11.2"), ("jq", "jq-1.6")]);
        let measure = found(&[("sh", ""), ("python3", "Python 3.13.5"), ("node", "v22")]);
        assert_eq!(
            differences([&agent, &measure], ["container", "process"]),
            [
                "`jq` is only in container",
                "`node` is only in process",
                "`python3` is `Python 3.11.2` in container and `Python 3.13.5` in process",
            ]
        );
        assert_eq!(
            differences([&agent, &agent], ["container", "process"]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn words_are_what_a_shell_could_look_up() {
        let text = "# only a comment\nA=b make -j2 ./run.sh | g++-12 \"$(python3 -c 1)\" $HOME";
        let expected = ["g++-12", "make", "python3"].map(str::to_owned);
        assert_eq!(words(&[text.to_owned()]), BTreeSet::from(expected));
    }
}
