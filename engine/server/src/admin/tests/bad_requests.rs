//! Requests that are refused: status, code and message of each.

use hyper::{Method, StatusCode};

use super::json;
use crate::admin::scripted::{NOON_US, Scripted};

/// Bad requests: code, message, and targets behind `/api/v3`.
const BAD_REQUESTS: &[(i32, &str, &[&str])] = &[
    (
        -1101,
        "Too many parameters; expected '0' and received '1'.",
        &["/ping?x=1"],
    ),
    (
        -1101,
        "Too many parameters; expected '0' and received '2'.",
        &["/time?a=1&b=2"],
    ),
    (
        -1102,
        "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        &[
            "/depth",
            "/depth?limit=5",
            "/trades?limit=5",
            "/klines",
            "/klines?interval=1m",
            "/avgPrice",
        ],
    ),
    (
        -1105,
        "Parameter 'symbol' was empty.",
        &["/depth?symbol=", "/depth?symbol"],
    ),
    (
        -1100,
        r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.",
        &[
            "/depth?symbol=btcusdt",
            "/depth?symbol=BTC/USDT",
            "/depth?symbol=BTC%zzUSDT",
            "/depth?symbol=%00%ff",
            "/depth?symbol=AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEEF",
        ],
    ),
    (
        -1121,
        "Invalid symbol.",
        &[
            "/depth?symbol=AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEE",
            "/depth?symbol=%E5%B8%81USDT",
            "/depth?symbol=NOSUCH",
            "/depth?symbol=NOSUCH&symbolStatus=HALT",
            "/klines?symbol=XXX&interval=1",
            "/klines?symbol=XXX&interval=1m",
            "/avgPrice?symbol=XXX",
            "/ticker/24hr?symbol=XXX",
            "/ticker/bookTicker?symbols=[%22BTCUSDT%22,%22XXX%22]",
            "/ticker/24hr?symbols=[%22XXX%22]&symbolStatus=BREAK",
            "/exchangeInfo?symbol=XXX",
            "/exchangeInfo?symbols=[%22BTCUSDT%22,%22XXX%22]",
        ],
    ),
    (
        -1101,
        "Duplicate values for parameter 'symbol'.",
        &["/depth?symbol=BTCUSDT&symbol=BTCUSDT"],
    ),
    (
        -1101,
        "Duplicate values for parameter 'symbols[]'.",
        &["/depth?symbols[]=A&symbols[]=B"],
    ),
    (
        -1130,
        "Data sent for parameter 'limit' is not valid.",
        &["/depth?symbol=BTCUSDT&limit=0", "/trades?symbol=BTCUSDT&limit=0"],
    ),
    (
        -1105,
        "Parameter 'limit' was empty.",
        &["/depth?symbol=BTCUSDT&limit="],
    ),
    (
        -1100,
        "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        &[
            "/depth?symbol=BTCUSDT&limit=-5",
            "/depth?symbol=BTCUSDT&limit=1.5",
            "/depth?symbol=BTCUSDT&limit=None",
            "/depth?symbol=BTCUSDT&limit=999999999999999999999",
        ],
    ),
    (
        -1104,
        "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
        &[
            "/depth?symbol=BTCUSDT&foo=1",
            "/trades?symbol=BTCUSDT&fromId=5",
            "/avgPrice?symbol=BTCUSDT&limit=5",
            "/ticker/price?symbol=BTCUSDT&type=MINI",
        ],
    ),
    (
        -1104,
        "Not all sent parameters were read; read '2' parameter(s) but was sent '4'.",
        &["/depth?symbol=NOSUCH&limit=5&foo=1&bar=2"],
    ),
    (
        -1220,
        "The symbol's status does not match the requested symbolStatus.",
        &[
            "/depth?symbol=BTCUSDT&symbolStatus=HALT",
            "/ticker/bookTicker?symbol=BTCUSDT&symbolStatus=BREAK",
        ],
    ),
    (
        -1122,
        "Invalid symbolStatus.",
        &[
            "/depth?symbol=BTCUSDT&symbolStatus=halt",
            "/exchangeInfo?symbolStatus=END",
        ],
    ),
    (
        -1100,
        "Illegal characters found in parameter 'fromId'; legal range is '^[0-9]{1,20}$'.",
        &["/historicalTrades?symbol=BTCUSDT&fromId=-1"],
    ),
    (
        -1108,
        "Parameter 'fromId' overflowed.",
        &["/historicalTrades?symbol=BTCUSDT&fromId=99999999999999999999"],
    ),
    (
        -1128,
        "Combination of optional parameters invalid.",
        &[
            "/aggTrades?symbol=BTCUSDT&fromId=1&startTime=2",
            "/aggTrades?symbol=BTCUSDT&fromId=1&endTime=2",
            "/ticker/price?symbol=BTCUSDT&symbols=[%22ETHUSDT%22]",
            "/exchangeInfo?symbol=BTCUSDT&permissions=SPOT",
            "/exchangeInfo?symbols=[%22BTCUSDT%22]&symbolStatus=TRADING",
            "/exchangeInfo?symbol=BTCUSDT&symbols=[%22BTCUSDT%22]",
        ],
    ),
    (
        -1100,
        "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
        &["/aggTrades?symbol=BTCUSDT&startTime=now"],
    ),
    (
        -1108,
        "Parameter 'endTime' overflowed.",
        &["/aggTrades?symbol=BTCUSDT&endTime=9223372036854775808"],
    ),
    (
        -1102,
        "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.",
        &["/uiKlines?symbol=BTCUSDT"],
    ),
    (
        -1105,
        "Parameter 'interval' was empty.",
        &["/klines?symbol=BTCUSDT&interval="],
    ),
    (
        -1120,
        "Invalid interval.",
        &[
            "/klines?symbol=BTCUSDT&interval=1",
            "/klines?symbol=BTCUSDT&interval=1H",
        ],
    ),
    (
        -1130,
        "Data sent for parameter 'timeZone' is not valid.",
        &["/klines?symbol=BTCUSDT&interval=1m&timeZone=15"],
    ),
    (
        -1105,
        "Parameter 'timeZone' was empty.",
        &["/klines?symbol=BTCUSDT&interval=1m&timeZone="],
    ),
    (
        -1139,
        "Invalid ticker type.",
        &["/ticker/24hr?symbol=BTCUSDT&type=full"],
    ),
    (
        -1100,
        r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#,
        &[
            "/ticker/price?symbols=BTCUSDT",
            "/ticker/price?symbols=[%22BTCUSDT%22,%20%22ETHUSDT%22]",
            "/ticker/price?symbols=[%22btcusdt%22]",
        ],
    ),
    (
        -1105,
        "Parameter 'symbols' was empty.",
        &["/ticker/price?symbols=[]"],
    ),
    (
        -1151,
        "Symbol is present multiple times in the list.",
        &["/ticker/bookTicker?symbols=[%22BTCUSDT%22,%22BTCUSDT%22]"],
    ),
    (
        -1130,
        "Data sent for parameter 'permissions' is not valid.",
        &["/exchangeInfo?permissions=spot", "/exchangeInfo?permissions=[]"],
    ),
    (
        -1130,
        "Data sent for parameter 'showPermissionSets' is not valid.",
        &["/exchangeInfo?showPermissionSets=1"],
    ),
    (
        -1104,
        "Not all sent parameters were read; read '0' parameter(s) but was sent '1'.",
        &["/exchangeInfo?limit=1"],
    ),
];

