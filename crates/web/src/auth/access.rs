//! The permissions of a caller, according to the API server.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use headwind_operator::{Caller, Permission, Visible};
use tokio::sync::Semaphore;

use super::answers::{Answers, key};
use super::refused::Refused;
use super::reviews::Reviews;

/// Time for which an allowed read is not reviewed again.
const ALLOWED: Duration = Duration::from_secs(10);
/// Time for which a denied read is not reviewed again.
const DENIED: Duration = Duration::from_secs(3);
/// Maximum number of cached answers.
const ANSWERS: usize = 16_384;
/// Maximum number of concurrent reviews.
const AT_ONCE: usize = 32;
/// Maximum time that a review waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Maximum number of concurrent reviews for one caller.
const SIDE_BY_SIDE: usize = 8;

/// Reviews the permissions of callers.
pub(super) struct AccessReviews {
    reviews: Arc<dyn Reviews>,
    answers: Answers<bool>,
    permits: Semaphore,
}

impl AccessReviews {
    pub(super) fn new(reviews: Arc<dyn Reviews>) -> Self {
        Self { reviews, answers: Answers::new(ANSWERS), permits: Semaphore::new(AT_ONCE) }
    }

    /// Queries the API server.
    pub(super) async fn ask(&self, caller: &Caller, permission: &Permission) -> Result<bool, Refused> {
        let Ok(Ok(_permit)) = tokio::time::timeout(TURN, self.permits.acquire()).await else {
            return Err(Refused::TooMany("too many permission checks are in progress; try again".to_owned()));
        };
        let answer = self.reviews.access(caller, permission).await;
        answer.map_err(|error| Refused::Unavailable(format!("failed to check whether you may {permission}: {error}")))
    }

    /// Asks about all of them, and returns the answers in the same order. Each question is asked once. A caller that has
    /// a permission for the whole namespace is not asked about each of its objects.
    pub(super) async fn ask_all(&self, caller: &Caller, permissions: &[Permission]) -> Vec<Result<bool, Refused>> {
        let whole = |one: &Permission| Permission { name: None, ..one.clone() };
        let mut answers = self.ask_each(caller, permissions.iter().map(whole).collect()).await;
        let denied = |one: &&Permission| matches!(answers.get(&whole(one)), Some(Ok(false)));
        let single: HashSet<Permission> = permissions.iter().filter(|one| one.name.is_some()).filter(denied).cloned().collect();
        answers.extend(self.ask_each(caller, single).await);
        let answer = |one: &Permission| answers.get(one).or_else(|| answers.get(&whole(one))).cloned().unwrap_or(Ok(false));
        permissions.iter().map(answer).collect()
    }

    async fn ask_each(&self, caller: &Caller, permissions: HashSet<Permission>) -> HashMap<Permission, Result<bool, Refused>> {
        let permissions: Vec<Permission> = permissions.into_iter().collect();
        let mut answers = HashMap::with_capacity(permissions.len());
        for some in permissions.chunks(SIDE_BY_SIDE) {
            let asked = join_all(some.iter().map(|one| self.ask(caller, one))).await;
            answers.extend(some.iter().cloned().zip(asked));
        }
        answers
    }

    /// Does the same with an answer that may be some seconds old: for reads, and for pages.
    pub(super) async fn recall(&self, caller: &Caller, permission: &Permission, now: Instant) -> Result<bool, Refused> {
        let Caller { name, uid, groups, extra, method: _, peer: _, token: _ } = caller;
        let about = key(&format!("{:?}", (name, uid, groups, extra, permission)));
        let ask = async {
            let allowed = self.ask(caller, permission).await?;
            Ok((allowed, if allowed { ALLOWED } else { DENIED }))
        };
        self.answers.get(about, now, ask).await
    }

    /// Does the same for a permission on one object. A caller with the permission for the whole namespace needs no
    /// query per object.
    pub(super) async fn recall_one(&self, caller: &Caller, permission: &Permission, now: Instant) -> Result<bool, Refused> {
        let for_all = Permission { name: None, ..permission.clone() };
        Ok(self.recall(caller, &for_all, now).await? || (permission.name.is_some() && self.recall(caller, permission, now).await?))
    }

    /// Returns the namespaces that the caller may list, among those that Headwind knows.
    pub(super) async fn visible(&self, caller: &Caller, now: Instant) -> Result<Visible, Refused> {
        if self.may_list(caller, None, now).await? {
            return Ok(Visible::All);
        }
        let known: Vec<String> = self.reviews.namespaces().into_iter().collect();
        let mut allowed = BTreeSet::new();
        for some in known.chunks(SIDE_BY_SIDE) {
            let mut asked = Vec::with_capacity(some.len());
            for namespace in some {
                asked.push(self.may_list(caller, Some(namespace), now));
            }
            let answers = try_join_all(asked).await?;
            allowed.extend(some.iter().zip(answers).filter(|(_, may)| *may).map(|(namespace, _)| namespace.clone()));
        }
        Ok(Visible::Only(Arc::new(allowed)))
    }

