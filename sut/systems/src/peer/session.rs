//! One end of a session between two machines.
//!
//! ```text
//! join ─▶ descriptions over the signalling server ─▶ ICE, DTLS, SCTP ─▶ both channels open ─▶ 2 s ─▶ captures ... ─▶ bye
//! ```
//!
//! The sender's clip begins 2 s after the channels have opened, as the original's does. The receiver knows neither when that is nor how
//! many frames will come: its clock is its own, and the session ends with `bye`, or when the connection does.

use super::signalling::{Client, News, Role as Place};
use super::{bind, films, host_addresses};
use crate::clip;
use crate::control::MonotonicClock;
use crate::decode::DecodeWorker;
use crate::encode::{EncodeLane, EncodeWorker};
use crate::revo::{self, Chosen, Options, Session};
use anyhow::{Context, Result, bail, ensure};
use codecs::registry::CodecEntry;
use contract::{ClipSpec, Event, EventKind, Playout, Stream};
use link::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use sut_core::drive::Clock;
use sut_core::{Endpoint, Input, Output, Schedule, Worker, WorkerError};
use transport::{Addresses, Config, Role, Transport, TransportKind};

/// From the opening of the channels to the first capture, the original's.
const SETTLE: Duration = Duration::from_secs(2);
/// From the last message to `bye`, the original's.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// From `bye` to the end of the receiver, the original's; and until everything that came has had its slot, at most the clock's own slack and
/// this long.
const DRAIN: Duration = Duration::from_millis(100);
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);
/// Columns, rows and rate that the original declares, whatever the clip.
pub const SIZE: (u16, u16) = (512, 512);
/// See [`SIZE`].
pub const FPS: u32 = 30;
/// Later than any session: captures whose time is not known yet.
const NOT_YET: Timestamp = Timestamp(u64::MAX / 4);

/// Where and how a session takes place.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// `ws://HOST:8080/ws/demo`.
    pub signalling: String,
    /// Own addresses; empty: all of this machine's.
    pub locals: Vec<IpAddr>,
    /// Codec of both streams.
    pub codec: &'static CodecEntry,
    /// ReVo's options.
    pub options: toml::Table,
    /// Where the record goes.
    pub dir: PathBuf,
    /// Longest wait for the other end to come, and longest silence.
    pub patience: Duration,
}

/// What a sender sends.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Colour video.
    pub rgb: PathBuf,
    /// Depth video.
    pub depth: PathBuf,
    /// Only the first so many frames.
    pub frames: Option<u32>,
}

/// How a session went, for a script.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Frames sent, or slots shown.
    pub frames: u32,
    /// Per stream, how many slots showed an exact picture, a damaged one, the last one again.
    pub slots: BTreeMap<String, [u32; 3]>,
    /// Messages sent and received.
    pub messages: [u64; 2],
}

/// Sends a clip.
///
/// # Errors
/// No server, no peer, a clip that cannot be read, a full disk.
pub fn send(meeting: &Meeting, clip: &Clip) -> Result<Summary> {
    let frames = count(&clip.rgb, clip.frames)?;
    let depth = count(&clip.depth, clip.frames)?;
    // The original reads as many frames of both as colour has: a shorter depth file ends the stream.
    ensure!(
        depth >= frames,
        "{} has {depth} frames and {} has {frames}; give --frames {depth}, or a longer depth video",
        clip.depth.display(),
        clip.rgb.display()
    );
    let (chosen, session) = session(meeting, frames)?;
    let lanes = [Stream::Rgb, Stream::Depth].map(|stream| {
        // Depth, too, is a video with colours here, as the original has it.
        let file = if stream == Stream::Rgb { &clip.rgb } else { &clip.depth };
        let opener = clip::opener(&clip_spec(file, frames), Stream::Rgb);
        EncodeLane::live(stream, meeting.codec, chosen.encoder(meeting.codec, format()), opener)
    });
    let worker = EncodeWorker::new(lanes.into(), Duration::ZERO);
    let wires = Wires::open(meeting, Place::Offer)?;
    let transport = wires.transport(&session, Role::Offerer)?;
    let mut sender = revo::Sender::new(session.clone(), transport);
    let mut schedule = session.schedule;
    let mut end = Running::start(meeting, "sender", wires, worker)?;
    end.feed(&mut sender, Input::Start)?;

    let mut next = 0;
    let mut patience = end.now() + meeting.patience;
    let mut last_words: Option<Timestamp> = None;
    loop {
        let now = end.now();
        if schedule.capture_start == NOT_YET && sender.transport().is_open() {
            schedule.capture_start = now + SETTLE;
            sender.capture_from(schedule.capture_start);
            patience = schedule.capture_time(frames) + meeting.patience;
        }
        ensure!(
            !sender.transport().is_closed(),
            "the connection ended before the clip did (the receiver left?)"
        );
        ensure!(now < patience, "no receiver within {} s", meeting.patience.as_secs());
        let capture = (next < frames).then(|| schedule.capture_time(next));
        if capture.is_some_and(|at| at <= now) {
            end.event(Event {
                t_ns: now,
                side: contract::Side::Sender,
                kind: EventKind::Captured { frame: next },
            });
            end.feed(&mut sender, Input::Capture(next))?;
            next += 1;
            continue;
        }
        if next >= frames && sender.is_idle() {
            let at = *last_words.get_or_insert(now + LAST_WORDS);
            if at <= now {
                break;
            }
        }
        end.step(&mut sender, [Some(patience), capture, last_words])?;
        if end.left {
            bail!("the receiver said bye before the clip ended");
        }
    }
    if let Some(client) = &end.client {
        client.bye();
    }
    let now = end.now();
    sender.transport().close(now);
    end.transmit(sender.transport());
    let counters = *sender.transport().counters();
    end.finish(frames, counters)
}

