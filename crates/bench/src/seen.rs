//! Records when a watch first showed each image of each workload.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::LONG;

/// The image of each workload, and when the watch first showed it. The watch ends when the value is dropped.
pub(crate) struct Seen {
    images: Arc<Mutex<HashMap<String, (String, Instant)>>>,
    changed: Arc<Notify>,
    watchers: Vec<JoinHandle<()>>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        for watcher in &self.watchers {
            watcher.abort();
        }
    }
}

impl Seen {
    /// Watches the Deployments and StatefulSets of a namespace. Names must be unique over both kinds.
    ///
    /// # Errors
    /// If the first lists do not arrive in time.
    pub(crate) async fn watch(client: &Client, namespace: &str) -> Result<Self> {
        let mut seen = Self { images: Arc::default(), changed: Arc::default(), watchers: Vec::new() };
        let deployments = seen.follow(Api::<Deployment>::namespaced(client.clone(), namespace), |object| Some(object.spec.template));
        let stateful_sets = seen.follow(Api::<StatefulSet>::namespaced(client.clone(), namespace), |object| Some(object.spec.template));
        for listed in [deployments, stateful_sets] {
            tokio::time::timeout(LONG, listed.notified()).await.context("the first list of a watch")?;
        }
        Ok(seen)
    }

    /// Starts one watch. What it returns is notified when the first list is complete.
    fn follow<K>(&mut self, api: Api<K>, template: fn(K) -> Option<PodTemplateSpec>) -> Arc<Notify>
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    {
        let listed = Arc::new(Notify::new());
        let (images, changed, done) = (Arc::clone(&self.images), Arc::clone(&self.changed), Arc::clone(&listed));
        self.watchers.push(tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        let name = object.name_any();
                        let image = template(object).and_then(first_image).unwrap_or_default();
                        let mut images = images.lock();
                        if images.get(&name).is_none_or(|(held, _)| *held != image) {
                            images.insert(name, (image, Instant::now()));
                        }
                    }
                    Ok(Event::InitDone) => done.notify_one(),
                    // The watcher lists again by itself.
                    Ok(Event::Init | Event::Delete(_)) | Err(_) => continue,
                }
                changed.notify_waiters();
            }
        }));
        listed
    }

    /// Waits until the workload has this image and returns when the watch first showed it.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub(crate) async fn at(&self, name: &str, image: &str) -> Result<Instant> {
        self.within(name, image, LONG).await.with_context(|| format!("{name} never got {image}"))
    }

    /// Like [`Seen::at`], with a timeout. Returns `None` after it.
    pub(crate) async fn within(&self, name: &str, image: &str, patience: Duration) -> Option<Instant> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(at) = self.shows(name, image) {
                    return at;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, waiting).await.ok()
    }

    fn shows(&self, name: &str, image: &str) -> Option<Instant> {
        self.images.lock().get(name).filter(|(held, _)| held == image).map(|(_, at)| *at)
    }
}

fn first_image(template: PodTemplateSpec) -> Option<String> {
    template.spec?.containers.into_iter().next()?.image
}
