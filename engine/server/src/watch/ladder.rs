//! `watch` in a terminal: a live ladder of the book with the last trades, until a key, a signal, the time or an error ends
//! it.
//!
//! ```text
//! subscriber -> feeder (thread): events -> model -> newest picture -> view -> terminal
//!                  ^                                                    |
//!                  '------- commands: symbol, levels, grouping ------ keys
//! ```
//!
//! - [`model`] is what the events add up to, [`picture`] what is to be seen of it, [`view`] how that looks;
//! - [`controls`] is what the keys set; [`feeder`] reads the market; [`screen`] owns the terminal;
//! - here is the loop that draws and listens to keys, and the only place that puts the others together.

mod controls;
mod feeder;
mod model;
mod picture;
mod rate;
mod screen;
mod view;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use depthcast_client::{ClientError, Subscriber, Url, rest};
use depthcast_wire::stream::SymbolName;
use ratatui::crossterm::event::{self, Event as TerminalEvent};

use self::controls::{Controls, Symbols, Wish};
use self::feeder::{Command, Feeder, Outcome, Slot};
use self::picture::Picture;
use self::screen::{Keyboard, Screen};
use self::view::{Setup, Theme};
use super::record::{RecordError, Recorded, Recorder};
use super::session::{self, EPOCH_ENDS_RECORDING, End, report};
use super::summary::{self, Watched};
use super::{EXIT_INTERRUPTED, EXIT_OK, WatchOptions, exit_code};

/// The shortest time between two frames: 25 a second.
const FRAME_INTERVAL: Duration = Duration::from_millis(40);

/// Terminal events taken before the next frame: a pasted page must not hold it up.
const KEYS_PER_FRAME_MAX: usize = 256;

/// Commands on their way to the feeder, which takes them 25 times a second: more than anybody types meanwhile. What
/// does not fit is dropped, as a key pressed too fast.
const COMMANDS_MAX: usize = 64;

/// How long the list of symbols may take.
const SYMBOLS_PATIENCE: Duration = Duration::from_secs(10);

/// How long the feeder may take to end. It may be waiting for a server that does not answer; then the summary is lost.
const FEEDER_PATIENCE: Duration = Duration::from_millis(1500);

/// How often it is looked at whether the program was told to stop.
const HURRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long after that it may go on: twice what the feeder is given.
const HURRY_AFTER: Duration = Duration::from_secs(3);

/// Shows the ladder, or prints lines where the terminal cannot be taken over; gives the exit code.
pub(super) fn watch(
    options: &WatchOptions,
    stop: &Arc<AtomicBool>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    let (subscriber, recorder) = match session::begin(options, errors) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let opened = Screen::enter().and_then(|screen| Ok((screen, Keyboard::open()?)));
    let screen = match opened {
        Ok(screen) => screen,
        Err(error) => {
            report(
                errors,
                &format!("this terminal takes no ladder ({error}): lines instead"),
            );
            return session::watch_with(options, subscriber, recorder, stop, out, errors);
        }
    };
    let hurry = Hurry::after(stop.clone());
    let mut ladder = Ladder::start(options, subscriber, screen);
    let end = ladder.run(options, recorder.as_ref(), stop);
    let (outcome, recorded_epoch) = ladder.finish();
    // What is still to be written may take its time.
    drop(hurry);
    if recorded_epoch {
        report(errors, EPOCH_ENDS_RECORDING);
    }
    conclude(options, end, outcome, recorder, out, errors)
}

/// Ends the program when it was told to stop and does not: a terminal that goes away in the wrong moment never comes back
/// from the library that reads its keys.
struct Hurry {
    is_over: Arc<AtomicBool>,
}