/// Receives until the sender says `bye`.
///
/// # Errors
/// No server, nobody came, nothing was shown, a full disk.
pub fn receive(meeting: &Meeting) -> Result<Summary> {
    let (chosen, session) = session(meeting, u32::MAX / 2)?;
    let streams = [Stream::Rgb, Stream::Depth];
    let worker = DecodeWorker::new(
        &meeting.dir,
        &chosen.receiving(meeting.codec, format()),
        Duration::ZERO,
        &streams,
    )?;
    let wires = Wires::open(meeting, Place::Answer)?;
    let transport = wires.transport(&session, Role::Answerer)?;
    let mut receiver = revo::Receiver::new(session, transport);
    let mut end = Running::start(meeting, "receiver", wires, worker)?;
    end.feed(&mut receiver, Input::Start)?;

    let mut patience = end.now() + meeting.patience;
    let mut last_seen = None;
    let mut over: Option<Timestamp> = None;
    let at_most = DRAIN_AT_MOST + Duration::from_millis(chosen.options.slack_ms);
    loop {
        let now = end.now();
        if receiver.newest() != last_seen {
            last_seen = receiver.newest();
            patience = now + meeting.patience;
        }
        if end.left || receiver.transport().is_closed() || (now >= patience && last_seen.is_some()) {
            let since = *over.get_or_insert(now);
            let shown = last_seen.is_none_or(|newest| receiver.next_slot() > newest);
            if now >= since + at_most || (now >= since + DRAIN && shown) {
                break;
            }
        }
        ensure!(now < patience || over.is_some(), "nobody came within {} s", meeting.patience.as_secs());
        let drained = over.map(|since| if now < since + DRAIN { since + DRAIN } else { since + at_most });
        end.step(&mut receiver, [over.is_none().then_some(patience), drained, None])?;
    }
    let now = end.now();
    receiver.transport().close(now);
    end.transmit(receiver.transport());
    let counters = *receiver.transport().counters();
    let newest = last_seen.context("the sender sent no frame; is it of another version?")?;
    let slots = std::mem::take(&mut end.slots);
    let mut summary = end.finish(newest + 1, counters)?;
    // Slots after the last frame that was seen are none: nobody knows of frames there. (The original's films have 15 to 17 of them.)
    for (stream, mut shown) in streams.into_iter().zip(slots) {
        shown.retain(|frame, _| *frame <= newest);
        let counts = summary.slots.entry(stream.name().to_owned()).or_default();
        for (status, _) in shown.values() {
            counts[*status as usize] += 1;
        }
        let shown = shown.into_iter().map(|(frame, (_, picture))| (frame, picture)).collect();
        films::write(&meeting.dir, stream, &shown, FPS)
            .with_context(|| format!("failed to write {}", films::film_name(stream)))?;
    }
    Ok(summary)
}

/// Columns, rows, frames per second.
fn format() -> (u32, u32, u32) {
    (u32::from(SIZE.0), u32::from(SIZE.1), FPS)
}

fn session(meeting: &Meeting, frames: u32) -> Result<(Chosen, Session)> {
    std::fs::create_dir_all(&meeting.dir)
        .with_context(|| format!("failed to create {}", meeting.dir.display()))?;
    let schedule =
        Schedule { capture_start: NOT_YET, frames, fps: FPS, playout: Playout::OWN, end: Timestamp::MAX };
    let chosen = Chosen::of(&meeting.options, meeting.codec)?;
    let options = Options { transport: TransportKind::Datachannel, ..chosen.options.clone() };
    let (width, height, _) = format();
    let recovery_lead = chosen.recovery_lead(meeting.codec, (width, height))?;
    let session =
        Session { options, recovery: chosen.recovery, recovery_lead, size: SIZE, depth: true, schedule };
    Ok((chosen, session))
}

