//! The tasks that run as long as the process, by name.
//!
//! If one of them ends early, the whole process is at fault: it logs the task and exits, so that Kubernetes restarts
//! it. Tasks started elsewhere run only for one piece of work.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

/// A task that ended early.
#[derive(Debug, thiserror::Error)]
#[error("task {name} ended: {reason}")]
pub struct Ended {
    /// The task's name.
    pub name: &'static str,
    /// The way in which it ended.
    pub reason: String,
}

/// The names of the running tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alive(Arc<Mutex<(BTreeSet<&'static str>, Vec<String>)>>);

impl Alive {
    /// Returns the tasks that died.
    pub(crate) fn dead(&self) -> Vec<String> {
        self.0.lock().1.clone()
    }
}

/// The tasks of the process.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
    alive: Alive,
}

impl Tasks {
    pub(crate) fn alive(&self) -> Alive {
        self.alive.clone()
    }

    /// Starts a task.
    pub(crate) fn spawn<E: std::fmt::Display>(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.alive.0.lock().0.insert(name);
        self.set.spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Waits for the first task that ends; never returns if there is none.
    pub(crate) async fn first_end(&mut self) -> Ended {
        let Some(ended) = self.set.join_next().await else { return std::future::pending().await };
        let ended = match ended {
            Ok((name, Ok(()))) => Ended { name, reason: "it returned".to_owned() },
            Ok((name, Err(reason))) => Ended { name, reason },
            Err(error) => Ended { name: "unnamed", reason: error.to_string() },
        };
        self.alive.0.lock().1.push(ended.to_string());
        ended
    }

    /// Waits until every task has ended.
    pub(crate) async fn drain(&mut self) {
        while self.set.join_next().await.is_some() {}
    }

    /// Aborts the tasks that still run.
    pub(crate) async fn abort(&mut self) {
        self.set.shutdown().await;
    }
}
