//! The recorded market in SBE, read by a decoder that others wrote from the public schema.

pub mod common;

use common::market::{capture, folder};
use common::python::run_client;
use common::raw::{settings, start};

#[test]
fn a_decoder_of_others_reads_every_event_as_it_was_recorded() {
    let schema = folder().join("../schemas/stream_1_0.xml");
    assert!(
        schema.is_file(),
        "{} is missing: the folder `schemas` with the public schema has to stand beside that of the captures",
        schema.display()
    );
    let engine = start(settings(&capture(), "speed=max&start=1"));
    let url = format!("ws://{}/sbe", engine.address());
    let names = ["trade", "bestBidAsk", "depth20", "depth"].map(|name| format!("btcusdt@{name}"));
    let (capture, schema) = (capture().display().to_string(), schema.display().to_string());
    let mut arguments = vec![url.as_str(), &capture, &schema];
    arguments.extend(names.iter().map(String::as_str));
    let counts = run_client("sbe_peer.py", &arguments);
    assert_eq!(counts, "10000:9757 10001:28040 10002:3449 10003:3449\n");
}
