//! A server that does as its script says: REST answers from a list, and what each WebSocket connection is to see.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use depthcast_client::{SubscriberOptions, Url};
use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::http::{UpgradeRequest, parse_request, write_error, write_switching_protocols};
use depthcast_wire::stream::SymbolName;
use depthcast_wire::target::{Format, SubscriberTarget, TargetKind};
use depthcast_wire::ws::{Incoming, MessageReader, Opcode, Role, write_close, write_frame};
use depthcast_wire::{json, sbe};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one WebSocket connection sees.
pub(crate) struct Script {
    /// The number of the history that the upgrade's answer names, if any.
    epoch: Option<u64>,
    steps: Box<dyn FnOnce(&mut Peer) + Send>,
}

/// As the exchange itself would, without a numbered history.
pub(crate) fn script(steps: impl FnOnce(&mut Peer) + Send + 'static) -> Script {
    Script {
        epoch: None,
        steps: Box::new(steps),
    }
}

/// In the history of that number.
pub(crate) fn in_epoch(epoch: u64, steps: impl FnOnce(&mut Peer) + Send + 'static) -> Script {
    Script {
        epoch: Some(epoch),
        ..script(steps)
    }
}

/// An answer of the depth request.
#[derive(Clone)]
pub(crate) enum Depth {
    /// A book of one level a side as of this id.
    Book(u64),
    /// Another status, with this body.
    Status(u16, &'static str),
    /// 200 with this body.
    Body(&'static str),
}

#[derive(Default)]
struct Shared {
    scripts: VecDeque<Script>,
    /// The last one is given again and again.
    depths: VecDeque<Depth>,
    depths_asked: usize,
    targets: Vec<String>,
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// The first connection gets the first script; past the last one connections are refused with 503.
    pub(crate) fn start(depths: &[Depth], scripts: Vec<Script>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("the port's address");
        let shared = Arc::new((
            Mutex::new(Shared {
                scripts: scripts.into(),
                depths: depths.iter().cloned().collect(),
                ..Shared::default()
            }),
            Condvar::new(),
        ));
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = std::thread::spawn({
            let (shared, stopping) = (shared.clone(), stopping.clone());
            move || {
                let mut connections = Vec::new();
                for stream in listener.incoming() {
                    if stopping.load(Ordering::Acquire) {
                        break;
                    }
                    let shared = shared.clone();
                    connections.push(std::thread::spawn(move || {
                        serve(stream.expect("a connection"), &shared);
                    }));
                }
                let failed = connections
                    .into_iter()
                    .filter_map(|thread| thread.join().err())
                    .count();
                assert_eq!(failed, 0, "scripts that did not see what they expected");
            }
        });
        Server {
            address,
            shared,
            stopping,
            acceptor: Some(acceptor),
        }
    }

    /// What a subscriber needs, impatient enough for tests.
    pub(crate) fn options(&self, format: Format) -> SubscriberOptions {
        let url: Url = format!("ws://{}", self.address).parse().expect("a URL");
        let mut options = SubscriberOptions::new(url, SymbolName::new("btcusdt").expect("a symbol"));
        options.format = format;
        options.best_bid_ask = true;
        options.trades = true;
        options.reconnect = false;
        let timing = &mut options.timing;
        timing.first_update_max = Duration::from_millis(150);
        timing.snapshot_max = Duration::from_millis(500);
        timing.silence_max = Duration::from_millis(800);
        timing.reconnect_delay_base = Duration::from_millis(20);
        timing.reconnect_delay_cap = Duration::from_millis(80);
        options
    }

    pub(crate) fn depths_asked(&self) -> usize {
        self.shared.0.lock().expect("the state").depths_asked
    }

    /// The request targets of the WebSocket connections.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.shared.0.lock().expect("the state").targets.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        let ended = self.acceptor.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "a script failed: see its message");
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Arc<(Mutex<Shared>, Condvar)>) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut head = Vec::new();
    let mut answer = Vec::new();
    let (target, upgrade) = loop {
        if let Some(request) = parse_request(&head).expect("a request") {
            break (request.target.to_owned(), request.upgrade());
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(read_len @ 1..) => head.extend_from_slice(&chunk[..read_len]),
            // Nothing was asked: a test that ends.
            _ => return,
        }
    };
    let mut state = shared.0.lock().expect("the state");
    if let UpgradeRequest::Valid { accept_key } = upgrade {
        state.targets.push(target.clone());
        match state.scripts.pop_front() {
            None => write_error(&mut answer, 503, "Service Unavailable", &[], "full"),
            Some(script) => {
                drop(state);
                let epoch = script.epoch.map(|epoch| epoch.to_string());
                let header = epoch.as_deref().map(|epoch| ("Depthcast-Epoch", epoch));
                write_switching_protocols(&mut answer, &accept_key, header.as_slice());
                stream.write_all(&answer).expect("an upgrade");
                let mut peer = Peer::new(stream, shared.clone(), &target);
                (script.steps)(&mut peer);
                peer.hang_up();
                return;
            }
        }
    } else if target.starts_with("/api/v3/exchangeInfo?symbol=BTCUSDT") {
        let body = r#"{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","filters":[
            {"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"9","tickSize":"0.01000000"},
            {"filterType":"LOT_SIZE","minQty":"0.00001","maxQty":"9","stepSize":"0.00001000"}]}]}"#;
        write_error(&mut answer, 200, "OK", &[], body);
    } else if target == "/api/v3/exchangeInfo" {
        let body = r#"{"symbols":[{"symbol":"BTCUSDT"},{"symbol":"no/name"},{"symbol":"ETHUSDT"}]}"#;
        write_error(&mut answer, 200, "OK", &[], body);
    } else if target == "/api/v3/depth?symbol=BTCUSDT&limit=5000" {
        let depth = if state.depths.len() > 1 {
            state.depths.pop_front()
        } else {
            state.depths.front().cloned()
        };
        match depth.expect("an answer") {
            Depth::Book(last_id) => {
                let mut body = Vec::new();
                json::encode::partial_depth(&mut body, &instrument(), &book(last_id));
                let body = String::from_utf8(body).expect("JSON");
                write_error(&mut answer, 200, "OK", &[], &body);
            }
            Depth::Status(status, body) => write_error(&mut answer, status, "No", &[], body),
            Depth::Body(body) => write_error(&mut answer, 200, "OK", &[], body),
        }
        state.depths_asked += 1;
        shared.1.notify_all();
    } else {
        let body = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
        write_error(&mut answer, 400, "Bad Request", &[], body);
    }
    // The subscriber may have left.
    let _ = stream.write_all(&answer);
}

