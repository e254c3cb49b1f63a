//! What the model's service refuses: waited for, retried, or told at once.

use e2e::stage::Setup;

use crate::toy;

e2e::journeys!(
    each_backend: [
        usage_limit_is_waited_for_and_does_not_count,
        refused_credential_stops_the_run_at_once_and_a_good_one_resumes_it,
        overloaded_service_is_asked_again,
    ],
    each_caller: [],
    mixed: [refused_credential_stops_the_run_at_once_and_a_good_one_resumes_it],
);

const ONE: &str = "    loop: {max_experiments: 1, budget_per_experiment: 2m}\n";

fn usage_limit_is_waited_for_and_does_not_count(setup: Setup) {
    let script = r"
sessions:
  - - error: {status: 429, type: rate_limit_error, message: 'limit reached', headers: {anthropic-ratelimit-unified-status: rejected, anthropic-ratelimit-unified-reset: 'now+35', x-should-retry: 'false'}}
  - - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt'}}]
    - text: Halve the number.
";
    let stage = toy::scripted(setup, ONE, script);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["void usage_limit", "keep"]);
    let waiting = stage.events_of("waiting");
    assert_eq!(waiting.len(), 1);
    let until = waiting[0]["until_ms"].as_i64().unwrap();
    // The service named a whole second, 35 after it was asked; then the next experiment starts.
    assert_eq!(until % 1000, 0);
    let asked = stage.events_of("agent_started")[0]["at_ms"]
        .as_i64()
        .unwrap();
    assert!(until > asked + 34_000, "{asked} {until}");
    let started = stage.events_of("experiment_started")[1]["at_ms"]
        .as_i64()
        .unwrap();
    assert!(
        (until..until + 10_000).contains(&started),
        "{until} {started}"
    );
    assert_eq!(stage.events_of("run_finished")[0]["experiments"], 1);
}

fn refused_credential_stops_the_run_at_once_and_a_good_one_resumes_it(setup: Setup) {
    let refusal =
        "{error: {status: 401, type: authentication_error, message: 'invalid x-api-key'}}";
    let script = format!(
        "sessions:
  - [{refusals}]
  - - tools: [{{name: Bash, input: {{command: 'echo 50 > src/number.txt'}}}}]
    - text: Halve the number.
",
        refusals = [refusal; 12].join(", ")
    );
    let stage = toy::scripted(setup, ONE, &script);
    let run = stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(7);
    run.says("usage_limit_or_infrastructure");
    run.says("refused the credential");
    run.says("ANTHROPIC_API_KEY");
    let asked = stage.model().seen();
    let asked = asked.iter().filter(|seen| seen.place.is_some()).count();
    assert!((1..=2).contains(&asked), "asked {asked} times");

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["void infrastructure", "keep"]);
    assert_eq!(stage.events_of("run_started")[1]["resumed"], true);
}

fn overloaded_service_is_asked_again(setup: Setup) {
    let script = r"
sessions:
  - - error: {status: 529, type: overloaded_error}
    - error: {status: 500, type: api_error}
    - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt'}}]
    - text: Halve the number.
";
    let stage = toy::scripted(setup, ONE, script);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    let retries: Vec<u64> = stage
        .events_of("agent_retry")
        .iter()
        .map(|event| event["error_status"].as_u64().unwrap())
        .collect();
    assert_eq!(retries, [529, 500]);
}
