//! Names on the command line: an UpdateRequest, or a workload as `KIND/NAME`.

use headwind_core::workload::Kind;
use headwind_k8s::kinds::facts;

use crate::failure::Failure;

/// A name on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// An UpdateRequest.
    Request(String),
    /// A workload.
    Workload(Kind, String),
}

/// The names of the kind UpdateRequest.
const REQUEST: [&str; 4] = ["ur", "upd", "updaterequest", "updaterequests"];

/// Parses the name of a kind: singular, plural or short, with or without its API group.
pub(crate) fn kind(text: &str) -> Result<Kind, Failure> {
    let (word, group) = text.split_once('.').unwrap_or((text, ""));
    let by_name = |kind: &Kind| [facts(*kind).short_name, facts(*kind).plural].iter().any(|name| name.eq_ignore_ascii_case(word));
    let found: Option<Kind> = word.parse().ok().or_else(|| Kind::ALL.iter().copied().find(by_name));
    let fits = |kind: &Kind| group.is_empty() || facts(*kind).group.eq_ignore_ascii_case(group);
    found.filter(fits).ok_or_else(|| {
        let known: Vec<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_lowercase()).collect();
        Failure::Usage(format!("{text:?} is not a kind that Headwind knows; use one of {}", known.join(", ")))
    })
}

/// Parses `NAME`, `updaterequest/NAME` or `KIND/NAME`.
pub(crate) fn named(text: &str) -> Result<Named, Failure> {
    let (word, name) = text.split_once('/').unwrap_or((REQUEST[0], text));
    if name.is_empty() || name.contains('/') {
        return Err(Failure::Usage(format!("{text:?} has no valid name; use NAME, updaterequest/NAME or KIND/NAME")));
    }
    let short = word.strip_suffix(".headwind.sh").unwrap_or(word).to_ascii_lowercase();
    if REQUEST.contains(&short.as_str()) {
        return Ok(Named::Request(name.to_owned()));
    }
    Ok(Named::Workload(kind(word)?, name.to_owned()))
}

/// Adds a hint to the failure of the first word if the word is a kind: `deploy web` names two UpdateRequests.
pub(crate) fn hinted(failure: Failure, words: &[String]) -> Failure {
    match (failure, words) {
        (Failure::NotFound(message), [word, rest @ ..]) if kind(word).is_ok() => {
            let name = rest.first().filter(|name| !name.contains('/')).map_or("NAME", String::as_str);
            Failure::NotFound(format!("{message}; for a workload, use {word}/{name}"))
        }
        (failure, _) => failure,
    }
}

/// Parses `KIND/NAME` or `KIND NAME`.
pub(crate) fn workload(words: &[String]) -> Result<(Kind, String), Failure> {
    let (word, name) = match words {
        [one] => one
            .split_once('/')
            .ok_or_else(|| Failure::Usage(format!("{one:?} is not a workload; use KIND/NAME, such as deployment/web")))?,
        [word, name] => (word.as_str(), name.as_str()),
        _ => return Err(Failure::Usage("name one workload as KIND/NAME".to_owned())),
    };
    if name.is_empty() || name.contains('/') {
        return Err(Failure::Usage(format!("{name:?} is not the name of a workload")));
    }
    Ok((kind(word)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["r", "ur/r", "updaterequests/r", "UpdateRequest.headwind.sh/r"] {
            assert_eq!(named(text).unwrap(), Named::Request("r".to_owned()), "{text}");
        }
        for text in ["deployment/web", "deploy/web", "deployments/web", "deployments.apps/web", "Deployment/web"] {
            assert_eq!(named(text).unwrap(), Named::Workload(Kind::Deployment, "web".to_owned()), "{text}");
        }
        assert!(named("pod/web").is_err() && named("deployments.batch/web").is_err());
        for text in ["", "ur/", "deploy/", "ur/a/b"] {
            assert!(matches!(named(text), Err(Failure::Usage(_))), "{text}");
        }
        let words = |all: &[&str]| workload(&all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["hr", "app"]).unwrap(), (Kind::HelmRelease, "app".to_owned()));
        assert_eq!(words(&["sts/db"]).unwrap(), (Kind::StatefulSet, "db".to_owned()));
        assert!(words(&["web"]).is_err() && words(&["sts/"]).is_err() && words(&["sts", "a/b"]).is_err());
    }

    #[test]
    fn hints() {
        let hint = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            hinted(Failure::NotFound("none".to_owned()), &words).to_string()
        };
        assert_eq!(hint(&["deploy", "web"]), "none; for a workload, use deploy/web");
        assert_eq!(hint(&["deploy"]), "none; for a workload, use deploy/NAME");
        assert_eq!(hint(&["deploy", "ur/r"]), "none; for a workload, use deploy/NAME");
        assert_eq!((hint(&["web"]), hint(&["deploy/web"])), ("none".to_owned(), "none".to_owned()));
    }
}
