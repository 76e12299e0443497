//! Chart repositories that behave well and badly. The tests compare requests line by line.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod site;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use headwind_core::artifact::chart::ChartRepository;
use headwind_registry::{Class, Client, Error, Hosts, Index, Keyring, Rules, Timeouts, Transport};
use rstest::rstest;
use site::{Site, answer};

const CANARY: &str = "canary-7f3a";
const INDEX: &str = "apiVersion: v1\nentries:\n  a:\n  - version: 1.1.0\n  - version: 1.0.0\n  b:\n  - version: 2.0.0\n";

fn client_of(timeouts: &Timeouts) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(Hosts::new(Vec::new(), Rules::default(), timeouts).unwrap(), Vec::new())
}

fn client() -> Client {
    client_of(&Timeouts::default())
}

fn charts(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn versions<'a>(index: &'a Index, chart: &str) -> Vec<&'a str> {
    index.versions(chart).map(|version| version.version.as_str()).collect()
}

fn login(site: &Site) -> Keyring {
    Keyring::basic(&site.address.to_string(), "user", CANARY)
}

async fn ask(site: &Site) -> Result<Index, Error> {
    client().index(&site.repository(), &charts(&["a"]), &Keyring::default(), None).await
}

#[tokio::test]
async fn one_request_for_all_charts() {
    let site = Site::of(INDEX).await;
    let wanted = charts(&["a", "b", "absent"]);
    let index = client().index(&site.repository(), &wanted, &Keyring::default(), None).await.unwrap();
    assert_eq!((versions(&index, "a"), versions(&index, "b")), (vec!["1.1.0", "1.0.0"], vec!["2.0.0"]));
    assert!(index.has("b") && !index.has("absent") && versions(&index, "absent").is_empty());
    assert!(!index.is_unchanged() && !index.is_worth_keeping());
    assert_eq!(site.take_lines(), ["/index.yaml - - 200"]);

    let repository = ChartRepository::parse(&format!("{}/stable/?token={CANARY}", site.repository())).unwrap();
    client().index(&repository, &charts(&["a"]), &Keyring::default(), None).await.unwrap();
    assert_eq!(site.take_lines(), [format!("/stable/index.yaml?token={CANARY} - - 200")]);
}

#[rstest]
#[case::etag(&[("etag", "\"one\""), ("last-modified", "Tue, 24 Nov 2026 12:00:00 GMT")], "\"one\"")]
#[case::weak_etag(&[("etag", "W/\"one\"")], "W/\"one\"")]
#[case::date(&[("last-modified", "Tue, 24 Nov 2026 12:00:00 GMT")], "Tue, 24 Nov 2026 12:00:00 GMT")]
#[tokio::test]
async fn what_is_as_it_was_is_not_sent_again(#[case] headers: &'static [(&str, &str)], #[case] condition: &'static str) {
    let site = Site::start(move |asked| {
        let met = [asked.header("if-none-match"), asked.header("if-modified-since")].contains(&condition);
        if met { answer(304, headers, "") } else { answer(200, headers, INDEX) }
    })
    .await;
    let (client, none) = (client(), Keyring::default());
    let first = client.index(&site.repository(), &charts(&["a", "b"]), &none, None).await.unwrap();
    assert!(first.is_worth_keeping() && !first.is_unchanged());
    let second = client.index(&site.repository(), &charts(&["b"]), &none, Some(&first)).await.unwrap();
    assert!(second.is_unchanged() && second.is_worth_keeping());
    assert_eq!((versions(&second, "b"), second.charts.len()), (vec!["2.0.0"], 1));
    // A chart that was not requested then is unknown, and so is another repository.
    let third = client.index(&site.repository(), &charts(&["a", "b"]), &none, Some(&second)).await.unwrap();
    assert!(!third.is_unchanged());
    let elsewhere = ChartRepository::parse(&format!("{}/other", site.repository())).unwrap();
    client.index(&elsewhere, &charts(&["a"]), &none, Some(&third)).await.unwrap();
    let asked = [
        "/index.yaml - - 200".to_owned(),
        format!("/index.yaml - {condition} 304"),
        "/index.yaml - - 200".to_owned(),
        "/other/index.yaml - - 200".to_owned(),
    ];
    assert_eq!(site.take_lines(), asked);
}

#[tokio::test]
async fn compressed_bodies_are_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(INDEX.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let cut = packed.len() / 2;
    let site = Site::start(move |asked| {
        assert!(asked.header("accept-encoding").contains("gzip"));
        let body = if asked.path.starts_with("/cut") { packed[..cut].to_vec() } else { packed.clone() };
        answer(200, &[("content-encoding", "gzip")], body)
    })
    .await;
    assert_eq!(versions(&ask(&site).await.unwrap(), "a"), ["1.1.0", "1.0.0"]);
    let cut = ChartRepository::parse(&format!("{}/cut", site.repository())).unwrap();
    let error = client().index(&cut, &charts(&["a"]), &Keyring::default(), None).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable, "{error}");
}

