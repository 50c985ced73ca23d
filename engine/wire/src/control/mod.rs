//! Requests inside a connection (`{"method":…,"params":[…],"id":…}`) and their replies.
//!
//! | method | params | reply's `result` |
//! |---|---|---|
//! | `SUBSCRIBE`, `UNSUBSCRIBE` | stream names | `null` |
//! | `LIST_SUBSCRIPTIONS` | none | the names, by symbol, kind and cadence |
//! | `SET_PROPERTY` | `"combined"`, a boolean | `null` |
//! | `GET_PROPERTY` | `"combined"` | the boolean |
//!
//! A refusal is `{"code":…,"msg":"…","id":…}`; the codes are [`RequestErrorCode`]'s. The size of a message, and with it
//! whatever a request can make this module hold, is bounded by the WebSocket reader before the text gets here.
//! Source: Binance Spot API documents, "Live Subscribing/Unsubscribing to streams"; the wordings of refusals that
//! clients may match are from there.

mod parts;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::stream::{StreamName, excerpt};
use crate::target::TARGET_STREAMS_MAX;
use parts::{Params, Parts, Scalar};

/// The most params of one request: one connection may have no more streams than that.
pub const REQUEST_PARAMS_MAX: usize = TARGET_STREAMS_MAX;

/// The longest text a request id may be, as the exchange bounds it.
pub const REQUEST_ID_LEN_MAX: usize = 36;

/// What a request was called by its sender; a reply carries it back with the type it had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// `null`, or no id at all.
    #[default]
    Null,
    /// A signed 64-bit integer.
    Number(i64),
    /// Up to [`REQUEST_ID_LEN_MAX`] letters, digits and dashes.
    Text(Box<str>),
}

/// A request that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// To be echoed in the reply.
    pub id: RequestId,
    /// What is asked for.
    pub method: Method,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Add these streams, at most [`REQUEST_PARAMS_MAX`], as given: one that is there already is no error.
    Subscribe(Vec<StreamName>),
    /// Take these streams away; one that is not there is no error.
    Unsubscribe(Vec<StreamName>),
    /// Name the streams of this connection.
    ListSubscriptions,
    /// Wrap events with their stream's name from now on, or stop to.
    SetProperty {
        /// Whether to wrap.
        combined: bool,
    },
    /// Say whether events are wrapped (the property `combined`).
    GetProperty,
}

/// The kinds of refusal; the number is the `code` of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RequestErrorCode {
    /// There is no such property.
    UnknownProperty = 0,
    /// The property's value is no boolean.
    NotBoolean = 1,
    /// JSON, but no request: its shape, method, params or id is wrong.
    InvalidRequest = 2,
    /// No JSON.
    InvalidJson = 3,
}

/// Why a request was refused. The fault is the subscriber's; the connection lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// The kind of refusal.
    pub code: RequestErrorCode,
    /// What was wrong, for the reply; of bounded length.
    pub message: String,
    /// The request's id where it could be read.
    pub id: RequestId,
}

/// A refusal before its id is known to the code that makes it.
struct Refusal(RequestErrorCode, String);

impl Refusal {
    fn invalid(what: impl std::fmt::Display) -> Refusal {
        Refusal(
            RequestErrorCode::InvalidRequest,
            format!("Invalid request: {what}"),
        )
    }

    fn with_id(self, id: RequestId) -> RequestError {
        let Refusal(code, message) = self;
        RequestError { code, message, id }
    }
}

/// Reads one text message as a request. Unknown keys are ignored; of a key given twice the last one counts.
pub fn parse_request(text: &str) -> Result<Request, RequestError> {
    let parts: Parts<'_> = serde_json::from_str(text).map_err(|error| {
        // The library's text ends in "at line L column C".
        Refusal(RequestErrorCode::InvalidJson, format!("Invalid JSON: {error}")).with_id(RequestId::Null)
    })?;
    let id = match parts.id {
        None => RequestId::Null,
        Some(ref id) => parse_id(id).map_err(|refusal| refusal.with_id(RequestId::Null))?,
    };
    match parse_method(text, &parts) {
        Ok(method) => Ok(Request { id, method }),
        Err(refusal) => Err(refusal.with_id(id)),
    }
}

fn parse_id(id: &Scalar<'_>) -> Result<RequestId, Refusal> {
    match id {
        Scalar::Null => Ok(RequestId::Null),
        Scalar::Integer(number) => Ok(RequestId::Number(*number)),
        Scalar::Text(text)
            if text.len() <= REQUEST_ID_LEN_MAX
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            Ok(RequestId::Text(text.as_ref().into()))
        }
        // The exchange's words: it says less than is allowed.
        _ => Err(Refusal::invalid("request ID must be an unsigned integer")),
    }
}

