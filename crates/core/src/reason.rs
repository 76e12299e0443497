//! One vocabulary of reasons for the whole product.
//!
//! Events, conditions, the API, metrics and `explain` take their codes from here, so one word
//! means one thing everywhere. Codes are stable; free text is never a label. Every variant's
//! sentence is what a person is told when there is nothing more precise to say.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why something was or was not done, as a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Reason {
            $(#[doc = $text] $(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason there is, in declaration order: the bounded set that labels may draw from.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The stable code, in the CamelCase that Kubernetes conditions and Events use.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }

            /// A sentence for a person.
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    // Verdicts of a policy on one candidate.
    HigherVersion = "a higher version that the policy takes",
    HighestMatch = "the highest tag that matches the pattern",
    Forced = "policy force takes what the event names",
    NewDigest = "the same tag has a new digest",
    NotBest = "allowed, but a better candidate is there",
    UpToDate = "runs the best version that the policy accepts",
    PolicyNone = "policy none takes nothing",
    SameTag = "the tag is the current one; only policy force follows a new digest behind it",
    SameDigest = "the tag and its digest are the current ones",
    SameVersion = "equal to the current version, written differently",
    LowerVersion = "lower than the current version",
    LowerMatch = "matches the pattern, but is lower than the current tag or than what Headwind applied before",
    MajorDiffers = "another major version than the policy allows",
    MinorDiffers = "another minor version than the policy allows",
    PreRelease = "a pre-release; only policy all, a pattern that names it, or a pre-release of the same release takes it",
    VariantDiffers = "another variant of the image than the current tag's",
    RevisionDiffers = "only one of the two tags has a revision",
    SchemeDiffers = "another numbering scheme than the current tag's",
    NotAVersion = "the tag is not a version",
    CurrentNotAVersion = "the current tag is not a version, so nothing is higher; use policy glob or force",
    VersionRange = "the current version is a range; Flux resolves it",
    PartialVersion = "the version has fewer than three numbers, so Flux would read it as a range",
    Deprecated = "its author has deprecated this version of the chart",
    DigestOnly = "the reference names a digest alone; only policy force touches it",
    PatternMissing = "policy glob needs a pattern",
    PatternMismatch = "the tag does not match the pattern",
    NotAnImage = "the tag is a signature, attestation or bill of materials, not an image",
    InvalidTag = "not a legal tag",
    NotFollowed = "while polling, force follows the current tag's digest only",
    NotInRegistry = "the registry does not have the tag that the event tells of",
    NotConfirmed = "the registry would not say whether it has the tag that the event tells of",
    DigestUnknown = "the new digest is not known, so it cannot be pinned",

    // Why nothing is known of other versions.
    NotQueried = "the registry has not been queried for other versions",
    RegistryError = "the registry could not be queried",

    // Why a workload or container takes no part.
    InvalidAnnotation = "an annotation has a bad value; the workload is treated as policy none until it is mended",
    InvalidImage = "the container's image is not a legal reference",
    InvalidObject = "the object could not be read",
    NotTracked = "the container is not among those that are tracked",
    PollingIntervalRaised = "polling-interval is below the minimum that the administrator set; the minimum is used",
    UnknownContainer = "an annotation names a container that the workload does not have",
    EventSource = "the workload does not listen to this source of events",
    Deleting = "the workload is being deleted",
    SourceMissing = "the release's source is not there",
    SourceUnsupported = "the release's source has no versions to choose from",
    SourcePinned = "the release's source is pinned to a digest",
    SourceShared = "other releases follow the same tag",
    SourceInOtherNamespace = "the release's source is in another namespace, and Headwind uses sources of the release's own namespace only",
    SourceNotAccepted = "Flux has not yet accepted the release's source in another namespace, whose credentials Headwind would use",
    AccessDenied = "Flux does not allow the release to use its source",
    Suspended = "the release or its source is suspended",

    // What stands in the way of a proposal.
    AlreadyRequested = "a request for this version is open already",
    NewerPending = "a request for a better version is open",
    NewerPush = "a newer push is on record",
    SamePush = "pushes within one minute whose digest is not known count as one",
    Rejected = "this version was rejected; reopen its request to try it again",
    Expired = "the request for this version expired without an answer; reopen it to try it again",
    Failed = "this version failed before; reopen its request to try it again",
    RolledBack = "this version was rolled back; reopen its request to try it again",
    RevertedExternally = "this version was applied and then reverted outside Headwind; reopen its request to try it again",

    // The life of a request.
    Proposed = "a new version was found",
    AwaitingApproval = "waits for a person's approval",
    ApprovedByPolicy = "the policy approves it",
    ApprovedByPerson = "a person approved it",
    RejectedByPerson = "a person rejected it",
    Reopened = "a person reopened it",
    Applied = "the change stands in the workload",
    ApplyDenied = "an admission rule denies the change; Headwind tries again",
    ApplyFailed = "the API server refused the change for good",
    MinUpdateInterval = "the least time between two updates of the workload has not passed",
    NewerVersion = "a better version took its place",
    ImageChanged = "the image was changed by another hand before the update was applied",
    PolicyChanged = "the workload's settings would no longer produce this update",
    ContainerGone = "the workload no longer has the container",
    TargetGone = "the workload is gone",
    NameTaken = "another request has the name that the request for this version gets",
    NotRecorded = "the API server refused to record the update",
    InvalidRequest = "the request does not make sense for its target",
    PastExpiry = "nobody answered before it expired",
    EndedExternally = "the request was ended outside Headwind",
    Unrecognized = "a reason that this version of Headwind does not know",

    // The rollout after the patch.
    RolloutProgressing = "the rollout is under way",
    RolloutComplete = "the rollout is complete and its pods stayed available",
    RolloutTimedOut = "the rollout got no further within rollback-timeout, and nothing says that the new version is to blame",
    RolloutPaused = "the Deployment is paused",
    OnDelete = "the update strategy makes pods take the new version when somebody deletes them",
    CrashLoopBackOff = "a container of a new pod crashes again and again",
    ImagePullBackOff = "the image of a new pod cannot be pulled",
    ErrImagePull = "the image of a new pod cannot be pulled",
    InvalidImageName = "the image of a new pod has no legal name",
    CreateContainerConfigError = "a container of a new pod cannot be configured",
    CreateContainerError = "a container of a new pod cannot be created",
    RunContainerError = "a container of a new pod cannot be run",
    OOMKilled = "a container of a new pod is killed again and again because it runs out of memory",
    Restarting = "a container of a new pod restarts again and again",
    ProgressDeadlineExceeded = "the Deployment exceeded its progress deadline",
    PodsNotReady = "a new pod runs but does not become ready",
    UpgradeFailed = "Helm could not upgrade the release",
    InstallFailed = "Helm could not install the release",
    TestFailed = "the chart's own tests failed",
    Remediated = "Helm could not bring the release to the new version, and Flux took it back",
    SourceNotReady = "Flux could not get the chart",
    ArtifactFailed = "Flux could not load the chart",
    PodsForbidden = "Headwind may not list pods, so rollouts are judged by the workload's status alone",
    PodUnblocked = "a broken pod of another version kept the StatefulSet from going on and was evicted",
    PodStuck = "a broken pod of another version keeps the StatefulSet from going on and cannot be evicted",
    RollingBack = "the rollout failed; the image before is put back",
    RollbackComplete = "the image before is in place again",
    RollbackFailed = "the rollback failed as well; a person has to look at it",
    NothingToRollBackTo = "there is nothing older to go back to",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
