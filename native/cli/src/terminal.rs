//! What the person at the terminal sees: results on stdout; messages and GDAL's progress bar on stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ArgMatches;
use serde_json::Value as Json;
use stfusion_core::{Error, ErrorKind, Level, LogSink, Result};

use crate::signals;

/// Writes a result to stdout. A reader that has gone away (`| head`) has what it wanted, so that is no failure.
///
/// # Errors
/// [`ErrorKind::Write`] when stdout cannot be written, as on a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Write, format!("Standard output cannot be written: {e}"))
                .with_hint("Send the output to a place with enough free space."))
        }
        _ => Ok(()),
    }
}

/// Writes to stderr; where that is closed there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    let _ = err.flush();
}

/// GDAL's progress bar: `0...10...20...30...40...50...60...70...80...90...100 - done.`
#[derive(Debug)]
struct Bar {
    tick: i32,
    drawn: usize,
}

impl Bar {
    const TICKS: i32 = 40;

    fn new() -> Self {
        Bar { tick: -1, drawn: 0 }
    }

    /// The text that brings the bar from where it is to `fraction`.
    fn advance(&mut self, fraction: f64) -> String {
        let tick = ((fraction * f64::from(Self::TICKS)) as i32).clamp(0, Self::TICKS);
        if tick < self.tick && self.tick == Self::TICKS {
            self.tick = -1;
        }
        let mut text = String::new();
        while self.tick < tick {
            self.tick += 1;
            if self.tick % 4 == 0 {
                text.push_str(&(self.tick / 4 * 10).to_string());
            } else {
                text.push('.');
            }
        }
        self.drawn += text.len();
        if self.tick == Self::TICKS && self.drawn > 0 {
            text.push_str(" - done.\n");
            self.drawn = 0;
        }
        text
    }

    /// The text that takes an unfinished bar off the line, so that a message can stand there; the bar is then drawn anew.
    fn clear(&mut self) -> String {
        if self.drawn == 0 {
            return String::new();
        }
        let blank = " ".repeat(self.drawn);
        *self = Bar::new();
        format!("\r{blank}\r")
    }
}

/// Where messages, progress and results of one command go.
#[derive(Debug)]
pub(crate) struct Terminal {
    level: Option<Level>,
    bar: Option<Mutex<Bar>>,
}

impl Terminal {
    /// As `--quiet`, `--verbose`, `--debug`, `STFUSION_DEBUG` and the terminal say.
    pub fn new(options: &ArgMatches) -> Self {
        let flag = |id| options.get_flag(id);
        let debug = flag("debug") || std::env::var_os("STFUSION_DEBUG").is_some_and(|v| !v.is_empty() && v != "0");
        let level = if debug {
            Some(Level::Debug)
        } else if flag("verbose") {
            Some(Level::Info)
        } else if flag("quiet") {
            None
        } else {
            Some(Level::Warning)
        };
        let show = !flag("quiet") && io::stderr().is_terminal();
        Terminal { level, bar: show.then(|| Mutex::new(Bar::new())) }
    }

    /// Writes a result to stdout.
    ///
    /// # Errors
    /// As [`print`].
    pub fn result(&self, text: &str) -> Result<()> {
        self.clear_bar();
        print(text)
    }

    /// Writes a result to stdout as indented JSON.
    ///
    /// # Errors
    /// As [`print`].
    pub fn result_json(&self, json: &Json) -> Result<()> {
        self.result(&format!("{json:#}\n"))
    }

    /// Says something on stderr unless the user wants silence.
    pub fn note(&self, message: &str) {
        if self.level.is_some() {
            self.say(&format!("stfusion: {message}\n"));
        }
    }

    /// Says what was found or chosen, to those who want to know.
    pub fn info(&self, message: &str) {
        if self.level.is_some_and(|most| Level::Info <= most) {
            self.say(&format!("stfusion: {message}\n"));
        }
    }

    /// Says what failed and what to do about it.
    pub fn error(&self, error: &Error) {
        let hint = error.hint().map(|h| format!("  hint: {h}\n")).unwrap_or_default();
        self.say(&format!("stfusion: error: {}\n{hint}", error.message()));
    }

    /// Whether result lines for people are wanted.
    pub fn is_quiet(&self) -> bool {
        self.level.is_none()
    }

    /// The log of a context.
    pub fn log(self: &Arc<Self>) -> Arc<LogSink> {
        let terminal = Arc::clone(self);
        Arc::new(move |level, message| {
            if terminal.level.is_some_and(|most| level <= most) {
                let kind = match level {
                    Level::Warning => "warning: ",
                    Level::Info => "",
                    Level::Debug => "debug: ",
                };
                terminal.say(&format!("stfusion: {kind}{message}\n"));
            }
        })
    }

    /// A progress function: draws the bar, and stops the work when a signal came.
    pub fn progress(self: &Arc<Self>) -> impl FnMut(f64, &str) -> bool {
        let terminal = Arc::clone(self);
        move |fraction, _| {
            if let Some(bar) = &terminal.bar {
                complain(&bar.lock().unwrap_or_else(PoisonError::into_inner).advance(fraction));
            }
            signals::received().is_none()
        }
    }

    fn clear_bar(&self) {
        if let Some(bar) = &self.bar {
            complain(&bar.lock().unwrap_or_else(PoisonError::into_inner).clear());
        }
    }

    fn say(&self, text: &str) {
        self.clear_bar();
        complain(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_gdals() {
        let mut bar = Bar::new();
        let text: String = (0..=1000).map(|i| bar.advance(f64::from(i) / 1000.0)).collect();
        assert_eq!(text, "0...10...20...30...40...50...60...70...80...90...100 - done.\n");
        assert_eq!(Bar::new().advance(1.0), text);
        assert_eq!(bar.advance(0.1), "0...10", "a second run starts anew");
    }

    #[test]
    fn a_message_takes_the_place_of_an_unfinished_bar() {
        let mut bar = Bar::new();
        assert_eq!(bar.clear(), "");
        assert_eq!(bar.advance(0.1), "0...10");
        assert_eq!(bar.clear(), "\r      \r");
        assert_eq!(bar.clear(), "");
        assert_eq!(bar.advance(0.15), "0...10..");
        assert!(bar.advance(1.0).ends_with("100 - done.\n"));
        assert_eq!(bar.clear(), "");
        assert_eq!(bar.advance(1.0), "");
    }

    #[test]
    fn fractions_outside_the_range_do_no_harm() {
        let mut bar = Bar::new();
        assert_eq!(bar.advance(f64::NAN), "0");
        assert_eq!(bar.advance(-1.0), "");
        assert!(bar.advance(7.0).ends_with("100 - done.\n"));
    }
}
