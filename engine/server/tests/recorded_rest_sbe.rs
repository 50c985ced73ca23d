//! REST's answers in SBE of the recorded market, read by the public schema and held against the answers in JSON.

pub mod common;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::market::{capture, folder, recorded};
use common::python::run_client;
use common::raw::{http_get, settings, start};

/// How long a replay at full speed may take.
const IN_TIME: Duration = Duration::from_secs(60);

#[test]
fn every_answer_in_sbe_says_what_the_one_in_json_says() {
    let schema = folder().join("../schemas/spot_3_4.xml");
    assert!(
        schema.is_file(),
        "{} is missing: the folder `schemas` with the public schema has to stand beside that of the captures",
        schema.display()
    );
    let engine = start(settings(&capture(), "speed=max&end=hold"));
    // From its end on the market stands still.
    let last_depth = format!(r#"{{"lastUpdateId":{},"#, recorded().final_id());
    let last_trade = common::expected::trades().last().expect("there are trades").id;
    let last_trade = format!(r#"[{{"id":{last_trade},"#);
    let deadline = Instant::now() + IN_TIME;
    for (target, ending) in [
        ("/api/v3/depth?symbol=BTCUSDT&limit=1", last_depth),
        ("/api/v3/trades?symbol=BTCUSDT&limit=1", last_trade),
    ] {
        while !http_get(engine.address(), target).1.starts_with(&ending) {
            assert!(Instant::now() < deadline, "the market goes on and on");
            sleep(Duration::from_millis(20));
        }
    }
    let base = format!("http://{}", engine.address());
    let said = run_client("sbe_rest.py", &[&base, &schema.display().to_string(), "BTCUSDT"]);
    let answers: Vec<&str> = said.lines().collect();
    assert_eq!((answers.len(), answers.last()), (26, Some(&"ok")), "{said}");
}