fn clip_spec(file: &Path, frames: u32) -> ClipSpec {
    ClipSpec {
        name: "clip".parse().expect("a name"),
        label: None,
        rgb: file.to_owned(),
        depth: None,
        depth_range_mm: None,
        depth_per_metre: None,
        depth_fov_degrees: None,
        width: u32::from(SIZE.0),
        height: u32::from(SIZE.1),
        fps: FPS,
        frames,
        hash: String::new(),
        depth_hash: None,
    }
}

/// Frames that a file gives at the session's rate.
fn count(path: &Path, most: Option<u32>) -> Result<u32> {
    let target = video::Target::new((usize::from(SIZE.0), usize::from(SIZE.1)), (FPS, 1));
    let mut reader = video::Reader::open(path, &target)?;
    let mut frames = 0;
    while most.is_none_or(|most| frames < most) && reader.skip_frame()? {
        frames += 1;
    }
    ensure!(frames > 0, "{} has no frame", path.display());
    Ok(frames)
}

/// What reaches the session's thread from the others.
enum Wakeup<Done> {
    Datagram(SocketAddr, SocketAddr, Vec<u8>),
    Done(Result<Done, WorkerError>),
    News(News),
}

/// Sockets and the place in the room, before the endpoint exists.
struct Wires {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    place: Place,
}

impl Wires {
    fn open(meeting: &Meeting, place: Place) -> Result<Self> {
        let locals = if meeting.locals.is_empty() { host_addresses()? } else { meeting.locals.clone() };
        Ok(Wires { sockets: bind(&locals)?, place })
    }

    fn transport(&self, session: &Session, role: Role) -> Result<Transport> {
        let config = Config {
            kind: TransportKind::Datachannel,
            addresses: Addresses::Hosts(self.sockets.iter().map(|s| s.0).collect()),
            overhead: transport::Overhead::default(),
            sctp: session.options.sctp,
        };
        Transport::new(&config, role).context("failed to set up the transport")
    }
}

/// An end that has what ReVo's two have.
trait PeerEnd: Endpoint {
    fn transport(&mut self) -> &mut Transport;
}

impl PeerEnd for revo::Sender {
    fn transport(&mut self) -> &mut Transport {
        revo::Sender::transport(self)
    }
}

impl PeerEnd for revo::Receiver {
    fn transport(&mut self) -> &mut Transport {
        revo::Receiver::transport(self)
    }
}

/// What was shown in every slot of a stream: how (0 exact, 1 damaged, 2 the last picture again), and which frame.
type Slots = BTreeMap<u32, (u8, Option<u32>)>;

struct Running<Job, Done> {
    clock: MonotonicClock,
    sockets: Vec<(SocketAddr, UdpSocket)>,
    client: Option<Client>,
    jobs: Option<Sender<Job>>,
    wakeups: Receiver<Wakeup<Done>>,
    worker: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    events: BufWriter<File>,
    slots: [Slots; 2],
    /// The peer said bye.
    left: bool,
    failed: Option<anyhow::Error>,
}

