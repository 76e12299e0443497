//! The names of the annotations.

/// The prefix of every key.
pub const PREFIX: &str = "headwind.sh/";
/// The prefix of the keys that record the digest first seen for a container's image; the container's name follows. Only
/// Headwind writes them.
pub const SEEN: &str = "headwind.sh/seen.";
/// The same prefix in the pod template: the digest that a container was restarted for.
pub const RESTARTED_FOR: &str = "headwind.sh/digest.";

/// Returns the user key that `name` is, or that it is for one container; `None` for any other key.
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
    /// The policy for new versions.
    POLICY = "policy",
    /// The pattern that tags must match.
    PATTERN = "pattern",
    /// Requires approval by a person.
    REQUIRE_APPROVAL = "require-approval",
    /// The number of people who must approve.
    APPROVALS = "approvals",
    /// Minimum time between two updates of the workload.
    MIN_UPDATE_INTERVAL = "min-update-interval",
    /// The tracked containers.
    IMAGES = "images",
    /// The triggers that may propose updates.
    EVENT_SOURCE = "event-source",
    /// The polling interval.
    POLLING_INTERVAL = "polling-interval",
    /// Rolls back failed rollouts.
    AUTO_ROLLBACK = "auto-rollback",
    /// Maximum time of a rollout without progress.
    ROLLBACK_TIMEOUT = "rollback-timeout",
    /// Number of consecutive failed checks that trigger the rollback.
    HEALTH_CHECK_RETRIES = "health-check-retries",
    /// Time that new pods must stay available.
    SETTLE_TIME = "settle-time",
    /// The way in which a new digest of the same tag is applied.
    DIGEST_UPDATE = "digest-update",
    /// Minimum age of a version before it is applied.
    COOL_DOWN = "cool-down",
    /// The time windows in which updates may start.
    UPDATE_WINDOW = "update-window",
    /// The time windows in which updates may not start.
    UPDATE_WINDOW_DENY = "update-window-deny",
    /// Applies no updates.
    FREEZE = "freeze",
    /// The treatment of updates of a workload that another controller owns.
    GITOPS = "gitops",
    /// The platforms that a version must have.
    PLATFORMS = "platforms",
    /// The channels that get the notifications of the workload.
    NOTIFY = "notify",
    /// On an OCIRepository: allows a release to move the tag although other releases follow it as well.
    SHARED_SOURCE = "shared-source",
    ;
    /// When Headwind last updated the workload.
    LAST_UPDATE = "last-update",
    /// The requests whose change is in the workload.
    LAST_REQUEST = "last-request",
    /// The images that Headwind applied, newest first.
    UPDATE_HISTORY = "update-history",
    /// The UID of the object that the managed annotations belong to.
    MANAGED_FOR = "managed-for",
}

/// Returns true if only Headwind writes the annotation.
pub fn is_managed(key: &str) -> bool {
    MANAGED.contains(&key) || key.starts_with(SEEN)
}
