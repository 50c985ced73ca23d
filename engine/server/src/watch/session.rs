//! One run of `watch`: subscribe, print, end, and say how it went.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use depthcast_client::{ClientError, Event, Subscriber};

use super::plain::Plain;
use super::{EXIT_CONNECTION, EXIT_MARKET, EXIT_OK, WatchOptions, exit_code};

/// How long to wait for an event before looking at Ctrl-C again: short for a person.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Why watching ended.
enum End {
    /// Ctrl-C.
    Stopped,
    /// The duration is over. `lost` is why there was no book in step by then, after a connection was lost.
    TimeUp { lost: Option<ClientError> },
    /// A fault of the server or of its data.
    Failed(ClientError),
    /// Whoever read the output has gone, as `head` does: there is nobody to tell.
    Unread,
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> End {
        End::Failed(error)
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
    let mut subscriber = match Subscriber::connect(options.subscriber_options()) {
        Ok(subscriber) => subscriber,
        Err(error) => {
            report(errors, &with_advice(&error));
            return exit_code(error.fault());
        }
    };
    let mut plain = Plain::new(options, Instant::now());
    let (Ok(end) | Err(end)) = follow(options, &mut subscriber, &mut plain, stop, out, errors);
    // Before the server has told the symbol's precision there is nothing to sum up.
    if !matches!(end, End::Unread) && subscriber.instrument().is_some() {
        // Should the reader be gone by now, only the summary is lost.
        let _ = plain.finish(&subscriber, options, out);
    }
    subscriber.close();
    let Some((sentence, code)) = verdict(&end, options, plain.updates()) else {
        return EXIT_OK;
    };
    report(errors, &sentence);
    code
}

/// Prints events until an end.
fn follow(
    options: &WatchOptions,
    subscriber: &mut Subscriber,
    plain: &mut Plain,
    stop: &AtomicBool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<End, End> {
    let deadline = options.duration.map(|duration| Instant::now() + duration);
    let mut lost = None;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(End::TimeUp { lost });
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
        plain.on_time(subscriber, Instant::now(), out)?;
        out.flush()?;
    }
    Ok(End::Stopped)
}

/// What to say at the end, and the exit code; `None` when all was well.
fn verdict(end: &End, options: &WatchOptions, updates: u64) -> Option<(String, i32)> {
    match end {
        End::Stopped | End::Unread => None,
        End::Failed(error) => Some((with_advice(error), exit_code(error.fault()))),
        End::TimeUp { lost: Some(error) } => {
            let sentence = format!("the connection was still lost when the time was up: {error}");
            Some((sentence, EXIT_CONNECTION))
        }
        End::TimeUp { lost: None } if updates == 0 => {
            let watched = humantime::format_duration(options.duration.unwrap_or_default());
            let sentence = format!(
                "stale market: no depth update of {} in {watched}",
                options.symbol.to_upper()
            );
            Some((sentence, EXIT_MARKET))
        }
        End::TimeUp { lost: None } => None,
    }
}

/// The error, and what to do about it where that is known.
fn with_advice(error: &ClientError) -> String {
    match error {
        ClientError::Connect { .. } => {
            format!("{error}; start the engine with `depthcast serve`, or name another server with --url")
        }
        _ => error.to_string(),
    }
}

/// Prints a sentence; with standard error gone there is no place left to say so.
fn report(errors: &mut dyn Write, sentence: &str) {
    let _ = writeln!(errors, "depthcast watch: {sentence}");
}
