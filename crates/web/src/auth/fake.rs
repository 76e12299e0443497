//! An API server for tests with predefined answers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use headwind_operator::{BearerToken, Caller, Identity, Permission, Unanswered};
use parking_lot::Mutex;

use super::reviews::{Answer, Reviews};

/// Users by token, each with the audience of the token, and permissions in the form "USER VERB RESOURCE NAMESPACE".
#[derive(Default)]
pub(crate) struct Fake {
    tokens: Mutex<HashMap<String, (Identity, Option<String>)>>,
    allowed: Mutex<BTreeSet<String>>,
    pub(crate) namespaces: Mutex<BTreeSet<String>>,
    key: Mutex<Option<[u8; 32]>>,
    tokens_asked: AtomicUsize,
    access_asked: AtomicUsize,
    /// The number of reviews of access in progress, and its maximum.
    under_way: AtomicUsize,
    most: AtomicUsize,
    fails: AtomicBool,
}

impl Fake {
    pub(crate) fn knows(&self, token: &str, user: &str) {
        let identity = Identity { name: user.to_owned(), ..Identity::default() };
        self.tokens.lock().insert(token.to_owned(), (identity, None));
    }

    pub(crate) fn knows_for(&self, token: &str, user: &str, audience: &str) {
        let identity = Identity { name: user.to_owned(), ..Identity::default() };
        self.tokens.lock().insert(token.to_owned(), (identity, Some(audience.to_owned())));
    }

    pub(crate) fn forget(&self, token: &str) {
        self.tokens.lock().remove(token);
    }

    pub(crate) fn allow(&self, rule: &str) {
        self.allowed.lock().insert(rule.to_owned());
    }

    pub(crate) fn deny(&self, rule: &str) {
        self.allowed.lock().remove(rule);
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Replaces the key, as if somebody had deleted the Secret.
    pub(crate) fn new_key(&self) {
        *self.key.lock() = None;
    }

    pub(crate) fn tokens_asked(&self) -> usize {
        self.tokens_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn access_asked(&self) -> usize {
        self.access_asked.load(Ordering::SeqCst)
    }

    /// Returns the largest number of reviews of access that were in progress at the same time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn answer<T>(&self, answer: T) -> Answer<'_, T>
    where
        T: Send + 'static,
    {
        let fails = self.fails.load(Ordering::SeqCst);
        Box::pin(async move { if fails { Err(Unanswered("connection refused".to_owned())) } else { Ok(answer) } })
    }
}

impl Reviews for Fake {
    fn token<'a>(&'a self, token: &'a BearerToken, audiences: &'a [String]) -> Answer<'a, Result<Identity, String>> {
        self.tokens_asked.fetch_add(1, Ordering::SeqCst);
        let known = self.tokens.lock().get(token.expose()).cloned();
        let fits = |audience: &Option<String>| audience.as_ref().is_none_or(|audience| audiences.contains(audience));
        let known = known.filter(|(_, audience)| fits(audience)).map(|(identity, _)| identity);
        self.answer(known.ok_or_else(|| "the token is not valid".to_owned()))
    }

    fn access<'a>(&'a self, caller: &'a Caller, permission: &'a Permission) -> Answer<'a, bool> {
        self.access_asked.fetch_add(1, Ordering::SeqCst);
        let Permission { verb, resource, subresource, namespace, name, .. } = permission;
        let subresource = subresource.map(|subresource| format!("/{subresource}")).unwrap_or_default();
        let rule = |name: &str| format!("{} {verb} {resource}{subresource} {}{name}", caller.name, namespace.as_deref().unwrap_or("*"));
        let allowed = self.allowed.lock();
        let named = name.as_ref().is_some_and(|name| allowed.contains(&rule(&format!("/{name}"))));
        let answer = self.answer(named || allowed.contains(&rule("")));
        Box::pin(async move {
            self.most.fetch_max(self.under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            answer.await
        })
    }

    fn session_key(&self, candidate: [u8; 32]) -> Answer<'_, [u8; 32]> {
        let key = *self.key.lock().get_or_insert(candidate);
        self.answer(key)
    }

    fn namespaces(&self) -> BTreeSet<String> {
        self.namespaces.lock().clone()
    }
}