impl Hurry {
    fn after(stop: Arc<AtomicBool>) -> Hurry {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        std::thread::spawn(move || {
            let mut stopped_at = None;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(HURRY_INTERVAL);
                if stop.load(Ordering::Relaxed) {
                    let since: Instant = *stopped_at.get_or_insert_with(Instant::now);
                    if since.elapsed() > HURRY_AFTER {
                        std::process::exit(EXIT_INTERRUPTED);
                    }
                }
            }
        });
        Hurry { is_over }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Prints the summary; gives the exit code.
fn conclude(
    options: &WatchOptions,
    end: End,
    outcome: Option<Outcome>,
    recorder: Option<Recorder>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    let Some(outcome) = outcome else {
        report(
            errors,
            "the server did not answer in time, so there is no summary",
        );
        let recorded = session::finish_recording(recorder, options, out, errors);
        return said(session::verdict(&end, options, 1), errors).unwrap_or(recorded);
    };
    let end = match (outcome.failed, end) {
        (Some(error), _) => End::Failed(error),
        (None, End::TimeUp { silent, .. }) => End::TimeUp {
            lost: outcome.lost,
            silent,
        },
        (None, end) => end,
    };
    if let Some(subscriber) = outcome.subscriber {
        if subscriber.instrument().is_some() && !matches!(end, End::Unread) {
            let watched = Watched {
                symbol: outcome.symbol,
                url: &options.url,
                elapsed: outcome.start.elapsed(),
            };
            // Should the reader be gone by now, only the summary is lost.
            let _ = summary::print(&subscriber, &watched, out);
        }
        subscriber.close();
    }
    let recorded = match end {
        End::NotRecorded(_) => EXIT_OK,
        _ => session::finish_recording(recorder, options, out, errors),
    };
    let fault = outcome
        .fault
        .map(|fault| (format!("while it was watched: {fault}"), exit_code(fault.fault())));
    let verdict = session::verdict(&end, options, outcome.updates);
    said(verdict.or(fault), errors).unwrap_or(recorded)
}

/// Says the sentence, where there is one; gives its exit code.
fn said(verdict: Option<(String, i32)>, errors: &mut dyn Write) -> Option<i32> {
    let (sentence, code) = verdict?;
    report(errors, &sentence);
    Some(code)
}

/// A ladder on a screen.
struct Ladder {
    screen: Screen,
    keyboard: Keyboard,
    feeder: Option<JoinHandle<Outcome>>,
    commands: Sender<Command>,
    slot: Slot,
    symbols: Receiver<Result<Vec<SymbolName>, ClientError>>,
    controls: Controls,
    setup: Setup,
    picture: Option<Arc<Picture>>,
    /// The rows a side that the feeder was asked for.
    levels: u16,
    drawn_at: Option<Instant>,
    is_dirty: bool,
    recorded_epoch: bool,
}

impl Ladder {
    fn start(
        options: &WatchOptions,
        subscriber: Subscriber,
        (screen, keyboard): (Screen, Keyboard),
    ) -> Ladder {
        let subscription = options.subscriber_options();
        let (commands, taken) = bounded(COMMANDS_MAX);
        let slot = Slot::default();
        let cadence = subscription.depth_cadence();
        let setup = Setup {
            url: options.url.to_string(),
            format: format!("{} {} ms", options.format.name(), cadence.millis()),
            recorded_lines: options.record.as_ref().map(|_| 0),
            theme: Theme::from_environment(),
        };
        let feeder = Feeder::new(subscriber, subscription, taken, slot.clone());
        Ladder {
            screen,
            keyboard,
            feeder: Some(std::thread::spawn(move || feeder.run())),
            commands,
            slot,
            symbols: ask_for_symbols(&options.url),
            controls: Controls::new(options.symbol, options.record.is_some()),
            setup,
            picture: None,
            levels: 0,
            drawn_at: None,
            is_dirty: false,
            recorded_epoch: false,
        }
    }

    /// Draws and listens until an end.
    fn run(&mut self, options: &WatchOptions, recorder: Option<&Recorder>, stop: &AtomicBool) -> End {
        let deadline = options.duration.map(|duration| Instant::now() + duration);
        loop {
            let now = Instant::now();
            if stop.load(Ordering::Relaxed) || !self.is_alive() {
                return End::Stopped;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                // The screen has said how long there was no update.
                return End::TimeUp {
                    lost: None,
                    silent: Duration::ZERO,
                };
            }
            if let Err(error) = recorder.map_or(Ok(()), |recorder| self.look_at(recorder)) {
                return End::NotRecorded(error);
            }
            self.gather();
            let turn = self.draw_when_due(now).and_then(|wait| {
                let left = deadline.map_or(wait, |deadline| wait.min(deadline - now));
                self.take_keys(left)
            });
            match turn {
                Ok(true) => return End::Stopped,
                Ok(false) => {}
                // The terminal is gone, and with it whoever looked.
                Err(_) => return End::Unread,
            }
        }
    }

