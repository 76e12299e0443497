//! Platforms of images: an operating system and an architecture.

use std::fmt;
use std::str::FromStr;

/// A platform, such as `linux/amd64` or `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// The operating system, as in Go's `GOOS`.
    pub os: String,
    /// The architecture, as in Go's `GOARCH`.
    pub arch: String,
    /// The variant of the architecture; `None` for any.
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform; use a value like linux/amd64 or linux/arm/v7")]
pub struct InvalidPlatform(String);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPlatform(text.chars().take(64).collect());
        let word = |part: &str| {
            let fits =
                !part.is_empty() && part.len() <= 32 && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
            fits.then(|| part.to_ascii_lowercase())
        };
        let parts: Vec<String> = text.trim().split('/').map(word).collect::<Option<_>>().ok_or_else(invalid)?;
        match parts.as_slice() {
            [os, arch] => Ok(Self { os: os.clone(), arch: arch.clone(), variant: None }),
            [os, arch, variant] => Ok(Self { os: os.clone(), arch: arch.clone(), variant: Some(variant.clone()) }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, arch, variant } = self;
        write!(f, "{os}/{arch}")?;
        variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// Returns true if an image for `self` runs where `wanted` is required. A platform without a variant requires none.
    /// `arm64` and `arm64/v8` are the same.
    pub fn serves(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| platform.variant.clone().filter(|variant| !(platform.arch == "arm64" && variant == "v8"));
        self.os == wanted.os && self.arch == wanted.arch && variant(wanted).is_none_or(|wanted| variant(self) == Some(wanted))
    }
}

/// Returns the required platforms that are not among the available ones.
pub fn missing<'a>(required: &'a [Platform], available: &[Platform]) -> Vec<&'a Platform> {
    required.iter().filter(|wanted| !available.iter().any(|there| there.serves(wanted))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("linux/amd64", Some("linux/amd64"))]
    #[case(" Linux/ARM/v7 ", Some("linux/arm/v7"))]
    #[case("amd64", None)]
    #[case("linux/", None)]
    #[case("a/b/c/d", None)]
    #[case("linux/am d64", None)]
    #[case("", None)]
    fn texts(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(text.parse::<Platform>().ok().map(|platform| platform.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case::all("linux/amd64 linux/arm64", "linux/amd64 linux/arm64", "")]
    #[case::one_missing("linux/amd64 linux/arm64", "linux/amd64", "linux/arm64")]
    #[case::more("linux/amd64", "linux/amd64 windows/amd64", "")]
    #[case::any_variant("linux/arm", "linux/arm/v7", "")]
    #[case::another_variant("linux/arm/v6", "linux/arm/v7", "linux/arm/v6")]
    #[case::arm64_has_one_variant("linux/arm64", "linux/arm64/v8", "")]
    #[case::arm64_both_ways("linux/arm64/v8", "linux/arm64", "")]
    #[case::another_system("linux/amd64", "windows/amd64", "linux/amd64")]
    #[case::no_index("linux/amd64", "", "linux/amd64")]
    #[case::nothing_required("", "", "")]
    fn what_is_missing(#[case] required: &str, #[case] available: &str, #[case] expected: &str) {
        let all = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
        let required = all(required);
        let missing = missing(&required, &all(available)).into_iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(missing.join(" "), expected);
    }
}
