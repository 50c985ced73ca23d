//! Raised settings of the kernel, and every way in which a run that has raised some can end: each time they are set back.
//!
//! The runs here are processes of this test's own program, which raises settings in a folder that stands in for /proc/sys.

mod ends;
mod run;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use depthcast_bench::probe::host::HostNeed;
use depthcast_bench::probe::ready::make_ready;
use depthcast_bench::probe::settings::journal::Places;
use depthcast_bench::probe::settings::raise::{KernelNeed, Raise, Without};
use depthcast_bench::probe::settings::raised::{RaisedSettings, SettingsError};
use depthcast_bench::probe::settings::setting::{SYS, Setting};
use rustix::process::{Signal, geteuid, kill_process};

use run::Run;

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

/// What is told by the function that is given to who tells.
fn told() -> (impl Fn(&str) + Send + 'static, Receiver<String>) {
    let (say, said) = sync_channel::<String>(64);
    let tell = move |line: &str| {
        let _ = say.try_send(line.to_string());
    };
    (tell, said)
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
        let (tell, said) = told();
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
    // One of these tests at a time.
    let journal = format!("depthcast-bench-settings-real-{}.json", geteuid().as_raw());
    let places = Places {
        sys: SYS.into(),
        journal: std::env::temp_dir().join(journal),
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
