//! Who asks too much.

use crate::calm_market;
use crate::client::Client;

#[test]
fn an_address_has_its_weight_over_all_its_connections() {
    let engine = calm_market(|settings| {
        settings.weight_per_ip = Some(1000);
        settings.weight_loopback = Some(true);
    });
    let mut refused = 0;
    // A minute may end in between, so that it takes twice as many.
    for _ in 0..60 {
        let mut client = Client::connect(engine.address());
        let seen = client.get("/api/v3/depth?symbol=BTCUSDT&limit=1000");
        match seen.status {
            200 => assert!(seen.number("x-mbx-used-weight-1m") <= 1000),
            429 => {
                refused += 1;
                assert!(seen.number("x-mbx-used-weight-1m") > 1000);
                assert!((1..=60).contains(&seen.number("retry-after")));
                assert_eq!(
                    seen.text(),
                    r#"{"code":-1003,"msg":"Too much request weight used; current limit is 1000 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."}"#
                );
            }
            418 => {
                assert!(refused >= 10);
                assert!((1..=120).contains(&seen.number("retry-after")));
                let body = seen.json();
                assert_eq!(body["code"], -1003);
                let message = body["msg"].as_str().expect("a message");
                assert!(
                    message.starts_with("Way too much request weight used; IP banned until 1"),
                    "{message}"
                );
                // Whatever is asked for.
                for (method, target) in [
                    ("GET", "/api/v3/ping"),
                    ("HEAD", "/api/v3/time"),
                    ("OPTIONS", "/"),
                ] {
                    assert_eq!(client.ask(method, target, "").status, 418);
                }
                return;
            }
            status => panic!("{status}"),
        }
    }
    panic!("{refused} refusals and no ban");
}

#[test]
fn loopback_is_counted_and_not_limited() {
    let engine = calm_market(|settings| settings.weight_per_ip = Some(10));
    let mut client = Client::connect(engine.address());
    let mut most = 0;
    for _ in 0..30 {
        let seen = client.get("/api/v3/depth?symbol=BTCUSDT");
        assert_eq!(seen.status, 200);
        most = most.max(seen.number("x-mbx-used-weight"));
    }
    assert!(most >= 50, "{most}");
}
