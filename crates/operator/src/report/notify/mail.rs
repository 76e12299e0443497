//! Mail: plain text by SMTP, with rustls.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::http::Outcome;
use super::message::Message;
use super::settings::{Mail, MailTls};
use super::text::one_line;

/// Timeout of each command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the whole conversation.
const WHOLE: Duration = Duration::from_secs(30);
/// Maximum length of a subject.
const SUBJECT: usize = 200;
/// Maximum length of an error.
const SHOWN: usize = 300;

/// Sends the messages as one mail.
pub(super) async fn send(settings: &Mail, messages: &[Message]) -> Outcome {
    let prepared = transport(settings).and_then(|transport| Ok((transport, mail(settings, messages)?)));
    let (transport, mail) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return Outcome::Refused(problem),
    };
    match tokio::time::timeout(WHOLE, transport.send(mail)).await {
        Ok(Ok(response)) => Outcome::Delivered(one_line(&response.message().collect::<Vec<_>>().join(" "), SHOWN)),
        Ok(Err(error)) if error.is_permanent() => Outcome::Refused(explain(&error)),
        Ok(Err(error)) => Outcome::Retry { problem: explain(&error), after: None },
        Err(_) => Outcome::Retry { problem: format!("no answer within {} s", WHOLE.as_secs()), after: None },
    }
}

fn transport(settings: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let parameters = || TlsParameters::new(settings.host.clone()).map_err(|error| explain(&error));
    let tls = match settings.tls {
        MailTls::Tls => Tls::Wrapper(parameters()?),
        MailTls::StartTls => Tls::Required(parameters()?),
        MailTls::None => Tls::None,
    };
    let builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host).port(settings.port).tls(tls).timeout(Some(TIMEOUT));
    let builder = match &settings.login {
        Some((name, password)) => builder.credentials(Credentials::new(name.clone(), password.expose().to_owned())),
        None => builder,
    };
    Ok(builder.build())
}

fn mail(settings: &Mail, messages: &[Message]) -> Result<lettre::Message, String> {
    let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|error| format!("{address} is not a mail address: {error}"));
    let (subject, body) = render(messages);
    let mut builder =
        lettre::Message::builder().from(mailbox(&settings.from)?).date(std::time::SystemTime::from(Timestamp::now())).subject(subject);
    for to in &settings.to {
        builder = builder.to(mailbox(to)?);
    }
    // A mailbox shows a repeated delivery once.
    let id = messages.first().map(|message| format!("<{}@notifications.headwind.sh>", message.id));
    builder.message_id(id).header(ContentType::TEXT_PLAIN).body(body).map_err(|error| error.to_string())
}

/// Returns subject and text.
pub(super) fn render(messages: &[Message]) -> (String, String) {
    match messages {
        [message] => (one_line(&format!("[Headwind] {}", message.title()), SUBJECT), single(message)),
        messages => {
            let subject = format!("[Headwind] {} notifications", messages.len());
            (subject, messages.iter().map(single).collect::<Vec<_>>().join("\n\n"))
        }
    }
}

fn single(message: &Message) -> String {
    let facts = message.facts().into_iter().map(|(label, value)| format!("{label}: {value}"));
    let link = message.ui_url.as_ref().map(|url| format!("\n{url}"));
    let about = format!("\n{} · {} · {}", message.event, message.request, message.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    std::iter::once(message.title()).chain(facts).chain(link).chain([about]).collect::<Vec<_>>().join("\n")
}

fn explain(error: &lettre::transport::smtp::Error) -> String {
    let text = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    one_line(&text, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::{compare, hostile, messages};
    use crate::report::notify::settings::Common;

    fn settings() -> Mail {
        let to = vec!["ops@example.com".to_owned(), "team@example.com".to_owned()];
        let from = "headwind@example.com".to_owned();
        Mail { common: Common::default(), host: "localhost".into(), port: 25, tls: MailTls::None, login: None, from, to }
    }

    #[test]
    fn messages_are_rendered() {
        let single = messages().into_iter().chain([hostile()]).map(|message| render(&[message]));
        let all = single.chain([render(&messages())]).map(|(subject, body)| format!("Subject: {subject}\n\n{body}\n\n-----\n"));
        compare("mail.txt", &all.collect::<String>());
    }

    #[test]
    fn text_from_outside_adds_no_header() {
        let message = Message { workload: "web\r\nBcc: evil@example.com".to_owned(), ..hostile() };
        let mail = String::from_utf8(mail(&settings(), &[message]).unwrap().formatted()).unwrap();
        let headers = mail.split("\r\n\r\n").next().unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
    }
}
