//! A real mail server that keeps what it gets: mailpit.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Client;
use serde_json::Value;

use crate::guard::Guard;
use crate::protocol::Order;
use crate::tools::Tools;
use crate::wait::eventually;
use crate::{folder, port};

const PROGRAM: &str = "mailpit";

/// The mail server. It ends with the value.
#[derive(Debug)]
pub struct Mailpit {
    smtp: u16,
    http: u16,
    client: Client,
    _guard: Guard,
}

impl Mailpit {
    /// Returns true if mailpit is missing. If so, reports why, and counts the test as skipped.
    pub async fn lacks(test: &str) -> Result<bool> {
        let lacks = !Tools::ready().await?.has(PROGRAM);
        if lacks {
            crate::skip::skipped(test, "testbed/tools.sh could not build mailpit");
        }
        Ok(lacks)
    }

    /// Starts one, ready to take mail.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        crate::provide_tls();
        let (tools, folder) = (Tools::ready().await?, folder::create(PROGRAM)?);
        let (smtp, http) = (port::free()?, port::free()?);
        let words = [
            "guard".to_owned(),
            "--wait".to_owned(),
            "--folder".to_owned(),
            folder.to_string_lossy().into_owned(),
            "--log".to_owned(),
            folder.join("mailpit.log").to_string_lossy().into_owned(),
            "--".to_owned(),
            tools.path(PROGRAM).to_string_lossy().into_owned(),
            "--smtp".to_owned(),
            format!("127.0.0.1:{smtp}"),
            "--listen".to_owned(),
            format!("127.0.0.1:{http}"),
            "--disable-version-check".to_owned(),
        ];
        let guard = Guard::spawn(words)?;
        guard.order(&Order::Start { env: BTreeMap::new() })?;
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mailpit = Self { smtp, http, client, _guard: guard };
        eventually("mailpit is ready", Duration::from_mins(1), || async {
            let answer = mailpit.client.get(mailpit.url("/readyz")).send().await.map_err(|error| error.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await?;
        Ok(mailpit)
    }

    /// Its `127.0.0.1:PORT` for SMTP.
    pub fn smtp(&self) -> String {
        format!("127.0.0.1:{}", self.smtp)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// Every mail: subject, recipients, text, message ID. The oldest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn mails(&self) -> Result<Vec<Value>> {
        let list: Value = self.client.get(self.url("/api/v1/messages?limit=500")).send().await?.json().await?;
        let mut mails = Vec::new();
        for item in list["messages"].as_array().context("messages")?.iter().rev() {
            let id = item["ID"].as_str().context("an ID")?;
            mails.push(self.client.get(self.url(&format!("/api/v1/message/{id}"))).send().await?.json().await?);
        }
        Ok(mails)
    }
}
