//! Raised settings of the kernel, and every way in which a run that has raised some can end: each time they are set back.
//!
//! The runs here are processes of this test's own program, which raises settings in a folder that stands in for /proc/sys.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use depthcast_bench::probe::host::HostNeed;
use depthcast_bench::probe::ready::make_ready;
use depthcast_bench::probe::settings::journal::{self, Places};
use depthcast_bench::probe::settings::raise::{KernelNeed, Raise, Without};
use depthcast_bench::probe::settings::raised::{RaisedSettings, SettingsError};
use depthcast_bench::probe::settings::setting::{SYS, Setting};
use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// The variables of a run: how it is to end, and the folder.
const RUN: &str = "DEPTHCAST_TEST_SETTINGS_RUN";
const FOLDER: &str = "DEPTHCAST_TEST_SETTINGS_FOLDER";

/// What a run says once its settings are raised.
const RAISED: &str = "the settings are raised";

const FORMER_QUEUE: &str = "128\n";
const FORMER_MEMORY: &str = "1\t2\t3\n";

fn own() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_depthcast-bench"))
}

fn raise(setting: Setting, present: &[u64], wanted: &[u64]) -> Raise {
    Raise {
        setting,
        present: present.to_vec(),
        wanted: wanted.to_vec(),
        because: "it is a test".into(),
        without: Without::Spoiled,
    }
}

fn raises() -> [Raise; 2] {
    [
        raise(Setting::AcceptQueue, &[128], &[4096]),
        raise(Setting::TcpMemory, &[1, 2, 3], &[10, 20, 30]),
    ]
}

/// A folder with two settings.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("depthcast-bench-settings-run-{name}-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        for (setting, text) in [
            (Setting::AcceptQueue, FORMER_QUEUE),
            (Setting::TcpMemory, FORMER_MEMORY),
        ] {
            let file = setting.file(&folder.0);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("our own folder");
            std::fs::write(file, text).expect("our own file");
        }
        folder
    }

    fn text(&self, setting: Setting) -> String {
        std::fs::read_to_string(setting.file(&self.0)).expect("our own file")
    }

    fn assert_raised(&self) {
        assert_eq!(self.text(Setting::AcceptQueue), "4096");
        assert_eq!(self.text(Setting::TcpMemory), "10 20 30");
    }

    fn assert_as_before(&self) {
        assert_eq!(self.text(Setting::AcceptQueue), FORMER_QUEUE);
        assert_eq!(self.text(Setting::TcpMemory), FORMER_MEMORY);
        assert!(!places(&self.0).journal.exists());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn places(folder: &Path) -> Places {
    Places {
        sys: folder.into(),
        journal: folder.join("journal.json"),
    }
}

/// A run in a process of its own, with all that it and its guardian say.
struct Run {
    process: Child,
    said: BufReader<std::io::PipeReader>,
}

impl Run {
    /// Starts one that ends in this way, in a group of its own as a shell starts it, and waits until settings are raised.
    fn start(folder: &Folder, way: &str) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut run = Command::new(std::env::current_exe().expect("this program"));
        run.args([
            "--exact",
            "a_run_says_what_it_raises_and_sets_it_back",
            "--nocapture",
        ])
        .env(RUN, way)
        .env(FOLDER, &folder.0)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("a descriptor"))
        .stderr(writer);
        let process = run.spawn().expect("this program runs");
        // The pipe's ends of ours go with the command, so that its end is the end of all who write to it.
        drop(run);
        let mut said = BufReader::new(reader);
        let mut line = String::new();
        while !line.contains(RAISED) {
            line.clear();
            assert!(said.read_line(&mut line).expect("text") > 0, "the run has ended");
        }
        Run { process, said }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Its guardian's process.
    fn guardian(&self) -> Pid {
        let pid = self.process.id();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        let children: Vec<i32> = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|children| {
                let pids = children.split_ascii_whitespace().map(str::parse);
                pids.flatten().collect::<Vec<i32>>()
            })
            .collect();
        assert_eq!(children.len(), 1, "the guardian alone");
        Pid::from_raw(children[0]).expect("a process")
    }

    /// Waits until nobody is left who could say something, which is when the guardian has ended. Gives all they said, and by
    /// which signal the run ended.
    fn end(mut self) -> (String, Option<i32>) {
        let mut said = String::new();
        self.said.read_to_string(&mut said).expect("text");
        let status = self.process.wait().expect("a process of ours");
        (said, status.signal())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Of a test that failed; one that has ended is not killed again.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Said when both are set back, the last raised first.
const SET_BACK: &str = "net.ipv4.tcp_mem: 10 20 30 -> 1 2 3, as it was\n";
const SET_BACK_NEXT: &str = "net.core.somaxconn: 4096 -> 128, as it was\n";

fn assert_set_back(said: &str) {
    let places = (said.find(SET_BACK), said.find(SET_BACK_NEXT));
    assert!(
        matches!(places, (Some(first), Some(next)) if first < next),
        "{said}"
    );
}

/// Both a test of its own, and, with a way to end, the run of the others.
#[test]
fn a_run_says_what_it_raises_and_sets_it_back() {
    let way = std::env::var(RUN).ok();
    if way.is_some() {
        // Who started the tests in the background, or under nohup, has these ignored in all that is started by them.
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            signal_hook::flag::register_conditional_default(signal, Arc::new(AtomicBool::new(true)))
                .expect("signals of ours");
        }
    }
    let folder = match std::env::var_os(FOLDER) {
        // The test that started the run looks after its folder.
        Some(folder) => std::mem::ManuallyDrop::new(Folder(folder.into())),
        None => std::mem::ManuallyDrop::new(Folder::new("itself")),
    };
    let (say, said) = std::sync::mpsc::sync_channel::<String>(64);
    let tell = move |line: &str| {
        println!("{line}");
        let _ = say.try_send(line.to_string());
    };
    let raised = RaisedSettings::raise(own(), &places(&folder.0), &raises(), tell).expect("our own files");
    folder.assert_raised();
    let lines: Vec<String> = said.try_iter().collect();
    assert_eq!(
        lines,
        [
            "net.core.somaxconn: 128 -> 4096, because it is a test; undone at the end",
            "net.ipv4.tcp_mem: 1 2 3 -> 10 20 30, because it is a test; undone at the end"
        ]
    );
    match way.as_deref() {
        None => {
            raised.undo().expect("our own files");
            folder.assert_as_before();
            assert_set_back(&(said.try_iter().collect::<Vec<_>>().join("\n") + "\n"));
            drop(std::mem::ManuallyDrop::into_inner(folder));
        }
        Some("dropped") => {
            println!("{RAISED}");
            drop(raised);
            // It is waited for.
            folder.assert_as_before();
            println!("dropped");
        }
        Some("panic") => {
            println!("{RAISED}");
            panic!("on purpose");
        }
        Some("exit") => {
            println!("{RAISED}");
            // Nothing is dropped.
            std::process::exit(3);
        }
        Some(_) => {
            println!("{RAISED}");
            std::thread::sleep(Duration::from_secs(600));
        }
    }
}

