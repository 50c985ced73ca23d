//! Programs that are started to be measured: their surroundings, what they say, and their end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use depthcast_bench::probe::launch::{LaunchError, Launched, ROLE};
use depthcast_bench::probe::process::ProcessSample;

const PATIENCE: Duration = Duration::from_secs(20);

fn own() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_depthcast-bench"))
}

fn shell(script: &str, core: Option<usize>) -> Launched {
    Launched::start(own(), Path::new("/bin/sh"), &["-c", script], core).unwrap()
}

/// A number of /proc/PID/`file` on the line that begins with `name`.
fn line(pid: u32, file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    found.trim().to_string()
}

#[test]
fn it_becomes_the_program_on_its_core_and_ends_when_asked() {
    // The highest core this process may use, so that it is not by chance.
    let allowed = line(std::process::id(), "status", "Cpus_allowed_list:");
    let core: usize = allowed.rsplit([',', '-']).next().unwrap().parse().unwrap();
    let mut launched = shell(
        "echo hello; echo 'depthcast serves on 127.0.0.1:9'; echo error >&2; exec sleep 60",
        Some(core),
    );
    let address = launched.await_address(PATIENCE).unwrap();
    assert_eq!(address, "127.0.0.1:9".parse().unwrap());
    let pid = launched.id();
    assert_eq!(line(pid, "status", "Cpus_allowed_list:"), core.to_string());
    let limits = line(pid, "limits", "Max open files");
    let limits: Vec<&str> = limits.split_ascii_whitespace().collect();
    assert_eq!(limits[0], limits[1], "the soft limit is the hard one");
    assert!(ProcessSample::of(pid).unwrap().resident_bytes > 0);
    assert!(launched.said().contains(&"hello".to_string()));
    let status = launched.end();
    assert!(status.contains("signal: 15"), "{status}");
    assert!(ProcessSample::of(pid).is_err());
}

#[test]
fn an_orderly_end_is_waited_for() {
    let mut launched = shell(
        "trap 'exit 5' TERM; echo 'depthcast serves on [::1]:9'; while :; do read x || sleep 0.01; done",
        None,
    );
    launched.await_address(PATIENCE).unwrap();
    assert_eq!(launched.end(), "exit status: 5");
}

#[test]
fn what_goes_wrong_shows_what_the_program_said() {
    let mut launched = shell("echo 'no capture' >&2; exit 3", None);
    let error = launched.await_address(PATIENCE).unwrap_err();
    assert!(matches!(error, LaunchError::Ended { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "/bin/sh ended before it served (exit status: 3)\n  no capture"
    );

    let mut launched = shell("echo depthcast is slow; exec sleep 60", None);
    let error = launched.await_address(Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, LaunchError::Silent { .. }), "{error}");
    let pid = launched.id();
    drop(launched);
    assert!(ProcessSample::of(pid).is_err());

    let missing = Path::new("/nonexistent/program");
    let mut launched = Launched::start(own(), missing, &["x"], None).unwrap();
    let error = launched.await_address(PATIENCE).unwrap_err().to_string();
    assert!(error.contains("exit status: 126"), "{error}");
    assert!(error.contains("cannot run /nonexistent/program"), "{error}");
    let error = Launched::start(missing, own(), &["x"], None)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot start "), "{error}");
}

#[test]
fn it_does_not_outlive_who_started_it() {
    // The kernel looks at the thread that did; this one ends when the program is there.
    let mut orphan = std::thread::spawn(|| {
        let mut child = Command::new(own())
            .args([ROLE, "any", "/bin/sh", "-c", "echo here; exec sleep 60"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "here\n");
        child
    })
    .join()
    .unwrap();
    assert_eq!(orphan.wait().unwrap().signal(), Some(9));
}

#[test]
fn it_does_not_begin_when_who_started_it_is_gone() {
    let (input, hung_up) = std::io::pipe().unwrap();
    drop(hung_up);
    let mut child = Command::new(own())
        .args([ROLE, "any", "/bin/echo", "here"])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut errors = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((said.as_str(), errors.as_str()), ("", "the bench has ended\n"));
    assert_eq!(child.wait().unwrap().code(), Some(126));
}
