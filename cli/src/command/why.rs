//! `autoclave why`.

use std::net::IpAddr;

use autoclave_policies::{Level, RepoPath};
use autoclave_runner::campaign::{
    self, Aim, Answer, Beneath, HostFacts, Kind, Role, Subject, Why, WhyRequest,
};
use autoclave_runner::gateway::Upstream;
use autoclave_runner::marker::{Marker, Protocol};
use clap::Args;
use serde_json::{Value, json};

use crate::asked::{self, As, Surroundings};
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::reporter::words::{count, one_line};
use crate::sheet::Sheet;
use crate::{runtime, service};

/// Say which rule allows or denies a path or a host, and what to change
///
/// PATH is of the repository (from its root, or the working directory), absolute, or beneath `~/`.
/// HOST is a name, an address or a URL. A name with a dot that is no file of the repository is
/// taken for a host. Nothing is run.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  autoclave why tests/measure.sh -m sort-speed\n  autoclave why \
                  ~/.cargo/bin/cargo\n  autoclave why example.com\n\nExit code: 0 when it was \
                  answered, whatever the answer; else as docs/exit-codes.md says."
)]
pub struct WhyArgs {
    /// A path or a host
    #[arg(value_name = "PATH|HOST")]
    asked: String,
    /// The marker; without it, each marker is asked
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// Take it for a path, whatever it looks like
    #[arg(long, conflicts_with = "host")]
    path: bool,
    /// Take it for a host, whatever it looks like
    #[arg(long)]
    host: bool,
}

/// Asks the plans and prints their answers.
///
/// # Errors
///
/// [`Exit::Usage`] for what is neither path nor host; as the exit codes say when no marker's plan
/// can be made here.
pub fn run(args: &WhyArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let subject = subject(args, &project)?;
    let markers = match &args.marker {
        Some(name) => vec![project.marker(Some(name))?],
        None => project.config.file.markers.clone(),
    };
    let host = project::host_facts()?;
    let mut answered = Vec::new();
    let mut failed = Vec::new();
    for marker in markers {
        let name = marker.name.clone();
        match ask(&project, marker, &subject, &host) {
            Ok(why) => answered.push(why),
            Err(failure) => failed.push((name, failure)),
        }
    }
    if answered.is_empty()
        && let Some((_, failure)) = failed.pop()
    {
        return Err(failure);
    }
    match format {
        Format::Json => output::print_json(&to_json(args, &subject, &answered, &failed))?,
        Format::Text => output::print(&text(args, &subject, &answered, &failed))?,
    }
    Ok(Exit::Done)
}

fn subject(args: &WhyArgs, project: &Project) -> Result<Subject, Failure> {
    let root = project.repo.work_dir();
    let base = project.repo.resolve(None);
    let listed = base.and_then(|base| project.repo.tree(&base));
    let listed = listed.map_err(|error| Failure::new(Exit::RepositoryOrLedger, error))?;
    let is_there = |path: &RepoPath| {
        let committed = listed.iter().any(|(other, _)| other.is_within(path));
        committed || root.join(path.as_path()).symlink_metadata().is_ok()
    };
    let here =
        std::env::current_dir().map_err(|cause| Failure::new(Exit::RepositoryOrLedger, cause))?;
    let home = std::env::home_dir();
    let taken = match (args.path, args.host) {
        (true, _) => As::Path,
        (false, true) => As::Host,
        (false, false) => As::Either,
    };
    let surroundings = Surroundings {
        root,
        here: &here,
        home: home.as_deref(),
        is_there: &is_there,
    };
    asked::subject(&args.asked, taken, &surroundings).map_err(|why| {
        Failure::new(Exit::Usage, format!("`{}` {why}", args.asked))
            .hint("Name a path of the repository or this machine, or a host.")
    })
}

fn ask(
    project: &Project,
    marker: Marker,
    subject: &Subject,
    host: &HostFacts,
) -> Result<Why, Failure> {
    let model = model(&marker);
    let request = WhyRequest {
        places: project.config.file.places_of(&marker.name),
        marker,
        subject,
        model: model.as_deref(),
        host,
    };
    let repo = project::open_repo()?;
    runtime::block_on(async |_cancel| Ok(campaign::why(repo, request).await?))
}

