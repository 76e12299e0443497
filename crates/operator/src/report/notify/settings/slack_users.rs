//! The table of the Slack users who may press buttons, and the Kubernetes users that they act as.

use std::collections::BTreeMap;
use std::fmt;

use headwind_webhook::slack::Click;

/// Maximum length of a user or a group.
const NAME: usize = 256;
/// Maximum number of groups of a user.
const GROUPS: usize = 64;

/// A Kubernetes user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackUser {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// Kubernetes users by the IDs of Slack users: `U…`, or `T…/U…` with the ID of the workspace.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SlackUsers(BTreeMap<String, SlackUser>);

/// The table is in a Secret, so it is not printed.
impl fmt::Debug for SlackUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlackUsers({})", self.0.len())
    }
}

impl SlackUsers {
    /// Reads entries `ID=USER` or `ID=USER GROUP,GROUP`, one in a line or separated by `;`.
    ///
    /// # Errors
    /// The entry with a problem, and the problem. It does not quote the entry.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = BTreeMap::new();
        let entries = text.split(['\n', ';']).map(str::trim).filter(|entry| !entry.is_empty() && !entry.starts_with('#'));
        for (n, entry) in (1..).zip(entries) {
            let (id, user) = read(entry).map_err(|problem| format!("entry {n} {problem}"))?;
            if users.insert(id, user).is_some() {
                return Err(format!("entry {n} has the ID of an earlier one"));
            }
        }
        if users.is_empty() { Err("must have an entry such as U024BE7LH=alice@example.com".to_owned()) } else { Ok(Self(users)) }
    }

    /// Returns the Kubernetes user of the person who clicked. An entry without a workspace is only valid for the
    /// workspace of the app: in a shared channel, a user of another organization could have the same ID.
    pub fn of(&self, click: &Click) -> Option<&SlackUser> {
        let of_team = click.user_team.as_ref().and_then(|team| self.0.get(&format!("{team}/{}", click.user)));
        let is_own = click.user_team.is_none() || click.user_team == click.team;
        of_team.or_else(|| self.0.get(&click.user).filter(|_| is_own))
    }
}

fn read(entry: &str) -> Result<(String, SlackUser), &'static str> {
    let (id, user) = entry.split_once('=').ok_or("must have the form ID=USER or ID=USER GROUP,GROUP")?;
    let id = id.trim();
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let parts: Vec<&str> = id.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_id(part)) {
        return Err("must begin with the ID of a Slack user, such as U024BE7LH or T012AB3C4/U024BE7LH");
    }
    let mut words = user.split_whitespace();
    let name = words.next().filter(|name| is_name(name)).ok_or("must have a user of at most 256 characters, not beginning with system:")?;
    let groups: Vec<String> = words.next().into_iter().flat_map(|all| all.split(',')).map(str::to_owned).collect();
    if words.next().is_some() || groups.len() > GROUPS || !groups.iter().all(|group| is_name(group)) {
        return Err("must have groups separated by commas without spaces, not beginning with system:");
    }
    Ok((id.to_owned(), SlackUser { name: name.to_owned(), groups }))
}

/// Returns true for a name that may be recorded. No Slack user may act as a part of Kubernetes.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME && !text.starts_with("system:") && text.chars().all(|letter| !letter.is_control())
}

#[cfg(test)]
mod tests {
    use headwind_webhook::slack::{Answer, Target};

    use super::*;

    fn click(user: &str, user_team: Option<&str>, team: Option<&str>) -> Click {
        let target = Target { namespace: "shop".into(), name: "web".into(), notification: "x".into() };
        let [user_team, team] = [user_team, team].map(|team| team.map(str::to_owned));
        Click { user: user.to_owned(), user_team, team, answer: Answer::Approve, target, response_url: None }
    }

    #[test]
    fn a_user_is_found_by_the_id() {
        let users = SlackUsers::parse("U1=ann@example.com\n# on call\n U2 = bob shop-leads,dev ; T9/U3=eve").unwrap();
        let of = |user: &str, user_team, team| users.of(&click(user, user_team, team)).map(|user| user.name.as_str());
        assert_eq!(of("U1", None, None), Some("ann@example.com"));
        assert_eq!(of("U1", Some("T1"), Some("T1")), Some("ann@example.com"));
        assert_eq!(of("U1", Some("T2"), Some("T1")), None, "a user of another organization");
        assert_eq!((of("U3", Some("T9"), Some("T1")), of("U3", Some("T1"), Some("T1")), of("U3", None, None)), (Some("eve"), None, None));
        assert_eq!(of("U4", None, None), None);
        assert_eq!(users.of(&click("U2", None, None)).unwrap().groups, ["shop-leads", "dev"]);
        assert_eq!(format!("{users:?}"), "SlackUsers(3)");
    }

    #[rstest::rstest]
    #[case("")]
    #[case("U1")]
    #[case("U1=")]
    #[case("=ann")]
    #[case("u1=ann")]
    #[case("T1/U1/x=ann")]
    #[case("U1=system:admin")]
    #[case("U1=ann system:masters")]
    #[case("U1=ann dev,,ops")]
    #[case("U1=ann dev ops")]
    #[case("U1=ann;U1=bob")]
    fn bad_tables(#[case] text: &str) {
        let problem = SlackUsers::parse(text).unwrap_err();
        assert!(!problem.contains("ann") || text.is_empty(), "{problem}");
    }
}
