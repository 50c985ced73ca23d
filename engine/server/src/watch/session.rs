//! One run of `watch` in plain lines, and how a run of either kind ends: what is said, and the exit code.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use depthcast_client::{ClientError, Event, Subscriber};

use super::plain::Plain;
use super::record::{RecordError, Recorder};
use super::summary::{self, Watched};
use super::{EXIT_CONNECTION, EXIT_MARKET, EXIT_OK, WatchOptions, exit_code};

/// How long to wait for an event before looking at Ctrl-C again: short for a person.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// What is said when the ids of a market that is recorded go back.
pub(super) const EPOCH_ENDS_RECORDING: &str =
    "the market has begun anew at lower ids: the recording ends before that, a capture holds one history";

/// A silence at the end of the time that makes a market one that stands still: longer than a quiet symbol's pauses.
const STALE_AT_END: Duration = Duration::from_secs(5);

/// Why watching ended.
pub(super) enum End {
    /// Ctrl-C.
    Stopped,
    /// The duration is over.
    TimeUp {
        /// Why there was no book in step by then, after a connection was lost.
        lost: Option<ClientError>,
        /// How long there had been no update by then, where that counts.
        silent: Duration,
    },
    /// A fault of the server or of its data.
    Failed(ClientError),
    /// What was received could not be kept.
    NotRecorded(RecordError),
    /// Whoever read the output has gone, as `head` does: there is nobody to tell.
    Unread,
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> End {
        End::Failed(error)
    }
}

impl From<RecordError> for End {
    fn from(error: RecordError) -> End {
        End::NotRecorded(error)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Unread
    }
}

/// Watches until the duration is over, `stop` is set, or an error; gives the exit code.
pub(super) fn watch(
    options: &WatchOptions,
    stop: &AtomicBool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    match begin(options, errors) {
        Ok((subscriber, recorder)) => watch_with(options, subscriber, recorder, stop, out, errors),
        Err(code) => code,
    }
}

/// The same with what [`begin`] has given.
pub(super) fn watch_with(
    options: &WatchOptions,
    mut subscriber: Subscriber,
    recorder: Option<Recorder>,
    stop: &AtomicBool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    let mut plain = Plain::new(options, Instant::now());
    let recording = recorder.as_ref();
    let (Ok(end) | Err(end)) = follow(options, &mut subscriber, recording, &mut plain, stop, out, errors);
    // Before the server has told the symbol's precision there is nothing to sum up.
    if !matches!(end, End::Unread) && subscriber.instrument().is_some() {
        let watched = Watched {
            symbol: options.symbol,
            url: &options.url,
            elapsed: plain.start().elapsed(),
        };
        // Should the reader be gone by now, only the summary is lost.
        let _ = summary::print(&subscriber, &watched, out);
    }
    let recorded = match end {
        // Its reason is told below.
        End::NotRecorded(_) => EXIT_OK,
        _ => finish_recording(recorder, options, out, errors),
    };
    subscriber.close();
    let Some((sentence, code)) = verdict(&end, options, plain.updates()) else {
        return recorded;
    };
    report(errors, &sentence);
    code
}

/// Connects, and opens the recording that is asked for. The error is an exit code, and its reason has been said.
pub(super) fn begin(
    options: &WatchOptions,
    errors: &mut dyn Write,
) -> Result<(Subscriber, Option<Recorder>), i32> {
    if let Some(path) = &options.record {
        // Before anybody is asked for anything.
        Recorder::check(path).map_err(|error| refuse(&error, errors))?;
    }
    let subscription = options.subscriber_options();
    let cadence = subscription.depth_cadence();
    let mut subscriber = Subscriber::connect(subscription).map_err(|error| {
        report(errors, &with_advice(&error));
        exit_code(error.fault())
    })?;
    let Some(path) = &options.record else {
        return Ok((subscriber, None));
    };
    let recorder = Recorder::create(path, cadence).map_err(|error| refuse(&error, errors))?;
    subscriber.set_tap(recorder.tap());
    Ok((subscriber, Some(recorder)))
}

