//! The control channel of a process on the wall clock: one JSON line each way, on standard input and output.
//!
//! ```text
//! system ▶ {"type":"ready"}
//! harness ▶ {"type":"start","epoch_ns":123456789}      CLOCK_MONOTONIC at the run's start, in the near future
//! both    ▶ {"type":"signal","data":"68656c6c6f"}      an out-of-band message for the other end, in hexadecimal
//! harness ▶ {"type":"stop"}
//! system ▶ {"type":"done"}
//! ```

use anyhow::{Context, Result, bail};
use link::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::time::Duration;
use sut_core::drive::{Clock, Inbox, Waker, Wakeup, inbox};

/// One line of the control channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The process is bound and waits for the start.
    Ready,
    /// Begin.
    Start {
        /// `CLOCK_MONOTONIC` at the run's start.
        epoch_ns: u64,
    },
    /// An out-of-band message for the other end.
    Signal {
        /// Hexadecimal.
        data: String,
    },
    /// End now.
    Stop,
    /// The process has done its part.
    Done,
}

/// The system's side of the channel.
pub struct Control;

impl Control {
    /// Says `ready`, waits for `start`, and leaves a thread that passes on what comes later.
    pub fn ready_and_start<Done: Send + 'static>() -> Result<(Control, Waker<Done>, Inbox<Done>, u64)> {
        say(&Line::Ready);
        // Not the locked standard input: the rest of it is read on another thread.
        let mut lines = std::io::BufReader::new(std::io::stdin()).lines();
        let (to_self, wakeups) = inbox()?;
        let epoch_ns = loop {
            let Some(line) = lines.next() else {
                bail!("the harness closed the control channel before the start")
            };
            match parse(&line.context("failed to read the control channel")?)? {
                Line::Start { epoch_ns } => break epoch_ns,
                Line::Stop => bail!("stopped before the start"),
                // The other end may have started already.
                Line::Signal { data } => {
                    to_self.send(Wakeup::Signal(unhex(&data)?));
                }
                Line::Ready | Line::Done => {}
            }
        };
        let to_loop = to_self.clone();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            for line in lines {
                let wakeup = match line.ok().and_then(|l| parse(&l).ok()) {
                    Some(Line::Signal { data }) => match unhex(&data) {
                        Ok(message) => Wakeup::Signal(message),
                        Err(_) => continue,
                    },
                    Some(Line::Stop) => Wakeup::Stop,
                    _ => continue,
                };
                if !to_loop.send(wakeup) {
                    return;
                }
            }
            to_loop.send(Wakeup::Stop); // the harness is gone
        })?;
        Ok((Control, to_self, wakeups, epoch_ns))
    }

    /// Passes a message to the other end.
    pub fn signal(&self, message: &[u8]) {
        say(&Line::Signal { data: hex(message) });
    }

    /// Says that everything is done.
    pub fn done(&self) {
        say(&Line::Done);
    }
}

fn parse(line: &str) -> Result<Line> {
    serde_json::from_str(line).with_context(|| format!("control line {line:?} makes no sense"))
}

fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    let text = serde_json::to_string(line).expect("a plain enum is JSON");
    // A harness that is gone stops this process through the other direction.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes of a hexadecimal text.
pub fn unhex(text: &str) -> Result<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        bail!("odd hexadecimal text");
    }
    (0..text.len()).step_by(2).map(|i| Ok(u8::from_str_radix(&text[i..i + 2], 16)?)).collect()
}

/// `CLOCK_MONOTONIC` as nanoseconds since a run's start; the processes of one machine agree on it.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    epoch_ns: u64,
}

impl MonotonicClock {
    /// A clock that reads zero at `epoch_ns`.
    #[must_use]
    pub fn new(epoch_ns: u64) -> Self {
        Self { epoch_ns }
    }

    /// `CLOCK_MONOTONIC` in nanoseconds.
    #[must_use]
    pub fn raw_ns() -> u64 {
        let now =
            nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
        Duration::from(now).as_nanos() as u64
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        let now = Self::raw_ns();
        if now < self.epoch_ns {
            // The start lies in the near future: both ends begin together.
            std::thread::sleep(Duration::from_nanos(self.epoch_ns - now));
        }
        Timestamp(Self::raw_ns().saturating_sub(self.epoch_ns))
    }

    fn at_realtime(&self, since_1970: Duration) -> Timestamp {
        // Asked for anew each time: this clock may be stepped.
        let before = Self::raw_ns();
        let real =
            nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).expect("Linux has this clock");
        let now = before.midpoint(Self::raw_ns());
        let ago = Duration::from(real).saturating_sub(since_1970).as_nanos() as u64;
        Timestamp(now.saturating_sub(ago).saturating_sub(self.epoch_ns))
    }
}
