use super::super::fake::Fake;
use super::*;

fn at(host: &'static str, cookie: Option<&str>) -> HeaderMap {
    let mut headers: HeaderMap = [(axum::http::header::HOST, HeaderValue::from_static(host))].into_iter().collect();
    if let Some(cookie) = cookie {
        headers.insert(COOKIE, cookie.parse().unwrap());
    }
    headers
}

fn sessions(fake: &Arc<Fake>, tls: bool) -> Sessions {
    Sessions::new(Arc::clone(fake) as _, tls, ["headwind.example".to_owned()].into())
}

const LOCAL: &str = "localhost:8082";

/// The cookie as the browser sends it back.
async fn begin(sessions: &Sessions, host: &'static str, now: Timestamp) -> String {
    let set = sessions.begin(&BearerToken::new("t-ann"), None, &at(host, None), now).await.unwrap();
    set.to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn opened(sessions: &Sessions, host: &'static str, cookie: &str, now: Timestamp) -> Option<String> {
    sessions.token(&at(host, Some(cookie)), now).await.unwrap().map(|token| token.expose().to_owned())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

#[tokio::test]
async fn every_replica_opens_a_session_for_eight_hours() {
    let fake = Arc::new(Fake::default());
    let (one, other) = (sessions(&fake, false), sessions(&fake, false));
    let cookie = begin(&one, LOCAL, now()).await;
    assert!(!cookie.contains("t-ann"));
    assert_eq!(opened(&other, LOCAL, &cookie, now()).await.as_deref(), Some("t-ann"));
    assert_eq!(
        opened(&other, LOCAL, &format!("a=b; {cookie}; c=d"), now() + LIFETIME - Duration::from_secs(1)).await.as_deref(),
        Some("t-ann")
    );
    assert_eq!(opened(&other, LOCAL, &cookie, now() + LIFETIME).await, None);
    assert_eq!(opened(&other, LOCAL, &cookie, now() - SKEW * 2).await, None, "from the future");
}

#[tokio::test]
async fn what_is_not_opened() {
    let fake = Arc::new(Fake::default());
    let sessions = sessions(&fake, false);
    let cookie = begin(&sessions, LOCAL, now()).await;
    assert_eq!(opened(&sessions, "127.0.0.1:8082", &cookie, now()).await, None, "stolen, on another host");
    assert_eq!(opened(&sessions, "localhost:9000", &cookie, now()).await.as_deref(), Some("t-ann"), "browsers keep cookies by host");
    assert_eq!(opened(&sessions, LOCAL, &format!("{cookie}; {cookie}"), now()).await, None, "twice");
    let (name, value) = cookie.split_once('=').unwrap();
    for at in [0, value.len() / 2, value.len() - 1] {
        let mut changed = value.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(opened(&sessions, LOCAL, &format!("{name}={changed}"), now()).await, None, "changed at {at}");
    }
    for junk in ["", "AAAA", "%%%", &"A".repeat(3000)] {
        assert_eq!(opened(&sessions, LOCAL, &format!("{name}={junk}"), now()).await, None);
    }
    fake.new_key();
    assert_eq!(opened(&self::sessions(&fake, false), LOCAL, &cookie, now()).await, None, "another Headwind, or a new key");
}

#[tokio::test]
async fn attributes() {
    let fake = Arc::new(Fake::default());
    let set = async |tls: bool, host: &'static str, until: Option<Timestamp>| {
        let set = sessions(&fake, tls).begin(&BearerToken::new("t"), until, &at(host, None), now()).await.unwrap();
        set.to_str().unwrap().to_owned()
    };
    let plain = set(false, LOCAL, None).await;
    assert!(plain.starts_with("headwind-session=") && plain.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=28800"), "{plain}");
    for https in [set(true, LOCAL, None).await, set(false, "headwind.example", None).await] {
        assert!(https.starts_with("__Host-headwind-session=") && https.ends_with("; Secure"), "{https}");
    }
    let with_port = set(false, "Headwind.example:443", None).await;
    assert!(with_port.starts_with("__Host-headwind-session=") && with_port.ends_with("; Secure"), "{with_port}");
    let other_port = set(false, "headwind.example:8082", None).await;
    assert!(other_port.starts_with("headwind-session=") && !other_port.ends_with("; Secure"), "{other_port}");
    let short = set(false, LOCAL, Some(now() + Duration::from_mins(10))).await;
    assert!(short.ends_with("Max-Age=600"), "{short}");
    let end = sessions(&fake, false).end(&at(LOCAL, None)).unwrap();
    assert!(end.to_str().unwrap().starts_with("headwind-session=; ") && end.to_str().unwrap().ends_with("Max-Age=0"));
    let cookie = begin(&sessions(&fake, false), LOCAL, now()).await;
    assert_eq!(opened(&sessions(&fake, true), LOCAL, &cookie, now()).await, None, "a cookie of plain HTTP over HTTPS");
}

#[tokio::test]
async fn a_token_that_does_not_fit() {
    let fake = Arc::new(Fake::default());
    let long = BearerToken::new(&"t".repeat(4_000));
    assert!(matches!(sessions(&fake, false).begin(&long, None, &at(LOCAL, None), now()).await, Err(Refused::Unknown(_))));
}
