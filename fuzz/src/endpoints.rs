//! Whole endpoints: both ends of every system with any options, over a network that does what the input says.
//!
//! An input is a script. Its first bytes choose options, clip and clock; after that each datagram, signal and job takes a byte
//! that says what becomes of it: delivered, late, lost, doubled, cut, changed, sent back, or a made-up one in its place. A
//! script that is used up leaves a clean network.
//!
//! Whatever the script, an endpoint must not panic, its timeouts must move on, what it puts out must be bounded, it must be over
//! by the end of the schedule, and each stream must have every slot once, in order and in time.

use crate::{Target, outcome};
use codecs::{Unit, registry};
use contract::{Event, EventKind, RunSpec, Stream};
use link::Timestamp;
use neural::reparo;
use std::collections::BTreeMap;
use std::time::Duration;
use sut_core::fec::flexfec::Format;
use sut_core::{Endpoint, Input, Output};
use systems::jobs::{DecodeDone, DecodeJob, EncodeDone, EncodeJob};
use systems::session::{Addresses, schedule};
use systems::{revo, ringmaster, rtp_video, vp9_tambur};
use transport::{Overhead, Role, Transport};

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "ends-revo", seeds, run: |i| session("revo-h264", i) },
    Target { name: "ends-reparo", seeds, run: |i| session("reparo", i) },
    Target { name: "ends-tambur", seeds, run: |i| session("vp9-tambur", i) },
    Target { name: "ends-ringmaster", seeds, run: |i| session("vp9-ringmaster", i) },
    Target { name: "ends-ulpfec", seeds, run: |i| session("vp8-ulpfec", i) },
    Target { name: "ends-flexfec", seeds, run: |i| session("vp8-flexfec", i) },
];

/// A clean network with the default options, and scripts of all sorts.
fn seeds() -> Vec<Vec<u8>> {
    let mut random = crate::mutate::Random::new(11);
    let mut all = vec![vec![0; 8], vec![0; 600]];
    for length in [40, 400, 1500, 4000] {
        for options in [0, 1, 3] {
            let mut script: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
            script[0] = options;
            // Mostly delivered: a network on which something can happen.
            script[30..].iter_mut().for_each(|b| *b = if *b < 190 { *b / 2 } else { *b });
            all.push(script);
        }
    }
    all
}

/// Reads the script; zeros behind its end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }
}

const NUMBERS: [i64; 16] =
    [0, 1, 2, 3, 7, 50, 99, 255, 256, 1400, 1500, 65_535, 65_536, u32::MAX as i64, i64::MAX, -1];
const WORDS: [&str; 18] = [
    "",
    "datagram",
    "datachannel",
    "fixed",
    "adaptive",
    "half",
    "quarter",
    "none",
    "reports",
    "streaming",
    "per-frame",
    "per-block",
    "rfc8627",
    "draft03",
    "copy",
    "fp32",
    "zero",
    "free",
];

/// Other values for a few of the options that `describe` lists.
fn options(script: &mut Script<'_>, all: &toml::Table) -> toml::Table {
    let mut chosen = toml::Table::new();
    let names: Vec<&String> = all.keys().collect();
    for _ in 0..script.byte() % 5 {
        let name = script.pick(&names);
        let value = match &all[name] {
            toml::Value::Boolean(old) => toml::Value::Boolean(!old),
            toml::Value::Integer(old) => toml::Value::Integer(match script.byte() % 4 {
                0 => script.short().into(),
                1 => old.saturating_mul(2),
                _ => script.pick(&NUMBERS),
            }),
            toml::Value::String(_) => toml::Value::String(script.pick(&WORDS).to_owned()),
            other => other.clone(),
        };
        chosen.insert(name.clone(), value);
    }
    chosen
}

