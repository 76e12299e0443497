use axum::http::HeaderName;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST};
use headwind_core::request::action;
use headwind_core::workload::{Kind, WorkloadKey};

use super::fake::Fake;
use super::*;

fn approve(namespace: &str, name: &str) -> Action {
    Action::Decide { decision: action::Action::Approve, namespace: namespace.to_owned(), name: name.to_owned() }
}

fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

fn token_mode() -> (Arc<Fake>, Auth) {
    let fake = Arc::new(Fake::default());
    fake.knows("t-ann", "ann");
    let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
    (fake, Auth::token(TokenSettings::default(), &reviews))
}

async fn ann(auth: &Auth) -> Caller {
    auth.authenticate(&headers(&[(AUTHORIZATION, "Bearer t-ann")]), None).await.unwrap()
}

#[tokio::test]
async fn everybody_may_read_and_nobody_acts_without_a_name() {
    let auth = Auth::open(true, true);
    let caller = auth.authenticate(&HeaderMap::new(), None).await.unwrap();
    assert_eq!(caller.name, "web-ui-user");
    assert!(matches!(auth.authorize(&caller, &approve("n", "r")).await, Err(Refused::Unknown(_))));
    assert!(auth.may(&caller, &Action::List { namespace: None }).await && !auth.may(&caller, &approve("n", "r")).await);
}

#[tokio::test]
async fn a_token_proves_who_the_caller_is() {
    let (_, auth) = token_mode();
    let caller = ann(&auth).await;
    assert_eq!((caller.name.as_str(), caller.method, caller.token.is_some()), ("ann", AuthMethod::Token, true));
    for bad in [
        &[][..],
        &[(AUTHORIZATION, "Bearer other")],
        &[(AUTHORIZATION, "Basic dDp0")],
        &[(COOKIE, "headwind-session=AAAA"), (HOST, "localhost")],
    ] {
        assert!(matches!(auth.authenticate(&headers(bad), None).await, Err(Refused::Unknown(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let (fake, auth) = token_mode();
    let host = (HOST, "localhost");
    let (caller, set) = auth.log_in(" t-ann\n", &headers(std::slice::from_ref(&host)), None).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.method), ("ann", AuthMethod::Cookie));
    let cookie = set.to_str().unwrap().split(';').next().unwrap();
    let request = headers(&[host.clone(), (COOKIE, cookie)]);
    assert_eq!(auth.authenticate(&request, None).await.unwrap(), caller);
    fake.forget("t-ann");
    let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
    let other_replica = Auth::token(TokenSettings::default(), &reviews);
    assert!(matches!(other_replica.authenticate(&request, None).await, Err(Refused::Unknown(_))));
    let refused = auth.log_in("t-bob", &headers(&[host]), None).await.unwrap_err();
    assert!(refused.to_string().contains("the token is not valid"), "the API server's own words: {refused}");
    assert!(Auth::open(false, true).log_in("t", &HeaderMap::new(), None).await.is_err());
}

#[tokio::test]
async fn actions_are_asked_about_each_time_and_reads_are_remembered() {
    let (fake, auth) = token_mode();
    let caller = ann(&auth).await;
    fake.allow("ann approve updaterequests shop");
    let missing = auth.authorize(&caller, &approve("shop", "r")).await.unwrap_err();
    assert_eq!(missing.permission().unwrap().to_string(), "patch updaterequests.headwind.sh/status \"r\" in namespace shop");
    fake.allow("ann patch updaterequests/status shop");
    assert!(auth.authorize(&caller, &approve("shop", "r")).await.is_ok());
    let missing = auth.authorize(&caller, &approve("pay", "r")).await.unwrap_err();
    assert_eq!(missing.to_string(), "ann may not approve updaterequests.headwind.sh \"r\" in namespace pay");
    fake.deny("ann approve updaterequests shop");
    assert!(auth.authorize(&caller, &approve("shop", "r")).await.is_err(), "at once");

    let get = Action::Get { namespace: "shop".to_owned(), name: "r".to_owned() };
    assert!(auth.authorize(&caller, &get).await.is_err());
    let before = fake.access_asked();
    assert!(auth.authorize(&caller, &get).await.is_err());
    assert_eq!(fake.access_asked(), before);
}

/// Permission to approve one request is no permission to roll workloads back, which creates new requests.
#[tokio::test]
async fn a_rollback_needs_the_right_for_the_namespace() {
    let (fake, auth) = token_mode();
    let caller = Caller { token: None, ..ann(&auth).await };
    let workload = WorkloadKey { kind: Kind::Deployment, namespace: "shop".to_owned(), name: "web".to_owned() };
    fake.allow("ann approve updaterequests shop/web");
    assert!(auth.authorize(&caller, &approve("shop", "web")).await.is_ok());
    let back = Action::RollBack { workload: workload.clone() };
    assert!(auth.authorize(&caller, &back).await.is_err() && !auth.may(&caller, &back).await);
    fake.allow("ann approve updaterequests shop");
    assert!(auth.authorize(&caller, &back).await.is_ok());
    let query = Action::Query { workload };
    assert!(auth.authorize(&caller, &query).await.is_err());
    fake.allow("ann get deployments shop/web");
    fake.allow("ann get deployments shop");
}

#[tokio::test]
async fn lists_hold_what_the_caller_may_list() {
    let (fake, auth) = token_mode();
    let caller = ann(&auth).await;
    fake.namespaces.lock().extend(["shop".to_owned(), "pay".to_owned()]);
    fake.allow("ann list updaterequests shop");
    let all = auth.listed(&caller, None).await.unwrap();
    assert!(all.includes("shop") && !all.includes("pay"));
    let one = auth.listed(&caller, Some("shop")).await.unwrap();
    assert!(one.includes("shop") && !one.includes("pay"));
    assert!(matches!(auth.listed(&caller, Some("pay")).await, Err(Refused::Missing { .. })));
}

#[tokio::test]
async fn without_an_answer_nothing_is_allowed() {
    let (fake, auth) = token_mode();
    let caller = ann(&auth).await;
    fake.allow("ann approve updaterequests shop");
    fake.fail(true);
    assert!(matches!(auth.authorize(&caller, &approve("shop", "r")).await, Err(Refused::Unavailable(_))));
    assert!(!auth.may(&caller, &approve("shop", "r")).await);
}
