//! The table of Keel's settings.

/// A setting of Keel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its keys, the current one first.
    pub keel: &'static [&'static str],
    /// The value, if the row is about one value.
    pub value: &'static str,
    /// Headwind's annotations, without the prefix; empty if there is no equivalent.
    pub headwind: &'static str,
    /// The difference, or the reason why there is no equivalent.
    pub difference: &'static str,
}

const POLICY: &[&str] = &["keel.sh/policy", "keel.observer/policy"];

/// The differences of the policies `major`, `minor` and `patch`, as examples that hold for each of them.
const VERSIONS: &str =
    "Only Keel updates `latest` (reported), `1.27` to `1.27.1`, and `v1.2.0` to `1.2.1`. Only Headwind updates `1.0.0-rc.1` to `1.0.0`";

const fn row(keel: &'static [&'static str], value: &'static str, headwind: &'static str, difference: &'static str) -> Row {
    Row { keel, value, headwind, difference }
}

/// Every setting of Keel, in the order of its documentation.
pub const TABLE: &[Row] = &[
    row(
        POLICY,
        "all",
        "policy: all",
        "Only Keel updates `latest` (reported), `1.27` to `1.27.1`, `v1.2.0` to `1.2.1`, and a tag to another variant (`-alpine`)",
    ),
    row(POLICY, "major", "policy: major", VERSIONS),
    row(POLICY, "minor", "policy: minor", VERSIONS),
    row(POLICY, "patch", "policy: patch", VERSIONS),
    row(
        POLICY,
        "force",
        "policy: force",
        "Reported: may also move to a lower version; by polling, follows the digest of the current tag only",
    ),
    row(
        POLICY,
        "glob:PATTERN",
        "policy: glob, pattern: PATTERN",
        "Headwind uses version order or natural order for the matches, Keel alphabetical order",
    ),
    row(POLICY, "regexp:EXPRESSION", "policy: none", "Reported. Set the policy to `glob`, and write a glob into `headwind.sh/pattern`"),
    row(POLICY, "never", "policy: none", ""),
    row(&["keel.sh/matchTag", "keel.sh/match-tag"], "true", "pattern: TAG", "With policy `force`: the current tag is the pattern"),
    row(&["keel.sh/matchPreRelease"], "false", "", "Reported. Pre-releases need policy `all` or a pattern"),
    row(&["keel.sh/trigger"], "poll", "event-source: both", "Polling must be on: `HEADWIND_POLLING_ENABLED`"),
    row(
        &["keel.sh/pollSchedule"],
        "@every 10m",
        "polling-interval: 10m",
        "`@hourly`, `@daily` and `@weekly` too. Reported: cron expressions",
    ),
    row(&["keel.sh/approvals"], "0", "require-approval: false", "Also if it is not set"),
    row(&["keel.sh/approvals"], "1", "require-approval: true", ""),
    row(&["keel.sh/approvals"], "N", "require-approval: true, approvals: N", ""),
    row(&["keel.sh/approvalDeadline"], "24", "", "Not needed: an UpdateRequest expires after 24 hours. Other values are reported"),
    row(&["keel.sh/initContainers"], "true", "images: NAMES", "The containers and init containers by name"),
    row(&["keel.sh/imageVolumes"], "true", "images: NAMES", "The containers and image volumes by name"),
    row(&["keel.sh/monitorContainers"], "EXPRESSION", "images: NAMES", "The names that match now"),
    row(&["keel.sh/imagePullSecret"], "NAME", "", "Not needed if the pod template has it in `imagePullSecrets`, else reported"),
    row(&["keel.sh/notify"], "CHANNELS", "", "Reported. Headwind's channels are settings, and `headwind.sh/notify` selects among them"),
    row(&["keel.sh/releaseNotes"], "URL", "", "Reported"),
    row(&["keel.sh/digest", "keel.sh/update-time"], "", "", "Written by Keel. Removed from the object, and kept in the pod template"),
];