/// A run like those that a user can ask for.
fn spec(script: &mut Script<'_>, system: &str, options: &toml::Table) -> Result<RunSpec, toml::de::Error> {
    let scenario = contract::Scenario::shipped().into_iter().find(|s| s.name == "clean").expect("shipped");
    let mut scenario = toml::Table::try_from(scenario).expect("TOML");
    let playout = script.pick(&["150ms", "1ms", "20ms", "100ms", "400ms", "1s", "own"]);
    scenario.insert("playout".to_owned(), playout.into());
    let (width, height) = script.pick(&[(512_i64, 512_i64), (64, 48), (192, 192), (4096, 4096), (2, 2)]);
    let mut clip = toml::Table::new();
    for (key, text) in [("name", "x"), ("rgb", "x.mp4"), ("hash", "0")] {
        clip.insert(key.to_owned(), text.into());
    }
    let fps = script.pick(&[30_i64, 1, 24, 60, 240]);
    for (key, number) in
        [("width", width), ("height", height), ("fps", fps), ("frames", i64::from(script.byte() % 40))]
    {
        clip.insert(key.to_owned(), number.into());
    }
    if script.byte() & 1 == 1 {
        clip.insert("depth".to_owned(), "x.mkv".into());
        clip.insert("depth_range_mm".to_owned(), vec![400_i64, 2000].into());
    }
    let mut spec = toml::Table::new();
    for (key, text) in
        [("system", system), ("backend", "virtual"), ("revision", "r"), ("replay", "freezeframe run x")]
    {
        spec.insert(key.to_owned(), text.into());
    }
    spec.insert("seed".to_owned(), 1_i64.into());
    let start = script.pick(&[0_i64, 100_000_000, 3_000_000_000]);
    spec.insert("capture_start_ns".to_owned(), start.into());
    spec.insert("clip".to_owned(), clip.into());
    spec.insert("options".to_owned(), options.clone().into());
    spec.insert("scenario".to_owned(), scenario.into());
    spec.try_into()
}

fn session(system: &'static str, input: &[u8]) -> u64 {
    let mut script = Script(input);
    let known = [systems::catalogue::SYSTEMS, neural::catalogue::SYSTEMS].concat();
    let about = known.into_iter().find(|s| s.name == system).expect("a system");
    let all = (about.describe)(&toml::Table::new()).expect("the defaults").options;
    let options = options(&mut script, &all);
    if let Err(refused) = (about.describe)(&options) {
        return outcome(&format!("{refused:#}"));
    }
    let spec = match spec(&mut script, system, &options) {
        Ok(spec) => spec,
        Err(error) => panic!("a run specification that nobody can write: {error}"),
    };
    let schedule = schedule(&spec);
    match system {
        "revo-h264" => {
            let options: revo::Options = options.try_into().expect("described");
            let session = revo::Session {
                recovery: registry::restorer(&options.recovery).expect("described"),
                recovery_lead: std::time::Duration::ZERO,
                options,
                size: (spec.clip.width as u16, spec.clip.height as u16),
                depth: spec.clip.depth.is_some(),
                schedule,
            };
            let streams: &[Stream] = if session.depth { &Stream::ALL } else { &[Stream::Rgb] };
            let at = Addresses::simulated();
            let transport = |at: Addresses, role| {
                let (kind, overhead) = (session.options.transport, Overhead::Datachannel);
                let config =
                    transport::Config { overhead, ..transport::Config::fixed(kind, at.local, at.peer) };
                Transport::new(&config, role).expect("a transport")
            };
            let sender = revo::Sender::new(session.clone(), transport(at, Role::Offerer));
            let receiver = revo::Receiver::new(session.clone(), transport(at.swapped(), Role::Answerer));
            Call::new(script, &spec, streams).run(sender, receiver, encode, decode)
        }
        "reparo" => {
            let Ok(session) = reparo::Session::new(&options.try_into().expect("described"), schedule) else {
                return 2; // a target that this frame rate cannot meet
            };
            let (sender, receiver) =
                (reparo::Sender::new(session.clone()), reparo::Receiver::new(session.clone()));
            let mut packing = reparo::Packing::new(&session);
            let encode = |script: &mut Script<'_>, job: reparo::Encode| {
                let setting = packing.setting(job.wanted);
                let variant = session.variants.variant(setting.variant);
                let token = (usize::from(script.byte()) % variant.codes() as usize) as u16;
                let tokens = vec![token; variant.tokens()];
                let packets = packing.pack(job.wanted, setting, job.frame, &tokens);
                reparo::Encoded { frame: job.frame, packets }
            };
            let generate = |script: &mut Script<'_>, task: reparo::Task| {
                let job = match task {
                    reparo::Task::Generate(job) => job,
                    // The run would end here.
                    reparo::Task::Refuse { .. } => return reparo::Generated { frame: 0, picture: None },
                };
                assert_eq!(job.grid.len(), session.variants.variant(job.variant).tokens());
                let picture = (script.byte() < 250).then_some(u128::from(job.frame));
                reparo::Generated { frame: job.frame, picture }
            };
            Call::new(script, &spec, &[Stream::Rgb]).run(sender, receiver, encode, generate)
        }
        "vp9-tambur" => {
            let options = options.try_into().expect("described");
            let session = vp9_tambur::Session { options, schedule, seed: spec.seed };
            let sender = vp9_tambur::Sender::new(session.clone()).expect("described");
            let receiver = vp9_tambur::Receiver::new(session).expect("described");
            Call::new(script, &spec, &[Stream::Rgb]).run(sender, receiver, encode, decode)
        }
        "vp9-ringmaster" => {
            let session = ringmaster::Session { options: options.try_into().expect("described"), schedule };
            let (sender, receiver) =
                (ringmaster::Sender::new(session.clone()), ringmaster::Receiver::new(session));
            Call::new(script, &spec, &[Stream::Rgb]).run(sender, receiver, encode, decode)
        }
        _ => {
            let mut options = options;
            let format = options.remove("format");
            let code = if system == "vp8-ulpfec" {
                rtp_video::Code::Ulpfec
            } else {
                let draft = format.is_none_or(|f| f.as_str() == Some("draft03"));
                rtp_video::Code::Flexfec(if draft { Format::Draft03 } else { Format::Rfc8627 })
            };
            let options = rtp_video::Options::read(&options, system).expect("described");
            let pixels = spec.clip.width * spec.clip.height;
            let session = rtp_video::Session { options, code, pixels, schedule };
            let (sender, receiver) =
                (rtp_video::Sender::new(session.clone()), rtp_video::Receiver::new(session));
            Call::new(script, &spec, &[Stream::Rgb]).run(sender, receiver, encode, decode)
        }
    }
}