    /// Ends the feeder, and gives the terminal back. `None` where the feeder does not end; whether a recording ended
    /// because the market began anew.
    fn finish(self) -> (Option<Outcome>, bool) {
        // A channel that is full is as good: it is closed below.
        let _ = self.commands.try_send(Command::Stop);
        let Ladder {
            screen,
            feeder,
            commands,
            recorded_epoch,
            ..
        } = self;
        drop((screen, commands));
        let Some(feeder) = feeder else {
            return (None, recorded_epoch);
        };
        let patience_ends = Instant::now() + FEEDER_PATIENCE;
        while !feeder.is_finished() && Instant::now() < patience_ends {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !feeder.is_finished() {
            return (None, recorded_epoch);
        }
        match feeder.join() {
            Ok(outcome) => (Some(outcome), recorded_epoch),
            // The hook has reported it; the program ends as any that panics.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn is_alive(&self) -> bool {
        self.screen.is_ours() && self.feeder.as_ref().is_some_and(|feeder| !feeder.is_finished())
    }

    fn look_at(&mut self, recorder: &Recorder) -> Result<(), RecordError> {
        let Recorded {
            lines,
            ended_at_epoch,
        } = recorder.state()?;
        if ended_at_epoch && !std::mem::replace(&mut self.recorded_epoch, true) {
            self.controls.message = Some(EPOCH_ENDS_RECORDING.to_owned());
            self.is_dirty = true;
        }
        // It is drawn with the next picture: there are no lines without one.
        self.setup.recorded_lines = Some(lines);
        Ok(())
    }

    /// Takes the newest picture, and the list of symbols once it is there.
    fn gather(&mut self) {
        if let Some(picture) = self.slot.take() {
            let is_other_symbol = self
                .picture
                .as_ref()
                .is_none_or(|old| old.symbol != picture.symbol);
            if !self.controls.is_paused || is_other_symbol {
                self.picture = Some(picture);
                self.is_dirty = true;
            }
        }
        if let Ok(answer) = self.symbols.try_recv() {
            self.controls.symbols = match answer {
                Ok(symbols) => Symbols::Known(symbols),
                Err(error) => Symbols::Unknown(error.to_string()),
            };
            self.is_dirty = true;
        }
    }

    /// Draws when something changed and the time has come; gives how long to wait for keys.
    fn draw_when_due(&mut self, now: Instant) -> io::Result<Duration> {
        let due = self.drawn_at.map_or(now, |drawn_at| drawn_at + FRAME_INTERVAL);
        if !self.is_dirty {
            return Ok(FRAME_INTERVAL);
        }
        if now < due {
            return Ok(due - now);
        }
        let Some(picture) = self.picture.clone() else {
            return Ok(FRAME_INTERVAL);
        };
        let mut fit = 1;
        let (controls, setup) = (&self.controls, &self.setup);
        self.screen
            .draw(|frame| fit = view::draw(frame, &picture, controls, setup))?;
        self.is_dirty = false;
        self.drawn_at = Some(now);
        self.controls.fit = fit.max(1);
        let levels = self.controls.levels(fit).max(1);
        if levels != self.levels && self.commands.try_send(Command::Levels(levels.into())).is_ok() {
            self.levels = levels;
        }
        Ok(FRAME_INTERVAL)
    }

    /// Waits up to `wait` for keys and takes what there is; true when one of them quits, or the terminal is gone.
    fn take_keys(&mut self, wait: Duration) -> io::Result<bool> {
        if !self.keyboard.wait(wait)? {
            return Ok(true);
        }
        if !event::poll(Duration::ZERO)? {
            return Ok(false);
        }
        for _ in 0..KEYS_PER_FRAME_MAX {
            match event::read()? {
                TerminalEvent::Key(key) => match self.controls.on_key(key) {
                    Wish::Quit => return Ok(true),
                    Wish::Nothing => {}
                    Wish::Draw => self.is_dirty = true,
                    Wish::Watch(symbol) => self.send(Command::Watch(symbol)),
                    Wish::Group(group) => self.send(Command::Group(group)),
                },
                TerminalEvent::Resize(..) => self.is_dirty = true,
                _ => {}
            }
            if !event::poll(Duration::ZERO)? {
                break;
            }
        }
        Ok(false)
    }

    fn send(&mut self, command: Command) {
        self.is_dirty = true;
        if self.commands.try_send(command).is_err() {
            self.controls.message = Some("busy: press the key again".into());
        }
    }
}

/// Fetches the server's symbols aside.
fn ask_for_symbols(url: &Url) -> Receiver<Result<Vec<SymbolName>, ClientError>> {
    let (answer, answered) = bounded(1);
    let url = url.clone();
    std::thread::spawn(move || {
        // Nobody need be waiting for it any more.
        let _ = answer.send(rest::symbols(&url, SYMBOLS_PATIENCE));
    });
    answered
}

#[cfg(test)]
mod tests;
