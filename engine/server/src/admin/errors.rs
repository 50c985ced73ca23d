//! What REST answers instead of what was asked for: codes and messages as the exchange's public documents have them
//! (binance-spot-api-docs, `errors.md`), each with its HTTP status.

use std::borrow::Cow;

use depthcast_wire::sbe::EncodeError;
use hyper::StatusCode;

/// Symbols as parameters have them.
pub(super) const SYMBOL_RANGE: &str = r"^[\w\-._&&[^a-z]]{1,50}$";

/// Lists of symbols.
pub(super) const SYMBOLS_RANGE: &str =
    r#"^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"#;

/// Whole numbers.
pub(super) const NUMBER_RANGE: &str = "^[0-9]{1,20}$";

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: i32,
    pub(super) message: Cow<'static, str>,
    /// Seconds after which to try again, for who was told to wait.
    pub(super) retry_after_s: Option<u64>,
}

impl ApiError {
    const fn fixed(status: StatusCode, code: i32, message: &'static str) -> ApiError {
        ApiError {
            status,
            code,
            message: Cow::Borrowed(message),
            retry_after_s: None,
        }
    }

    fn bad(code: i32, message: String) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            code,
            message: Cow::Owned(message),
            retry_after_s: None,
        }
    }

    /// A parameter has characters, or a length, that its kind does not have.
    pub(super) fn illegal(parameter: &str, range: &str) -> ApiError {
        ApiError::bad(
            -1100,
            format!("Illegal characters found in parameter '{parameter}'; legal range is '{range}'."),
        )
    }

    /// There are parameters where none are taken.
    pub(super) fn too_many(expected: usize, received: usize) -> ApiError {
        ApiError::bad(
            -1101,
            format!("Too many parameters; expected '{expected}' and received '{received}'."),
        )
    }

    /// A parameter was sent more than once.
    pub(super) fn duplicate(parameter: &str) -> ApiError {
        ApiError::bad(-1101, format!("Duplicate values for parameter '{parameter}'."))
    }

    /// A parameter must be there.
    pub(super) fn missing(parameter: &str) -> ApiError {
        ApiError::bad(
            -1102,
            format!("Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."),
        )
    }

    /// There are parameters that the endpoint does not know.
    pub(super) fn unread(read: usize, sent: usize) -> ApiError {
        ApiError::bad(
            -1104,
            format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."),
        )
    }

    /// A parameter has no value.
    pub(super) fn empty(parameter: &str) -> ApiError {
        ApiError::bad(-1105, format!("Parameter '{parameter}' was empty."))
    }

    /// A number is larger than any can be.
    pub(super) fn overflow(parameter: &str) -> ApiError {
        ApiError::bad(-1108, format!("Parameter '{parameter}' overflowed."))
    }

    /// A value is of the right kind and means nothing.
    pub(super) fn invalid(parameter: &str) -> ApiError {
        ApiError::bad(
            -1130,
            format!("Data sent for parameter '{parameter}' is not valid."),
        )
    }

    /// An address has used up its weight of this minute.
    pub(super) fn weight_used(weight_max: u32, retry_after_s: u64) -> ApiError {
        ApiError {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: -1003,
            message: Cow::Owned(format!(
                "Too much request weight used; current limit is {weight_max} request weight per 1 MINUTE. \
                 Please use WebSocket Streams for live updates to avoid polling the API."
            )),
            retry_after_s: Some(retry_after_s),
        }
    }

    /// An address went on after it was told, and gets nothing until `until_ms`.
    pub(super) fn banned(until_ms: i64, retry_after_s: u64) -> ApiError {
        ApiError {
            status: StatusCode::IM_A_TEAPOT,
            code: -1003,
            message: Cow::Owned(format!(
                "Way too much request weight used; IP banned until {until_ms}. \
                 Please use WebSocket Streams for live updates to avoid bans."
            )),
            retry_after_s: Some(retry_after_s),
        }
    }
}

impl From<EncodeError> for ApiError {
    fn from(error: EncodeError) -> ApiError {
        ApiError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: -1000,
            message: Cow::Owned(format!("The answer cannot be written in SBE: {error}.")),
            retry_after_s: None,
        }
    }
}

const fn bad(code: i32, message: &'static str) -> ApiError {
    ApiError::fixed(StatusCode::BAD_REQUEST, code, message)
}

pub(super) const TOO_MANY_PARAMETERS: ApiError = bad(-1101, "Too many parameters sent for this endpoint.");
pub(super) const INVALID_INTERVAL: ApiError = bad(-1120, "Invalid interval.");
pub(super) const INVALID_SYMBOL: ApiError = bad(-1121, "Invalid symbol.");
pub(super) const INVALID_STATUS: ApiError = bad(-1122, "Invalid symbolStatus.");
pub(super) const BAD_COMBINATION: ApiError = bad(-1128, "Combination of optional parameters invalid.");
pub(super) const INVALID_TICKER_TYPE: ApiError = bad(-1139, "Invalid ticker type.");
pub(super) const DUPLICATE_SYMBOLS: ApiError = bad(-1151, "Symbol is present multiple times in the list.");
pub(super) const INVALID_SBE_HEADER: ApiError = bad(
    -1152,
    "Invalid `X-MBX-SBE` header; expected `<SCHEMA_ID>:<VERSION>`.",
);
pub(super) const UNSUPPORTED_SCHEMA: ApiError = bad(
    -1153,
    "Unsupported SBE schema ID or version specified in the `X-MBX-SBE` header.",
);
pub(super) const INVALID_TIME_UNIT: ApiError = bad(
    -1194,
    "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.",
);
pub(super) const STATUS_MISMATCH: ApiError = bad(
    -1220,
    "The symbol's status does not match the requested symbolStatus.",
);
pub(super) const STALE: ApiError = ApiError::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    -1008,
    "What was asked for is stale or has not begun: its feed is being awaited. Try again.",
);
pub(super) const OVERLOADED: ApiError = ApiError::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    -1008,
    "Server is currently overloaded with other requests. Please try again in a few minutes.",
);
pub(super) const NOT_FOUND: ApiError = ApiError::fixed(
    StatusCode::NOT_FOUND,
    -1000,
    "No such path. WebSocket streams are at /ws and /stream, SBE under /sbe, REST under /api/v3.",
);
pub(super) const METHOD: ApiError =
    ApiError::fixed(StatusCode::METHOD_NOT_ALLOWED, -1000, "Use GET, HEAD or OPTIONS.");