#[test]
fn settings_are_set_back_when_a_run_ends_with_an_error_or_a_panic() {
    for way in ["dropped", "panic", "exit"] {
        let folder = Folder::new(way);
        let (said, signal) = Run::start(&folder, way).end();
        assert_set_back(&said);
        assert_eq!(signal, None);
        assert!(way != "dropped" || said.contains("\ndropped\n"), "{said}");
        folder.assert_as_before();
    }
}

#[test]
fn settings_are_set_back_when_a_run_is_ended_by_a_signal() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let folder = Folder::new(&format!("signal-{}", signal.as_raw()));
        let run = Run::start(&folder, "wait");
        folder.assert_raised();
        kill_process(run.pid(), signal).expect("a process of ours");
        let (said, ended_by) = run.end();
        assert_eq!(ended_by, Some(signal.as_raw()));
        assert_set_back(&said);
        folder.assert_as_before();
    }
}

#[test]
fn a_terminals_signals_to_the_whole_group_do_not_reach_the_guardian() {
    for signal in [Signal::INT, Signal::QUIT, Signal::HUP, Signal::KILL] {
        let folder = Folder::new(&format!("group-{}", signal.as_raw()));
        let run = Run::start(&folder, "wait");
        kill_process_group(run.pid(), signal).expect("a group of ours");
        let (said, ended_by) = run.end();
        assert_eq!(ended_by, Some(signal.as_raw()));
        assert_set_back(&said);
        folder.assert_as_before();
    }
}

#[test]
fn the_guardian_does_not_end_before_its_run() {
    let folder = Folder::new("asked");
    let run = Run::start(&folder, "wait");
    let guardian = run.guardian();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        kill_process(guardian, signal).expect("a process of ours");
    }
    folder.assert_raised();
    assert_eq!(run.guardian(), guardian);
    kill_process(run.pid(), Signal::KILL).expect("a process of ours");
    let (said, _) = run.end();
    assert_set_back(&said);
    folder.assert_as_before();
}

