//! The engine's goodbye: an event that announces its end, and behind it a Close.

use super::raw::ServerFrame;

/// The Close of an engine that ends.
pub const ENDING: (u16, &str) = (1001, "the engine is ending");

/// The time in the event that announces the engine's end, raw or wrapped; None of any other message.
pub fn shutdown_time(text: &str) -> Option<i64> {
    let wrapped = text
        .strip_prefix(r#"{"stream":"!serverShutdown","data":"#)
        .and_then(|rest| rest.strip_suffix('}'));
    let time = wrapped
        .unwrap_or(text)
        .strip_prefix(r#"{"e":"serverShutdown","E":"#)?
        .strip_suffix('}')?;
    time.parse().ok()
}

/// Takes the goodbye off the end of what a subscriber got: gives what came before it, and the text of the event.
pub fn before_goodbye(frames: &[ServerFrame]) -> (&[ServerFrame], &str) {
    let [before @ .., event, close] = frames else {
        panic!("{frames:?} end without a goodbye");
    };
    assert_eq!(close.close(), Some(ENDING));
    let text = event.text();
    assert!(shutdown_time(text).is_some(), "{text} announces no end");
    let announced = |frame: &ServerFrame| {
        let text = std::str::from_utf8(&frame.payload);
        text.is_ok_and(|text| shutdown_time(text).is_some())
    };
    assert!(!before.iter().any(announced), "the end is announced once");
    (before, text)
}
