//! Captures that a test writes itself: a market of a few symbols, line by line.

use std::fmt::Write;

/// When every written capture begins, ns since 1970: a multiple of a second, so that all cadences tick there.
pub const BEGIN_NS: u64 = 1_700_000_000_000_000_000;

/// Price and quantity, as the exchange prints them.
pub type TextLevel<'t> = (&'t str, &'t str);

/// The text of a capture under way.
#[derive(Clone, Debug, Default)]
pub struct CaptureText {
    text: String,
    elapsed_ns: u64,
    trades: u64,
}

impl CaptureText {
    /// An empty capture.
    pub fn new() -> CaptureText {
        CaptureText::default()
    }

    /// Lets recorded time pass before the next line.
    pub fn wait_ms(&mut self, ms: u64) -> &mut CaptureText {
        self.elapsed_ns += ms * 1_000_000;
        self
    }

    /// A trade of `symbol` (upper case) with the next trade id, from 1; gives its payload.
    pub fn trade(&mut self, symbol: &str) -> String {
        self.trades += 1;
        let (id, at_ms) = (self.trades, self.now_ms());
        let payload = format!(
            r#"{{"e":"trade","E":{at_ms},"s":"{symbol}","t":{id},"p":"100.50000000","q":"0.25000000","T":{at_ms},"m":true,"M":true}}"#
        );
        self.event(symbol, "trade", &payload);
        payload
    }

    /// A depth event of the ids `first_id` to `last_id`; gives its payload.
    pub fn depth(
        &mut self,
        symbol: &str,
        first_id: u64,
        last_id: u64,
        bids: &[TextLevel<'_>],
        asks: &[TextLevel<'_>],
    ) -> String {
        let at_ms = self.now_ms();
        let payload = format!(
            r#"{{"e":"depthUpdate","E":{at_ms},"s":"{symbol}","U":{first_id},"u":{last_id},"b":{},"a":{}}}"#,
            levels(bids),
            levels(asks)
        );
        self.event(symbol, "depth@100ms", &payload);
        payload
    }

    /// A snapshot as REST gives it, which names no symbol: for captures of one symbol.
    pub fn snapshot(
        &mut self,
        last_id: u64,
        bids: &[TextLevel<'_>],
        asks: &[TextLevel<'_>],
    ) -> &mut CaptureText {
        let frame = format!(
            r#"{{"lastUpdateId":{last_id},"bids":{},"asks":{}}}"#,
            levels(bids),
            levels(asks)
        );
        self.line(&frame)
    }

    /// A snapshot of `symbol`'s book, wrapped so that it names its symbol: for captures of several.
    pub fn snapshot_of(
        &mut self,
        symbol: &str,
        last_id: u64,
        bids: &[TextLevel<'_>],
        asks: &[TextLevel<'_>],
    ) {
        let payload = format!(
            r#"{{"lastUpdateId":{last_id},"bids":{},"asks":{}}}"#,
            levels(bids),
            levels(asks)
        );
        self.event(symbol, "depthSnapshot", &payload);
    }

    /// Any frame at the time reached.
    pub fn line(&mut self, frame: &str) -> &mut CaptureText {
        writeln!(self.text, "{} {frame}", BEGIN_NS + self.elapsed_ns).expect("memory takes any write");
        self
    }

    /// The number of lines so far: that of the last one, counted from 1.
    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The text of the file.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn event(&mut self, symbol: &str, stream: &str, payload: &str) {
        let name = symbol.to_ascii_lowercase();
        self.line(&format!(r#"{{"stream":"{name}@{stream}","data":{payload}}}"#));
    }

    fn now_ms(&self) -> u64 {
        (BEGIN_NS + self.elapsed_ns) / 1_000_000
    }
}

fn levels(levels: &[TextLevel<'_>]) -> String {
    let texts: Vec<String> = levels
        .iter()
        .map(|(price, qty)| format!(r#"["{price}","{qty}"]"#))
        .collect();
    format!("[{}]", texts.join(","))
}
