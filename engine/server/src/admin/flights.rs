//! Questions on their way: many who ask the same wait for one answer.
//!
//! Who asks while a question is on its way does not get the answer to that one, which may have been given before: all such
//! share the next. So there are at most two of a question for each time that an answer takes, however many ask, and every
//! answer is of a moment after it was asked for.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Questions on their way, and for each those who wait for the next answer to it. There are no more of them than connections.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    waiting: Arc<Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Flights<K, V> {
        Flights {
            waiting: Arc::default(),
        }
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// An answer that `ask` gives to a question which it was asked after this was called. None where that failed.
    pub(super) async fn join<F, A>(&self, key: K, ask: F) -> Option<V>
    where
        F: Fn() -> A + Send + 'static,
        A: Future<Output = V> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let others = waiting.get_mut(&key);
            let is_first = others.is_none();
            match others {
                Some(others) => others.push(reply),
                None => drop(waiting.insert(key.clone(), vec![reply])),
            }
            is_first
        };
        if is_first {
            // A task of its own: whoever asked first may go away.
            tokio::spawn(fly(self.waiting.clone(), key, ask));
        }
        answer.await.ok()
    }
}

/// Takes a question off its way when that ends by a panic: else all who ask it later would wait for nobody.
struct Landing<K: Eq + Hash, V> {
    waiting: Arc<Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>>,
    key: K,
    /// It has ended as it should, and the next may be on its way already.
    is_down: bool,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        if !self.is_down {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(&self.key);
        }
    }
}

async fn fly<K, V, F, A>(waiting: Arc<Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>>, key: K, ask: F)
where
    K: Clone + Eq + Hash,
    V: Clone,
    F: Fn() -> A,
    A: Future<Output = V>,
{
    let mut landing = Landing {
        waiting: waiting.clone(),
        key: key.clone(),
        is_down: false,
    };
    loop {
        let asking = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.get_mut(&key) {
                Some(all) if !all.is_empty() => std::mem::take(all),
                _ => {
                    waiting.remove(&key);
                    landing.is_down = true;
                    return;
                }
            }
        };
        let answer = ask().await;
        for reply in asking {
            // Who has gone away needs no answer.
            let _ = reply.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    #[test]
    fn those_who_ask_meanwhile_share_the_next_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(share_the_next_answer());
    }

    async fn share_the_next_answer() {
        let flights = Arc::new(Flights::<u8, u32>::default());
        let asked = Arc::new(AtomicU32::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let join = |key| {
            let (flights, asked, gate) = (flights.clone(), asked.clone(), gate.clone());
            tokio::spawn(async move {
                let ask = move || {
                    let (gate, number) = (gate.clone(), asked.fetch_add(1, Ordering::Relaxed) + 1);
                    async move {
                        gate.acquire().await.unwrap().forget();
                        number
                    }
                };
                flights.join(key, ask).await
            })
        };
        let first = join(1);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let others: Vec<_> = (0..50).map(|_| join(1)).collect();
        let gone = join(1);
        tokio::task::yield_now().await;
        gone.abort();
        assert_eq!(asked.load(Ordering::Relaxed), 1, "one at a time");
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(1));
        for other in others {
            assert_eq!(other.await.unwrap(), Some(2));
        }
        gate.add_permits(2);
        assert_eq!(join(1).await.unwrap(), Some(3));
        assert_eq!(join(2).await.unwrap(), Some(4));
        tokio::task::yield_now().await;
        assert!(flights.waiting.lock().unwrap().is_empty(), "nothing is left");
    }
}