/// A frame of a size that the script says; its first byte tells VP8's key frames.
#[allow(clippy::needless_pass_by_value)] // as a worker takes its job
fn encode(script: &mut Script<'_>, job: EncodeJob) -> EncodeDone {
    let size = match script.byte() {
        0 => 900,
        b @ 1..200 => usize::from(b) * 23,
        200..230 => usize::from(script.short()),
        230..240 => 0, // an encoder that failed
        _ => 300_000,
    };
    let mut bytes = vec![script.byte(); size];
    if let Some(first) = bytes.first_mut() {
        *first = (*first & !1) | u8::from(!job.key);
    }
    let (key, qp) = (job.key, script.byte());
    EncodeDone { frame: job.frame, stream: job.stream, unit: Unit { bytes, key, qp } }
}

#[allow(clippy::needless_pass_by_value)] // as a worker takes its job
fn decode(script: &mut Script<'_>, job: DecodeJob) -> DecodeDone {
    let (frame, length) = (job.entry.frame, job.entry.unit.as_ref().map_or(0, Vec::len));
    let picture = (script.byte() < 240).then_some(u128::from(frame) << 8 | length as u128 & 255);
    let decoded = job.entry.unit.is_some() && (picture.is_some() || script.byte() < 128);
    DecodeDone { frame, stream: job.stream, decoded, picture }
}

/// Datagrams that one input may make an endpoint put out, and how often a timeout may come at one instant.
const MOST_AT_ONCE: u32 = 20_000;
const MOST_AT_ONE_TIME: u32 = 2000;
/// Events of one call.
const MOST_EVENTS: u64 = 400_000;

/// What waits to happen, in order of time.
enum Coming<SD, RD> {
    /// To the receiver or to the sender.
    Datagram(bool, Vec<u8>),
    Signal(bool, Vec<u8>),
    SenderDone(SD),
    ReceiverDone(RD),
}

