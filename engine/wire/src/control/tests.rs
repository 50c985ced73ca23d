//! Requests as clients send them, refusals as the exchange words them, and replies byte for byte.

use proptest::prelude::*;

use super::*;

fn request(text: &str) -> Request {
    parse_request(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The reply to a request that must be refused.
fn refusal(text: &str) -> String {
    reply(|out| write_error(out, &parse_request(text).unwrap_err()))
}

fn reply(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

#[test]
fn every_method_is_read() {
    let names = vec![name("btcusdt@depth@100ms"), name("ethusdt@trade")];
    let text = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","ethusdt@trade"],"id":1}"#;
    assert_eq!(
        request(text),
        Request {
            id: RequestId::Number(1),
            method: Method::Subscribe(names.clone())
        }
    );
    let text = r#"{"id":2,"params":["btcusdt@depth@100ms","ethusdt\u0040trade"],"method":"UNSUBSCRIBE"}"#;
    assert_eq!(request(text).method, Method::Unsubscribe(names));
    for text in [
        r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","params":[],"id":3}"#,
        r#"{"method":"LIST_SUBSCRIPTIONS","params":null,"id":3}"#,
    ] {
        assert_eq!(request(text).method, Method::ListSubscriptions);
    }
    for combined in [true, false] {
        let text = format!(r#"{{"method":"SET_PROPERTY","params":["combined",{combined}],"id":5}}"#);
        assert_eq!(request(&text).method, Method::SetProperty { combined });
    }
    let text = r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#;
    assert_eq!(request(text).method, Method::GetProperty);
}

#[test]
fn nothing_to_subscribe_to_is_a_request_still() {
    let text = r#"{"method":"SUBSCRIBE","params":[],"id":1}"#;
    assert_eq!(request(text).method, Method::Subscribe(vec![]));
}

#[test]
fn unknown_keys_are_ignored_whatever_they_hold() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = format!(r#" {{"x":{deep},"method":"LIST_SUBSCRIPTIONS","y":{{"id":9}},"id":-4}} "#);
    assert_eq!(request(&text).id, RequestId::Number(-4));
}

#[test]
fn ids_come_back_with_the_type_they_had() {
    let longest = "a".repeat(REQUEST_ID_LEN_MAX);
    for (id, read, back) in [
        ("1", RequestId::Number(1), "1"),
        (
            "-9223372036854775808",
            RequestId::Number(i64::MIN),
            "-9223372036854775808",
        ),
        (
            "9223372036854775807",
            RequestId::Number(i64::MAX),
            "9223372036854775807",
        ),
        ("\"1\"", RequestId::Text("1".into()), "\"1\""),
        (
            "\"187d3cb2-942d-484c-8271-4e2141bbadb1\"",
            RequestId::Text("187d3cb2-942d-484c-8271-4e2141bbadb1".into()),
            "\"187d3cb2-942d-484c-8271-4e2141bbadb1\"",
        ),
        (
            &format!("\"{longest}\""),
            RequestId::Text(longest.clone().into()),
            &format!("\"{longest}\""),
        ),
        ("null", RequestId::Null, "null"),
    ] {
        let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
        let id = request(&text).id;
        assert_eq!(id, read);
        assert_eq!(
            reply(|out| write_ok(out, &id)),
            format!(r#"{{"result":null,"id":{back}}}"#)
        );
    }
    assert_eq!(request(r#"{"method":"LIST_SUBSCRIPTIONS"}"#).id, RequestId::Null);
}

#[test]
fn a_bad_id_is_refused_and_not_echoed() {
    let long = format!("\"{}\"", "a".repeat(REQUEST_ID_LEN_MAX + 1));
    for id in [
        "1.5",
        "9223372036854775808",
        "true",
        "[1]",
        "{\"a\":1}",
        "\"a b\"",
        "\"é\"",
        "\"a_b\"",
        &long,
    ] {
        let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
        assert_eq!(
            refusal(&text),
            r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer","id":null}"#,
            "{id}"
        );
    }
}

#[test]
fn properties_are_checked_in_order_name_then_value() {
    for (method, params, code, message) in [
        ("SET_PROPERTY", r#"["combine",true]"#, 0, "Unknown property"),
        ("GET_PROPERTY", r#"["x"]"#, 0, "Unknown property"),
        ("SET_PROPERTY", r#"["x",1]"#, 0, "Unknown property"),
        (
            "SET_PROPERTY",
            r#"["combined",1]"#,
            1,
            "Invalid value type: expected Boolean",
        ),
        (
            "SET_PROPERTY",
            r#"["combined","true"]"#,
            1,
            "Invalid value type: expected Boolean",
        ),
        (
            "SET_PROPERTY",
            r#"["combined"]"#,
            1,
            "Invalid value type: expected Boolean",
        ),
        (
            "SET_PROPERTY",
            r#"[true,"combined"]"#,
            2,
            "Invalid request: property name must be a string",
        ),
        (
            "SET_PROPERTY",
            "[]",
            2,
            "Invalid request: property name must be a string",
        ),
        (
            "GET_PROPERTY",
            "[null]",
            2,
            "Invalid request: property name must be a string",
        ),
        (
            "SET_PROPERTY",
            r#"["combined",true,1]"#,
            2,
            "Invalid request: too many parameters",
        ),
        (
            "GET_PROPERTY",
            r#"["combined",true]"#,
            2,
            "Invalid request: too many parameters",
        ),
        (
            "LIST_SUBSCRIPTIONS",
            r#"["a@depth"]"#,
            2,
            "Invalid request: too many parameters",
        ),
    ] {
        let text = format!(r#"{{"method":"{method}","params":{params},"id":"q-1"}}"#);
        let expected = format!(r#"{{"code":{code},"msg":"{message}","id":"q-1"}}"#);
        assert_eq!(refusal(&text), expected, "{text}");
    }
}

#[test]
fn what_is_json_but_no_request_is_named() {
    for (text, message) in [
        (r#"{"id":7}"#, "missing field `method` at line 1 column 8"),
        (r#"{"method":null,"id":7}"#, "method must be a string"),
        (r#"{"method":["SUBSCRIBE"],"id":7}"#, "method must be a string"),
        (
            r#"{"method":"SUBSCRIBE","id":7}"#,
            "missing field `params` at line 1 column 29",
        ),
        (
            "{\"method\":\"GET_PROPERTY\",\n\"id\":7}",
            "missing field `params` at line 2 column 7",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":"a@depth","id":7}"#,
            "params must be an array",
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","params":"a@depth","id":7}"#,
            "params must be an array",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":null,"id":7}"#,
            "params must be an array",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":{"a":1},"id":7}"#,
            "params must be an array",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["a@depth",1],"id":7}"#,
            "stream names must be strings",
        ),
        (
            r#"{"method":"UNSUBSCRIBE","params":[["a@depth"]],"id":7}"#,
            "stream names must be strings",
        ),
    ] {
        let expected = format!(r#"{{"code":2,"msg":"Invalid request: {message}","id":7}}"#);
        assert_eq!(refusal(text), expected);
    }
    assert_eq!(
        refusal(r#"{"method":"subscribe","id":7}"#),
        "{\"code\":2,\"msg\":\"Invalid request: unknown variant `subscribe`, expected one of `SUBSCRIBE`, \
         `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 21\",\"id\":7}"
    );
    for text in [
        "[]",
        "1",
        "null",
        "\"SUBSCRIBE\"",
        "[{\"method\":\"LIST_SUBSCRIPTIONS\"}]",
    ] {
        assert_eq!(
            refusal(text),
            r#"{"code":2,"msg":"Invalid request: a request is a JSON object","id":null}"#
        );
    }
}

#[test]
fn a_malformed_name_is_named_with_the_reason() {
    assert_eq!(
        refusal(r#"{"method":"SUBSCRIBE","params":["a@depth","btcusdt@depth@33ms"],"id":7}"#),
        "{\"code\":2,\"msg\":\"Invalid request: stream `btcusdt@depth@33ms`: unknown cadence \\\"33ms\\\": expected \
         0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms\",\"id\":7}"
    );
    // A name that tries to break out of the reply, and one that tries to make it long.
    let text = refusal(r#"{"method":"SUBSCRIBE","params":["\"},{\n\u0000\\"],"id":7}"#);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["code"], 2);
    let long = format!(
        r#"{{"method":"SUBSCRIBE","params":["{}"],"id":7}}"#,
        "x".repeat(100_000)
    );
    assert!(refusal(&long).len() < 300);
}

#[test]
fn params_are_counted_past_their_bound_but_not_kept() {
    let of = |n: usize| {
        let params = vec!["\"a@depth\""; n].join(",");
        format!(r#"{{"method":"SUBSCRIBE","params":[{params}],"id":7}}"#)
    };
    let Method::Subscribe(names) = request(&of(REQUEST_PARAMS_MAX)).method else {
        panic!("another method");
    };
    assert_eq!(names.len(), REQUEST_PARAMS_MAX);
    assert_eq!(
        refusal(&of(REQUEST_PARAMS_MAX + 1)),
        r#"{"code":2,"msg":"Invalid request: too many parameters","id":7}"#
    );
    let parts: Parts<'_> = serde_json::from_str(r#"{"params":[[[1]],{"a":[2]},null,1.5]}"#).unwrap();
    assert!(matches!(parts.params, Some(Params::Array { count: 4, .. })));
}

#[test]
fn what_is_no_json_is_refused_with_line_and_column() {
    for (text, place) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            "{\"method\":\n\"SUBSCRIBE\",}",
            "trailing comma at line 2 column 13",
        ),
        ("{\"method\":SUBSCRIBE}", "expected value at line 1 column 11"),
        (
            "{\"id\":5,\"method\"",
            "EOF while parsing an object at line 1 column 16",
        ),
        ("{} {}", "trailing characters at line 1 column 4"),
    ] {
        let expected = format!(r#"{{"code":3,"msg":"Invalid JSON: {place}","id":null}}"#);
        assert_eq!(refusal(text), expected);
    }
    for text in ["{\"id\":01}", "ping", "{\"id\":\"\\ud800\"}", "{\"id\":1e999}"] {
        assert!(refusal(text).starts_with(r#"{"code":3,"#), "{text}");
    }
}

#[test]
fn replies_are_exact() {
    let one = RequestId::Number(1);
    assert_eq!(reply(|out| write_ok(out, &one)), r#"{"result":null,"id":1}"#);
    assert_eq!(reply(|out| write_list(out, &one, [])), r#"{"result":[],"id":1}"#);
    let names = [name("btcusdt@depth"), name("BTCUSDT@depth20@100ms")];
    assert_eq!(
        reply(|out| write_list(out, &RequestId::Number(3), names)),
        r#"{"result":["btcusdt@depth","BTCUSDT@depth20@100ms"],"id":3}"#
    );
    assert_eq!(
        reply(|out| write_bool(out, &RequestId::Text("a-1".into()), true)),
        r#"{"result":true,"id":"a-1"}"#
    );
    assert_eq!(
        reply(|out| write_bool(out, &RequestId::Null, false)),
        r#"{"result":false,"id":null}"#
    );
}

/// Texts that are near to requests: JSON of the right keys with values of all kinds.
fn near_request() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "\"SUBSCRIBE\"",
        "\"GET_PROPERTY\"",
        "\"SET_PROPERTY\"",
        "\"combined\"",
        "[\"combined\",true]",
        "[\"a@depth\"]",
        "[[],{}]",
        "[]",
        "{}",
        "\"a\"",
        "[",
        "\"",
    ]);
    let key = prop::sample::select(vec!["method", "params", "id", "other"]);
    prop::collection::vec((key, value), 0..6).prop_map(|fields| {
        let fields: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #[test]
    fn any_text_never_panics_and_every_refusal_is_json(text in prop_oneof![any::<String>(), near_request()]) {
        if let Err(error) = parse_request(&text) {
            let reply = reply(|out| write_error(out, &error));
            let value: serde_json::Value = serde_json::from_str(&reply).unwrap();
            prop_assert_eq!(value["code"].as_u64(), Some(error.code as u64));
            prop_assert_eq!(value["msg"].as_str(), Some(error.message.as_str()));
        }
    }

    #[test]
    fn any_message_is_escaped_so_that_it_reads_back(message in any::<String>(), id in any::<String>()) {
        let error = RequestError {
            code: RequestErrorCode::InvalidRequest,
            message: message.clone(),
            id: RequestId::Text(id.clone().into()),
        };
        let reply = reply(|out| write_error(out, &error));
        let value: serde_json::Value = serde_json::from_str(&reply).unwrap();
        prop_assert_eq!(value["msg"].as_str(), Some(message.as_str()));
        prop_assert_eq!(value["id"].as_str(), Some(id.as_str()));
    }
}
