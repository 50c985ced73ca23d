//! What a subscriber shows of what it receives, and the list of symbols.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use depthcast_client::tap::Received;
use depthcast_client::{Event, Subscriber, rest};
use depthcast_wire::target::Format;
use depthcast_wire::ws::CloseCode;

use crate::server::{Depth, Server, script};
use crate::until;

/// What was received, in short.
fn text(received: Received<'_>) -> String {
    match received {
        Received::Depth {
            update,
            is_first_of_connection,
            ..
        } => {
            let first = if is_first_of_connection { " first" } else { "" };
            format!("depth {}-{}{first}", update.first_id, update.last_id)
        }
        Received::BestBidAsk(best) => format!("best {}", best.update_id),
        Received::Trade(trade) => format!("trade {}", trade.id),
        Received::Snapshot { snapshot, .. } => format!("snapshot {}", snapshot.last_id),
    }
}

#[test]
fn everything_received_is_shown_in_its_order() {
    for format in [Format::Json, Format::Sbe] {
        let server = Server::start(
            &[Depth::Book(8), Depth::Book(24)],
            vec![
                script(|peer| {
                    peer.update(10, 19, 90, 120);
                    peer.await_depths(2);
                    peer.update(20, 29, 101, 110);
                    peer.quote_and_trades(30);
                    peer.close(CloseCode::SERVICE_RESTART, "again");
                }),
                script(|peer| {
                    peer.update(20, 39, 102, 109);
                    peer.update(40, 40, 103, 108);
                    peer.next_from_subscriber();
                }),
            ],
        );
        let mut options = server.options(format);
        options.reconnect = true;
        let mut subscriber = Subscriber::connect(options).unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let tap = shown.clone();
        subscriber.set_tap(Box::new(move |received_us, instrument, received| {
            assert!(received_us > 0);
            assert_eq!(instrument.name(), "BTCUSDT");
            tap.lock().unwrap().push(text(received));
        }));
        assert!(subscriber.is_connected());
        until(&mut subscriber, |subscriber, event| {
            let is_lost = matches!(event, Event::Reconnecting { .. });
            assert!(!is_lost || !subscriber.is_connected());
            is_lost.then_some(())
        })
        .unwrap();
        until(&mut subscriber, |subscriber, _| {
            (subscriber.book().last_id() == 40).then_some(())
        })
        .unwrap();
        subscriber.close();
        let mut shown = shown.lock().unwrap().clone();
        // When the snapshot of the second connection is asked for is a matter of time.
        shown.retain(|text| text != "snapshot 24");
        let all = [
            "depth 10-19 first",
            "snapshot 8",
            "depth 20-29",
            "trade 1",
            "trade 2",
            "best 30",
            "depth 20-39 first",
            "depth 40-40",
        ];
        assert_eq!(shown, all, "{format:?}");
    }
}

#[test]
fn the_servers_symbols_are_listed() {
    let server = Server::start(&[], Vec::new());
    let url = server.options(Format::Json).url;
    let symbols = rest::symbols(&url, Duration::from_secs(2)).unwrap();
    let names: Vec<&str> = symbols.iter().map(|symbol| symbol.as_str()).collect();
    assert_eq!(names, ["BTCUSDT", "ETHUSDT"]);
    let nowhere = "ws://127.0.0.1:1".parse().unwrap();
    let error = rest::symbols(&nowhere, Duration::from_secs(2)).unwrap_err();
    assert!(error.to_string().contains("got no answer"), "{error}");
}
