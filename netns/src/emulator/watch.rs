//! The emulator of a lab that the kernel shapes. It forwards nothing: it changes the qdiscs when a row of a trace is due, watches
//! packets go in and come out, and outlives its owner.
//!
//! ```text
//!  tx0 ▷ in (forward)   bridge   qdiscs ▷ rx0 ▷ out (forward)      one packet socket per port sees both ways
//!  tx0 ◁ out (reverse)  qdiscs   bridge ◁ rx0 ◁ in (reverse)
//! ```

use super::socket::{self, PacketSocket};
use super::{Control, End, Incoming, clock, say};
use crate::control::{Answer, Counts, Health, Request, Setup};
use crate::error::LabError;
use crate::kind::{Kind, Others};
use crate::lateness::Histogram;
use crate::ledger::Ledger;
use crate::shaper::replay::{Run, Seen, replay};
use crate::shaper::steps::Steps;
use crate::shaper::tc;
use crate::wire;
use link::{Direction, Outcome};

/// One direction.
struct Side {
    direction: Direction,
    /// The port at whose way out the qdiscs hang.
    interface: u32,
    steps: Steps,
    /// Frames on their way in and out, in order; kept only if there is to be a ledger.
    entered: Vec<Seen>,
    left: Vec<Seen>,
    /// What the qdiscs had counted when the run began.
    before: Counts,
    /// What was not UDP.
    others: Others,
    setup_packets: u64,
    setup_bytes: u64,
}

impl Side {
    fn count_others(&self, counts: &mut Counts) {
        counts.others = self.others;
        (counts.setup_packets, counts.setup_bytes) = (self.setup_packets, self.setup_bytes);
    }
}

/// Bytes before the IP header.
const ETHERNET: usize = 14;

pub(super) struct Watch {
    setup: Setup,
    forward: Side,
    reverse: Side,
    /// At tx0 and at rx0; none where nobody has to see packets.
    taps: Option<[PacketSocket; 2]>,
    /// Time zero of the ledger and beginning of the channel, `CLOCK_MONOTONIC`.
    epoch: Option<u64>,
    begin: u64,
    late_steps: Histogram,
    lateness: Histogram,
    /// Packets that a tap missed.
    missed: [u64; 2],
    realtime: bool,
}

impl Watch {
    pub(super) fn new(mut setup: Setup) -> Result<Watch, LabError> {
        let here = std::path::Path::new("");
        setup.forward.load(here)?;
        setup.reverse.load(here)?;
        let side = |direction: Direction, port| {
            let spec = if direction == Direction::Forward { &setup.forward } else { &setup.reverse };
            let interface = wire::index_of(port)?;
            Ok::<Side, LabError>(Side {
                direction,
                interface,
                steps: Steps::new(interface, spec, direction.seed(setup.seed))?,
                entered: Vec::new(),
                left: Vec::new(),
                before: Counts::default(),
                others: Others::default(),
                setup_packets: 0,
                setup_bytes: 0,
            })
        };
        let forward = side(Direction::Forward, wire::TOWARDS_RX)?;
        let reverse = side(Direction::Reverse, wire::TOWARDS_TX)?;
        let needed = setup.fates.is_some()
            || forward.steps.waits_for_a_beginning()
            || reverse.steps.waits_for_a_beginning();
        let tap =
            |interface| PacketSocket::tap(interface).map_err(|e| LabError::io("open a packet socket", e));
        let taps = if needed { Some([tap(reverse.interface)?, tap(forward.interface)?]) } else { None };
        Ok(Watch {
            taps,
            forward,
            reverse,
            epoch: None,
            begin: 0,
            late_steps: Histogram::default(),
            lateness: Histogram::default(),
            missed: [0; 2],
            realtime: clock::become_punctual(setup.timing.realtime),
            setup,
        })
    }

