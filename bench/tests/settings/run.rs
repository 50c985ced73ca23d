//! A run in a process of its own: the test that raises settings, told how to end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use depthcast_bench::probe::settings::raised::RaisedSettings;
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::{Folder, assert_set_back, own, places, raises};

/// The variables of a run: how it is to end, and the folder.
const RUN: &str = "DEPTHCAST_TEST_SETTINGS_RUN";
const FOLDER: &str = "DEPTHCAST_TEST_SETTINGS_FOLDER";

/// What a run says once its settings are raised.
const RAISED: &str = "the settings are raised";

/// A run in a process of its own, with all that it and its guardian say.
pub(crate) struct Run {
    process: Child,
    said: BufReader<std::io::PipeReader>,
}

impl Run {
    /// Starts one that ends in this way, in a group of its own as a shell starts it, and waits until settings are raised.
    pub(crate) fn start(folder: &Folder, way: &str) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut run = Command::new(std::env::current_exe().expect("this program"));
        run.args([
            "--exact",
            "run::a_run_says_what_it_raises_and_sets_it_back",
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

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Its guardian's process.
    pub(crate) fn guardian(&self) -> Pid {
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
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
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
