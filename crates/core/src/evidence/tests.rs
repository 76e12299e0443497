use rstest::rstest;

use super::*;
use crate::artifact::ArtifactKind;
use crate::reason::Reason;

const VERIFIED: Trust = Trust { authenticated: true, verify: true, bind: false };
const UNVERIFIED_ANYBODY: Trust = Trust { authenticated: false, verify: false, bind: false };
const BINDING: Trust = Trust { bind: true, ..AUTHENTICATED };
const AUTHENTICATED: Trust = Trust { authenticated: true, verify: false, bind: false };

fn digest(letter: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap()
}

fn image(text: &str) -> Artifact {
    Artifact::parse(ArtifactKind::Image, &format!("registry.example/{text}").replace("DIGEST", digest("a").as_str())).unwrap()
}

#[rstest]
#[case::confirmed("minor", "app:1.0.0", "1.1.0", true, VERIFIED, Some(Need::Proof))]
#[case::believed("minor", "app:1.0.0", "1.1.0", false, UNVERIFIED_ANYBODY, None)]
#[case::pinned("minor", "app:1.0.0@DIGEST", "1.1.0", false, AUTHENTICATED, Some(Need::Digest))]
#[case::pinned_and_known("minor", "app:1.0.0@DIGEST", "1.1.0", true, AUTHENTICATED, None)]
#[case::pushed_again("force", "app:main", "main", false, AUTHENTICATED, Some(Need::Digest))]
#[case::pushed_again_by_nobody("force", "app:main", "main", false, UNVERIFIED_ANYBODY, Some(Need::Proof))]
#[case::pushed_again_with_a_digest("force", "app:main", "main", true, UNVERIFIED_ANYBODY, None)]
#[case::down("force", "app:1.1.0", "1.0.0", true, AUTHENTICATED, Some(Need::Presence))]
#[case::up("force", "app:1.1.0", "1.2.0", true, AUTHENTICATED, None)]
#[case::bound("minor", "app:1.0.0", "1.1.0", false, BINDING, Some(Need::Binding))]
#[case::bound_and_known("minor", "app:1.0.0", "1.1.0", true, BINDING, None)]
#[case::sideways("force", "app:1.1.0", "main", true, AUTHENTICATED, None)]
fn needs(
    #[case] policy: &str,
    #[case] current: &str,
    #[case] tag: &str,
    #[case] known: bool,
    #[case] trust: Trust,
    #[case] expected: Option<Need>,
) {
    let candidate = Candidate::new(tag, known.then(|| digest("a")));
    let needs = |wishes| Evidence::new(trust).needs(&image(current), policy.parse().unwrap(), &candidate, wishes);
    assert_eq!(needs(Wishes { binds: true, ..Wishes::default() }), expected.into_iter().collect());
    let direct = expected.filter(|need| *need != Need::Binding);
    assert_eq!(needs(Wishes::default()), direct.into_iter().collect(), "an approval by policy is bound to nothing");
    let platforms = ["linux/amd64".parse().unwrap()];
    let both = needs(Wishes { binds: true, platforms: Some(&platforms) });
    assert_eq!(both, expected.into_iter().chain([Need::Platforms]).collect(), "platforms are needed besides everything else");
}

/// The result of each answer, for each need.
#[rstest]
#[case::digest("app:1.0.0@DIGEST", "1.1.0", AUTHENTICATED, [Ok(Some("b")), Ok(None), Ok(None), Ok(None)])]
#[case::presence("app:1.2.0", "1.1.0", AUTHENTICATED, [Ok(Some("b")), Ok(None), Err(false), Ok(None)])]
#[case::binding("app:1.0.0", "1.1.0", BINDING, [Ok(Some("b")), Ok(None), Ok(None), Err(true)])]
#[case::proof("app:1.0.0", "1.1.0", VERIFIED, [Ok(Some("b")), Ok(None), Err(false), Err(true)])]
fn answers(#[case] current: &str, #[case] tag: &str, #[case] trust: Trust, #[case] expected: [Result<Option<&str>, bool>; 4]) {
    let candidate = Candidate::new(tag, None);
    let confirm =
        |evidence: &Evidence| evidence.confirm(&image(current), Policy::Force, &candidate, Wishes { binds: true, ..Wishes::default() });
    assert!(matches!(confirm(&Evidence::new(trust)), Err(Unproven::Ask(question)) if question.tag == tag), "not asked yet");
    let all = [Answer::exists(Some(digest("b"))), Answer::exists(None), Answer::Missing, Answer::Unavailable];
    for (answer, expected) in all.into_iter().zip(expected) {
        let mut evidence = Evidence::new(trust);
        evidence.add(tag, answer.clone());
        let got = confirm(&evidence).map(|candidate| candidate.digest).map_err(|unproven| matches!(unproven, Unproven::Ask(_)));
        assert_eq!(got, expected.map(|letter| letter.map(digest)), "{answer:?}");
    }
}