#[tokio::test]
async fn the_credential_goes_with_the_first_request_and_to_its_own_host_only() {
    let elsewhere = Site::of(INDEX).await;
    let away = format!("http://{}/index.yaml", elsewhere.address);
    let site = Site::start(move |asked| match asked.path.as_str() {
        "/here/index.yaml" => answer(302, &[("location", "/index.yaml")], ""),
        "/away/index.yaml" => answer(302, &[("location", &away)], ""),
        _ => Response::new(INDEX.into()),
    })
    .await;
    let at = |path: &str| ChartRepository::parse(&format!("{}{path}", site.repository())).unwrap();
    let (client, wanted) = (client(), charts(&["a"]));
    for (path, keyring) in [
        ("", login(&site)),
        ("/here", login(&site)),
        ("/away", login(&site)),
        ("/away", login(&site).with_transport(Transport::default().with_passed_credentials(true))),
        // A credential of another host, and one for every host.
        ("", login(&elsewhere)),
        ("", Keyring::of("127.0.0.*", headwind_registry::Credential::login("user", CANARY))),
        ("", Keyring::basic("127.0.0.*", "user", CANARY)),
    ] {
        client.index(&at(path), &wanted, &keyring, None).await.unwrap();
    }
    let proof = format!("user:{CANARY}");
    let lines = [
        format!("/index.yaml {proof} - 200"),
        format!("/here/index.yaml {proof} - 302"),
        format!("/index.yaml {proof} - 200"),
        format!("/away/index.yaml {proof} - 302"),
        format!("/away/index.yaml {proof} - 302"),
        "/index.yaml - - 200".to_owned(),
        "/index.yaml - - 200".to_owned(),
        "/index.yaml - - 200".to_owned(),
    ];
    assert_eq!(site.take_lines(), lines);
    assert_eq!(elsewhere.take_lines(), ["/index.yaml - - 200".to_owned(), format!("/index.yaml {proof} - 200")]);
}

type Response = axum::response::Response;

#[rstest]
#[case::wants_a_credential(401, &[], "", false, Class::Denied, "it requires a credential, and none is configured for it (401)")]
#[case::refuses_it(401, &[], "", true, Class::Denied, "it rejected the credential (401)")]
#[case::forbidden(403, &[], "", true, Class::Denied, "it denied access to its index with this credential (403); the password lacks the permission or has expired")]
#[case::absent(404, &[], "", false, Class::NotFound, "there is no index.yaml: it is not a chart repository (404)")]
#[case::unasked_304(304, &[], "", false, Class::Broken, "it returned something other than its index (304)")]
#[case::no_content(204, &[], "", false, Class::Broken, "it returned something other than its index (204)")]
#[case::ill(503, &[], "", false, Class::Unavailable, "it returned a server error (503)")]
#[case::page(200, &[("content-type", "text/html")], "<html>\n<p>sign in", false, Class::Broken, "it returned a web page instead of its index")]
#[case::no_index(200, &[], "{\"message\": \"canary-7f3a\"}", false, Class::Broken, "its index has no entries: it is not a chart repository")]
#[case::broken(200, &[], "entries:\n  a: [canary-7f3a\n", false, Class::Broken, "its index is not valid YAML (line 2)")]
#[case::nowhere(302, &[], "", false, Class::Refused, "it redirects without a location")]
#[case::in_a_circle(302, &[("location", "/index.yaml")], "", false, Class::Refused, "it redirects too many times")]
#[case::not_the_web(302, &[("location", "file:///etc/passwd")], "", false, Class::Refused, "it redirects to another scheme than HTTPS")]
#[tokio::test]
async fn refusals_have_messages(
    #[case] status: u16,
    #[case] headers: &'static [(&str, &str)],
    #[case] body: &'static str,
    #[case] proven: bool,
    #[case] class: Class,
    #[case] words: &str,
) {
    let site = Site::start(move |_| answer(status, headers, body)).await;
    let keyring = if proven { login(&site) } else { Keyring::default() };
    let error = client().index(&site.repository(), &charts(&["a"]), &keyring, None).await.unwrap_err();
    assert_eq!((error.class, error.to_string()), (class, format!("{}: {words}", site.address)));
}

