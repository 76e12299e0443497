//! The names of the annotations, in one place.

/// What every key begins with.
pub const PREFIX: &str = "headwind.sh/";
/// What the keys begin with under which the digest first seen behind a container's image is
/// noted; the container's name follows. Only Headwind writes them.
pub const SEEN: &str = "headwind.sh/seen.";
/// The same in the pod template: the digest that a container was restarted for.
pub const RESTARTED_FOR: &str = "headwind.sh/digest.";

/// The key that users set which `name` is, or is for one container; none for every other one.
pub(crate) fn of_users(name: &str) -> Option<&'static str> {
    let is = |key: &str| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    SET_BY_USERS.iter().copied().find(|key| is(key))
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)+ ; $($(#[$managed_doc:meta])* $managed:ident = $managed_key:literal,)+) => {
        $($(#[$doc])* pub const $name: &str = concat!("headwind.sh/", $key);)+
        $($(#[$managed_doc])* pub const $managed: &str = concat!("headwind.sh/", $managed_key);)+

        /// The keys that users set.
        pub const SET_BY_USERS: &[&str] = &[$($name,)+];
        /// The keys that only Headwind writes.
        pub const MANAGED: &[&str] = &[$($managed,)+];
    };
}

keys! {
    /// Which new versions count.
    POLICY = "policy",
    /// What tags have to match.
    PATTERN = "pattern",
    /// Whether a person is asked first.
    REQUIRE_APPROVAL = "require-approval",
    /// The least time between two updates of the workload.
    MIN_UPDATE_INTERVAL = "min-update-interval",
    /// Which containers are tracked.
    IMAGES = "images",
    /// Which triggers may act.
    EVENT_SOURCE = "event-source",
    /// An own polling period.
    POLLING_INTERVAL = "polling-interval",
    /// Whether a failed rollout is taken back.
    AUTO_ROLLBACK = "auto-rollback",
    /// How long a rollout is watched.
    ROLLBACK_TIMEOUT = "rollback-timeout",
    /// How many failed checks in a row take it back.
    HEALTH_CHECK_RETRIES = "health-check-retries",
    /// How long new pods have to stay available.
    SETTLE_TIME = "settle-time",
    /// How a new digest behind the same tag is put in place.
    DIGEST_UPDATE = "digest-update",
    /// On an OCIRepository: whether a release may move the tag although other releases follow it as well.
    SHARED_SOURCE = "shared-source",
    ;
    /// When Headwind last updated the workload.
    LAST_UPDATE = "last-update",
    /// The requests whose change stands in the workload.
    LAST_REQUEST = "last-request",
    /// What Headwind put in place, newest first.
    UPDATE_HISTORY = "update-history",
    /// The uid of the object that the managed annotations belong to.
    MANAGED_FOR = "managed-for",
}

/// Returns whether only Headwind writes the annotation.
pub fn is_managed(key: &str) -> bool {
    MANAGED.contains(&key) || key.starts_with(SEEN)
}
