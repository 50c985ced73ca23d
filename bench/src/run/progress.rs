//! Progress bars on long work; silent where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar for what is going on, with the number of the run before it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    runs: usize,
    run: std::cell::Cell<usize>,
}

impl Progress {
    /// For so many runs, on standard error.
    pub fn new(runs: usize) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {msg:<22} {wide_bar} {percent:>3}%");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress {
            bar,
            runs,
            run: std::cell::Cell::new(0),
        }
    }

    /// Another run begins.
    pub fn next_run(&self) {
        self.run.set(self.run.get() + 1);
    }

    /// Says what a server is at.
    pub fn say(&self, server: &str, what: &str) {
        let run = match self.runs {
            1 => String::new(),
            runs => format!("{}/{runs} ", self.run.get()),
        };
        self.bar.set_prefix(format!("{run}{server:<9}"));
        self.bar.set_message(what.to_string());
    }

    /// Likewise, of something that counts to `length`.
    pub fn count(&self, server: &str, what: &str, length: u64) {
        self.say(server, what);
        self.bar.set_length(length.max(1));
        self.bar.set_position(0);
    }

    /// How far it has come.
    pub fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
