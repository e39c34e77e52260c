//! The emulator process: packets in at one veth, the pure link's decision, out at the other when their time has come.
//!
//! ```text
//!  tx0 ─recvmmsg─▶ Link (forward) ─sendmmsg─▶ rx0        one thread, ppoll to the next departure, spin the rest
//!  tx0 ◀─sendmmsg─ Link (reverse) ◀─recvmmsg─ rx0        fate records go to a second thread that writes the file
//! ```
//! Packets count from the kernel's time stamp of their arrival, so that being woken late costs nothing as long as the
//! delay is longer than the wait. Departures are stamped after the system call that sent them.

mod clock;
mod path;
mod socket;
mod watch;

use crate::control::{Answer, Health, Request, Setup};
use crate::error::LabError;
use crate::lateness::Histogram;
use crate::ledger::{Ledger, LedgerSender};
use crate::names::{LabName, Role};
use crate::{leftovers, lost, wire};
use link::Direction;
use path::Path;
use socket::PacketSocket;
use std::io::Write;
use watch::Watch;

/// Body of the emulator process: `lab` names the namespaces, everything else comes by standard input.
/// Returns the exit code.
pub(crate) fn run(lab: &str) -> i32 {
    ignore_terminal();
    let mut control = Control { pending: Vec::new() };
    let outcome = control
        .first_line()
        .and_then(|line| {
            serde_json::from_str::<Setup>(&line).map_err(|e| LabError::Emulator(format!("bad setup: {e}")))
        })
        .and_then(|setup| {
            if setup.kernel {
                Watch::new(setup).and_then(|mut w| w.serve(&mut control))
            } else {
                Emulator::new(setup).and_then(|mut e| e.serve(&mut control))
            }
        });
    match outcome {
        Ok(End::Told) => 0,
        Ok(End::OwnerGone) => {
            clean_up(lab);
            0
        }
        Err(e) => {
            // The owner reads this and removes the lab; if it is gone as well, the lab is ours to remove.
            say(&Answer::Failed(link::said(&e)));
            if matches!(control.wait(None), Some(Incoming::Closed)) {
                clean_up(lab);
            }
            1
        }
    }
}

/// How a service ended.
enum End {
    Told,
    OwnerGone,
}

struct Emulator {
    setup: Setup,
    towards_tx: PacketSocket,
    towards_rx: PacketSocket,
    forward: Path,
    reverse: Path,
    lateness: Histogram,
    ledger: Option<(Ledger, LedgerSender)>,
    /// Time zero, `CLOCK_MONOTONIC`; the first shaped packet's arrival if nobody says otherwise.
    epoch: Option<u64>,
    realtime: bool,
    /// Counters of the interfaces towards both ends when the sockets were ready.
    at_first: [lost::Interface; 2],
}

/// Longest wait for packets that a busy kernel has not handed over yet when the run is over.
const DRAIN_NS: u64 = 100_000_000;

/// One interface of the emulator, since the lab was built.
struct Veth {
    packets_inbound: u64,
    dropped_inbound: u64,
    dropped_outbound: u64,
}

impl Veth {
    fn since(first: &lost::Interface, now: &lost::Interface) -> Veth {
        Veth {
            packets_inbound: now.rx_packets.saturating_sub(first.rx_packets),
            dropped_inbound: now.rx_dropped.saturating_sub(first.rx_dropped),
            dropped_outbound: now.tx_dropped.saturating_sub(first.tx_dropped),
        }
    }

    /// Packets that entered the veth pair and that the socket has neither handed over nor counted as lost.
    fn missing(&self, socket: &PacketSocket) -> u64 {
        self.packets_inbound.saturating_sub(socket.taken() + socket.overflow())
    }

    fn lost_inbound(&self, socket: &PacketSocket) -> u64 {
        self.dropped_inbound + self.missing(socket)
    }
}

impl Emulator {
    fn new(mut setup: Setup) -> Result<Emulator, LabError> {
        // A trace's content does not travel in the setup; its path (as the owner sees it) and its hash do.
        let here = std::path::Path::new("");
        setup.forward.load(here)?;
        setup.reverse.load(here)?;
        let socket = |interface| {
            let index = wire::index_of(interface)?;
            PacketSocket::bind(index).map_err(|e| LabError::io("open a packet socket", e))
        };
        let (towards_tx, towards_rx) = (socket(wire::TOWARDS_TX)?, socket(wire::TOWARDS_RX)?);
        let counters = |interface| {
            lost::interface(interface).map_err(|e| LabError::io("read the counters of an interface", e))
        };
        let at_first = [counters(wire::TOWARDS_TX)?, counters(wire::TOWARDS_RX)?];
        let [tx, rx] = setup.addresses;
        let ledger = setup.fates.as_deref().map(Ledger::create).transpose()?;
        Ok(Emulator {
            towards_tx,
            towards_rx,
            at_first,
            forward: Path::new(Direction::Forward, &setup.forward, setup.seed, tx, rx)?,
            reverse: Path::new(Direction::Reverse, &setup.reverse, setup.seed, rx, tx)?,
            lateness: Histogram::default(),
            ledger: ledger.map(|l| {
                let sender = l.sender();
                (l, sender)
            }),
            epoch: None,
            realtime: clock::become_punctual(setup.timing.realtime),
            setup,
        })
    }