/// One call of two endpoints.
struct Call<'a> {
    script: Script<'a>,
    schedule: sut_core::Schedule,
    streams: Vec<Stream>,
    slots: BTreeMap<Stream, u32>,
    events: u64,
    sent: u64,
    /// Not before this may the next job of the sender and the receiver be done.
    busy: [Timestamp; 2],
}

impl<'a> Call<'a> {
    fn new(script: Script<'a>, spec: &RunSpec, streams: &[Stream]) -> Self {
        Call {
            script,
            schedule: schedule(spec),
            streams: streams.to_vec(),
            slots: BTreeMap::new(),
            events: 0,
            sent: 0,
            busy: [Timestamp::ZERO; 2],
        }
    }

    fn run<S: Endpoint, R: Endpoint>(
        mut self,
        mut sender: S,
        mut receiver: R,
        mut encode: impl FnMut(&mut Script<'_>, S::Job) -> S::Done,
        decode: impl Fn(&mut Script<'_>, R::Job) -> R::Done,
    ) -> u64 {
        let mut coming: BTreeMap<(Timestamp, u64), Coming<S::Done, R::Done>> = BTreeMap::new();
        let (mut serial, mut now, mut next_frame) = (0u64, Timestamp::ZERO, 0u32);
        let (mut at_this_time, mut last) = (0u32, Timestamp::ZERO);
        macro_rules! tell {
            ($end:ident, $is_sender:expr, $input:expr, $job:ident, $done:ident) => {{
                $end.handle(now, $input);
                let mut outputs = 0u32;
                while let Some(output) = $end.poll_output() {
                    outputs += 1;
                    assert!(outputs < MOST_AT_ONCE, "more than {MOST_AT_ONCE} outputs of one input");
                    match output {
                        Output::Transmit(datagram) => {
                            self.sent += 1;
                            assert!(datagram.len() <= 65_507, "a datagram of {} bytes", datagram.len());
                            for (to_receiver, delay, bytes) in self.fate($is_sender, datagram) {
                                serial += 1;
                                coming.insert((now + delay, serial), Coming::Datagram(to_receiver, bytes));
                            }
                        }
                        Output::Signal(message) => {
                            for (to_receiver, delay, bytes) in self.fate($is_sender, message) {
                                serial += 1;
                                coming.insert((now + delay, serial), Coming::Signal(to_receiver, bytes));
                            }
                        }
                        Output::Event(event) => self.event(now, &event),
                        Output::Job(job) => {
                            let took = match self.script.byte() {
                                0..200 => Duration::ZERO,
                                b => Duration::from_millis(u64::from(b - 199) * 2),
                            };
                            let busy = &mut self.busy[usize::from($is_sender)];
                            *busy = (*busy).max(now) + took;
                            let at = *busy;
                            serial += 1;
                            coming.insert((at, serial), Coming::$done($job(&mut self.script, job)));
                        }
                    }
                }
            }};
        }
        tell!(receiver, false, Input::Start, decode, ReceiverDone);
        tell!(sender, true, Input::Start, encode, SenderDone);
        loop {
            let all = next_frame >= self.schedule.frames;
            if all && sender.is_finished() && receiver.is_finished() {
                break;
            }
            let capture = (!all).then(|| self.schedule.capture_time(next_frame));
            let first = coming.first_key_value().map(|((t, _), _)| *t);
            let timeouts = [sender.poll_timeout(), receiver.poll_timeout()];
            let next = [capture, first, timeouts[0], timeouts[1]].into_iter().flatten().min();
            let Some(next) = next else {
                panic!("both wait for nothing and are not over (sender {})", sender.is_finished());
            };
            now = now.max(next);
            assert!(
                now <= self.schedule.end,
                "not over at the end of the schedule: sender {}, receiver {}",
                sender.is_finished(),
                receiver.is_finished()
            );
            at_this_time = if now == last { at_this_time + 1 } else { 0 };
            last = now;
            assert!(at_this_time < MOST_AT_ONE_TIME + coming.len() as u32, "the clock stands still at {now}");
            if capture.is_some_and(|t| t <= now) {
                tell!(sender, true, Input::Capture(next_frame), encode, SenderDone);
                next_frame += 1;
            } else if first.is_some_and(|t| t <= now) {
                let (_, what) = coming.pop_first().expect("there is a first");
                match what {
                    Coming::Datagram(true, d) => {
                        tell!(receiver, false, Input::Datagram(&d), decode, ReceiverDone);
                    }
                    Coming::Datagram(false, d) => {
                        tell!(sender, true, Input::Datagram(&d), encode, SenderDone);
                    }
                    Coming::Signal(true, s) => {
                        tell!(receiver, false, Input::Signal(&s), decode, ReceiverDone);
                    }
                    Coming::Signal(false, s) => tell!(sender, true, Input::Signal(&s), encode, SenderDone),
                    Coming::SenderDone(done) => tell!(sender, true, Input::JobDone(done), encode, SenderDone),
                    Coming::ReceiverDone(done) => {
                        tell!(receiver, false, Input::JobDone(done), decode, ReceiverDone);
                    }
                }
                // A timeout that nobody asked for.
                if self.script.byte() == 255 {
                    tell!(receiver, false, Input::Timeout, decode, ReceiverDone);
                    tell!(sender, true, Input::Timeout, encode, SenderDone);
                }
            } else if timeouts[0].is_some_and(|t| t <= now) {
                tell!(sender, true, Input::Timeout, encode, SenderDone);
            } else {
                tell!(receiver, false, Input::Timeout, decode, ReceiverDone);
            }
        }
        for stream in &self.streams {
            let shown = self.slots.get(stream).copied().unwrap_or(0);
            assert_eq!(shown, self.schedule.frames, "slots of {stream:?}");
        }
        let scale = |n: u64| u64::from(n.checked_ilog2().unwrap_or(0));
        1 << 32 | scale(self.sent) << 8 | scale(self.events)
    }

    /// What arrives where, and after how long, of a message that one end sends.
    fn fate(&mut self, from_sender: bool, mut bytes: Vec<u8>) -> Vec<(bool, Duration, Vec<u8>)> {
        let usual = Duration::from_millis(20);
        let to_receiver = from_sender;
        match self.script.byte() {
            0..100 => vec![(to_receiver, usual, bytes)],
            b @ 100..140 => vec![(to_receiver, usual + Duration::from_millis(u64::from(b - 100) * 8), bytes)],
            140..170 => vec![],
            170..190 => vec![(to_receiver, usual, bytes.clone()), (to_receiver, 3 * usual, bytes)],
            190..205 => {
                bytes.truncate(usize::from(self.script.short()) % (bytes.len() + 1));
                vec![(to_receiver, usual, bytes)]
            }
            205..240 => {
                for _ in 0..=self.script.byte() % 4 {
                    // Headers are more interesting than what they head.
                    let place = match self.script.byte() {
                        b @ 0..200 => usize::from(b) % 32,
                        _ => usize::from(self.script.short()),
                    };
                    let value = self.script.byte();
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = value;
                    }
                }
                vec![(to_receiver, usual, bytes)]
            }
            240..247 => vec![(to_receiver, usual, bytes.clone()), (!to_receiver, usual, bytes)],
            _ => {
                let length = usize::from(self.script.byte());
                let made_up = (0..length).map(|_| self.script.byte()).collect();
                vec![(to_receiver, usual, made_up), (to_receiver, usual, bytes)]
            }
        }
    }

    fn event(&mut self, now: Timestamp, event: &Event) {
        self.events += 1;
        assert!(self.events < MOST_EVENTS, "more than {MOST_EVENTS} events");
        assert!(event.t_ns <= now, "an event of {} at {now}", event.t_ns);
        if let EventKind::Slot { frame, stream, shown, .. } = &event.kind {
            let next = self.slots.entry(*stream).or_default();
            assert_eq!(frame, next, "slots of {stream:?} in order");
            *next += 1;
            assert!(self.streams.contains(stream), "a slot of a stream that is not there: {stream:?}");
            assert!(shown.is_none_or(|s| s < self.schedule.frames), "a picture of no frame: {shown:?}");
        }
    }
}
