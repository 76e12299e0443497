//! `headwind run`: binds every port, starts the operator, and serves until a signal or an error.

mod access;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use headwind_operator::{Config, Operator};
use headwind_web::server::{Limits, Port, Tls};
use headwind_web::ui::settings::Settings;
use headwind_web::{api, probe, ui, webhook};
use headwind_webhook::proof::google::Expected;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::Run;
use crate::settings::live::Live;
use crate::telemetry;

/// File with the namespace of the pod, in the service account volume that Kubernetes projects.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Runs until a signal or an error. Returns success after a signal.
pub(crate) fn run(args: Run) -> anyhow::Result<ExitCode> {
    telemetry::init()?;
    // A process has one TLS provider; with a second one, the choice would be random.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow::anyhow!("a TLS provider is already installed"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the async runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: Run) -> anyhow::Result<ExitCode> {
    let registries = args.registries.client()?;
    let tls = certificate(&args)?;
    let (live, followed) = Live::new(&args)?;
    let webhook_port = Port::bind("webhook", args.webhook_addr, Limits::PUBLIC).await?.with_tls(tls.as_ref());
    let api_port = Port::bind("api", args.api_addr, Limits::PUBLIC).await?.with_tls(tls.as_ref());
    let ui_port = Port::bind("ui", args.ui_addr, Limits::PUBLIC).await?.with_tls(tls.as_ref());
    let probe_port = Port::bind("metrics", args.metrics_addr, Limits::PROBES).await?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;

    let kube = kube::Config::infer()
        .await
        .context("no configuration for the API server: found neither a kubeconfig (KUBECONFIG) nor a service account of a pod")?;
    let config = Config {
        namespace: args.namespace.clone().unwrap_or_else(own_namespace),
        watched: args.watch_namespaces.0.clone(),
        identity: args.identity.clone().unwrap_or_else(identity),
        history_limit: usize::try_from(args.history_limit)?,
        confirm: args.confirms_webhooks(),
        confirm_approved: args.approval_confirm,
        cross_namespace_refs: !args.no_cross_namespace_refs,
        polling: followed.polling,
        notifications: followed.notifications,
        adopt: live.adopter(),
        tracing: headwind_operator::trace::Settings::read(|name| std::env::var(name).ok())?,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = config.namespace, watched = config.watched.join(","), identity = config.identity, api_server = %kube.cluster_url, "starting");
    warn_about_open_access(&args);
    let namespace = config.namespace.clone();
    let settings = Settings {
        all: followed.shown,
        check: Arc::new(move |stored| live.problems(stored)),
        metrics: followed.metrics,
        namespace: namespace.clone(),
        authenticates_webhooks: args.authenticates_webhooks(),
    };
    let mut operator = Operator::start(&kube, config, registries)?;

    let stop = CancellationToken::new();
    if let Some(tls) = tls {
        // Ends with the servers.
        tokio::spawn(tls.watch(stop.clone()));
    }
    let handle = operator.handle();
    let [api_guard, ui_guard] = access::guards(&args, &namespace, &handle, [args.api_addr, args.ui_addr]);
    let mut servers = JoinSet::new();
    servers.spawn(webhook_port.serve(webhook::router(handle.clone(), trust(&args))?, stop.clone()));
    servers.spawn(api_port.serve(api::router(handle.clone(), api_guard, stop.clone()), stop.clone()));
    servers.spawn(ui_port.serve(ui::router(handle.clone(), ui_guard, settings, stop.clone()), stop.clone()));
    let probes = CancellationToken::new();
    let mut probe = tokio::spawn(probe_port.serve(probe::router(handle.clone()), probes.clone()));
    drop(handle);

    let fault = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = operator.first_end() => Some(anyhow::Error::new(ended)),
        ended = servers.join_next() => Some(anyhow::anyhow!("a server stopped unexpectedly: {ended:?}")),
        ended = &mut probe => Some(anyhow::anyhow!("the metrics server stopped unexpectedly: {ended:?}")),
    };
    match &fault {
        None => tracing::info!("stopping; a second signal stops immediately"),
        Some(error) => tracing::error!(error = format!("{error:#}"), "stopping"),
    }
    let orderly = async {
        operator.stop_being_ready();
        stop.cancel();
        while servers.join_next().await.is_some() {}
        operator.shut_down().await;
        probes.cancel();
        probe.await.ok();
    };
    tokio::select! {
        () = orderly => tracing::info!("stopped"),
        _ = terminate.recv() => tracing::warn!("stopped immediately"),
        _ = interrupt.recv() => tracing::warn!("stopped immediately"),
    }
    fault.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Reads the certificate of the ports, if there is one.
fn certificate(args: &Run) -> anyhow::Result<Option<Tls>> {
    // clap requires both or neither.
    let Some((certificate, key)) = args.tls_cert_file.as_ref().zip(args.tls_key_file.as_ref()) else { return Ok(None) };
    Ok(Some(Tls::read(certificate, key).context("HEADWIND_TLS_CERT_FILE and HEADWIND_TLS_KEY_FILE")?))
}

/// Returns how the webhook port authenticates senders.
fn trust(args: &Run) -> webhook::Trust {
    webhook::Trust {
        secret: args.webhook_secret.clone(),
        // clap requires both or neither.
        google: args.webhook_google_audience.clone().zip(args.webhook_google_email.clone()).map(|(audience, email)| webhook::Google {
            expected: Expected { audience, email },
            keys_url: args.webhook_google_keys.clone(),
        }),
        sns_topics: args.webhook_sns_topics.clone(),
    }
}

fn warn_about_open_access(args: &Run) {
    match (args.authenticates_webhooks(), args.confirms_webhooks()) {
        (true, _) => {}
        (false, true) => tracing::warn!(
            "HEADWIND_WEBHOOK_SECRET is not set: webhooks are not authenticated, so Headwind confirms each one with the registry"
        ),
        (false, false) => tracing::warn!(
            "HEADWIND_WEBHOOK_SECRET is not set and HEADWIND_WEBHOOK_CONFIRM is false: \
             anyone who can reach the webhook port can set any tag, also one that does not exist, and the policy may apply it"
        ),
    }
    access::warn(args);
}

fn own_namespace() -> String {
    std::fs::read_to_string(OWN_NAMESPACE)
        .map(|text| text.trim().to_owned())
        .ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

/// Returns the host name (in a pod: the name of the pod) with a suffix that is unique for this process.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "headwind".to_owned(), |name| name.trim().to_owned());
    let start = jiff::Timestamp::now().as_nanosecond();
    format!("{host}-{}-{:08x}", std::process::id(), start & 0xffff_ffff)
}