/// The server's end of one WebSocket.
pub(crate) struct Peer {
    stream: TcpStream,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    format: Format,
    reader: MessageReader,
    /// Control requests that were answered.
    requests: usize,
}

impl Peer {
    fn new(stream: TcpStream, shared: Arc<(Mutex<Shared>, Condvar)>, target: &str) -> Peer {
        let Ok(TargetKind::Subscriber(asked)) = SubscriberTarget::parse(target) else {
            panic!("{target} is no subscriber's target");
        };
        Peer {
            stream,
            shared,
            format: asked.format,
            reader: MessageReader::new(Role::Server, 1024),
            requests: 0,
        }
    }

    /// Ends the connection without a Close. A socket that is dropped with unread requests in it is reset, and a reset may
    /// overtake what was sent.
    fn hang_up(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.stream.read_to_end(&mut Vec::new());
    }

    /// How many control requests it has answered while it looked for what comes next.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// Waits until the depth request has been answered `count` times in all.
    pub(crate) fn await_depths(&self, count: usize) {
        let state = self.shared.0.lock().expect("the state");
        let asked = self
            .shared
            .1
            .wait_timeout_while(state, PATIENCE, |state| state.depths_asked < count);
        let (state, _) = asked.expect("the state");
        assert!(
            state.depths_asked >= count,
            "{} requests, not {count}",
            state.depths_asked
        );
    }

    /// An update of ids `first_id` to `last_id` that sets the best bid and ask, in hundredths.
    pub(crate) fn update(&mut self, first_id: u64, last_id: u64, bid: i64, ask: i64) {
        let update = DepthUpdate {
            event_time_us: now_us(),
            first_id,
            last_id,
            bids: levels(bid),
            asks: levels(ask),
        };
        let mut payload = Vec::new();
        match self.format {
            Format::Json => {
                json::encode::depth_update(&mut payload, &instrument(), MICROSECOND, &update);
            }
            Format::Sbe => {
                sbe::encode::depth_diff(&mut payload, &instrument(), &update).expect("SBE");
            }
        }
        self.market_data(&payload);
    }