    async fn may_list(&self, caller: &Caller, namespace: Option<&str>, now: Instant) -> Result<bool, Refused> {
        self.recall(caller, &Permission::on_requests("list", namespace, None), now).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ann() -> Caller {
        Caller { name: "ann".to_owned(), ..Caller::default() }
    }

    #[tokio::test]
    async fn reads_are_remembered_for_seconds() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        let access = AccessReviews::new(Arc::clone(&fake) as _);
        let list = Permission::on_requests("list", Some("shop"), None);
        fake.allow("ann list updaterequests shop");
        assert!(access.recall(&ann(), &list, now).await.unwrap());
        fake.deny("ann list updaterequests shop");
        assert!(access.recall(&ann(), &list, now + SECOND * 9).await.unwrap());
        assert!(!access.recall(&ann(), &list, now + SECOND * 10).await.unwrap());
        fake.allow("ann list updaterequests shop");
        assert!(!access.recall(&ann(), &list, now + SECOND * 12).await.unwrap());
        assert!(access.recall(&ann(), &list, now + SECOND * 13).await.unwrap());
        assert_eq!(fake.access_asked(), 3);
        let in_a_group = Caller { groups: vec!["admins".to_owned()], ..ann() };
        access.recall(&in_a_group, &list, now + SECOND * 13).await.unwrap();
        assert_eq!(fake.access_asked(), 4, "the groups are a part of the question");
    }

    #[tokio::test]
    async fn only_namespaces_that_may_be_listed_are_visible() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        let access = AccessReviews::new(Arc::clone(&fake) as _);
        fake.namespaces.lock().extend(["shop".to_owned(), "pay".to_owned()]);
        assert!(access.visible(&ann(), now).await.unwrap().is_empty());
        fake.allow("ann list updaterequests shop");
        let visible = access.visible(&ann(), now + SECOND * 3).await.unwrap();
        assert!(visible.includes("shop") && !visible.includes("pay"), "{visible:?}");
        fake.allow("ann list updaterequests *");
        assert_eq!(access.visible(&ann(), now + SECOND * 6).await.unwrap(), Visible::All);
        fake.fail(true);
        assert!(matches!(access.visible(&ann(), now + SECOND * 60).await, Err(Refused::Unavailable(_))));
    }

    #[tokio::test]
    async fn many_objects_of_one_namespace_cost_one_question() {
        let fake = Arc::new(Fake::default());
        let access = AccessReviews::new(Arc::clone(&fake) as _);
        fake.allow("ann approve updaterequests shop");
        fake.allow("ann approve updaterequests pay/web-7");
        let approve = |namespace, name: &str| Permission::on_requests("approve", Some(namespace), Some(name));
        let mut all: Vec<Permission> = (0..100).map(|n| approve("shop", &format!("web-{n}"))).collect();
        all.extend((0..20).map(|n| approve("pay", &format!("web-{n}"))));
        all.extend((0..20).map(|n| approve("pay", &format!("web-{n}"))));
        let answers = access.ask_all(&ann(), &all).await;
        let allowed: Vec<bool> = answers.into_iter().map(Result::unwrap).collect();
        let expected: Vec<bool> =
            all.iter().map(|one| one.namespace.as_deref() == Some("shop") || one.name.as_deref() == Some("web-7")).collect();
        assert_eq!(allowed, expected);
        assert_eq!(fake.access_asked(), 2 + 20, "two namespaces, and each object of the one that is not allowed as a whole");
        assert!(fake.most_at_once() <= SIDE_BY_SIDE, "{}", fake.most_at_once());
        fake.fail(true);
        assert!(access.ask_all(&ann(), &all).await.into_iter().all(|answer| matches!(answer, Err(Refused::Unavailable(_)))));
    }

    #[tokio::test]
    async fn who_may_approve_everything_in_a_namespace_costs_one_question() {
        let (fake, now) = (Arc::new(Fake::default()), Instant::now());
        let access = AccessReviews::new(Arc::clone(&fake) as _);
        fake.allow("ann approve updaterequests shop");
        fake.allow("bob approve updaterequests shop/web-1");
        for name in ["web-1", "web-2", "web-3"] {
            assert!(access.recall_one(&ann(), &Permission::on_requests("approve", Some("shop"), Some(name)), now).await.unwrap());
        }
        assert_eq!(fake.access_asked(), 1);
        let bob = Caller { name: "bob".to_owned(), ..Caller::default() };
        assert!(access.recall_one(&bob, &Permission::on_requests("approve", Some("shop"), Some("web-1")), now).await.unwrap());
        assert!(!access.recall_one(&bob, &Permission::on_requests("approve", Some("shop"), Some("web-2")), now).await.unwrap());
    }
}
