use rstest::rstest;

use super::*;
use crate::artifact::ArtifactKind;

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
    assert_eq!(
        Evidence::new(trust).need(&image(current), policy.parse().unwrap(), &candidate, Wishes { binds: true, ..Wishes::default() }),
        expected
    );
    let direct = Evidence::new(trust).need(&image(current), policy.parse().unwrap(), &candidate, Wishes::default());
    assert_eq!(direct, expected.filter(|need| *need != Need::Binding), "an approval by policy is bound to nothing");
}

/// The result of each answer, for each need.
#[rstest]
#[case::digest("app:1.0.0@DIGEST", "1.1.0", AUTHENTICATED, [Ok(Some("b")), Ok(None), Ok(None), Ok(None)])]
#[case::presence("app:1.2.0", "1.1.0", AUTHENTICATED, [Ok(Some("b")), Ok(None), Err(false), Ok(None)])]
#[case::binding("app:1.0.0", "1.1.0", BINDING, [Ok(Some("b")), Ok(None), Ok(None), Ok(None)])]
#[case::proof("app:1.0.0", "1.1.0", VERIFIED, [Ok(Some("b")), Ok(None), Err(false), Err(true)])]
fn answers(#[case] current: &str, #[case] tag: &str, #[case] trust: Trust, #[case] expected: [Result<Option<&str>, bool>; 4]) {
    let candidate = Candidate::new(tag, None);
    let confirm =
        |evidence: &Evidence| evidence.confirm(&image(current), Policy::Force, &candidate, Wishes { binds: true, ..Wishes::default() });
    assert!(matches!(confirm(&Evidence::new(trust)), Err(Unproven::Ask(question)) if question.tag == tag), "not asked yet");
    let all = [Answer::Exists(Some(digest("b"))), Answer::Exists(None), Answer::Missing, Answer::Unavailable];
    for (answer, expected) in all.into_iter().zip(expected) {
        let mut evidence = Evidence::new(trust);
        evidence.add(tag, answer.clone());
        let got = confirm(&evidence).map(|candidate| candidate.digest).map_err(|unproven| matches!(unproven, Unproven::Ask(_)));
        assert_eq!(got, expected.map(|letter| letter.map(digest)), "{answer:?}");
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
    let question = Question { tag: "1.1.0".to_owned(), need: Need::Platforms };
    for answer in [None, Some(Answer::Exists(Some(digest("a")))), Some(Answer::Unavailable)] {
        if let Some(answer) = answer {
            evidence.add("1.1.0", answer);
        }
        assert_eq!(confirm(&evidence), Err(Unproven::Ask(question.clone())));
    }
    evidence.add("1.1.0", Answer::Missing);
    assert!(matches!(confirm(&evidence), Err(Unproven::Refuse(refused)) if refused.reason == Reason::NotInRegistry));
    evidence.add("1.1.0", Answer::Index(digest("b"), all(available)));
    match (confirm(&evidence), expected) {
        (Ok(candidate), Ok(_)) => assert_eq!(candidate.digest, Some(digest("b"))),
        (Err(Unproven::Refuse(refused)), Err(words)) => {
            assert_eq!((refused.reason, refused.message.as_str()), (Reason::PlatformMissing, words));
        }
        other => panic!("{other:?}"),
    }
    assert!(evidence.answers(&question));
}