impl<Job: Send + 'static, Done: Send + 'static> Running<Job, Done> {
    fn start<W>(meeting: &Meeting, name: &str, wires: Wires, mut worker: W) -> Result<Self>
    where
        W: Worker<Job = Job, Done = Done> + Send + 'static,
    {
        let path = meeting.dir.join(format!("events.{name}.jsonl"));
        let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        let (to_self, wakeups) = channel();
        let (jobs, queue) = channel::<Job>();
        let done = to_self.clone();
        let worker = std::thread::Builder::new().name("worker".into()).spawn(move || {
            for job in queue {
                let result = worker.run(job);
                let failed = result.is_err();
                let heard = done.send(Wakeup::Done(result)).is_ok();
                if !heard || failed {
                    break;
                }
                if let Err(error) = worker.settle() {
                    let _ = done.send(Wakeup::Done(Err(error)));
                    break;
                }
            }
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        for (local, socket) in &wires.sockets {
            let (local, socket, stop, out) = (*local, socket.try_clone()?, stop.clone(), to_self.clone());
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            std::thread::Builder::new().name("socket".into()).spawn(move || {
                let mut buffer = vec![0; 65_536];
                while !stop.load(Ordering::Relaxed) {
                    match socket.recv_from(&mut buffer) {
                        Ok((n, from)) => {
                            if out.send(Wakeup::Datagram(local, from, buffer[..n].to_vec())).is_err() {
                                break;
                            }
                        }
                        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                        // A peer that has ended answers with an ICMP error: its packets are lost, as on any network.
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            })?;
        }
        let news = move |news| drop(to_self.send(Wakeup::News(news)));
        let client = Client::join(&meeting.signalling, wires.place, news)?;
        Ok(Running {
            clock: MonotonicClock::new(MonotonicClock::raw_ns()),
            sockets: wires.sockets,
            client: Some(client),
            jobs: Some(jobs),
            wakeups,
            worker: Some(worker),
            stop,
            events: BufWriter::with_capacity(1 << 18, file),
            slots: [BTreeMap::new(), BTreeMap::new()],
            left: false,
            failed: None,
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits for whatever comes first, at most until the earliest of `moments`, and hands it over.
    fn step<E>(&mut self, endpoint: &mut E, moments: [Option<Timestamp>; 3]) -> Result<()>
    where
        E: PeerEnd<Job = Job, Done = Done>,
    {
        let now = self.now();
        let timeout = endpoint.poll_timeout();
        if timeout.is_some_and(|t| t <= now) {
            return self.feed(endpoint, Input::Timeout);
        }
        let until =
            moments.into_iter().flatten().chain(timeout).min().unwrap_or(now + Duration::from_secs(1));
        let wait = (until - now).min(Duration::from_secs(1));
        match self.wakeups.recv_timeout(wait) {
            Ok(Wakeup::Datagram(local, from, datagram)) => {
                let now = self.now();
                endpoint.transport().handle_datagram_on(now, (local, from), &datagram);
                self.feed(endpoint, Input::Timeout)
            }
            Ok(Wakeup::Done(Ok(done))) => self.feed(endpoint, Input::JobDone(done)),
            Ok(Wakeup::Done(Err(error))) => Err(anyhow::Error::from_boxed(error)),
            Ok(Wakeup::News(News::Description(text))) => self.feed(endpoint, Input::Signal(text.as_bytes())),
            Ok(Wakeup::News(News::Bye)) => {
                self.left = true;
                Ok(())
            }
            Ok(Wakeup::News(News::Closed(reason))) => {
                // Once the channels are open, the server has done its part.
                ensure!(
                    endpoint.transport().is_open(),
                    "the signalling server closed the connection: {}",
                    reason.as_deref().unwrap_or("no reason given")
                );
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => bail!("the worker thread ended (a codec panicked?)"),
        }
    }

    /// Hands over one input and carries out everything the endpoint then asks for.
    fn feed<E>(&mut self, endpoint: &mut E, input: Input<'_, Done>) -> Result<()>
    where
        E: PeerEnd<Job = Job, Done = Done>,
    {
        let now = self.now();
        endpoint.handle(now, input);
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Transmit(_) => {} // packets go by paths, below
                Output::Signal(signal) => {
                    if let Some(client) = &self.client {
                        client.describe(&signal)?;
                    }
                }
                Output::Event(event) => self.event(event),
                Output::Job(job) => {
                    let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
                    ensure!(sent, "the worker thread ended (a codec panicked?)");
                }
            }
        }
        self.transmit(endpoint.transport());
        self.failed.take().map_or(Ok(()), Err)
    }

    fn transmit(&mut self, transport: &mut Transport) {
        while let Some(((local, peer), packet)) = transport.poll_transmit_on() {
            if let Some((_, socket)) = self.sockets.iter().find(|s| s.0 == local) {
                // An address that cannot be reached, a full queue: the packet is lost, as on any network.
                let _ = socket.send_to(&packet, peer);
            }
        }
    }

    #[allow(clippy::needless_pass_by_value)] // it is written and gone
    fn event(&mut self, event: Event) {
        if let EventKind::Slot { frame, stream, status, shown, .. } = &event.kind {
            let status = match status {
                contract::Status::Rendered => 0,
                contract::Status::Concealed => 1,
                _ => 2,
            };
            self.slots[usize::from(*stream == Stream::Depth)].insert(*frame, (status, *shown));
        }
        let written = serde_json::to_writer(&mut self.events, &event).map_err(anyhow::Error::from);
        if let Err(error) = written.and_then(|()| Ok(self.events.write_all(b"\n")?)) {
            self.failed.get_or_insert(error.context("failed to write the record (is the disk full?)"));
        }
    }

    /// Ends everything.
    fn finish(mut self, frames: u32, counters: transport::Counters) -> Result<Summary> {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            bail!("the worker thread panicked");
        }
        if let Some(client) = self.client.take() {
            client.leave();
        }
        self.events.flush().context("failed to write the record (is the disk full?)")?;
        let messages = [counters.sent_messages, counters.received_messages];
        Ok(Summary { frames, slots: BTreeMap::new(), messages })
    }
}
