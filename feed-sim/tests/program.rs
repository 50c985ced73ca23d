//! The program feed-sim as people start it: its help, settings that are wrong, its start and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use depthcast_wire::feed_link::{self, LinkMessage, LinkReader};

const EXIT_HOST: i32 = 1;
const EXIT_USAGE: i32 = 2;

/// Nothing here takes long; a machine that needs this is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

fn feed_sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feed-sim"));
    command.env_remove("DEPTHCAST_LOG").args(arguments);
    command
}

/// Runs to the end.
fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = feed_sim(arguments).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// The program while it serves. It is killed when this is dropped.
struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Serving {
    fn start(arguments: &[&str]) -> Serving {
        let mut child = feed_sim(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let address = first
            .trim()
            .rsplit_once(" on ")
            .map(|(_, address)| address.parse());
        let Some(Ok(address)) = address else {
            let _ = child.kill();
            panic!("{first:?} does not end in an address");
        };
        Serving {
            child,
            stdout,
            address,
        }
    }

    /// Lines of standard output up to the one with `part`.
    fn lines_to(&mut self, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            let read = self.stdout.read_line(&mut text).unwrap();
            assert!(read > 0, "no {part:?} in {text:?}");
        }
        text
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .expect("there is a kill command");
        assert!(sent.success());
    }

    /// Its exit code and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None => assert!(Instant::now() < until, "still running"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        (code, stderr)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_teaches() {
    let (code, stdout, stderr) = ended(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for part in [
        "feed-sim serve --symbols 1000 --rate 50",
        "depthcast serve --feed tcp://127.0.0.1:9700",
        "feed-sim stats",
        "DEPTHCAST_LOG",
    ] {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
    let (code, stdout, _) = ended(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    for flag in ["--listen", "--allow-remote", "--symbols", "--rate", "--seed"] {
        assert!(stdout.contains(flag), "no {flag} in {stdout}");
    }
}

#[test]
fn settings_that_are_wrong_are_named() {
    for (arguments, part) in [
        (
            &["serve", "--listen", "0.0.0.0:9700"][..],
            "feed-sim: --listen 0.0.0.0:9700 is not loopback",
        ),
        (
            &["serve", "--listen", "[::]:0"],
            "give --allow-remote as well if that is meant",
        ),
        (
            &["serve", "--listen", "here"],
            "--listen \"here\" is no address of this host: it takes HOST:PORT",
        ),
        (
            &["serve", "--symbols", "0"],
            "--symbols is \"0\"; it takes a number of symbols from 1 to 10000",
        ),
        (&["serve", "--symbols", "-3"], "--symbols is \"-3\"; it takes"),
        (
            &["serve", "--rate", "100..10"],
            "--rate is \"100..10\"; it takes book changes a second",
        ),
        (
            &["serve", "--rate", "10&seed=2"],
            "--rate is \"10&seed=2\"; it takes",
        ),
        (
            &["serve", "--seed", "x"],
            "--seed is \"x\"; it takes a whole number",
        ),
        (
            &["stats", "--rate", "1001"],
            "--rate is \"1001\"; it takes book changes a second",
        ),
        (
            &["stats", "--for", "long"],
            "--for is \"long\"; it takes a time such as 60s",
        ),
        (&["stats", "--for", "0s"], "--for is \"0s\"; it takes"),
        (&["stats", "--for", "1y"], "--for is \"1y\"; it takes"),
    ] {
        let (code, stdout, stderr) = ended(arguments);
        assert_eq!(code, Some(EXIT_USAGE), "{arguments:?}: {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = ended(&["serve", "--sybmols", "3"]);
    assert_eq!(code, Some(EXIT_USAGE));
    assert!(stderr.contains("'--sybmols'"), "{stderr}");
}

#[test]
fn a_port_in_use_is_named_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = ended(&["serve", "--listen", &address]);
    assert_eq!((code, stdout.as_str()), (Some(EXIT_HOST), ""));
    let begins = format!("feed-sim: cannot listen on {address}: ");
    assert!(stderr.starts_with(&begins), "{stderr}");
    assert!(stderr.contains("choose another with --listen"), "{stderr}");
}

#[test]
fn it_serves_until_a_signal_and_tells_who_comes_and_goes() {
    let mut serving = Serving::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--symbols",
        "3",
        "--seed",
        "9",
    ]);
    let address = serving.address;
    let start = serving.lines_to("Ctrl-C ends");
    for part in [
        "--symbols 3 --rate 10..100 --seed 9",
        "epoch",
        "BTCUSDT",
        &format!("  cargo run --release -- serve --feed tcp://{address}\n"),
        &format!("  depthcast serve --feed tcp://{address}\n"),
    ] {
        assert!(start.contains(part), "no {part:?} in {start}");
    }

    let mut stranger = TcpStream::connect(address).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.write_all(b"hello there, exchange").unwrap();
    assert_eq!(stranger.read(&mut [0; 8]).unwrap(), 0);

    let mut engine = TcpStream::connect(address).unwrap();
    engine.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hello = Vec::new();
    let message = LinkMessage::EngineHello {
        name: "tester".into(),
    };
    feed_link::encode(&message, &mut hello).unwrap();
    engine.write_all(&hello).unwrap();
    let came = serving.lines_to("(tester) came");
    assert!(came.contains("engines: 1"), "{came}");

    serving.signal("-TERM");
    let (mut reader, mut bytes) = (LinkReader::new(), Vec::new());
    engine.read_to_end(&mut bytes).unwrap();
    reader.push(&bytes);
    let mut last = None;
    while let Some(message) = reader.next_message().unwrap() {
        last = Some(message);
    }
    let end = LinkMessage::End {
        reason: "the exchange ends".into(),
    };
    assert_eq!(last, Some(end));
    drop(engine);

    let (code, stderr) = serving.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("does not speak the feed link: it began with")
            && stderr.contains("hello there, exchange"),
        "{stderr}"
    );
    assert!(stderr.contains("127.0.0.1:"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_second_signal_does_no_harm() {
    let serving = Serving::start(&["serve", "--listen", "127.0.0.1:0", "--symbols", "1"]);
    serving.signal("-INT");
    serving.signal("-INT");
    let (code, stderr) = serving.end();
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn stats_show_a_market_and_its_cost() {
    let (code, stdout, stderr) = ended(&["stats", "--symbols", "2", "--rate", "50", "--for", "5s"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for part in [
        "--symbols 2 --rate 50 --seed 1 --for 5s",
        "BTCUSDT",
        "total",
        "over 5 s of simulated time",
        "steps a second on one core",
        "% of a core",
    ] {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
}
