//! Every way in which a run can end.

use depthcast_bench::probe::settings::journal;
use depthcast_bench::probe::settings::raised::RaisedSettings;
use depthcast_bench::probe::settings::setting::Setting;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::run::Run;
use super::{FORMER_MEMORY, Folder, SET_BACK, assert_set_back, own, places, raise, raises, told};

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
    let (tell, said) = told();
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
    let (tell, said) = told();
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
