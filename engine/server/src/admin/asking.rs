//! Asks the market thread, and encodes what it answers: each answer once for each revision and representation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Sender;
use depthcast_market::instrument::Instrument;
use depthcast_wire::listing::Terms;
use depthcast_wire::stream::SymbolName;
use tokio::sync::oneshot;

use super::answer::{Representation, Subject, encode};
use super::cache::{Body, BodyBytes, CACHE_BYTES_MAX, Cache, Key};
use super::errors::{ApiError, INVALID_SYMBOL, OVERLOADED, STALE};
use super::flights::Flights;
use super::routes::{Description, Selection, Wanted};
use crate::reactor::messages::MarketRequest;
use crate::reactor::questions::{Answer, Ask, Content, NoAnswer, Question, Revision, Symbols};

/// How old the server's time in a description of instruments may be: it is encoded anew once a second at most.
const DESCRIPTION_AGE_MAX_US: i64 = 1_000_000;

/// How old a list of all symbols' tickers may be.
const LIST_AGE_MAX_US: i64 = 250_000;

/// The instruments of a history, by their names.
#[derive(Debug)]
pub(super) struct Directory {
    revision: Revision,
    all: Vec<Arc<Instrument>>,
    places: HashMap<SymbolName, usize>,
}

impl Directory {
    fn new(revision: Revision, all: Vec<Arc<Instrument>>) -> Directory {
        let names = all.iter().map(|instrument| SymbolName::new(instrument.name()));
        let places = names.enumerate().filter_map(|(place, name)| Some((name?, place)));
        Directory {
            revision,
            places: places.collect(),
            all,
        }
    }

    /// Those selected, in the feed's order.
    fn selected(&self, selection: &Selection) -> Result<Vec<Arc<Instrument>>, ApiError> {
        match selection {
            Selection::All => Ok(self.all.clone()),
            Selection::Nothing => Ok(Vec::new()),
            Selection::Named(names) => {
                let mut places = Vec::with_capacity(names.len());
                for name in names {
                    places.push(*self.places.get(name).ok_or(INVALID_SYMBOL)?);
                }
                places.sort_unstable();
                Ok(places.into_iter().map(|place| self.all[place].clone()).collect())
            }
        }
    }

    /// Whether there are these symbols.
    pub(super) fn knows(&self, symbols: &Symbols) -> bool {
        match symbols {
            Symbols::One(name) => self.places.contains_key(name),
            Symbols::Several(names) => names.iter().all(|name| self.places.contains_key(name)),
            Symbols::All => true,
        }
    }
}

/// The way to the market thread, and what is known of its answers. Copies are the same.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    market: Sender<MarketRequest>,
    /// What one address may ask for, to be told.
    weight_per_minute: u32,
    cache: Mutex<Cache>,
    bodies: BodyBytes,
    directory: Mutex<Option<Arc<Directory>>>,
    flights: Flights<Key, Result<Arc<Body>, ApiError>>,
    directory_flights: Flights<(), Result<Arc<Directory>, ApiError>>,
    #[cfg(test)]
    encoded: std::sync::atomic::AtomicU64,
}

impl Asking {
    pub(super) fn new(market: Sender<MarketRequest>, weight_per_minute: u32) -> Asking {
        let bodies = BodyBytes::default();
        let cache = Cache::new(CACHE_BYTES_MAX, bodies.clone());
        Asking {
            inner: Arc::new(Inner {
                market,
                weight_per_minute,
                cache: Mutex::new(cache),
                bodies,
                directory: Mutex::new(None),
                flights: Flights::default(),
                directory_flights: Flights::default(),
                #[cfg(test)]
                encoded: std::sync::atomic::AtomicU64::new(0),
            }),
        }
    }

