//! The REST API: what a request asks for, what it weighs, and its answer.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Sender;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{Representation, Subject, encode, encode_error, names_old_schema};
use super::asking::Asking;
use super::errors::{ApiError, INVALID_SYMBOL, METHOD};
use super::http::{Answer, GZIP_FROM_BYTES, prefers_gzip, preflight, response};
use super::routes::{Plan, WEIGHT_LEAST, plan};
use super::weights::{Verdict, WeightLimits, Weights};
use crate::reactor::messages::MarketRequest;

/// The REST API over a market thread.
#[derive(Debug)]
pub(super) struct Rest {
    asking: Asking,
    limits: WeightLimits,
    weights: Mutex<Weights>,
}

/// A body, perhaps compressed.
struct Written {
    bytes: Bytes,
    is_gzip: bool,
}

impl Rest {
    pub(super) fn new(market: Sender<MarketRequest>, limits: WeightLimits) -> Rest {
        Rest {
            asking: Asking::new(market, limits.weight_per_minute),
            limits,
            weights: Mutex::new(Weights::new(limits)),
        }
    }

    #[cfg(test)]
    pub(super) fn asking(&self) -> &Asking {
        &self.asking
    }

    /// The answer to one request of `peer` at `now_us` (microseconds since the Unix epoch). Its body, if it has any, is not
    /// looked at.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
        now_us: i64,
    ) -> Response<Full<Bytes>> {
        let planned = match *request.method() {
            Method::GET | Method::HEAD => plan(request.uri().path(), request.uri().query().unwrap_or("")),
            _ => Err(METHOD),
        };
        let weight = planned.as_ref().map_or(WEIGHT_LEAST, |(_, weight)| *weight);
        let (used, admitted) = self.charge(peer, weight, now_us);
        if request.method() == Method::OPTIONS && admitted.is_ok() {
            return preflight(used);
        }
        let representation = Representation::of(request.headers());
        let written_as = match &representation {
            Ok(representation) | Err((_, representation)) => *representation,
        };
        let wants_gzip = prefers_gzip(request.headers());
        let written = match (admitted, planned, representation) {
            (Err(refusal), ..) => Err(refusal),
            (_, Err(error), _) | (_, _, Err((error, _))) => Err(error),
            (_, Ok((plan, _)), Ok(representation)) => {
                self.write(&plan, representation, wants_gzip, now_us).await
            }
        };
        let (status, retry_after_s, written) = match written {
            Ok(written) => (StatusCode::OK, None, written),
            Err(error) => {
                let written = plain(encode_error(&error, written_as, now_us));
                (error.status, error.retry_after_s, written)
            }
        };
        let answer = Answer {
            status,
            content_type: written_as.content_type(),
            body: written.bytes,
            is_gzip: written.is_gzip,
            retry_after_s,
            is_of_old_schema: written_as == Representation::Sbe && names_old_schema(request.headers()),
        };
        response(answer, used)
    }

    /// Counts a request; gives the weight used, and whether the request is answered.
    fn charge(&self, peer: IpAddr, weight: u32, now_us: i64) -> (u32, Result<(), ApiError>) {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let (used, verdict) = weights.charge(peer, weight, now_us);
        let admitted = match verdict {
            Verdict::Admitted => Ok(()),
            Verdict::TooMuch { retry_after_s } => Err(ApiError::weight_used(
                self.limits.weight_per_minute,
                retry_after_s,
            )),
            Verdict::Banned {
                until_ms,
                retry_after_s,
            } => Err(ApiError::banned(until_ms, retry_after_s)),
        };
        (used, admitted)
    }

    async fn write(
        &self,
        plan: &Plan,
        representation: Representation,
        wants_gzip: bool,
        now_us: i64,
    ) -> Result<Written, ApiError> {
        let (key, body) = match plan {
            Plan::Ping => return written(&Subject::Ping, representation),
            Plan::Time => return written(&Subject::Time(now_us), representation),
            Plan::RefuseKnown(symbols, error) => {
                return Err(if self.asking.directory().await?.knows(symbols) {
                    error.clone()
                } else {
                    INVALID_SYMBOL
                });
            }
            Plan::NoneOf(symbols, form) => {
                return if self.asking.directory().await?.knows(symbols) {
                    written(&Subject::NoTickers(*form), representation)
                } else {
                    Err(INVALID_SYMBOL)
                };
            }
            Plan::Ask(wanted) => self.asking.body(wanted, representation, now_us).await?,
            Plan::Describe(description) => {
                self.asking
                    .description(description, representation, now_us)
                    .await?
            }
        };
        if wants_gzip && body.plain.len() >= GZIP_FROM_BYTES {
            return Ok(Written {
                bytes: self.asking.gzip(&key, &body),
                is_gzip: true,
            });
        }
        Ok(Written {
            bytes: body.plain.clone(),
            is_gzip: false,
        })
    }
}

fn written(subject: &Subject<'_>, representation: Representation) -> Result<Written, ApiError> {
    Ok(plain(encode(subject, representation)?))
}

fn plain(bytes: Vec<u8>) -> Written {
    Written {
        bytes: bytes.into(),
        is_gzip: false,
    }
}
