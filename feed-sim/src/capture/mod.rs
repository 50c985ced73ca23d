//! Recorded captures: files of lines `<local receive time, ns> <JSON frame>`, plain or gzip.
//!
//! - [`url`]: what `capture:PATH?speed=1&start=0&end=hold` asks for;
//! - [`reader`]: the records of a capture, one after the other; [`head`]: its symbols, learned before they are read;
//! - [`replay`]: when each record is due;
//! - [`error`]: what can be wrong with a capture.

pub mod error;
pub mod head;
mod lines;
pub mod reader;
pub mod replay;
mod steps;
mod stream_name;
pub mod url;

pub use error::{CaptureError, CaptureFault};
pub use head::{CaptureHead, CaptureSymbol};
pub use lines::LINE_BYTES_MAX;
pub use reader::{CaptureReader, Record};
pub use replay::{Finish, Next, Replay};
pub use url::{AtEnd, CaptureOptions, CaptureUrlError, Speed};
