//! The reasons of all parts of Headwind, as one enum.
//!
//! Events, conditions, the API, metrics and `explain` use these codes, so that one word means one thing everywhere.
//! Codes are stable. Labels of metrics are codes, never free text. The sentence of a reason is the message if no more
//! precise one is known. `docs/reference/reasons.md` is generated from this file.

use std::fmt;

macro_rules! reasons {
    ($($title:literal { $($(#[$doc:meta])* $name:ident = $text:literal,)+ })+) => {
        /// A reason for a decision or a state, as a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Reason {
            $($(#[doc = $text] $(#[$doc])* $name,)+)+
        }

        impl Reason {
            /// Every reason, in declaration order: the bounded set for labels.
            pub const ALL: &'static [Reason] = &[$($(Reason::$name,)+)+];

            /// Every reason once, grouped by subject, with a title for each group.
            pub const GROUPS: &'static [(&'static str, &'static [Reason])] = &[$(($title, &[$(Reason::$name,)+]),)+];

            /// Returns the stable code, in the CamelCase of Kubernetes conditions and Events.
            pub fn code(self) -> &'static str {
                match self { $($(Reason::$name => stringify!($name),)+)+ }
            }

            /// Returns a sentence for a person, without a capital letter and a full stop.
            pub fn sentence(self) -> &'static str {
                match self { $($(Reason::$name => $text,)+)+ }
            }
        }
    };
}

reasons! {
    "The verdict of a policy on one version" {
        HigherVersion = "a higher version that the policy accepts",
        HighestMatch = "the highest tag that matches the pattern",
        Forced = "policy force accepts the tag that the event names",
        NewDigest = "the same tag has a new digest",
        NotBest = "allowed, but another candidate is better",
        UpToDate = "runs the best version that the policy accepts",
        PolicyNone = "policy none accepts no version",
        SameTag = "the tag is the current one; only policy force follows a new digest behind it",
        SameDigest = "the tag and its digest are the current ones",
        SameVersion = "equal to the current version, but written differently",
        LowerVersion = "lower than the current version",
        LowerMatch = "matches the pattern, but is lower than the current tag or than a tag that Headwind applied before",
        MajorDiffers = "has another major version than the policy allows",
        MinorDiffers = "has another minor version than the policy allows",
        PreRelease = "a pre-release; only policy all, a pattern that names it, or a pre-release of the same release accepts it",
        VariantDiffers = "another variant of the image than the variant of the current tag",
        RevisionDiffers = "only one of the two tags has a revision",
        SchemeDiffers = "another numbering scheme than the scheme of the current tag",
        NotAVersion = "the tag is not a version",
        CurrentNotAVersion = "the current tag is not a version, so nothing is higher; use policy glob or force",
        VersionRange = "the current version is a range; Flux resolves it",
        PartialVersion = "the version has fewer than three numbers, so Flux would read it as a range",
        Deprecated = "the author of the chart has deprecated this version",
        DigestOnly = "the reference has a digest and no tag; only policy force changes it",
        PatternMissing = "policy glob needs a pattern",
        PatternMismatch = "the tag does not match the pattern",
        NotAnImage = "the tag is a signature, attestation or bill of materials, not an image",
        InvalidTag = "not a valid tag",
        NotFollowed = "while polling, policy force follows only the digest of the current tag",
        NotInRegistry = "the registry does not have the tag",
        NotConfirmed = "the registry did not confirm the tag that the event names",
        PlatformMissing = "the image is not available for every platform that the workload needs",
        PlatformsUnknown = "Headwind does not know the platforms of the nodes yet",
        DigestUnknown = "the new digest is not known, so Headwind cannot pin it",
    }
    "Other versions are not known" {
        NotQueried = "Headwind has not queried the registry for other versions yet",
        RegistryError = "Headwind could not query the registry",
    }
    "A workload or container is not updated" {
        InvalidAnnotation = "an annotation has an invalid value; Headwind uses policy none for the containers that it concerns until the value is corrected",
        InvalidImage = "the image of the container is not a valid reference",
        InvalidObject = "Headwind cannot read the object",
        NotTracked = "the container is not tracked",
        PollingIntervalRaised = "polling-interval is below the minimum that the administrator set; Headwind uses the minimum",
        UnknownContainer = "an annotation names a container that the workload does not have",
        EventSource = "the annotation event-source does not allow this trigger",
        Deleting = "the workload is being deleted",
        TemplateElsewhere = "the pod template is in another object",
        SourceMissing = "the source of the release does not exist",
        SourceUnsupported = "the source of the release has no versions to choose from",
        SourcePinned = "the source of the release is pinned to a digest",
        SourceShared = "other releases use the same tag",
        SourceInOtherNamespace = "the source of the release is in another namespace, and Headwind may not use it from there",
        SourceNotAccepted = "Flux has not yet accepted the source of the release, which is in another namespace and has credentials",
        AccessDenied = "Flux does not allow the release to use its source",
        Suspended = "the release or its source is suspended",
        OwnedByFlux = "Flux owns the workload and may revert a change",
        OwnedByArgoCD = "Argo CD owns the workload and may revert a change",
        OwnedByHelm = "Helm installed the workload, and its next upgrade may revert a change",
        OwnedByController = "a controller owns the workload and may revert a change",
    }
    "A version is not proposed" {
        AlreadyRequested = "an open request for this version exists",
        NewerPending = "an open request for a better version exists",
        NewerPush = "a newer push of the tag is already recorded",
        SamePush = "pushes within one minute whose digest is not known count as one",
        Rejected = "this version was rejected; reopen its request to try it again",
        Expired = "the request for this version expired; reopen it to try it again",
        Failed = "this version failed before; reopen its request to try it again",
        RolledBack = "this version was rolled back; reopen its request to try it again",
        RevertedExternally = "this version was applied and then reverted outside Headwind; reopen its request to try it again",
    }
    "The life of a request" {
        Proposed = "a new version was found",
        AwaitingApproval = "waits for approval by a person",
        ApprovedByPolicy = "approved by the policy",
        ApprovedByPerson = "approved by a person",
        RejectedByPerson = "rejected by a person",
        Reopened = "reopened by a person",
        Applied = "the change is in the workload",
        ApplyDenied = "admission control denies the change; Headwind retries",
        ApplyFailed = "the API server rejected the change, and Headwind does not retry",
        MinUpdateInterval = "min-update-interval has not passed since the last update of the workload",
        CoolDown = "the version is younger than cool-down allows",
        UpdateWindow = "outside the time windows in which updates may start",
        Frozen = "updates are frozen",
        TooManyRollouts = "as many rollouts as allowed are in progress",
        FailureBudget = "too many updates failed; updates that the policy approves are paused until a person resumes them",
        AwaitingSiblings = "other requests of the same push are not created yet; Headwind waits for them up to 2 seconds",
        DigestNotConfirmed = "the registry has not confirmed the approved digest; Headwind retries",
        DigestChanged = "the tag points to another digest than the approved one",
        NewerVersion = "superseded by a better version",
        ImageChanged = "the image was changed outside Headwind",
        PolicyChanged = "the settings of the workload would no longer produce this update",
        ContainerGone = "the workload no longer has the container",
        TargetGone = "the workload no longer exists",
        NameTaken = "an existing request for another change has the name of the request for this version",
        NotRecorded = "the API server rejected the UpdateRequest for this update",
        InvalidRequest = "the request is not valid for its workload",
        PastExpiry = "the request expired before anybody approved or rejected it",
        EndedExternally = "the request was ended outside Headwind",
        Unrecognized = "a reason that this version of Headwind does not know",
    }
    "The rollout" {
        RolledOutByOwner = "the owner of the workload rolled the version out",
        RolloutProgressing = "the rollout makes progress",
        RolloutComplete = "the rollout is complete, and its pods stayed available",
        RolloutTimedOut = "the rollout made no progress within rollback-timeout, and nothing shows that the new version is the cause",
        RolloutPaused = "the rollout is paused",
        OnDelete = "the update strategy is OnDelete; pods get the new version when somebody deletes them",
        CrashLoopBackOff = "a container of a new pod crashes repeatedly",
        ImagePullBackOff = "the image of a new pod cannot be pulled",
        ErrImagePull = "the image of a new pod cannot be pulled",
        InvalidImageName = "the image of a new pod has an invalid name",
        CreateContainerConfigError = "the configuration of a container of a new pod is not valid",
        CreateContainerError = "a container of a new pod cannot be created",
        RunContainerError = "a container of a new pod cannot be started",
        OOMKilled = "a container of a new pod is killed repeatedly because it runs out of memory",
        Restarting = "a container of a new pod restarts repeatedly",
        ProgressDeadlineExceeded = "the rollout exceeded its progress deadline",
        RolloutAborted = "the Rollout was aborted",
        RolloutDegraded = "the Rollout is degraded",
        PodsNotReady = "a new pod runs but does not become ready",
        UpgradeFailed = "Helm could not upgrade the release",
        InstallFailed = "Helm could not install the release",
        TestFailed = "the tests of the chart failed",
        Remediated = "the upgrade of the release failed, and Flux remediated it",
        SourceNotReady = "Flux could not fetch the chart",
        ArtifactFailed = "Flux could not load the chart",
        PodsForbidden = "Headwind may not list pods, so it judges rollouts only by the status of the workload",
        PodUnblocked = "Headwind evicted a broken pod of another version that the StatefulSet was waiting for",
        PodStuck = "the StatefulSet waits for a broken pod of another version, and Headwind cannot evict it",
    }
    "The rollback" {
        RollingBack = "the rollout failed; Headwind restores the previous image",
        RollbackComplete = "the previous image is in place again",
        RollbackFailed = "the rollback failed too; a person must repair the workload",
        NothingToRollBackTo = "the history has no older version",
    }
    "The settings of Headwind" {
        InvalidSetting = "an entry of the ConfigMap or the Secret headwind has no effect",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A reason with its message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoned {
    /// The reason, as a stable code.
    pub reason: Reason,
    /// The message for people, without a capital letter and a full stop.
    pub message: String,
}

impl Reasoned {
    /// A reason with a message that says more than the reason's own sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl From<Reason> for Reasoned {
    /// The reason with its own sentence as the message.
    fn from(reason: Reason) -> Self {
        Self::new(reason, reason.sentence())
    }
}