/// Closes the recording and says what it has; the exit code.
pub(super) fn finish_recording(
    recorder: Option<Recorder>,
    options: &WatchOptions,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> i32 {
    let (Some(recorder), Some(path)) = (recorder, &options.record) else {
        return EXIT_OK;
    };
    match recorder.finish() {
        Ok(recorded) => {
            let path = path.display();
            let _ = match recorded.lines {
                0 => writeln!(out, "  recorded        nothing, so there is no {path}"),
                lines => writeln!(out, "  recorded        {lines} lines in {path}"),
            };
            EXIT_OK
        }
        Err(error) => refuse(&error, errors),
    }
}

fn refuse(error: &RecordError, errors: &mut dyn Write) -> i32 {
    report(errors, &error.to_string());
    error.exit_code()
}

/// Prints events until an end.
fn follow(
    options: &WatchOptions,
    subscriber: &mut Subscriber,
    recorder: Option<&Recorder>,
    plain: &mut Plain,
    stop: &AtomicBool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<End, End> {
    let deadline = options.duration.map(|duration| Instant::now() + duration);
    let mut lost = None;
    let mut epoch_told = false;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            let silent = plain.silent(now);
            return Ok(End::TimeUp { lost, silent });
        }
        let wake = [deadline, plain.due()].into_iter().flatten().min();
        let wait = wake.map_or(WAIT_MAX, |wake| wake.saturating_duration_since(now).min(WAIT_MAX));
        let event = subscriber.next(wait)?;
        if let Some(event) = &event {
            plain.on_event(subscriber, event, out)?;
        }
        match event {
            Some(Event::Reconnecting { reason, delay }) => {
                let seconds = delay.as_secs_f64();
                report(errors, &format!("{reason}; connecting again in {seconds:.1} s"));
                lost = Some(reason);
            }
            Some(Event::Synced { .. }) => lost = None,
            _ => {}
        }
        let recorded = recorder.map(Recorder::state).transpose()?.unwrap_or_default();
        if recorded.ended_at_epoch && !std::mem::replace(&mut epoch_told, true) {
            report(errors, EPOCH_ENDS_RECORDING);
        }
        plain.on_time(subscriber, Instant::now(), out)?;
        out.flush()?;
    }
    Ok(End::Stopped)
}

/// What to say at the end, and the exit code; `None` when all was well.
pub(super) fn verdict(end: &End, options: &WatchOptions, updates: u64) -> Option<(String, i32)> {
    match end {
        End::Stopped | End::Unread => None,
        End::Failed(error) => Some((with_advice(error), exit_code(error.fault()))),
        End::NotRecorded(error) => Some((error.to_string(), error.exit_code())),
        End::TimeUp {
            lost: Some(error), ..
        } => {
            let sentence = format!("the connection was still lost when the time was up: {error}");
            Some((sentence, EXIT_CONNECTION))
        }
        End::TimeUp { silent, .. } if updates > 0 && *silent >= STALE_AT_END => {
            let sentence = format!(
                "stale market: no depth update of {} in the last {:.1} s",
                options.symbol.to_upper(),
                silent.as_secs_f64()
            );
            Some((sentence, EXIT_MARKET))
        }
        End::TimeUp { lost: None, .. } if updates == 0 => {
            let watched = humantime::format_duration(options.duration.unwrap_or_default());
            let sentence = format!(
                "stale market: no depth update of {} in {watched}",
                options.symbol.to_upper()
            );
            Some((sentence, EXIT_MARKET))
        }
        End::TimeUp { .. } => None,
    }
}

/// The error, and what to do about it where that is known.
pub(super) fn with_advice(error: &ClientError) -> String {
    match error {
        ClientError::Connect { .. } => {
            format!("{error}; start the engine with `depthcast serve`, or name another server with --url")
        }
        ClientError::UnknownSymbol { .. } => {
            format!("{error}; /api/v3/exchangeInfo there lists those that it has")
        }
        _ => error.to_string(),
    }
}

/// Prints a sentence; with standard error gone there is no place left to say so.
pub(super) fn report(errors: &mut dyn Write, sentence: &str) {
    let _ = writeln!(errors, "depthcast watch: {sentence}");
}
