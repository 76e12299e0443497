//! Headwind as a whole: the real binary, with the shipped permissions, against a real control plane, with real
//! registries that call it.
//!
//! One control plane serves the run; every test has its own namespace and its own operator limited to it. Each scenario
//! runs for every kind of workload. At the end the API server's audit log is checked for every account: no 403, and no
//! permission that was never used.

#![expect(clippy::print_stderr, reason = "a test runner talks to the person who runs it")]

mod account;
mod admission;
mod api;
mod approval;
mod argo;
mod auth;
mod caps;
mod check;
mod claims;
mod edge_cases;
mod examples;
mod failures;
mod final_audit;
mod gates;
mod getting_started;
mod helm;
mod helm_scale;
mod hostile;
mod interval;
mod judged;
mod kill;
mod notify;
mod observability;
mod owners;
mod platforms;
mod plugin;
mod poll;
mod push;
mod quorum;
mod rejection;
mod reported;
mod restart;
mod rng;
mod rollback;
mod rollout;
mod senders;
mod settings;
mod start;
mod traces;
mod ui;
mod world;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Result;
use headwind_testbed::flux::Flux;
use headwind_testbed::{WorkloadKind, argo_rollouts};
use libtest_mimic::{Arguments, Failed, Trial};

/// Number of concurrent tests: they wait for most of their time.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mut trials = of_each_kind();
    trials.extend(others());
    if std::env::var_os(ui::PICTURES).is_some() {
        trials.push(one("ui_pictures", ui::pictures));
        trials.push(one("ui_pictures_of_messages", ui::pictures_of_messages));
    }
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed() {
        let _ = block_on("writing the failures", async {
            failures::write().await;
            Ok(())
        });
    }
    if !whole {
        return conclusion.exit_code();
    }
    // This also runs after a failed test, because it checks all tests.
    match block_on("after all tests", final_audit::audit()) {
        Ok(()) => conclusion.exit_code(),
        Err(failed) => {
            eprintln!("after all tests: {}", failed.message().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// Returns the tests that run for several kinds of workloads.
fn of_each_kind() -> Vec<Trial> {
    // The longest first: they wait for their pods while the others run.
    let mut trials: Vec<Trial> = WorkloadKind::PODS.into_iter().map(|kind| each("rollout_of_fifty", kind, rollout::fifty)).collect();
    trials.extend([
        one("kill_verdicts", kill::verdicts),
        one("notify_kills", notify::kills_and_hand_overs),
        one("judged_like_kubectl", judged::like_kubectl),
    ]);
    trials.push(with("argo_rollouts", WorkloadKind::Rollout, "argo_rollouts".to_owned(), argo::whole_life));
    for kind in WorkloadKind::ALL {
        trials.extend([each("push_direct", kind, push::direct), each("rejection_sticks", kind, rejection::sticks)]);
    }
    // Apart from its rollout, a Rollout is treated like a Deployment.
    for kind in WorkloadKind::ALL.into_iter().filter(|kind| *kind != WorkloadKind::Rollout) {
        trials.extend([
            each("push_by_approval", kind, push::by_approval),
            each("concurrent_edits", kind, push::concurrent_edits),
            each("put_back_by_hand", kind, rejection::put_back_by_hand),
            each("interval_delays", kind, interval::delays),
            each("twenty_approvals", kind, approval::twenty),
            each("gates_cool_down", kind, gates::cool_down),
            each("gates_windows", kind, gates::windows),
            each("gates_freeze", kind, gates::freeze),
            each("rollback_twice", kind, rollback::twice),
            each("owners_propose", kind, owners::proposed),
        ]);
    }
    // Features that only containers of pods have: several of them, digests of tags, failing pods.
    for kind in WorkloadKind::PODS {
        trials.extend([
            each("two_containers_one_rollout", kind, interval::two_containers),
            each("new_digest", kind, edge_cases::new_digest),
            each("poll_finds", kind, poll::finds),
            each("rollout_good", kind, rollout::good),
            each("rollout_failures", kind, rollout::failures),
            each("rollout_taken_over", kind, rollout::taken_over),
        ]);
    }
    trials
}

/// Returns the tests that run once.
fn others() -> Vec<Trial> {
    vec![
        flux("helm_finds", helm::finds),
        flux("owners_flux", owners::flux),
        one("owners_by_default", owners::by_default),
        one("quorum_two_people", quorum::two_people),
        one("quorum_in_the_ui", quorum::in_the_ui),
        one("quorum_digest", quorum::digest),
        one("owners_nothing_fights", owners::nothing_fights),
        flux("helm_bad_cases", helm::bad_cases),
        flux("helm_odd_ones", helm::odd_ones),
        flux("helm_reference", helm::reference),
        one("helm_at_scale", helm_scale::at_scale),
        one("helm_comes_later", helm_scale::comes_later),
        one("rollout_deadline", rollout::deadline),
        one("rollout_left_alone", rollout::left_alone),
        one("rollout_without_pods", rollout::without_pods),
        one("rollback_asked", rollback::asked),
        one("rollback_explained", rollback::explained),
        one("kill_nine", kill::nine),
        flux("kill_nine_releases", kill::nine_releases),
        one("two_containers_two_replicas", interval::two_containers_two_replicas),
        one("leader_hands_over", kill::hands_over),
        one("reported_once", reported::once),
        flux("restart_beside_many", restart::beside_many),
        one("gates_budget", gates::budget),
        one("gates_caps", caps::at_most),
        one("approve_by_kubectl", approval::by_kubectl),
        one("bad_annotations", edge_cases::bad_annotations),
        one("odd_images", edge_cases::odd_images),
        one("containers", edge_cases::containers),
        one("namespace_defaults", edge_cases::namespace_defaults),
        one("deleted_in_flight", edge_cases::deleted_in_flight),
        one("admission_denies_and_replaces", admission::denies_and_replaces),
        one("refused_by_the_server", edge_cases::refused_by_the_server),
        one("history_is_pruned", edge_cases::history_is_pruned),
        one("hostile_webhooks", hostile::answers),
        one("junk_does_not_block", hostile::junk),
        one("proof", hostile::proof),
        one("quota_delays_nobody", claims::quota),
        one("unused_repository_costs_nothing", hostile::costs),
        one("check_private", check::private),
        one("check_charts", check::charts),
        one("senders_all", senders::all),
        one("senders_proofs", senders::proofs),
        one("platforms_listed", platforms::listed),
        one("poll_at_scale", poll::at_scale),
        one("poll_quiet", poll::quiet),
        one("poll_comes_and_goes", poll::comes_and_goes),
        one("poll_after_a_restart", poll::after_a_restart),
        one("poll_own_pulls", poll::own_pulls),
        one("poll_confirms_webhooks", poll::confirms),
        one("api_lists_and_pages", api::lists),
        one("api_bulk_and_errors", api::bulk_and_errors),
        one("auth_same_answers", auth::same_answers),
        one("auth_bad_proofs", auth::bad_proofs),
        one("auth_proxy", auth::proxy),
        one("observability_prometheus", observability::prometheus),
        one("observability_rules", observability::rules),
        one("plugin_decides", plugin::decides),
        one("plugin_asks_headwind", plugin::asks_headwind),
        one("plugin_freezes", plugin::freezes),
        one("settings_change", settings::change),
        one("settings_access", settings::access),
        one("ui_pages", ui::pages),
        one("ui_decisions", ui::decisions),
        one("ui_undo", ui::undo),
        one("ui_bulk", ui::bulk),
        one("ui_permissions", ui::permissions),
        one("ui_live", ui::live),
        one("ui_replicas", ui::replicas),
        one("ui_tabs", ui::tabs),
        one("getting_started", getting_started::page),
        one("examples_by_webhook", examples::by_webhook),
        one("examples_by_polling", examples::by_polling),
        one("examples_for_people", examples::for_people),
        one("examples_admission", examples::admission),
        flux("examples_releases", examples::releases),
        with("examples_argo", WorkloadKind::Rollout, "examples_argo".to_owned(), examples::argo_rollouts),
        one("notify_events", notify::events),
        one("notify_polls_and_filters", notify::polls_and_filters),
        one("notify_hostile", notify::hostile_receivers),
        one("notify_slack_buttons", notify::slack_buttons),
        one("traces_two_replicas", traces::one_for_each_update),
        one("crd_missing", start::crd_missing),
        one("permission_missing", start::permission_missing),
        one("bad_settings", start::bad_settings),
        one("all_namespaces", start::all_namespaces),
    ]
}

fn one<F: Future<Output = Result<()>> + 'static>(name: &str, test: fn() -> F) -> Trial {
    trial(name.to_owned(), test)
}

fn each<F: Future<Output = Result<()>> + 'static>(name: &'static str, kind: WorkloadKind, test: fn(WorkloadKind) -> F) -> Trial {
    with(name, kind, format!("{name}::{}", kind.kind()), move || test(kind))
}

/// Returns a test that needs Flux.
fn flux<F: Future<Output = Result<()>> + 'static>(name: &'static str, test: fn() -> F) -> Trial {
    with(name, WorkloadKind::HelmRelease, name.to_owned(), test)
}

/// Returns a test that needs the controller of a kind. It is skipped if the test bed lacks it.
fn with<F: Future<Output = Result<()>> + 'static>(
    name: &'static str,
    kind: WorkloadKind,
    shown: String,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    trial(shown, move || async move {
        let is_skipped = match kind {
            WorkloadKind::HelmRelease => Flux::lacks(name).await?,
            WorkloadKind::Rollout => argo_rollouts::lacks(name).await?,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::CronJob => false,
        };
        if is_skipped { Ok(()) } else { test().await }
    })
}

fn trial<F: Future<Output = Result<()>>>(name: String, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name.clone(), move || block_on(&name, test()))
}

fn block_on(name: &str, test: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(test).map_err(|error| {
        let message = format!("{error:?}");
        failures::add(name, &message);
        Failed::from(message)
    })
}