    pub(super) fn serve(&mut self, control: &mut Control) -> Result<End, LabError> {
        say(&Answer::Ready);
        let mut watched = vec![libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 }];
        for tap in self.taps.iter().flatten() {
            watched.push(libc::pollfd { fd: tap.raw(), events: libc::POLLIN, revents: 0 });
        }
        loop {
            self.look()?;
            let now = clock::monotonic();
            for side in [&mut self.forward, &mut self.reverse] {
                side.steps.step(now, clock::monotonic, &mut self.late_steps)?;
            }
            let due = [self.forward.steps.due(), self.reverse.steps.due()].into_iter().flatten().min();
            clock::sleep_until_due(&mut watched, due, self.setup.timing.spin_ns);
            if watched[0].revents != 0 {
                watched[0].revents = 0;
                for incoming in control.take() {
                    match incoming {
                        Incoming::Asked(Request::Start { at_ns, begins_ns }) => {
                            self.start(at_ns, begins_ns)?;
                            say(&Answer::Started);
                        }
                        Incoming::Asked(Request::Health) => {
                            let health = self.health()?;
                            say(&Answer::Health(Box::new(health)));
                        }
                        Incoming::Asked(Request::Stop) => {
                            self.look()?;
                            let health = self.finish()?;
                            say(&Answer::Health(Box::new(health)));
                            return Ok(End::Told);
                        }
                        // Without its owner's word the run is worth nothing, and neither is its ledger.
                        Incoming::Closed => return Ok(End::OwnerGone),
                    }
                }
            }
        }
    }

    /// Takes what the taps have seen.
    fn look(&mut self) -> Result<(), LabError> {
        let Some(taps) = &mut self.taps else { return Ok(()) };
        let keep = self.setup.fates.is_some();
        for (port, tap) in taps.iter_mut().enumerate() {
            loop {
                let count = tap.receive().map_err(|e| LabError::io("watch packets", e))?;
                if count == 0 {
                    break;
                }
                let difference = clock::realtime_minus_monotonic();
                let now = clock::monotonic();
                for i in 0..count {
                    let received = tap.frame(i);
                    let at = match received.realtime_ns {
                        0 => now,
                        stamp => stamp.saturating_sub(difference).min(now),
                    };
                    if !received.outgoing && self.epoch.is_none() {
                        (self.epoch, self.begin) = (Some(at), at);
                        self.forward.steps.first_packet(at);
                        self.reverse.steps.first_packet(at);
                    }
                    // Into the lab at tx0 and out of it at rx0 is forward.
                    let forward = (port == 0) != received.outgoing;
                    let [tx, rx] = self.setup.addresses;
                    let (side, from, to) =
                        if forward { (&mut self.forward, tx, rx) } else { (&mut self.reverse, rx, tx) };
                    if !received.outgoing {
                        side.others.add(Kind::of(received.frame, from, to));
                        if at < self.begin || self.epoch.is_none() {
                            side.setup_packets += 1;
                            side.setup_bytes += received.frame.len().saturating_sub(ETHERNET) as u64;
                        }
                    }
                    if keep {
                        let seen = Seen::new(at, received.frame);
                        if received.outgoing { side.left.push(seen) } else { side.entered.push(seen) }
                    }
                }
                if count < socket::BATCH {
                    break;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, at_ns: u64, begins_ns: u64) -> Result<(), LabError> {
        self.look()?;
        (self.epoch, self.begin) = (Some(at_ns), at_ns + begins_ns);
        self.late_steps = Histogram::default();
        for side in [&mut self.forward, &mut self.reverse] {
            let now = clock::monotonic();
            side.steps.start(self.begin, now, clock::monotonic)?;
            // In force before the answer, if it is to be so at once.
            side.steps.step(now, clock::monotonic, &mut self.late_steps)?;
            side.before = counted(side.interface)?;
            side.setup_packets = side.entered.len() as u64;
            side.setup_bytes = side.entered.iter().map(Seen::ip_bytes).sum();
        }
        if let Some(taps) = &self.taps {
            taps.iter().for_each(|tap| _ = tap.take_overflow());
        }
        self.missed = [0; 2];
        Ok(())
    }

    /// Counts as the qdiscs keep them, since the start.
    fn health(&mut self) -> Result<Health, LabError> {
        if let Some(taps) = &self.taps {
            for (missed, tap) in self.missed.iter_mut().zip(taps) {
                *missed += tap.take_overflow();
            }
        }
        let epoch = self.epoch.unwrap_or_else(clock::monotonic);
        let mut health = Health {
            lateness: self.lateness.summary(),
            late_steps: self.late_steps.summary(),
            forward: since(&self.forward.before, &counted(self.forward.interface)?),
            reverse: since(&self.reverse.before, &counted(self.reverse.interface)?),
            realtime: self.realtime,
            shaper: "kernel".to_owned(),
            epoch_monotonic_ns: epoch,
            epoch_realtime_ns: epoch + clock::realtime_minus_monotonic(),
            ..Health::default()
        };
        self.forward.count_others(&mut health.forward);
        self.reverse.count_others(&mut health.reverse);
        health.judge(self.setup.bound);
        Ok(health)
    }

    /// The last word, and the ledger.
    fn finish(&mut self) -> Result<Health, LabError> {
        let Some(path) = self.setup.fates.clone() else { return self.health() };
        let end = clock::monotonic();
        let ledger = Ledger::create(&path)?;
        let mut sender = ledger.sender();
        let epoch = self.epoch.unwrap_or(end);
        let mut counts = [Counts::default(), Counts::default()];
        for (side, counts) in [&self.forward, &self.reverse].into_iter().zip(&mut counts) {
            let spec =
                if side.direction == Direction::Forward { &self.setup.forward } else { &self.setup.reverse };
            let run = Run {
                direction: side.direction,
                spec,
                plan: side.steps.plan(),
                applied: side.steps.applied(),
                epoch,
                begin: self.begin,
                end,
            };
            let replayed = replay(&run, &side.entered, &side.left)?;
            counts.unexplained = replayed.unexplained;
            for entry in replayed.entries {
                let record = &entry.record;
                counts.packets_in += 1;
                counts.bytes_in += u64::from(record.bytes);
                match (record.actual_ns, record.out_ns) {
                    (Some(actual), intended) => {
                        counts.packets_out += 1 + u64::from(record.fate == Outcome::Duplicated);
                        if let Some(intended) = intended {
                            self.lateness.add(actual.as_nanos().saturating_sub(intended.as_nanos()));
                        }
                    }
                    (None, Some(_)) => counts.waiting += 1,
                    (None, None) => counts.dropped += 1,
                }
                sender.write(entry);
                sender.flush_if_full();
            }
        }
        sender.flush();
        drop(sender);
        ledger.close()?;
        let mut health = self.health()?;
        let missed: u64 = self.missed.iter().sum();
        for (side, counts) in [&self.forward, &self.reverse].into_iter().zip(&mut counts) {
            side.count_others(counts);
        }
        [health.forward, health.reverse] = counts;
        // Which direction a missed packet belonged to is not known.
        health.forward.lost.emulator += missed;
        health.judge(self.setup.bound);
        Ok(health)
    }
}

/// What the qdiscs of an interface have counted. An interface without one of ours has counted nothing.
fn counted(interface: u32) -> Result<Counts, LabError> {
    let own: Vec<tc::Report> = tc::reports()?.into_iter().filter(|r| r.interface == interface).collect();
    let Some(root) = own.iter().find(|r| r.parent == tc::ROOT) else { return Ok(Counts::default()) };
    // A qdisc counts what its child drops, except that htb does not count what netem loses by chance.
    let dropped = own.iter().map(|r| r.dropped).max().unwrap_or(0);
    Ok(Counts {
        packets_in: root.sent + dropped + root.waiting,
        packets_out: root.sent,
        dropped,
        waiting: root.waiting,
        ..Counts::default()
    })
}

fn since(before: &Counts, now: &Counts) -> Counts {
    Counts {
        packets_in: now.packets_in.saturating_sub(before.packets_in),
        packets_out: now.packets_out.saturating_sub(before.packets_out),
        dropped: now.dropped.saturating_sub(before.dropped),
        ..*now
    }
}
