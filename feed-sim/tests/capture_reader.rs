//! Captures of every kind and with every fault, read.

mod written_capture;

use std::io::Write;
use std::path::Path;

use depthcast_feed_sim::capture::head::HEAD_LINES_MAX;
use depthcast_feed_sim::capture::{CaptureError, CaptureFault, CaptureReader, LINE_BYTES_MAX, Record};
use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::Exponents;
use written_capture::{Folder, gzip, trade};

const SNAPSHOT: &str = r#"{"lastUpdateId":7,"bids":[["10.1","0.20"]],"asks":[["10.25","1"]]}"#;

/// A line with an event of a stream.
fn wrapped(at_ns: u64, stream: &str, data: &str) -> String {
    format!("{at_ns} {{\"stream\":\"{stream}\",\"data\":{data}}}\n")
}

fn read(path: &Path) -> Result<Vec<Record>, CaptureError> {
    let mut reader = CaptureReader::open(path)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    Ok(records)
}

/// The message of an error, without the path of the test's folder.
fn message(path: &Path) -> String {
    let error = read(path).expect_err("a fault").to_string();
    let name = format!("capture {}", path.display());
    error
        .strip_prefix(&name)
        .unwrap_or_else(|| panic!("{error:?} must start with {name:?}"))
        .to_owned()
}

#[test]
fn plain_and_gzip_read_alike_whatever_their_name() {
    let folder = Folder::new();
    let text = [trade(5, "AB", 1), trade(5, "AB", 2), trade(9, "AB", 3)].concat();
    let plain = read(&folder.write("plain.gz", &text)).unwrap();
    assert_eq!(plain.len(), 3);
    assert_eq!(
        plain.iter().map(|record| record.at_ns).collect::<Vec<_>>(),
        [5, 5, 9]
    );
    assert_eq!(
        plain.iter().map(|record| record.line_number).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        plain
            .iter()
            .all(|record| record.symbol.as_str() == "AB" && record.stream.is_none())
    );
    assert_eq!(read(&folder.write("packed", gzip(&text))).unwrap(), plain);
    // Recorders that restart append a member to the file.
    let (first, rest) = text.split_at(trade(5, "AB", 1).len() + 10);
    let members = [gzip(first), gzip(rest)].concat();
    assert_eq!(read(&folder.write("members.gz", members)).unwrap(), plain);
    let without_last_end = text.strip_suffix('\n').unwrap();
    assert_eq!(read(&folder.write("unended", without_last_end)).unwrap(), plain);
    assert_eq!(
        read(&folder.write("crlf", text.replace('\n', "\r\n"))).unwrap(),
        plain
    );
}

#[test]
fn the_head_knows_each_symbol() {
    let folder = Folder::new();
    let diff = |symbol: &str, id: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":1,"s":"{symbol}","U":{id},"u":{id},"b":[["10.25","3.00"]],"a":[["10.5","0.10"]]}}"#
        )
    };
    let text = [
        wrapped(3, "xy@depth", &diff("XY", 1)),
        wrapped(3, "ab@depth@100ms", &diff("AB", 1)),
        wrapped(4, "ab@depth20@100ms", SNAPSHOT),
        trade(4, "CD", 1),
        wrapped(5, "xy@depth", &diff("XY", 2)),
    ]
    .concat();
    let path = folder.write("three", text);
    let mut reader = CaptureReader::open(&path).unwrap();
    let head = reader.head();
    assert_eq!(head.first_ns, 3);
    let symbols: Vec<_> = head
        .symbols
        .iter()
        .map(|symbol| {
            let instrument = &symbol.instrument;
            (
                instrument.name(),
                instrument.exponents(),
                instrument.tick_size().to_string(),
                instrument.lot_size().to_string(),
                symbol.depth_cadence_ms,
            )
        })
        .collect();
    let two = Exponents { price: -2, qty: -2 };
    let trade_only = Exponents { price: -2, qty: -3 };
    assert_eq!(
        symbols,
        [
            ("AB", two, "0.01".to_owned(), "0.10".to_owned(), Some(100)),
            ("CD", trade_only, "0.10".to_owned(), "1.000".to_owned(), None),
            ("XY", two, "0.01".to_owned(), "0.10".to_owned(), Some(1000)),
        ]
    );
    let mut lines = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        assert!(!matches!(record.event, MarketEvent::Snapshot(_)));
        lines.push((record.line_number, record.symbol.to_string(), record.stream));
    }
    let expected = [
        (1, "XY".to_owned(), Some("xy@depth".into())),
        (2, "AB".to_owned(), Some("ab@depth@100ms".into())),
        (4, "CD".to_owned(), None),
        (5, "XY".to_owned(), Some("xy@depth".into())),
    ];
    assert_eq!(lines, expected);
    assert_eq!(reader.partial_depths_passed_over(), 1);
}