#[test]
fn a_run_whose_guardian_was_killed_sets_back_alone() {
    let folder = Folder::new("alone");
    let (say, said) = std::sync::mpsc::sync_channel::<String>(64);
    let tell = move |line: &str| {
        let _ = say.try_send(line.to_string());
    };
    let raised = RaisedSettings::raise(own(), &places(&folder.0), &raises(), tell).expect("our own files");
    let guardian = raised.guardian().expect("settings are raised");
    let guardian = Pid::from_raw(guardian.cast_signed()).expect("a process");
    kill_process(guardian, Signal::KILL).expect("a process of ours");
    folder.assert_raised();
    raised.undo().expect("our own files");
    folder.assert_as_before();
    let said = said.try_iter().collect::<Vec<_>>().join("\n") + "\n";
    assert_set_back(&said);
    assert!(
        said.contains("the process that undoes settings of the kernel was killed"),
        "{said}"
    );
}

#[test]
fn what_a_run_has_left_that_was_killed_with_its_guardian_is_undone_by_the_next() {
    let folder = Folder::new("both");
    let run = Run::start(&folder, "wait");
    // The guardian first: it would undo what it sees the run leave.
    kill_process(run.guardian(), Signal::KILL).expect("a process of ours");
    kill_process(run.pid(), Signal::KILL).expect("a process of ours");
    let (said, _) = run.end();
    assert!(!said.contains("as it was"), "{said}");
    folder.assert_raised();
    // One that raises others, to begin with.
    let (say, said) = std::sync::mpsc::sync_channel::<String>(64);
    let tell = move |line: &str| {
        let _ = say.try_send(line.to_string());
    };
    let other = [raise(Setting::AcceptQueue, &[128], &[200])];
    let raised = RaisedSettings::raise(own(), &places(&folder.0), &other, tell).expect("our own files");
    assert_eq!(folder.text(Setting::TcpMemory), FORMER_MEMORY);
    assert_eq!(folder.text(Setting::AcceptQueue), "200");
    raised.undo().expect("our own files");
    folder.assert_as_before();
    let said = said.try_iter().collect::<Vec<_>>().join("\n");
    let first = "a former run was killed before it could undo what it had set:\n";
    assert!(said.starts_with(&format!("{first}{SET_BACK}")), "{said}");
    assert!(
        said.ends_with("net.core.somaxconn: 200 -> 128, as it was"),
        "{said}"
    );
    // And one that raises none.
    let run = Run::start(&folder, "wait");
    kill_process(run.guardian(), Signal::KILL).expect("a process of ours");
    kill_process(run.pid(), Signal::KILL).expect("a process of ours");
    run.end();
    folder.assert_raised();
    let said = journal::undo_leftovers(&places(&folder.0)).expect("our own files");
    assert_eq!(said.len(), 3, "{said:?}");
    folder.assert_as_before();
}

#[test]
fn while_one_run_has_settings_raised_another_raises_none() {
    let folder = Folder::new("second");
    let run = Run::start(&folder, "wait");
    let other = [raise(Setting::AcceptQueue, &[4096], &[8192])];
    let refused = RaisedSettings::raise(own(), &places(&folder.0), &other, |_| {}).err();
    let refused = refused.expect("it is locked");
    assert!(
        refused
            .to_string()
            .starts_with("settings of the kernel cannot be raised: another run has raised settings"),
        "{refused}"
    );
    folder.assert_raised();
    kill_process(run.pid(), Signal::TERM).expect("a process of ours");
    run.end();
    folder.assert_as_before();
}

#[test]
fn what_cannot_be_raised_is_said_and_nothing_is_raised() {
    let folder = Folder::new("refused");
    let absent = [raises()[0].clone(), raise(Setting::Conntrack, &[1], &[2])];
    let refused = RaisedSettings::raise(own(), &places(&folder.0), &absent, |_| {}).err();
    let Some(SettingsError::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        reason.starts_with("net.netfilter.nf_conntrack_max cannot be read: "),
        "{reason}"
    );
    folder.assert_as_before();
    let nowhere = Places {
        journal: "/nonexistent/journal.json".into(),
        ..places(&folder.0)
    };
    let refused = RaisedSettings::raise(own(), &nowhere, &raises(), |_| {}).err();
    assert!(
        refused.as_ref().is_some_and(|error| error
            .to_string()
            .contains("what is to be undone cannot be written down in /nonexistent/journal.lock")),
        "{refused:?}"
    );
    folder.assert_as_before();
    let missing = Path::new("/nonexistent/program");
    let refused = RaisedSettings::raise(missing, &places(&folder.0), &raises(), |_| {}).err();
    assert!(matches!(refused, Some(SettingsError::Start(_))), "{refused:?}");
    // Nothing to raise is nothing to start.
    let none = RaisedSettings::raise(missing, &places(&folder.0), &[], |_| {}).expect("nothing");
    assert_eq!(none.guardian(), None);
    none.undo().expect("nothing");
}

