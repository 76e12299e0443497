//! A bounded cache of answers with expiry times and at most one query in progress for each key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

/// The SHA-256 of the subject of a query.
pub(super) type Key = [u8; 32];

/// Returns the key of a text.
pub(super) fn key(text: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    key
}

/// An answer with its expiry time.
type Dated<V> = (V, Instant);

struct Slot<V> {
    answer: Mutex<Option<Dated<V>>>,
    /// Held by the caller whose query is in progress.
    turn: tokio::sync::Mutex<()>,
}

/// The cache.
pub(super) struct Answers<V> {
    capacity: usize,
    slots: Mutex<HashMap<Key, Arc<Slot<V>>>>,
}

impl<V: Clone> Answers<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, slots: Mutex::default() }
    }

    /// Returns the last answer, however old.
    pub(super) fn last(&self, key: &Key) -> Option<V> {
        let slot = self.slots.lock().get(key).cloned()?;
        let answer = slot.answer.lock();
        answer.as_ref().map(|(value, _)| value.clone())
    }

    /// Returns the answer that is valid at `now`, or queries. `ask` returns an answer and its lifetime from `now` on.
    /// Callers with the same key wait for the one that queries.
    ///
    /// # Errors
    /// The error of `ask`, which is not cached.
    pub(super) async fn get<E>(&self, key: Key, now: Instant, ask: impl Future<Output = Result<(V, Duration), E>>) -> Result<V, E> {
        let slot = self.slot(key, now);
        let _turn = slot.turn.lock().await;
        if let Some((value, _)) = slot.answer.lock().as_ref().filter(|(_, until)| *until > now) {
            return Ok(value.clone());
        }
        match ask.await {
            Ok((value, time)) => {
                *slot.answer.lock() = Some((value.clone(), now + time));
                Ok(value)
            }
            Err(error) => {
                // A failed query uses no slot.
                if slot.answer.lock().is_none() {
                    self.slots.lock().remove(&key);
                }
                Err(error)
            }
        }
    }

    fn slot(&self, key: Key, now: Instant) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock();
        if !slots.contains_key(&key) && slots.len() >= self.capacity {
            make_room(&mut slots, now);
        }
        Arc::clone(slots.entry(key).or_insert_with(|| Arc::new(Slot { answer: Mutex::new(None), turn: tokio::sync::Mutex::default() })))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().len()
    }
}

/// Drops every expired answer, or else the one that expires first.
fn make_room<V>(slots: &mut HashMap<Key, Arc<Slot<V>>>, now: Instant) {
    let until = |slot: &Arc<Slot<V>>| slot.answer.lock().as_ref().map(|(_, until)| *until);
    let before = slots.len();
    slots.retain(|_, slot| Arc::strong_count(slot) > 1 || until(slot).is_some_and(|until| until > now));
    if slots.len() == before {
        let shortest = slots.iter().min_by_key(|(_, slot)| until(slot)).map(|(key, _)| *key);
        shortest.and_then(|key| slots.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn ask(answers: &Answers<u32>, text: &str, now: Instant, value: u32) -> u32 {
        answers.get(key(text), now, async { Ok::<_, ()>((value, MINUTE)) }).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_counts_for_its_time() {
        let (answers, now) = (Answers::new(10), Instant::now());
        assert_eq!(ask(&answers, "a", now, 1).await, 1);
        assert_eq!(ask(&answers, "a", now + MINUTE.saturating_sub(Duration::from_millis(1)), 2).await, 1);
        assert_eq!(ask(&answers, "a", now + MINUTE, 3).await, 3);
        assert_eq!((answers.last(&key("a")), answers.last(&key("b"))), (Some(3), None));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let (answers, now) = (Answers::new(10), Instant::now());
        assert_eq!(answers.get(key("a"), now, async { Err::<(u32, Duration), _>("no") }).await, Err("no"));
        assert_eq!(answers.len(), 0);
        assert_eq!(ask(&answers, "a", now, 1).await, 1);
    }

    #[tokio::test]
    async fn one_question_is_under_way_for_a_key() {
        let (answers, asked, now) = (Arc::new(Answers::new(10)), Arc::new(AtomicUsize::new(0)), Instant::now());
        let calls = (0..20).map(|_| {
            let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
            tokio::spawn(async move {
                let ask = async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, ()>((7, MINUTE))
                };
                answers.get(key("a"), now, ask).await
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), Ok(7));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn it_is_bounded_and_drops_what_counts_least() {
        let (answers, now) = (Answers::new(3), Instant::now());
        for (at, text) in ["a", "b", "c"].into_iter().enumerate() {
            ask(&answers, text, now + Duration::from_secs(at.try_into().unwrap()), 1).await;
        }
        ask(&answers, "d", now + Duration::from_secs(5), 1).await;
        assert_eq!((answers.len(), answers.last(&key("a"))), (3, None));
        ask(&answers, "e", now + MINUTE * 5, 1).await;
        assert_eq!(answers.len(), 1, "all others count no more");
    }
}