#[test]
fn a_snapshot_without_a_symbol_belongs_to_the_only_one() {
    let folder = Folder::new();
    let snapshot = format!("1 {SNAPSHOT}\n");
    let mut text = [snapshot.clone(), trade(2, "AB", 1)].concat();
    let records = read(&folder.write("one", &text)).unwrap();
    assert_eq!(records[0].symbol.as_str(), "AB");
    match &records[0].event {
        // The trade prints two and three decimals, so those are the exponents of both.
        MarketEvent::Snapshot(snapshot) => {
            assert_eq!((snapshot.bids[0].price, snapshot.bids[0].qty), (1_010, 200));
        }
        other => panic!("{other:?}"),
    }
    text.push_str(&trade(2, "CD", 1));
    assert_eq!(
        message(&folder.write("two", &text)),
        ", line 1: a depth snapshot that names no symbol, in a capture of 2 symbols"
    );
    assert_eq!(
        message(&folder.write("none", snapshot)),
        ": no event at the start of the file names a symbol"
    );
    let whole = [trade(2, "CD", 1), wrapped(2, "ab@depth", SNAPSHOT)].concat();
    let records = read(&folder.write("wrapped", whole)).unwrap();
    assert_eq!(records[1].symbol.as_str(), "AB");
}

#[test]
fn what_is_no_capture_is_told_apart() {
    let folder = Folder::new();
    let absent = folder.write("empty", "").with_file_name("absent");
    assert_eq!(message(&absent), ": there is no such file");
    let directory = absent.parent().unwrap();
    assert_eq!(message(directory), ": this is a directory, not a file");
    assert_eq!(message(Path::new("/dev/null")), ": this is no regular file");
    assert_eq!(message(&folder.write("empty", "")), ": the file is empty");
    assert_eq!(
        message(&folder.write("empty.gz", gzip(""))),
        ": the file is empty"
    );
    let foreign = ": the file is neither gzip nor lines of \"<local ns> <json>\"";
    assert_eq!(message(&folder.write("zstd", b"\x28\xb5\x2f\xfd1234")), foreign);
    assert_eq!(
        message(&folder.write("day.gz", "<html>")),
        format!("{foreign}, though its name ends in .gz")
    );
    let no_time = ", line 1: the line does not start with its receive time in nanoseconds and a space";
    assert_eq!(message(&folder.write("tar.gz", gzip(vec![0; 4096]))), no_time);
    assert_eq!(
        message(&folder.write("partial", wrapped(1, "ab@depth5", SNAPSHOT))),
        ": nothing at the start of the file can be replayed: it has only partial depths"
    );
}

#[test]
fn a_cut_or_damaged_gzip_tells_the_line_reached() {
    let folder = Folder::new();
    // Incompressible enough that every part of the file matters.
    let text: String = (0..2_000)
        .map(|n| trade(n * 7_919, "AB", n * n * 104_729 % 1_000_003))
        .collect();
    let whole = gzip(&text);
    let cut = CaptureReader::open(&folder.write("cut.gz", &whole[..whole.len() / 2]))
        .map(|_| ())
        .unwrap_err();
    match cut.fault {
        CaptureFault::GzipTruncated { lines } => assert!((500..1_500).contains(&lines), "{lines}"),
        other => panic!("{other:?}"),
    }
    let error = message(&folder.write("checksum.gz", &whole[..whole.len() - 1]));
    assert_eq!(error, ": the gzip is cut off after 2000 whole lines");
    assert_eq!(
        message(&folder.write("magic.gz", &whole[..2])),
        ": the gzip is cut off after 0 whole lines"
    );
    let mut damaged = whole.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let error = message(&folder.write("damaged.gz", damaged));
    assert!(
        error.starts_with(": the gzip is damaged after 2000 whole lines: "),
        "{error}"
    );
    let appended = [&whole[..], b"no gzip, but long enough for a header"].concat();
    let error = message(&folder.write("appended.gz", appended));
    assert!(
        error.starts_with(": the gzip is damaged after 2000 whole lines: "),
        "{error}"
    );
}