#[test]
fn bad_requests_are_answered_with_their_codes_and_messages() {
    let market = Scripted::start();
    let all = BAD_REQUESTS.iter();
    for (code, message, target) in
        all.flat_map(|(code, message, targets)| targets.iter().map(move |target| (code, message, target)))
    {
        let seen = market.get(&format!("/api/v3{target}"));
        let body = json(&seen);
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{target}: {body}");
        assert_eq!(body["code"].as_i64(), Some(i64::from(*code)), "{target}: {body}");
        assert_eq!(body["msg"].as_str(), Some(*message), "{target}");
    }
    let many: String = (0..33).map(|n| format!("p{n}=1&")).collect();
    let seen = market.get(&format!("/api/v3/ping?{many}"));
    assert_eq!(
        seen.text(),
        r#"{"code":-1101,"msg":"Too many parameters sent for this endpoint."}"#
    );
    for target in [
        "/",
        "/api/v3",
        "/api/v3/",
        "/api/v3/nothing",
        "/api/v3/depth/",
        "/api/v1/ping",
        "/API/V3/ping",
    ] {
        let seen = market.get(target);
        assert_eq!(
            (seen.status, &json(&seen)["code"]),
            (StatusCode::NOT_FOUND, &(-1000).into())
        );
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let seen = market.ask(method, "/api/v3/ping", &[], "192.0.2.1", NOON_US);
        assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(seen.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let unit = [("x-mbx-time-unit", "NANOSECOND")];
    let seen = market.ask(Method::GET, "/api/v3/time", &unit, "192.0.2.1", NOON_US);
    assert_eq!(
        seen.text(),
        r#"{"code":-1194,"msg":"Invalid value for time unit; expected either MICROSECOND or MILLISECOND."}"#
    );
}