/// If the registry lists a version and does not have it, the version was deleted. No other answer is needed.
#[test]
fn a_deleted_version_is_refused() {
    for need in Need::ALL {
        let check = need.check("1.1.0", &Answer::Deleted, Wishes::default());
        assert_eq!(check, Check::Refused(Reason::NotInRegistry.into()), "{need}");
    }
}

/// The platforms of a version are required: without an answer, nothing is proposed.
#[rstest]
#[case::all("linux/amd64 linux/arm64", Ok(true))]
#[case::more("linux/amd64 linux/arm64 linux/s390x", Ok(true))]
#[case::one_missing("linux/amd64", Err("1.1.0 is not available for linux/arm64"))]
#[case::no_index("", Err("1.1.0 is not available for linux/amd64, linux/arm64"))]
fn platforms(#[case] available: &str, #[case] expected: Result<bool, &str>) {
    let all = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
    let wanted = all("linux/amd64 linux/arm64");
    let wishes = Wishes { platforms: Some(&wanted), ..Wishes::default() };
    let candidate = Candidate::new("1.1.0", Some(digest("a")));
    let confirm = |evidence: &Evidence| evidence.confirm(&image("app:1.0.0"), Policy::Minor, &candidate, wishes);
    let mut evidence = Evidence::new(AUTHENTICATED);
    let question = Question { tag: "1.1.0".to_owned(), needs: BTreeSet::from([Need::Platforms]) };
    for answer in [None, Some(Answer::exists(Some(digest("a")))), Some(Answer::Unavailable)] {
        if let Some(answer) = answer {
            evidence.add("1.1.0", answer);
        }
        assert_eq!(confirm(&evidence), Err(Unproven::Ask(question.clone())));
    }
    evidence.add("1.1.0", Answer::Missing);
    assert!(matches!(confirm(&evidence), Err(Unproven::Refuse(refused)) if refused.reason == Reason::NotInRegistry));
    evidence.add("1.1.0", Answer::Found { digest: Some(digest("b")), platforms: Some(all(available)) });
    match (confirm(&evidence), expected) {
        (Ok(candidate), Ok(_)) => assert_eq!(candidate.digest, Some(digest("b"))),
        (Err(Unproven::Refuse(refused)), Err(words)) => {
            assert_eq!((refused.reason, refused.message.as_str()), (Reason::PlatformMissing, words));
        }
        other => panic!("{other:?}"),
    }
}

/// The answer that the registry is unavailable leads to a proposal only if no need is required.
#[test]
fn no_required_need_accepts_an_unavailable_registry() {
    for need in Need::ALL {
        let check = need.check("1.1.0", &Answer::Unavailable, Wishes::default());
        assert_eq!(check, if need.is_required() { Check::Open } else { Check::Met }, "{need}");
    }
}

/// Each of several needs must be met by the same answer, and one query asks for all of them.
#[rstest]
#[case::nothing(None, Ok(false))]
#[case::digest_alone(Some(Answer::exists(Some(digest("b")))), Ok(false))]
#[case::unavailable(Some(Answer::Unavailable), Ok(false))]
#[case::both(Some(Answer::Found { digest: Some(digest("b")), platforms: Some(vec!["linux/amd64".parse().unwrap()]) }), Ok(true))]
#[case::no_platform(Some(Answer::Found { digest: Some(digest("b")), platforms: Some(vec![]) }), Err(Reason::PlatformMissing))]
#[case::missing(Some(Answer::Missing), Err(Reason::NotInRegistry))]
fn several_needs(#[case] answer: Option<Answer>, #[case] expected: Result<bool, Reason>, #[values(VERIFIED, AUTHENTICATED)] trust: Trust) {
    let platforms = ["linux/amd64".parse().unwrap()];
    let mut evidence = Evidence::new(trust);
    if let Some(answer) = answer {
        evidence.add("1.1.0", answer);
    }
    let wishes = Wishes { platforms: Some(&platforms), ..Wishes::default() };
    let pinned = image("app:1.0.0@DIGEST");
    match (evidence.confirm(&pinned, Policy::Minor, &Candidate::new("1.1.0", None), wishes), expected) {
        (Ok(candidate), Ok(true)) => assert_eq!(candidate.digest, Some(digest("b"))),
        (Err(Unproven::Ask(Question { tag, needs })), Ok(false)) => {
            let of_tag = if trust.verify { Need::Proof } else { Need::Digest };
            assert_eq!((tag.as_str(), &needs), ("1.1.0", &BTreeSet::from([of_tag, Need::Platforms])));
            assert_eq!(Query::of(&needs), Query { platforms: true });
        }
        (Err(Unproven::Refuse(refused)), Err(reason)) => assert_eq!(refused.reason, reason),
        other => panic!("{other:?}"),
    }
}