#[tokio::test]
async fn a_host_that_asks_to_be_left_alone_is() {
    let site = Site::start(|_| answer(429, &[("retry-after", "120")], "")).await;
    let (client, wanted, none) = (client(), charts(&["a"]), Keyring::default());
    let error = client.index(&site.repository(), &wanted, &none, None).await.unwrap_err();
    assert_eq!((error.class, error.wait), (Class::Throttled, Some(Duration::from_mins(2))));
    let error = client.index(&site.repository(), &wanted, &none, None).await.unwrap_err();
    assert_eq!((error.class, site.take_lines().len()), (Class::Throttled, 1));
    assert!(error.wait.is_some_and(|wait| wait > Duration::from_secs(100)));
}

#[tokio::test]
async fn the_last_answer_of_a_limit_holds_as_well() {
    let site = Site::start(|_| answer(200, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "60")], INDEX)).await;
    let client = client();
    client.index(&site.repository(), &charts(&["a"]), &Keyring::default(), None).await.unwrap();
    let error = client.index(&site.repository(), &charts(&["a"]), &Keyring::default(), None).await.unwrap_err();
    assert_eq!(error.class, Class::Throttled, "{error}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_index() {
    let site = Site::start(|_| {
        let pieces = [Ok(Bytes::from_static(INDEX.as_bytes())), Err(std::io::Error::other("cut off"))];
        Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
    })
    .await;
    let error = ask(&site).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable, "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let repository = Site::of(INDEX).await.repository();
    let error = client().index(&repository, &charts(&["a"]), &Keyring::default(), None).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable, "{error}");
}

/// An endless response, one piece in each interval.
fn drip(pause: Duration) -> Response {
    let stream = futures_util::stream::unfold(0, move |n: u32| async move {
        if n > 0 {
            tokio::time::sleep(pause).await;
        }
        let piece = if n == 0 { "entries:\n".to_owned() } else { format!("  c{n}: []\n") };
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), n + 1))
    });
    Response::new(Body::from_stream(stream))
}

#[rstest]
#[case::drips(Duration::from_millis(20), "its index was not complete within 700ms")]
#[case::stops(Duration::from_hours(1), "its index sent no data for 300ms")]
#[tokio::test]
async fn a_body_that_does_not_come_is_given_up(#[case] pause: Duration, #[case] words: &str) {
    let site = Site::start(move |_| drip(pause)).await;
    let timeouts = Timeouts { index: Duration::from_millis(700), request: Duration::from_millis(300), ..Timeouts::default() };
    let (client, wanted, none) = (client_of(&timeouts), charts(&["a"]), Keyring::default());
    let (good, repository) = (Site::of(INDEX).await, site.repository());
    let slow = client.index(&repository, &wanted, &none, None);
    // No other query waits for it.
    let others = async {
        let asked = client.index(&good.repository(), &wanted, &none, None).await;
        asked.map(|_| Instant::now())
    };
    let (slow, others) = tokio::join!(async { (slow.await, Instant::now()) }, others);
    let (error, ended) = (slow.0.unwrap_err(), slow.1);
    assert_eq!(error.class, Class::TimedOut);
    assert!(error.message.starts_with(words), "{error}");
    assert!(others.unwrap() < ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_given_up() {
    let site = Site::start(|_| site::large(usize::MAX / 2)).await;
    let wide = Site::start(|_| {
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        Response::new(Body::from_stream(futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()))))
    })
    .await;
    let error = ask(&wide).await.unwrap_err();
    assert_eq!((error.class, &*error.message), (Class::Refused, "its index has a string of more than 4194304 characters (line 1)"));
    // Longer than the timeout, unless the parser is fast: either limit ends it.
    let timeouts = Timeouts { index: Duration::from_secs(2), ..Timeouts::default() };
    let error = client_of(&timeouts).index(&site.repository(), &charts(&["chart-0"]), &Keyring::default(), None).await.unwrap_err();
    assert!(matches!(error.class, Class::TimedOut | Class::Refused), "{error}");
}

#[test]
fn accesses_are_distinguished() {
    let client = client();
    let repository = ChartRepository::parse("https://charts.example/stable").unwrap();
    let own = |password: &str| Keyring::basic("charts.example", "user", password);
    let passing = Transport::default().with_passed_credentials(true);
    let all =
        [Keyring::default(), own("a"), own("b"), own("a").with_transport(passing.clone()), Keyring::default().with_transport(passing)];
    let seen: BTreeSet<_> = all.iter().map(|keyring| client.index_access(&repository, keyring)).collect();
    assert_eq!(seen.len(), all.len());
    let same = [Keyring::default(), Keyring::basic("other.example", "user", "a"), Keyring::default().with_transport(Transport::default())];
    assert!(same.iter().all(|keyring| client.index_access(&repository, keyring) == client.index_access(&repository, &all[0])));
}