    /// How many answers of the market were encoded.
    #[cfg(test)]
    pub(super) fn encoded(&self) -> u64 {
        self.inner.encoded.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The answer to a question, as it is now.
    pub(super) async fn body(
        &self,
        wanted: &Wanted,
        representation: Representation,
        now_us: i64,
    ) -> Result<(Key, Arc<Body>), ApiError> {
        let key = Key::Wanted(wanted.clone(), representation.canonical_for(wanted));
        let (inner, wanted, asked) = (self.inner.clone(), wanted.clone(), key.clone());
        let ask = move || {
            let (inner, wanted, key) = (inner.clone(), wanted.clone(), asked.clone());
            async move { inner.ask_for_body(&wanted, representation, &key, now_us).await }
        };
        let body = self.inner.flights.join(key.clone(), ask).await;
        Ok((key, body.unwrap_or(Err(OVERLOADED))?))
    }

    /// The description of instruments.
    pub(super) async fn description(
        &self,
        description: &Description,
        representation: Representation,
        now_us: i64,
    ) -> Result<(Key, Arc<Body>), ApiError> {
        let directory = self.directory().await?;
        let key = Key::Description(description.clone(), representation);
        let kept = self.inner.cache().get(&key).filter(|kept| {
            kept.revision == directory.revision
                && now_us.abs_diff(kept.made_us) < DESCRIPTION_AGE_MAX_US.unsigned_abs()
        });
        if let Some(kept) = kept {
            return Ok((key, kept));
        }
        let selected = directory.selected(&description.of)?;
        let terms = Terms {
            weight_per_minute: self.inner.weight_per_minute,
            with_permissions: description.with_permissions,
        };
        let subject = Subject::Description(&selected, terms, now_us);
        let body = self
            .inner
            .encode(&key, directory.revision, &subject, representation, now_us)?;
        Ok((key, body))
    }

    /// The body, compressed.
    pub(super) fn gzip(&self, key: &Key, body: &Arc<Body>) -> Bytes {
        self.inner.cache().gzip(key, body)
    }

    /// The instruments there are now; at least one.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, ApiError> {
        let inner = self.inner.clone();
        let ask = move || {
            let inner = inner.clone();
            async move { inner.ask_for_directory().await }
        };
        let directory = self.inner.directory_flights.join((), ask).await;
        directory.unwrap_or(Err(OVERLOADED))
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, question: Question, known: Option<Revision>) -> Result<Answer, ApiError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            question,
            known,
            reply,
        };
        // It is not waited for: its queue is full when it is behind.
        self.market
            .try_send(MarketRequest::Ask(ask))
            .map_err(|_| OVERLOADED)?;
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(NoAnswer::UnknownSymbol)) => Err(INVALID_SYMBOL),
            Ok(Err(NoAnswer::NotNow)) => Err(STALE),
            Err(_) => Err(OVERLOADED),
        }
    }

    async fn ask_for_body(
        &self,
        wanted: &Wanted,
        representation: Representation,
        key: &Key,
        now_us: i64,
    ) -> Result<Arc<Body>, ApiError> {
        let kept = self.cache().get(key);
        // A walk over all symbols is not made for each request of a market of which some symbol always changes.
        if let Some(kept) = &kept
            && wanted.is_of_all()
            && now_us.abs_diff(kept.made_us) < LIST_AGE_MAX_US.unsigned_abs()
        {
            return Ok(kept.clone());
        }
        let known = kept.as_ref().map(|kept| kept.revision);
        let answer = self.ask(wanted.question.clone(), known).await?;
        match (answer.content, kept) {
            (Some(content), _) => {
                let subject = Subject::Market(wanted, &content);
                self.encode(key, answer.revision, &subject, representation, now_us)
            }
            (None, Some(kept)) => Ok(kept),
            // Nothing was known that could be meant.
            (None, None) => Err(OVERLOADED),
        }
    }

    async fn ask_for_directory(&self) -> Result<Arc<Directory>, ApiError> {
        let lock = || self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lock().clone();
        let known = kept.as_ref().map(|kept| kept.revision);
        let answer = self.ask(Question::Instruments, known).await?;
        match (answer.content, kept) {
            (Some(Content::Instruments(all)), _) if !all.is_empty() => {
                let directory = Arc::new(Directory::new(answer.revision, all));
                *lock() = Some(directory.clone());
                Ok(directory)
            }
            (None, Some(kept)) => Ok(kept),
            // The feed has not said yet what there is.
            _ => Err(STALE),
        }
    }

    fn encode(
        &self,
        key: &Key,
        revision: Revision,
        subject: &Subject<'_>,
        representation: Representation,
        now_us: i64,
    ) -> Result<Arc<Body>, ApiError> {
        if !self.bodies.has_room() {
            return Err(OVERLOADED);
        }
        #[cfg(test)]
        self.encoded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bytes = encode(subject, representation)?;
        Ok(self.cache().put(key.clone(), revision, now_us, bytes))
    }
}