fn parse_method(text: &str, parts: &Parts<'_>) -> Result<Method, Refusal> {
    if !parts.is_object {
        return Err(Refusal::invalid("a request is a JSON object"));
    }
    let method = match &parts.method {
        Some(Scalar::Text(method)) => method.as_ref(),
        Some(_) => return Err(Refusal::invalid("method must be a string")),
        None => return Err(missing::<parts::WithMethod>(text, "method")),
    };
    let params = |most| params(text, parts, most);
    match method {
        "SUBSCRIBE" => Ok(Method::Subscribe(parse_names(params(REQUEST_PARAMS_MAX)?)?)),
        "UNSUBSCRIBE" => Ok(Method::Unsubscribe(parse_names(params(REQUEST_PARAMS_MAX)?)?)),
        "LIST_SUBSCRIPTIONS" => {
            // It takes none, which real clients say in three ways.
            if !matches!(parts.params, None | Some(Params::Null)) {
                params(0)?;
            }
            Ok(Method::ListSubscriptions)
        }
        "SET_PROPERTY" => {
            let params = params(2)?;
            check_property(params)?;
            match params.get(1) {
                Some(Scalar::Bool(combined)) => Ok(Method::SetProperty { combined: *combined }),
                _ => Err(Refusal(
                    RequestErrorCode::NotBoolean,
                    "Invalid value type: expected Boolean".into(),
                )),
            }
        }
        "GET_PROPERTY" => {
            check_property(params(1)?)?;
            Ok(Method::GetProperty)
        }
        _ => Err(Refusal::invalid(format_args!(
            "unknown variant `{}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, \
             `SET_PROPERTY`, `GET_PROPERTY`{}",
            excerpt(method),
            place_of_fault::<parts::WithMethod>(text)
        ))),
    }
}

/// The params, where there are any and no more than `most`.
fn params<'p>(text: &str, parts: &'p Parts<'_>, most: usize) -> Result<&'p [Scalar<'p>], Refusal> {
    match &parts.params {
        Some(Params::Array { count, .. }) if *count > most => Err(Refusal::invalid("too many parameters")),
        Some(Params::Array { first, .. }) => Ok(first),
        Some(Params::Null | Params::Other) => Err(Refusal::invalid("params must be an array")),
        None => Err(missing::<parts::WithParams>(text, "params")),
    }
}

/// A key that a request must have is not there, as reading it as a `T` says, too.
fn missing<'de, T: Deserialize<'de>>(text: &'de str, key: &str) -> Refusal {
    Refusal::invalid(format_args!("missing field `{key}`{}", place_of_fault::<T>(text)))
}

/// Where a request cannot be read as a `T`, as the exchange tells it behind its reason.
fn place_of_fault<'de, T: Deserialize<'de>>(text: &'de str) -> String {
    match serde_json::from_str::<T>(text) {
        Ok(_) => String::new(),
        Err(error) => format!(" at line {} column {}", error.line(), error.column()),
    }
}

fn parse_names(params: &[Scalar<'_>]) -> Result<Vec<StreamName>, Refusal> {
    params
        .iter()
        .map(|param| match param {
            Scalar::Text(name) => StreamName::parse(name)
                .map_err(|error| Refusal::invalid(format_args!("stream `{}`: {error}", excerpt(name)))),
            _ => Err(Refusal::invalid("stream names must be strings")),
        })
        .collect()
}

fn check_property(params: &[Scalar<'_>]) -> Result<(), Refusal> {
    match params.first() {
        Some(Scalar::Text(name)) if name == "combined" => Ok(()),
        Some(Scalar::Text(_)) => Err(Refusal(
            RequestErrorCode::UnknownProperty,
            "Unknown property".into(),
        )),
        _ => Err(Refusal::invalid("property name must be a string")),
    }
}

/// Appends `{"result":null,"id":…}`: the request was carried out.
pub fn write_ok(out: &mut Vec<u8>, id: &RequestId) {
    write_result(out, id, |out| out.extend_from_slice(b"null"));
}

/// Appends `{"result":["…",…],"id":…}`: the names of a connection's streams.
pub fn write_list(out: &mut Vec<u8>, id: &RequestId, names: impl IntoIterator<Item = StreamName>) {
    write_result(out, id, |out| {
        out.push(b'[');
        for (n, name) in names.into_iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.push(b'"');
            name.write(out);
            out.push(b'"');
        }
        out.push(b']');
    });
}

/// Appends `{"result":true,"id":…}`: a property's value.
pub fn write_bool(out: &mut Vec<u8>, id: &RequestId, value: bool) {
    write_result(out, id, |out| {
        out.extend_from_slice(if value { b"true" } else { b"false" });
    });
}

/// Appends `{"code":…,"msg":"…","id":…}`: the request was refused.
pub fn write_error(out: &mut Vec<u8>, error: &RequestError) {
    out.extend_from_slice(b"{\"code\":");
    out.push(b'0' + error.code as u8);
    out.extend_from_slice(b",\"msg\":");
    write_string(out, &error.message);
    write_id_and_end(out, &error.id);
}

fn write_result(out: &mut Vec<u8>, id: &RequestId, result: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"result\":");
    result(out);
    write_id_and_end(out, id);
}

fn write_id_and_end(out: &mut Vec<u8>, id: &RequestId) {
    out.extend_from_slice(b",\"id\":");
    match id {
        RequestId::Null => out.extend_from_slice(b"null"),
        RequestId::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        RequestId::Text(text) => write_string(out, text),
    }
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always has a JSON form, and memory takes any write");
}