    /// The whole book, of one level a side, as a server sends it that cannot resume; in hundredths.
    pub(crate) fn whole_book(&mut self, epoch: u64, last_id: u64, bid: i64, ask: i64) {
        let snapshot = BookSnapshot {
            last_id,
            bids: levels(bid),
            asks: levels(ask),
        };
        let mut payload = Vec::new();
        match self.format {
            Format::Json => json::encode::depth_snapshot(
                &mut payload,
                &instrument(),
                MICROSECOND,
                now_us(),
                epoch,
                &snapshot,
            ),
            Format::Sbe => {
                sbe::encode::depth_snapshot(&mut payload, &instrument(), now_us(), &snapshot).expect("SBE");
            }
        }
        self.market_data(&payload);
    }

    /// A best bid/ask and two trades.
    pub(crate) fn quote_and_trades(&mut self, update_id: u64) {
        let best = BestBidAsk {
            event_time_us: None,
            update_id,
            bid: levels(100)[0],
            ask: levels(102)[0],
        };
        let trade = |id| Trade {
            event_time_us: now_us(),
            trade_time_us: now_us(),
            id,
            price: 101_000_000,
            qty: 1_000,
            is_buyer_maker: true,
            is_best_match: true,
            aggregate: None,
        };
        let (mut quote, mut trades) = (Vec::new(), Vec::new());
        match self.format {
            Format::Json => {
                json::encode::book_ticker(&mut quote, &instrument(), &best);
                json::encode::trade(&mut trades, &instrument(), MICROSECOND, &trade(1));
                self.market_data(&trades);
                trades.clear();
                json::encode::trade(&mut trades, &instrument(), MICROSECOND, &trade(2));
            }
            Format::Sbe => {
                sbe::encode::best_bid_ask(&mut quote, &instrument(), now_us(), &best).expect("SBE");
                sbe::encode::trades(&mut trades, &instrument(), &[trade(1), trade(2)]).expect("SBE");
            }
        }
        self.market_data(&trades);
        self.market_data(&quote);
    }

    fn market_data(&mut self, payload: &[u8]) {
        let opcode = match self.format {
            Format::Json => Opcode::Text,
            Format::Sbe => Opcode::Binary,
        };
        self.frame(opcode, payload);
    }

    pub(crate) fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        write_frame(&mut frame, opcode, payload, None);
        self.bytes(&frame);
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let mut frame = Vec::new();
        write_close(&mut frame, code, reason, None);
        self.bytes(&frame);
    }

    /// Sends what no server should. The subscriber may have left already.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// What the subscriber sends next, as a word and what belongs to it; "gone" when it has left.
    pub(crate) fn next_from_subscriber(&mut self) -> String {
        loop {
            // One byte at a time: a message may end anywhere.
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(1) => {}
                Ok(_) | Err(_) => return "gone".into(),
            }
            match self
                .reader
                .next(&mut &byte[..])
                .expect("a subscriber that keeps to the RFC")
            {
                None => {}
                Some(Incoming::Text(request)) => {
                    assert!(request.contains("!heartbeat"), "{request}");
                    self.requests += 1;
                    self.frame(Opcode::Text, br#"{"result":null,"id":1}"#);
                }
                Some(Incoming::Pong(payload)) => return format!("pong {}", String::from_utf8_lossy(payload)),
                Some(Incoming::Close(close)) => {
                    return format!("close {}", close.map_or(0, |close| close.code));
                }
                Some(other) => panic!("a subscriber sent {other:?}"),
            }
        }
    }
}

const MICROSECOND: depthcast_wire::time_unit::TimeUnit = depthcast_wire::time_unit::TimeUnit::Microsecond;

fn instrument() -> Instrument {
    Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).expect("an instrument")
}

fn book(last_id: u64) -> BookSnapshot {
    BookSnapshot {
        last_id,
        bids: levels(100),
        asks: levels(110),
    }
}

/// One level, its price in hundredths.
fn levels(price: i64) -> Vec<Level> {
    let price = price * 1_000_000;
    vec![Level {
        price,
        qty: 2_000_000,
    }]
}

fn now_us() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(since_epoch.as_micros()).expect("a clock before the year 292,277")
}
