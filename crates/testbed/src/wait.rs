//! Waits for a condition with a deadline; a timeout reports the last observed state.
//!
//! The only place of the test bed that sleeps.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The first and the longest pause between two checks.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(100);

/// Calls `poll` repeatedly until it returns a value. Its error describes the observed state, and the last one is
/// reported after the deadline.
///
/// # Errors
/// If the deadline has passed.
pub async fn eventually<T, F, Fut>(what: &str, deadline: Duration, mut poll: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    let end = started + deadline;
    let mut checks = 0_u32;
    let mut last = "nothing: the first check did not finish".to_owned();
    let mut pause = FIRST;
    loop {
        match timeout_at(end, poll()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => last = state,
            Err(_) => return Err(late(what, deadline, checks, &last)),
        }
        checks += 1;
        if Instant::now() + pause >= end {
            return Err(late(what, deadline, checks, &last));
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}

fn late(what: &str, deadline: Duration, checks: u32, last: &str) -> anyhow::Error {
    anyhow!("{what}: not within {deadline:?} ({checks} checks); last state: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_the_last_state() {
        let mut checks = 0;
        let error = eventually("the cat is home", Duration::from_millis(60), || {
            checks += 1;
            let state = format!("check {checks}: no cat");
            async move { Err::<(), _>(state) }
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(error.contains("the cat is home") && error.contains(": no cat"), "{error}");
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_cut_off() {
        let error = eventually("it answers", Duration::from_millis(30), std::future::pending::<Result<(), String>>).await.unwrap_err();
        assert!(error.to_string().contains("first check"), "{error}");
    }
}