    fn serve(&mut self, control: &mut Control) -> Result<End, LabError> {
        say(&Answer::Ready);
        let mut watched = [self.towards_tx.raw(), self.towards_rx.raw(), libc::STDIN_FILENO]
            .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        loop {
            let more = self.take(Direction::Forward)? | self.take(Direction::Reverse)?;
            self.send_due();
            if !more {
                clock::sleep_until_due(&mut watched, self.next_departure(), self.setup.timing.spin_ns);
            }
            if watched[2].revents != 0 {
                watched[2].revents = 0;
                for incoming in control.take() {
                    match incoming {
                        Incoming::Asked(Request::Start { at_ns, begins_ns }) => {
                            self.restart(at_ns, begins_ns)?;
                        }
                        Incoming::Asked(Request::Health) => {
                            let health = self.health()?;
                            say(&Answer::Health(Box::new(health)));
                        }
                        Incoming::Asked(Request::Stop) => {
                            self.drain()?;
                            let health = self.health()?;
                            self.close_ledger()?;
                            say(&Answer::Health(Box::new(health)));
                            return Ok(End::Told);
                        }
                        Incoming::Closed => {
                            self.close_ledger()?;
                            return Ok(End::OwnerGone);
                        }
                    }
                }
            }
        }
    }

    /// Takes one batch of a direction's packets; says whether there may be more.
    fn take(&mut self, direction: Direction) -> Result<bool, LabError> {
        let (socket, path) = match direction {
            Direction::Forward => (&mut self.towards_tx, &mut self.forward),
            Direction::Reverse => (&mut self.towards_rx, &mut self.reverse),
        };
        let count = socket.receive().map_err(|e| LabError::io("receive packets", e))?;
        if count == 0 {
            return Ok(false);
        }
        let difference = clock::realtime_minus_monotonic();
        let now = clock::monotonic();
        for i in 0..count {
            let received = socket.frame(i);
            if received.truncated {
                path.counts.lost.too_long += 1;
            } else if path.kind(received.frame).is_shaped() {
                let arrival = if received.realtime_ns == 0 {
                    now
                } else {
                    received.realtime_ns.saturating_sub(difference).min(now)
                };
                let epoch = *self.epoch.get_or_insert(arrival);
                path.enqueue(
                    arrival.saturating_sub(epoch),
                    received.frame,
                    self.ledger.as_mut().map(|(_, sender)| sender),
                );
            }
            // Everything else ends here: nothing may cross that the model does not decide over.
        }
        Ok(count == socket::BATCH)
    }

    fn send_due(&mut self) {
        let Some(epoch) = self.epoch else { return };
        for (path, out) in [(&mut self.forward, &self.towards_rx), (&mut self.reverse, &self.towards_tx)] {
            let now = clock::monotonic().saturating_sub(epoch);
            if path.next_departure().is_some_and(|at| at <= now) {
                path.depart(
                    epoch,
                    now,
                    out,
                    &mut self.lateness,
                    self.ledger.as_mut().map(|(_, sender)| sender),
                );
            }
        }
        if let Some((_, sender)) = &mut self.ledger {
            sender.flush_if_full();
        }
    }

    /// `CLOCK_MONOTONIC` of the next departure in either direction.
    fn next_departure(&self) -> Option<u64> {
        let epoch = self.epoch?;
        let next =
            [self.forward.next_departure(), self.reverse.next_departure()].into_iter().flatten().min()?;
        Some(epoch.saturating_add(next))
    }

    fn restart(&mut self, at_ns: u64, begins_ns: u64) -> Result<(), LabError> {
        self.forward.restart(&self.towards_rx, begins_ns)?;
        self.reverse.restart(&self.towards_tx, begins_ns)?;
        self.lateness = Histogram::default();
        if let Some((_, sender)) = &mut self.ledger {
            sender.restart();
        }
        self.epoch = Some(at_ns);
        say(&Answer::Started);
        Ok(())
    }