#[test]
fn a_bad_line_is_named() {
    let folder = Folder::new();
    let after_good = |line: &str| message(&folder.write("bad", format!("{}{line}", trade(5, "AB", 1))));
    let no_time = ", line 2: the line does not start with its receive time in nanoseconds and a space";
    for line in [
        "\n",
        "{}\n",
        "12\n",
        " {}\n",
        "+6 {}\n",
        "6\t{}\n",
        "18446744073709551616 {}\n",
        "000000000000000000006 {}\n",
    ] {
        assert_eq!(after_good(line), no_time, "{line:?}");
    }
    assert_eq!(
        after_good(&trade(4, "AB", 2)),
        ", line 2: the receive time 4 ns lies before that of the line above, 5 ns"
    );
    assert_eq!(
        after_good("6 {\"e\":"),
        ", line 2: the feed sent text that is not JSON: it ends too early"
    );
    assert_eq!(
        after_good("6 \n"),
        ", line 2: the feed sent text that is not JSON: it ends too early"
    );
    assert_eq!(
        after_good("6 {\"e\":\"kline\"}\n"),
        ", line 2: the feed sent an event of the unknown kind \"kline\""
    );
    assert_eq!(
        after_good(&trade(6, "AB", 2).replace("\"q\":\"2.000\"", "\"q\":\"-2\"")),
        ", line 2: the feed sent a trade whose \"q\" is a negative quantity"
    );
    let long = format!("6 {}", " ".repeat(LINE_BYTES_MAX - 1));
    assert_eq!(
        after_good(&long),
        format!(", line 2: the line is longer than {LINE_BYTES_MAX} bytes")
    );
    assert_eq!(
        after_good(&format!("{long}\n{long}")),
        format!(", line 2: the line is longer than {LINE_BYTES_MAX} bytes")
    );
    let diff = r#"{"e":"depthUpdate","E":1,"s":"AB","U":1,"u":1,"b":[],"a":[]}"#;
    let streams = [wrapped(5, "ab@depth@100ms", diff), wrapped(5, "ab@depth", diff)].concat();
    assert_eq!(
        after_good(&streams),
        ", line 3: AB has depth streams of 100 ms and of 1000 ms; a book can follow only one"
    );
}

#[test]
fn past_the_head_a_new_symbol_or_finer_number_is_a_fault_of_its_line() {
    let folder = Folder::new();
    let mut file = Vec::new();
    for n in 0..HEAD_LINES_MAX {
        file.write_all(trade(n, "AB", n).as_bytes()).unwrap();
    }
    let line = HEAD_LINES_MAX + 1;
    let with = |last: String| {
        let path = folder.write("long", [&file[..], last.as_bytes()].concat());
        assert!(CaptureReader::open(&path).is_ok());
        message(&path)
    };
    let last_ns = HEAD_LINES_MAX;
    assert_eq!(
        with(trade(last_ns, "CD", 1)),
        format!(
            ", line {line}: the symbol CD appears here first; the first {HEAD_LINES_MAX} lines must show every symbol"
        )
    );
    // Its numbers are finer than the precision assumed for it; its being late is what counts.
    assert_eq!(
        with(trade(last_ns, "CD", 1).replace("10.50", "10.5000000001")),
        format!(
            ", line {line}: the symbol CD appears here first; the first {HEAD_LINES_MAX} lines must show every symbol"
        )
    );
    assert_eq!(
        with(trade(last_ns, "AB", 1).replace("10.50", "10.501")),
        format!(
            ", line {line}: the feed sent a trade whose \"p\" is a number with more decimal places than the precision holds"
        )
    );
}

#[test]
fn rewinding_reads_the_same_again() {
    let folder = Folder::new();
    let text = [
        trade(5, "AB", 1),
        wrapped(6, "ab@depth5", SNAPSHOT),
        trade(7, "AB", 2),
    ]
    .concat();
    let path = folder.write("capture.gz", gzip(text));
    let mut reader = CaptureReader::open(&path).unwrap();
    let mut passes = Vec::new();
    for _ in 0..2 {
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(record);
        }
        assert_eq!(reader.next_record().unwrap(), None, "the end stays the end");
        assert_eq!(reader.partial_depths_passed_over(), 1);
        passes.push(records);
        reader.rewind().unwrap();
    }
    assert_eq!(passes[0].len(), 2);
    assert_eq!(passes[0], passes[1]);
}
