//! Amazon ECR's events ("Amazon ECR events and EventBridge"), from EventBridge or wrapped by Amazon SNS ("HTTP/HTTPS
//! notification JSON format").
//!
//! The host follows from account and region. The confirmation of an SNS subscription is returned to the caller, which
//! decides whether to confirm it.

use serde_json::Value;

use super::{Call, Collector, IgnoredReason, Subscription, host_of, text};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if let (Some(kind), Some(topic)) = (call.text(&["Type"]), call.text(&["TopicArn"])) {
        sns(call, kind, topic, out);
        return Some(());
    }
    event(call.body, out)
}

fn sns(call: &Call<'_, '_>, kind: &str, topic: &str, out: &mut Collector) {
    match kind {
        "Notification" => {
            let message = call.text(&["Message"]).and_then(|text| serde_json::from_str::<Value>(text).ok());
            if message.and_then(|message| event(&message, out)).is_none() {
                out.ignore(IgnoredReason::BadEvent, "a message that is not an ECR event");
            }
        }
        "SubscriptionConfirmation" => match call.text(&["SubscribeURL"]).filter(|url| confirms(url, topic)) {
            Some(url) => out.subscription = Some(Subscription { topic: topic.to_owned(), url: url.to_owned() }),
            None => out.ignore(IgnoredReason::BadEvent, "a SubscribeURL that is not of Amazon SNS"),
        },
        _ => out.ignore(IgnoredReason::NotAPush, kind),
    }
}

/// Returns true if the URL confirms a subscription of the topic: HTTPS on `sns.<the topic's region>.amazonaws.com`,
/// without user or port, with that action and that topic.
fn confirms(url: &str, topic: &str) -> bool {
    let Some(host) = url.starts_with("https://").then(|| host_of(url)).flatten() else { return false };
    let authority = url.trim_start_matches("https://").split(['/', '?', '#']).next().unwrap_or_default();
    let region = host.strip_prefix("sns.").and_then(|rest| {
        let rest = rest.strip_suffix(".cn").unwrap_or(rest);
        rest.strip_suffix(".amazonaws.com")
    });
    // arn:<partition>:sns:<region>:<account>:<name>
    let of_topic = topic.split(':').nth(3);
    let query = url.split_once('?').filter(|(before, _)| before.trim_end_matches('/').ends_with(host)).map(|(_, query)| query);
    let is = |key: &str, value: &str| query.is_some_and(|query| parameter(query, key) == Some(value.to_owned()));
    let names_it = is("Action", "ConfirmSubscription") && is("TopicArn", topic);
    authority == host && url.is_ascii() && !url.contains('\\') && names_it && region.is_some_and(is_region) && region == of_topic
}

/// Returns the value of a parameter that occurs once in a query. The colons of an ARN may be encoded.
fn parameter(query: &str, key: &str) -> Option<String> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == key);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.replace("%3A", ":").replace("%3a", ":"))
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.len() < 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn event(event: &Value, out: &mut Collector) -> Option<()> {
    text(event, &["source"]).filter(|source| *source == "aws.ecr")?;
    let kind = text(event, &["detail-type"])?;
    let detail = event.get("detail")?;
    let (action, result) = (text(detail, &["action-type"]).unwrap_or_default(), text(detail, &["result"]).unwrap_or_default());
    if kind != "ECR Image Action" || action != "PUSH" || result != "SUCCESS" {
        out.ignore(IgnoredReason::NotAPush, &format!("{kind} {action} {result}"));
        return Some(());
    }
    let account = text(event, &["account"]).filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()));
    let region = text(event, &["region"]).filter(|region| is_region(region));
    let (Some(account), Some(region), Some(repository)) = (account, region, text(detail, &["repository-name"])) else {
        out.ignore(IgnoredReason::BadEvent, "no account, region or repository");
        return Some(());
    };
    let top = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let host = format!("{account}.dkr.ecr.{region}.{top}");
    out.push(Some(&host), repository, text(detail, &["image-tag"]).unwrap_or_default(), text(detail, &["image-digest"]));
    Some(())
}