#[test]
fn a_host_is_made_ready_in_one_call() {
    let folder = Folder::new("ready");
    let need = |connections| HostNeed {
        server: "a worker of the engine".into(),
        connections,
        server_processes: 1,
        server_descriptors: 10,
        fleet_processes: 1,
        fleet_descriptors: 10,
        source_addresses: 1,
        user_bytes_per_connection: 1,
    };
    // Ten connections fit on any host; what they come with is more than the folder's setting, as if they came at once.
    let kernel = KernelNeed {
        connects_at_once: 1_000,
        listen_backlog: 500,
        ..KernelNeed::default()
    };
    let ready = |connections, is_applying| {
        let (say, said) = std::sync::mpsc::sync_channel::<String>(64);
        let tell = move |line: &str| {
            let _ = say.try_send(line.to_string());
        };
        let places = places(&folder.0);
        let raised = make_ready(own(), &places, &need(connections), &kernel, is_applying, tell);
        (raised, said)
    };
    let of = |said: &std::sync::mpsc::Receiver<String>, setting: &str| {
        let lines: Vec<String> = said.try_iter().filter(|line| line.contains(setting)).collect();
        lines.join("\n")
    };
    let (raised, said) = ready(10, false);
    assert_eq!(raised.expect("ten fit").guardian(), None);
    let told = of(&said, "somaxconn");
    assert!(
        told.starts_with("net.core.somaxconn: 128 -> 500, because up to 500 connections wait at once"),
        "{told}"
    );
    assert!(
        told.contains("`sysctl -w net.core.somaxconn=\"500\"` as root"),
        "{told}"
    );
    folder.assert_as_before();

    let (raised, said) = ready(10, true);
    let raised = raised.expect("ten fit");
    assert_eq!(folder.text(Setting::AcceptQueue), "500");
    assert!(of(&said, "somaxconn").ends_with("; undone at the end"));
    raised.undo().expect("our own files");
    assert_eq!(
        of(&said, "somaxconn"),
        "net.core.somaxconn: 500 -> 128, as it was"
    );
    folder.assert_as_before();

    // No host has room for these, and for a run that does not begin nothing is raised.
    let (raised, said) = ready(1 << 50, true);
    let refused = raised.expect_err("too many");
    assert!(!refused.is_empty());
    assert_eq!(said.try_iter().count(), 0);
    folder.assert_as_before();

    // What a killed run has left is gone before anything is judged by it.
    let run = Run::start(&folder, "wait");
    kill_process(run.guardian(), Signal::KILL).expect("a process of ours");
    kill_process(run.pid(), Signal::KILL).expect("a process of ours");
    run.end();
    folder.assert_raised();
    let (raised, said) = ready(10, true);
    let raised = raised.expect("ten fit");
    assert_eq!(folder.text(Setting::AcceptQueue), "500");
    assert!(of(&said, "killed").starts_with("a former run was killed"));
    raised.undo().expect("our own files");
    folder.assert_as_before();
}

/// The kernel's own setting, by one. Who is not root is told so, which is then what is tested.
#[test]
fn a_real_setting_is_raised_and_set_back() {
    let file = Setting::AcceptQueue.file(Path::new(SYS));
    let read = || std::fs::read_to_string(&file).expect("every Linux has it");
    // One of these tests at a time, whoever runs it.
    let places = Places {
        sys: SYS.into(),
        journal: std::env::temp_dir().join("depthcast-bench-settings-real.json"),
    };
    let before = read();
    let present: u64 = before.trim().parse().expect("a number");
    let raises = [raise(Setting::AcceptQueue, &[present], &[present + 1])];
    match RaisedSettings::raise(own(), &places, &raises, |line| println!("{line}")) {
        Ok(raised) => {
            assert_eq!(read(), format!("{}\n", present + 1));
            raised.undo().expect("it could be raised");
        }
        Err(error) => {
            println!("the setting cannot be written here: {error}");
            let told = error.to_string();
            assert!(
                told.starts_with(
                    "settings of the kernel cannot be raised: net.core.somaxconn cannot be set to "
                ),
                "{told}"
            );
            let is_read_only = told.ends_with("(it can be set on the host, outside of the container)");
            assert!(!geteuid().is_root() || is_read_only, "{told}");
            assert!(geteuid().is_root() || told.ends_with("(only root may)"), "{told}");
        }
    }
    assert_eq!(read(), before);
    assert!(!places.journal.exists());
}
