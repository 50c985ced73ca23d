//! This test program inside of a pseudo-terminal, and what that terminal shows.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{ARGUMENTS, PATIENCE};

/// What switches to the alternate screen and back.
pub(super) const ENTER: &str = "\u{1b}[?1049h";
pub(super) const LEAVE: &str = "\u{1b}[?1049l";

/// The size of the terminal.
const ROWS: usize = 24;
const COLUMNS: usize = 80;

/// This program inside of a terminal.
pub(super) struct Inside {
    pub(super) child: Child,
    master: File,
    /// The terminal's other end, kept to ask for its settings.
    slave: File,
    before: Termios,
    text: Arc<Mutex<Vec<u8>>>,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

impl Inside {
    pub(super) fn start(variable: &str, value: &str) -> Inside {
        let master = open_terminal();
        let slave = other_end(&master);
        let before = tcgetattr(&slave).unwrap();
        let child = spawn(&slave, variable, value);
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut source, kept) = (master.try_clone().unwrap(), text.clone());
        // Ends when the last of the other end is closed.
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = source.read(&mut chunk) {
                kept.lock().unwrap().extend_from_slice(&chunk[..len]);
            }
        });
        Inside {
            child,
            master,
            slave,
            before,
            text,
        }
    }

    pub(super) fn watching(arguments: &str) -> Inside {
        Inside::start(ARGUMENTS, arguments)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Waits for a text on the screen.
    pub(super) fn await_shown(&self, part: &str) {
        self.await_that(part, |text| screen(text).contains(part));
    }

    /// Waits for a text to be written.
    pub(super) fn await_text(&self, part: &str) {
        self.await_that(part, |text| text.contains(part));
    }

    fn await_that(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let text = self.text();
            if wanted(&text) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "no {what:?} in\n{}", screen(&text));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Runs it in a terminal that goes away once the ladder is there. Gives whether it then ends in time.
    pub(super) fn ends_with_its_terminal(arguments: &str) -> bool {
        let mut master = open_terminal();
        let slave = other_end(&master);
        let mut child = spawn(&slave, ARGUMENTS, arguments);
        drop(slave);
        let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&text).contains("spread") {
            let len = master.read(&mut chunk).unwrap();
            text.extend_from_slice(&chunk[..len]);
        }
        drop(master);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    /// Waits for its end; the terminal has to be as it was.
    pub(super) fn ended(mut self) -> Ended {
        let start = Instant::now();
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None => assert!(start.elapsed() < PATIENCE, "still running: {:?}", self.text()),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (
                self.before.local_modes,
                self.before.input_modes,
                self.before.output_modes
            )
        );
        // What was written last may still be on its way.
        self.await_text(LEAVE);
        std::thread::sleep(Duration::from_millis(50));
        let text = self.text();
        assert_eq!(
            (text.matches(ENTER).count(), text.matches(LEAVE).count()),
            (1, 1),
            "{text:?}"
        );
        let shows = text.rfind("\u{1b}[?25h").expect("the cursor is shown again");
        assert!(shows > text.rfind("\u{1b}[?25l").expect("it was hidden"));
        Ended { code, text }
    }
}

/// A new terminal: the end of whoever shows it.
fn open_terminal() -> File {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    master.into()
}

/// The end of the programs in it.
fn other_end(master: &File) -> File {
    let name = ptsname(master, Vec::new()).unwrap().into_string().unwrap();
    let slave = File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize {
        ws_row: u16::try_from(ROWS).unwrap(),
        ws_col: u16::try_from(COLUMNS).unwrap(),
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();
    slave
}

fn spawn(slave: &File, variable: &str, value: &str) -> Child {
    let end = || Stdio::from(slave.try_clone().unwrap());
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "watch::ladder::tests::inside_the_terminal",
            "--nocapture",
        ])
        .env(variable, value)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env("RUST_BACKTRACE", "0")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap()
}

impl Drop for Inside {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// What was written once the terminal was given back.
    pub(super) fn after(&self) -> &str {
        self.text.rsplit_once(LEAVE).expect("it was left").1
    }
}

/// What a terminal shows after `text`: of all that moves and colours, a ladder needs moving and clearing.
pub(super) fn screen(text: &str) -> String {
    let mut cells = vec![[' '; COLUMNS]; ROWS];
    let (mut row, mut column) = (0, 0);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                // A control sequence ends with its first letter.
                let mut parameters = String::new();
                let end = rest.by_ref().find(|c| {
                    parameters.push(*c);
                    c.is_ascii_alphabetic()
                });
                match end {
                    Some('H') => (row, column) = place(&parameters),
                    Some('J') => cells = vec![[' '; COLUMNS]; ROWS],
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            c => {
                if let Some(cell) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                    *cell = c;
                }
                column += 1;
            }
        }
    }
    let line = |cells: &[char; COLUMNS]| cells.iter().collect::<String>().trim_end().to_owned();
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Row and column, from 0, in `[3;17H`.
fn place(parameters: &str) -> (usize, usize) {
    let mut numbers = parameters
        .trim_matches(|c: char| !c.is_ascii_digit())
        .split(';')
        .map(|number| number.parse().unwrap_or(1) - 1);
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