/// Returns the host that the gateway passes the agent's requests on to. Without a credential it is
/// the usual one for an agent that needs one, and none for others: there will be no gateway.
fn model(marker: &Marker) -> Option<String> {
    match (service::from_environment(None), marker.agent.protocol) {
        (Ok(Some(service)), _) => Some(service.model_host()),
        (Ok(None) | Err(_), Protocol::ClaudeCode) => Some(Upstream::default().host()),
        (Ok(None) | Err(_), Protocol::None) => None,
    }
}

/// The shape that scripts rely on; additive only.
fn to_json(
    args: &WhyArgs,
    subject: &Subject,
    answered: &[Why],
    failed: &[(String, Failure)],
) -> Value {
    let failed: Vec<Value> = failed
        .iter()
        .map(|(marker, failure)| json!({"marker": marker, "error": failure.message()}))
        .collect();
    json!({
        "asked": args.asked,
        "subject": subject,
        "markers": answered,
        "failed": failed,
    })
}

fn text(
    args: &WhyArgs,
    subject: &Subject,
    answered: &[Why],
    failed: &[(String, Failure)],
) -> String {
    let mut sheet = Sheet::with_indent(20);
    for why in answered {
        let place = match subject {
            Subject::Workspace(Some(path)) => path.to_string(),
            Subject::Workspace(None) => "the root of the repository".to_owned(),
            Subject::Machine(path) => path.display().to_string(),
            Subject::Host(host) => host.clone(),
        };
        let place = one_line(&place, usize::MAX);
        sheet.heading(&format!("{place}: {}", kind(why)));
        if !args.host && could_be_a_file(subject, &args.asked) {
            sheet.prose(
                "",
                "(taken for a host; --path asks about a file of that name)",
            );
        }
        for beneath in &why.beneath {
            sheet.prose("beneath", &beneath_in_words(beneath));
        }
        for answer in &why.answers {
            sheet.heading(&format!("marker `{}`, {}", why.marker, who(answer)));
            for told in &answer.decisions {
                sheet.prose(&told.operation, &one_line(&told.words, usize::MAX));
            }
            if let Some(cure) = &answer.cure {
                let name = match cure.aim {
                    Aim::Allow => "to allow it",
                    Aim::Deny => "to deny it",
                    Aim::Keep => "to keep it",
                };
                sheet.prose(name, &one_line(&cure.change, usize::MAX));
            }
        }
        for note in &why.notes {
            sheet.prose("note", &one_line(note, usize::MAX));
        }
    }
    for (marker, failure) in failed {
        sheet.heading(&format!("marker `{marker}`: cannot be asked"));
        sheet.prose("because", &one_line(&failure.message(), usize::MAX));
    }
    sheet.into_text()
}

/// Says whether a host was asked about by a word that could be the name of a file.
fn could_be_a_file(subject: &Subject, asked: &str) -> bool {
    match subject {
        Subject::Host(host) => {
            let is_address = host.parse::<IpAddr>().is_ok();
            host.eq_ignore_ascii_case(asked) && !is_address && host.contains('.')
        }
        Subject::Workspace(_) | Subject::Machine(_) => false,
    }
}

fn kind(why: &Why) -> String {
    let base = why.base.short();
    match &why.kind {
        Kind::File => format!("a file of the base commit {base}"),
        Kind::Link { target } => {
            let target = one_line(target, 200);
            format!("a link to `{target}`, of the base commit {base}")
        }
        Kind::Submodule => format!("a submodule, of the base commit {base}"),
        Kind::Directory { files } => {
            let files = count(u32::try_from(*files).unwrap_or(u32::MAX), "file");
            format!("a directory of the base commit {base}, {files} beneath")
        }
        Kind::Absent => format!("not in the base commit {base}"),
        Kind::Machine => "a path of this machine".to_owned(),
        Kind::Host => "a host of the network".to_owned(),
    }
}

fn beneath_in_words(beneath: &Beneath) -> String {
    let place = beneath.place.iter().map(|place| format!(" ({place})"));
    let place: String = place.collect();
    let class = beneath.class.replace('_', "-");
    one_line(
        &format!("{} {class}: {}{place}", beneath.files, beneath.rule),
        usize::MAX,
    )
}

fn who(answer: &Answer) -> String {
    let roles = match answer.roles.as_slice() {
        [Role::Agent] => "the agent",
        [Role::Measure] => "measurements",
        _ => "the agent and measurements",
    };
    let level = match answer.level {
        Level::Sealed => "sealed",
        Level::Landlock => "landlock only",
    };
    format!("{roles}: {} backend, {level}", answer.backend.word())
}
