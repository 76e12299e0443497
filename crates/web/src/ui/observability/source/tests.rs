use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::any;
use futures_util::stream;
use serde_json::json;

use super::*;
use crate::ui::observability::figures::Quantity;

/// Serves one answer to everything. Returns the address.
async fn serve(router: Router) -> String {
    // Another test may have done so already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn sources(setting: MetricsSource) -> Sources {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Sources::new(watch::channel(setting).1)
}

fn prometheus(url: &str) -> MetricsSource {
    MetricsSource::Prometheus(Prometheus::new(url, "").unwrap())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

async fn fault(router: Router) -> String {
    let url = serve(router).await;
    let (name, figures) = sources(prometheus(&url)).figures(1, now()).await.unwrap();
    assert!(name.starts_with("Prometheus at 127.0.0.1:"), "{name}");
    figures.unwrap_err()
}

#[tokio::test]
async fn prometheus_answers_with_steps_and_totals() {
    let router = Router::new()
        .route(
            "/prom/api/v1/query_range",
            any(async |form: String| {
                assert!(form.contains("start=1799996700&end=1800000000&step=300"), "{form}");
                assert!(form.contains("namespace%3D%22hw%22"), "{form}");
                let line = json!({"metric": {"headwind_quantity": "applied"}, "values": [[1_799_999_700.0, "2"], [1_800_000_000, "3"]]});
                axum::Json(json!({"status": "success", "data": {"resultType": "matrix", "result": [line]}}))
            }),
        )
        .route(
            "/prom/api/v1/query",
            any(async || {
                let of = |name: &str, value: &str| json!({"metric": {"headwind_quantity": name}, "value": [1_800_000_000, value]});
                axum::Json(json!({"status": "success", "data": {"resultType": "vector", "result": [of("applied", "5.2"), of("reconcile", "NaN")]}}))
            }),
        );
    let url = format!("{}/prom", serve(router).await);
    let setting = MetricsSource::Prometheus(Prometheus::new(&url, "namespace=\"hw\"").unwrap());
    let figures = sources(setting).figures(1, now()).await.unwrap().1.unwrap();
    assert_eq!(figures.values(Quantity::Applied)[10..].to_vec(), vec![2.0, 3.0]);
    assert_eq!((figures.total(Quantity::Applied), figures.total(Quantity::Reconcile)), (5.2, 0.0));
}

#[tokio::test]
async fn a_source_that_cannot_answer_says_why() {
    let answer =
        |status: u16, text: &'static str| any(async move || (axum::http::StatusCode::from_u16(status).unwrap(), text).into_response());
    let router = |route| Router::new().fallback_service(route);
    assert!(fault(router(answer(200, "<html>"))).await.contains("not that of Prometheus"));
    assert!(fault(router(answer(503, "down\nfor today"))).await.contains("503 Service Unavailable: down for today"));
    assert!(fault(router(answer(200, "{\"status\":\"error\",\"error\":\"parse error\"}"))).await.contains("parse error"));
    let bad = "{\"status\":\"success\",\"data\":{\"result\":[{\"metric\":{\"headwind_quantity\":\"applied\"},\"value\":[1,\"many\"]}]}}";
    assert!(fault(router(answer(200, bad))).await.contains("not a number"));
    assert!(fault(router(any(async || Redirect::temporary("http://169.254.169.254/")))).await.contains("does not follow"));
    let endless = any(async || {
        let chunk = axum::body::Bytes::from(vec![b' '; 1 << 20]);
        Body::from_stream(stream::repeat_with(move || Ok::<_, std::convert::Infallible>(chunk.clone()))).into_response()
    });
    assert!(fault(router(endless)).await.contains("more than 4 MiB"));
    let (_, refused) = sources(prometheus("http://127.0.0.1:9")).figures(1, now()).await.unwrap();
    assert!(refused.unwrap_err().contains("failed to connect"));
}

#[tokio::test]
async fn a_source_that_hangs_is_given_up() {
    let began = Instant::now();
    let error = fault(Router::new().fallback_service(any(async || std::future::pending::<()>().await))).await;
    assert!(error.contains("no answer within 5 s") && began.elapsed() < Duration::from_secs(20), "{error} after {:?}", began.elapsed());
}

#[tokio::test]
async fn pages_that_are_opened_together_cost_one_query() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let router = Router::new().fallback_service(any({
        let count = Arc::clone(&count);
        async move || {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            axum::Json(json!({"status": "success", "data": {"result": []}}))
        }
    }));
    let sources = sources(prometheus(&serve(router).await));
    let all = (0..20).map(|_| sources.figures(24, now()));
    assert!(futures_util::future::join_all(all).await.iter().all(|answer| answer.as_ref().unwrap().1.is_ok()));
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2, "steps and totals");
}

#[tokio::test]
async fn influxdb_is_asked_with_its_token() {
    let router = Router::new().route(
        "/api/v2/query",
        any(async |request: axum::extract::Request| {
            assert_eq!(request.uri().query(), Some("org=ops"));
            assert_eq!(request.headers()["authorization"], "Token t0k");
            ",result,table,_time,_value\n,applied,0,2027-01-15T08:00:00Z,4\n"
        }),
    );
    let url = serve(router).await;
    let source = InfluxDb::new(&url, "ops", "metrics", Some("t0k")).unwrap();
    assert!(!format!("{source:?} {source}").contains("t0k"));
    let (name, figures) = sources(MetricsSource::InfluxDb(source)).figures(1, now()).await.unwrap();
    assert!(name.contains("bucket metrics"), "{name}");
    assert_eq!(figures.unwrap().total(Quantity::Applied).to_string(), "4");
}

#[tokio::test]
async fn this_process_needs_no_query_and_outside_of_a_cluster_nothing_is_looked_for() {
    assert!(sources(MetricsSource::Process).figures(1, now()).await.is_none());
    assert!(sources(MetricsSource::Find).figures(1, now()).await.is_none());
}