    /// Takes what is still on the veth pairs, so that everything sent by now is in the model or known to be lost.
    fn drain(&mut self) -> Result<(), LabError> {
        let give_up = clock::monotonic() + DRAIN_NS;
        loop {
            let more = self.take(Direction::Forward)? | self.take(Direction::Reverse)?;
            self.send_due();
            let [tx, rx] = self.veths()?;
            let missing = tx.missing(&self.towards_tx) + rx.missing(&self.towards_rx);
            if (!more && missing == 0) || clock::monotonic() > give_up {
                return Ok(());
            }
        }
    }

    /// What the interfaces towards both ends have counted since the lab was built.
    fn veths(&self) -> Result<[Veth; 2], LabError> {
        let [tx, rx] = [wire::TOWARDS_TX, wire::TOWARDS_RX].map(lost::interface);
        let [tx, rx] = [tx, rx].map(|c| c.map_err(|e| LabError::io("read the counters of an interface", e)));
        Ok([Veth::since(&self.at_first[0], &tx?), Veth::since(&self.at_first[1], &rx?)])
    }

    fn health(&mut self) -> Result<Health, LabError> {
        self.forward.counts.lost.emulator = self.towards_tx.overflow();
        self.reverse.counts.lost.emulator = self.towards_rx.overflow();
        let [tx, rx] = self.veths()?;
        self.forward.counts.lost.inbound = tx.lost_inbound(&self.towards_tx);
        self.reverse.counts.lost.inbound = rx.lost_inbound(&self.towards_rx);
        self.forward.counts.lost.outbound = rx.dropped_outbound;
        self.reverse.counts.lost.outbound = tx.dropped_outbound;
        let epoch = self.epoch.unwrap_or_else(clock::monotonic);
        let mut health = Health {
            lateness: self.lateness.summary(),
            forward: self.forward.counts(),
            reverse: self.reverse.counts(),
            realtime: self.realtime,
            shaper: "user".to_owned(),
            epoch_monotonic_ns: epoch,
            epoch_realtime_ns: epoch + clock::realtime_minus_monotonic(),
            ..Health::default()
        };
        health.judge(self.setup.bound);
        Ok(health)
    }

    fn close_ledger(&mut self) -> Result<(), LabError> {
        let Some((ledger, mut sender)) = self.ledger.take() else { return Ok(()) };
        for record in self.forward.unfinished().chain(self.reverse.unfinished()) {
            sender.write(record);
        }
        sender.flush();
        drop(sender);
        ledger.close()
    }
}

enum Incoming {
    Asked(Request),
    /// Standard input ended: the owner is gone.
    Closed,
}

/// The owner's side of standard input.
struct Control {
    pending: Vec<u8>,
}

impl Control {
    fn first_line(&mut self) -> Result<String, LabError> {
        loop {
            if let Some(line) = self.line() {
                return Ok(line);
            }
            if !self.read() {
                return Err(LabError::Emulator("its owner ended before saying what to do".to_owned()));
            }
        }
    }

    /// Waits for one message.
    fn wait(&mut self, _limit: Option<u64>) -> Option<Incoming> {
        loop {
            if let Some(line) = self.line() {
                return serde_json::from_str(&line).ok().map(Incoming::Asked);
            }
            if !self.read() {
                return Some(Incoming::Closed);
            }
        }
    }

    /// Everything that one read brings; call it when standard input is readable.
    fn take(&mut self) -> Vec<Incoming> {
        let open = self.read();
        let mut all: Vec<Incoming> = std::iter::from_fn(|| self.line())
            .filter_map(|l| serde_json::from_str(&l).ok())
            .map(Incoming::Asked)
            .collect();
        if !open {
            all.push(Incoming::Closed);
        }
        all
    }

    fn line(&mut self) -> Option<String> {
        let end = self.pending.iter().position(|b| *b == b'\n')?;
        let line = self.pending.drain(..=end).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads once; `false` at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // SAFETY of unbuffered reading: std's Stdin buffers, which ppoll would not see; File::from would close fd 0.
        let got = nix::unistd::read(std::io::stdin(), &mut buffer);
        match got {
            Ok(0) => false,
            Ok(n) => {
                self.pending.extend_from_slice(&buffer[..n]);
                true
            }
            Err(nix::errno::Errno::EINTR) => true,
            Err(_) => false,
        }
    }
}

fn say(answer: &Answer) {
    let Ok(line) = serde_json::to_string(answer) else { return };
    let mut out = std::io::stdout().lock();
    // A closed pipe means the owner is gone, which standard input tells as well.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Signals meant for the owner's terminal must not end the process that cleans up after the owner.
fn ignore_terminal() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition; no handler runs.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// The owner is gone: ends the endpoints and removes the lab, in its place.
fn clean_up(lab: &str) {
    let Some((name, _)) = LabName::parse(&format!("{lab}-tx")) else { return };
    if let Err(e) = leftovers::remove(&Role::ALL.map(|role| name.namespace(role))) {
        eprintln!("emulator: {}", link::said(&e));
    }
}
