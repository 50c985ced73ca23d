//! The terminal: taken over in one place, given back whatever happens.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// What a frame is gathered in, so that it goes out in one write: a full screen with all its colours.
const FRAME_BYTES: usize = 64 * 1024;

/// A panic's hook as the standard library keeps it.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

/// Where keys come from, watched for its end: the library that reads keys never comes back from a terminal that is gone.
pub(super) struct Keyboard {
    terminal: OwnedFd,
}

impl Keyboard {
    /// The terminal that keys are read from: standard input, or the one that the program belongs to.
    pub(super) fn open() -> io::Result<Keyboard> {
        let stdin = io::stdin();
        let terminal = if stdin.is_terminal() {
            stdin.as_fd().try_clone_to_owned()?
        } else {
            File::open("/dev/tty")?.into()
        };
        Ok(Keyboard { terminal })
    }

    /// Waits up to `wait` for a key. False when the terminal is gone.
    pub(super) fn wait(&self, wait: Duration) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.terminal, PollFlags::IN)];
        let timeout = Timespec::try_from(wait).unwrap_or_default();
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) => Ok(!polled[0]
                .revents()
                .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)),
            // A signal: what it wants is looked at elsewhere.
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// The terminal as a ladder has it: alternate screen, no cursor, no echo.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    takeover: Arc<Takeover>,
    /// What panics did before.
    hook_before: Arc<Hook>,
}

/// What has to be undone, once.
struct Takeover {
    is_on: AtomicBool,
    /// Standard output under a descriptor of its own: a panic may come while another part holds its lock.
    out: Mutex<File>,
}

impl Takeover {
    /// Gives the terminal back; the second time nothing happens.
    fn undo(&self) {
        if !self.is_on.swap(false, Ordering::AcqRel) {
            return;
        }
        // Both are tried; there is nobody left to tell of an error.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = execute!(out, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

impl Screen {
    /// Takes the terminal over. A panic of any thread gives it back before it is reported.
    pub(super) fn enter() -> io::Result<Screen> {
        let open = || -> io::Result<File> { Ok(io::stdout().as_fd().try_clone_to_owned()?.into()) };
        let (for_frames, for_undo) = (open()?, open()?);
        enable_raw_mode()?;
        let takeover = Arc::new(Takeover {
            is_on: AtomicBool::new(true),
            out: Mutex::new(for_undo),
        });
        let hook_before: Arc<Hook> = Arc::new(std::panic::take_hook());
        std::panic::set_hook(Box::new({
            let (takeover, before) = (takeover.clone(), hook_before.clone());
            move |info| {
                takeover.undo();
                before(info);
            }
        }));
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, for_frames));
        let mut screen = Screen {
            terminal: Terminal::new(backend).inspect_err(|_| takeover.undo())?,
            takeover,
            hook_before,
        };
        let out = screen.terminal.backend_mut();
        // Not the terminal's own clearing, which asks where the cursor is: some never answer.
        execute!(out, EnterAlternateScreen, Clear(ClearType::All), Hide)?;
        // What keys come from is only opened at the first question.
        event::poll(Duration::ZERO)?;
        Ok(screen)
    }

    /// Whether it is still ours: a panic of another thread has given it back.
    pub(super) fn is_ours(&self) -> bool {
        self.takeover.is_on.load(Ordering::Acquire)
    }

    /// Draws one frame; only what changed is written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        self.terminal.backend_mut().flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.takeover.undo();
        // Inside a panic the hook cannot be changed, and need not be.
        if !std::thread::panicking() {
            let before = self.hook_before.clone();
            std::panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}
