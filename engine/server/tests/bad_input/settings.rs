//! Flags and configuration files that are wrong: exit code 2 and one line that names the setting; a host that refuses:
//! exit code 1.

use std::net::TcpListener;
use std::time::Duration;

use crate::common::capture_file::CaptureText;
use crate::common::program::{Ended, Program, depthcast};
use crate::common::raw::http_get;
use crate::common::scratch::Scratch;

const EXIT_HOST: i32 = 1;
const EXIT_USAGE: i32 = 2;

const IN_TIME: Duration = Duration::from_secs(10);

fn ended(arguments: &[&str]) -> Ended {
    let ended = Program::serve(arguments).ended(IN_TIME);
    ended.assert_no_panic();
    assert_eq!(ended.stdout, "", "{arguments:?}");
    ended
}

fn capture(scratch: &Scratch) -> String {
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    format!("capture:{}", scratch.write("capture", capture.as_str()).display())
}

#[test]
fn feeds_and_numbers_that_are_wrong_are_named() {
    let scratch = Scratch::new();
    let feed = capture(&scratch);
    for (arguments, part) in [
        (&["--feed", "udp://here"][..], "udp://here"),
        (&["--feed", ""], "of no kind"),
        (&["--feed", "capture:"], "needs the path of a file"),
        (
            &["--feed", "capture:x?sped=1"],
            "no setting \"sped\"; it has speed, start and end",
        ),
        (
            &["--feed", "capture:x?speed=fast"],
            "speed is \"fast\"; it takes a number from 0.01 to 10000, or max",
        ),
        (&["--feed", "capture:x?start=-1"], "start is \"-1\""),
        (&["--feed", "capture:x?end=never"], "it takes hold, loop or exit"),
        (&["--feed", "capture:x?end=hold&end=exit"], "end is given twice"),
        (
            &["--feed", &feed, "--workers", "0"],
            "--workers is 0; it takes 1 to 1024",
        ),
        (
            &["--feed", &feed, "--lag-ms", "99"],
            "--lag-ms is 99; it takes 100 to 86400000",
        ),
        (
            &["--feed", &feed, "--retention-bytes", "1"],
            "--retention-bytes is 1; it takes 4096 to",
        ),
        (
            &["--feed", &feed, "--life-s", "0"],
            "--life-s is 0; it takes 1 to 31536000",
        ),
        (
            &["--feed", &feed, "--messages-per-second", "10001"],
            "--messages-per-second is 10001; it takes 0 to 10000",
        ),
        (
            &["--feed", &feed, "--attempts-per-ip", "1000001"],
            "--attempts-per-ip is 1000001; it takes 0 to 1000000",
        ),
        (
            &["--feed", &feed, "--attempts-window-s", "0"],
            "--attempts-window-s is 0; it takes 1 to 86400",
        ),
        (
            &["--feed", &feed, "--stats", "often"],
            "--stats \"often\" is no time from 100ms to 1day",
        ),
        (&["--feed", &feed, "--stats", "1ms"], "--stats \"1ms\""),
        (&["--feed", "capture:a", "--listen", "here"], "--listen \"here\""),
        (
            &["--feed", "capture:a", "--listen", "127.0.0.1:65536"],
            "--listen \"127.0.0.1:65536\"",
        ),
        (
            &["--feed", "sim:?rate=0..100"],
            "the simulated feed's rate is \"0..100\"; it takes book changes a second",
        ),
        (&["--feed", "sim:?rate=100..10"], "rate is \"100..10\""),
        (&["--feed", "sim:?rate=1001"], "rate is \"1001\""),
        (&["--feed", "sim:?symbols=0"], "symbols is \"0\""),
        (&["--feed", "sim:?seed=x"], "seed is \"x\""),
        (
            &["--feed", "sim:?speed=2"],
            "a simulated feed has no setting \"speed\"; it has symbols, rate and seed",
        ),
        (&["--feed", "sim:20"], "a simulated feed has no name or path"),
        (&["--feed", "tcp://127.0.0.1"], "a feed link is tcp://HOST:PORT"),
        (
            &["--feed", "tcp://127.0.0.1:9700", "--feed", "sim:"],
            "\"sim:\" cannot stand beside another feed",
        ),
        (
            &["--feed", &feed, "--listen", "0.0.0.0:0"],
            "--listen 0.0.0.0:0 is not loopback",
        ),
        (
            &["--feed", &feed, "--listen", "[::]:0", "--allow-remote", "false"],
            "give --allow-remote as well if that is meant",
        ),
    ] {
        let ended = ended(arguments);
        assert_eq!(ended.code, Some(EXIT_USAGE), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.starts_with("depthcast: "),
            "{arguments:?}: {ended:?}"
        );
        assert!(ended.stderr.contains(part), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn flags_that_are_wrong_are_named() {
    for (arguments, part) in [
        (&["--fed", "x"][..], "'--fed'"),
        (&["--workers", "many"], "'many' for '--workers <N>'"),
        (&["--workers", "-1"], "-1"),
        (&["--feed"], "--feed <URL>"),
        (&["--workers", "1", "--workers", "2"], "--workers <N>"),
        (&["more"], "'more'"),
    ] {
        let ended = ended(arguments);
        assert_eq!(ended.code, Some(EXIT_USAGE), "{arguments:?}: {ended:?}");
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("error: ") && first.contains(part),
            "{arguments:?}: {ended:?}"
        );
    }
}

#[test]
fn files_that_are_wrong_are_named_with_the_place() {
    let scratch = Scratch::new();
    for (content, part) in [
        (
            &b"# settings\nworker = 2\n"[..],
            "line 2: unknown field `worker`, expected one of",
        ),
        (b"workers = \"two\"", "line 1: invalid type: string \"two\""),
        (b"workers = -1", "line 1: invalid value: integer `-1`"),
        (b"listen = 9443", "line 1: invalid type: integer `9443`"),
        (b"workers = 2\nworkers = 3", "line 2: duplicate key"),
        (b"workers", "line 1: "),
        (b"\n\n[serve]\nworkers = 2", "line 3: unknown field `serve`"),
        (b"workers = 2 \xff", "UTF-8"),
    ] {
        let path = scratch.write("settings.toml", content);
        let path = path.to_str().expect("a path that is text");
        let ended = ended(&["--config", path]);
        assert_eq!(ended.code, Some(EXIT_USAGE), "{part}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{part}: {ended:?}");
        assert!(ended.stderr.contains(path), "{part}: {ended:?}");
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let missing = scratch.path().join("missing.toml");
    for path in [missing.as_path(), scratch.path()] {
        let path = path.to_str().expect("a path that is text");
        let ended = ended(&["--config", path]);
        assert_eq!(ended.code, Some(EXIT_USAGE), "{ended:?}");
        let start = format!("depthcast: cannot read the configuration {path}: ");
        assert!(ended.stderr.starts_with(&start), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn an_engine_that_may_be_reached_from_elsewhere_is_reached_here_too() {
    let scratch = Scratch::new();
    let program = Program::serve(&[
        "--feed",
        &capture(&scratch),
        "--listen",
        "0.0.0.0:0",
        "--allow-remote",
    ]);
    let address = (std::net::Ipv4Addr::LOCALHOST, program.address().port()).into();
    assert_eq!(http_get(address, "/api/v3/ping").0, 200);
}

/// What a file says in kind but wrong in range is named as the flag of the same name.
#[test]
fn a_file_is_checked_like_flags_and_flags_win_over_it() {
    let scratch = Scratch::new();
    let path = scratch.write(
        "settings.toml",
        format!(
            "feed = \"{}\"\nworkers = 5000\nping-ms = 1000\n",
            capture(&scratch)
        ),
    );
    let path = path.to_str().expect("a path that is text");
    let ended = ended(&["--config", path]);
    assert_eq!(ended.code, Some(EXIT_USAGE), "{ended:?}");
    assert!(ended.stderr.contains("--workers is 5000"), "{ended:?}");

    let program = Program::serve(&["--config", path, "--workers", "1"]);
    assert_eq!(http_get(program.address(), "/api/v3/ping").0, 200);
}

#[test]
fn a_port_in_use_is_the_hosts_fault_and_comes_with_advice() {
    let scratch = Scratch::new();
    let feed = capture(&scratch);
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("its address").to_string();
    // Another engine, which shares its port among its own threads, does not share it with this one.
    let engine = Program::serve(&["--feed", &feed]);
    for address in [taken, engine.address().to_string()] {
        let ended = ended(&["--feed", &feed, "--listen", &address]);
        assert_eq!(ended.code, Some(EXIT_HOST), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        let start = format!("depthcast: cannot listen on {address}: ");
        assert!(ended.stderr.starts_with(&start), "{ended:?}");
        assert!(ended.stderr.contains("another program has the port"), "{ended:?}");
    }
    let ended = ended(&["--feed", &feed, "--listen", "192.0.2.1:0", "--allow-remote"]);
    assert_eq!(ended.code, Some(EXIT_HOST), "{ended:?}");
    assert!(
        ended.stderr.contains("this host does not have that address"),
        "{ended:?}"
    );
}

/// `depthcast serve | head -1`, and a terminal that is gone: nobody to tell is no reason to end.
#[test]
fn nobody_has_to_listen_to_what_the_engine_says() {
    let scratch = Scratch::new();
    // It ends at once, and has a gap: both are worth a line.
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    capture.snapshot(10, &[], &[]);
    capture.depth("BTCUSDT", 20, 21, &[], &[]);
    let feed = format!("capture:{}", scratch.write("gap", capture.as_str()).display());
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let mut command = depthcast();
    command.args(["serve", "--feed", &feed, "--listen", &address.to_string()]);
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop((child.stdout.take(), child.stderr.take()));
    std::thread::sleep(Duration::from_millis(500));
    let is_running = child.try_wait().expect("the child is ours").is_none();
    // The market thread answers this one: it has to live as well.
    let answer = is_running.then(|| http_get(address, "/api/v3/depth?symbol=NOSUCH").0);
    // It may have ended already.
    let _ = child.kill();
    let status = child.wait().expect("the child is ours");
    assert_eq!(answer, Some(400), "{status}");
}
