//! `revo-dcvcrt` with networks of made-up weights on small pictures: everything arrives, parity repairs, chunks become zeros, frames
//! of both kinds are lost; and what was stored gives the same pictures again.

#[path = "../../models/tests/formula/mod.rs"]
mod formula;
#[path = "../../models/tests/synthetic/mod.rs"]
mod synthetic;

use codecs::restore::NONE;
use codecs::{DecoderConfig, EncoderConfig, Quantisers, RateControl, Settings, Stage, Unit, VideoDecoder};
use contract::units::{UnitsReader, file_name};
use contract::{Event, EventKind, Playout, Status, Stream};
use link::Timestamp;
use media::convert::{Colour, to_yuv420};
use media::{Rgb, Yuv420};
use models::dcvcrt::{Coding, ImageModel, Reference, VideoModel, colour};
use neural::dcvcrt::DCVCRT;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use sut_core::wire::revo::{Desc, Message, parse};
use sut_core::{Endpoint, Input, Output, Schedule, Worker};
use systems::decode::{DecodeWorker, Receiving};
use systems::encode::{EncodeLane, EncodeWorker, Pictures};
use systems::revo::{Options, Receiver, Sender, Session};
use systems::session::Addresses;
use tch::{Device, Tensor, nn};
use tempfile::TempDir;
use transport::{Config, Role, Transport, TransportKind};

const SIDE: usize = 64;
const FRAMES: u32 = 12;
const GOP: u32 = 5;
/// Frames 1, 5 and 9 would refer to a picture; 5 is a key frame.
const RESET: u32 = 4;

fn made_up(model: &str, store: &nn::VarStore) -> BTreeMap<String, Tensor> {
    let values = |(key, variable): (String, Tensor)| {
        let shape = variable.size();
        let values = synthetic::synthetic(model, &key, &shape, 0);
        (key, Tensor::from_slice(&values).view(shape.as_slice()))
    };
    store.variables().into_iter().map(values).collect()
}

/// Files of both networks' weights, made once.
fn settings() -> Settings {
    static FILES: OnceLock<(TempDir, Settings)> = OnceLock::new();
    let (_, settings) = FILES.get_or_init(|| {
        neural::register();
        let folder = tempfile::tempdir().unwrap();
        let [image, video] = ["image.safetensors", "video.safetensors"].map(|name| folder.path().join(name));
        let write = |path: &Path, tensors| models::weights::write(path, &tensors, &[], false).unwrap();
        write(&image, made_up("DMCI", ImageModel::new(Device::Cpu).store()));
        write(&video, made_up("DMC", VideoModel::new(Device::Cpu).store()));
        let text = |path: &Path| path.display().to_string();
        let all = [
            ("image_weights", text(&image)),
            ("video_weights", text(&video)),
            ("reset_interval", RESET.to_string()),
            ("skip_threshold", "0.12".to_owned()),
        ];
        (folder, all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    });
    settings.clone()
}

fn picture(t: u32, stream: Stream) -> Yuv420 {
    let seed = if stream == Stream::Rgb { 2 } else { 5 };
    let data = formula::frame(SIDE, SIDE, i64::from(t), seed);
    to_yuv420(&Rgb { width: SIDE, height: SIDE, data }, Colour::BT601)
}

fn config() -> EncoderConfig {
    EncoderConfig {
        rate: RateControl::ConstantQp(Quantisers { key: Some(31), other: 63 }),
        gop: GOP,
        settings: settings(),
        ..EncoderConfig::revo("dcvcrt", SIDE as u32, SIDE as u32, 30)
    }
}

fn decoder() -> Box<dyn VideoDecoder> {
    let side = SIDE as u32;
    let config = DecoderConfig { settings: settings(), ..DecoderConfig::new("dcvcrt", (side, side)) };
    (DCVCRT.decoder)(&config).unwrap()
}

/// The codec against the networks called by hand, with the rules of ReVo's wrapper: key frames by the DMCI with quantiser 31, others
/// by the DMC with 63, and picture instead of feature as reference where `frame mod reset = 1`.
#[test]
fn units_decode_to_what_the_networks_give_by_hand() {
    tch::set_num_threads(1);
    let (mut image, mut video) = (ImageModel::new(Device::Cpu), VideoModel::new(Device::Cpu));
    for (store, name) in [(image.store(), "DMCI"), (video.store(), "DMC")] {
        let given = made_up(name, store);
        tch::no_grad(|| store.variables().iter().for_each(|(key, v)| v.shallow_clone().copy_(&given[key])));
    }
    image.prepare();
    video.prepare();
    let mut encoder = (DCVCRT.encoder)(&config()).unwrap();
    let mut decoder = decoder();
    let (side, coding) = (SIDE as i64, Coding::default());
    let mut reference = Reference::default();
    for t in 0..8 {
        let key = t % GOP == 0;
        let unit = encoder.encode(t, &picture(t, Stream::Rgb), key).unwrap();
        assert_eq!((unit.key, unit.qp), (key, if key { 31 } else { 63 }), "frame {t}");
        let wanted = if key {
            let picture = image.decode(&unit.bytes, (side, side), 31, coding);
            reference = Reference::of_key(&picture);
            picture
        } else {
            if [1, 5, 9].contains(&t) {
                video.reset(&mut reference);
            }
            let (feature, picture) = video.decode(&unit.bytes, (side, side), &reference, 63, coding);
            reference = Reference::of_predicted(&feature, 63, Some(&picture));
            picture
        };
        let bytes = colour::to_rgb(&wanted, (side, side)).contiguous().view([-1]);
        let data = Vec::<u8>::try_from(&bytes).unwrap();
        let wanted = to_yuv420(&Rgb { width: SIDE, height: SIDE, data }, Colour::BT601);
        assert_eq!(decoder.decode(t, &unit).unwrap(), Some(wanted), "frame {t}");
    }
}

#[test]
fn hostile_units_give_pictures_or_nothing() {
    let mut decoder = decoder();
    let mut decode = |frame, key, qp, bytes: &[u8]| {
        decoder.decode(frame, &Unit { bytes: bytes.to_vec(), key, qp }).unwrap().map(|p| (p.width, p.height))
    };
    assert_eq!(decode(1, false, 63, b"no key frame yet"), None);
    assert_eq!(decode(0, true, 64, b"a quantiser that there is not"), None);
    assert_eq!(decode(0, true, 31, b""), Some((SIDE, SIDE)));
    assert_eq!(decode(1, false, 255, b"another"), None);
    assert_eq!(decode(1, false, 63, &[0xff; 300]), Some((SIDE, SIDE)));
}

#[test]
fn without_weights_the_option_is_named() {
    let error = (DCVCRT.files)(&Settings::new()).unwrap_err().to_string();
    assert!(error.contains("image_weights") && error.contains("cvpr2025_image.pth.tar"), "{error}");
    let described = systems::revo::describe(&toml::Table::new(), &DCVCRT).unwrap().options;
    assert_eq!((described["qp_i"].as_integer(), described["qp_p"].as_integer()), (Some(31), Some(63)));
    assert_eq!((described["device"].as_str(), described["precision"].as_str()), (Some("cpu"), Some("fp32")));
    assert!(!described.contains_key("qp") && described["reset_interval"].as_str() == Some("64"));
    let too_much = [("qp_p".to_owned(), toml::Value::Integer(64))].into_iter().collect();
    let error = format!("{:#}", systems::revo::describe(&too_much, &DCVCRT).unwrap_err());
    assert!(error.contains("qp_p must be 0 to 63"), "{error}");
}

/// Half precision is CUDA's: a processor is refused by name, before weights are read.
#[test]
fn half_precision_on_a_processor_is_refused() {
    for precision in ["fp16", "bf16"] {
        let mut settings = settings();
        settings.insert("precision".to_owned(), precision.to_owned());
        let config = DecoderConfig { settings, ..DecoderConfig::new("dcvcrt", (64, 64)) };
        let error = (DCVCRT.decoder)(&config).err().expect("refused").to_string();
        assert!(error.contains(precision) && error.contains("device=cuda"), "{error}");
    }
}

#[test]
fn reparos_options_that_cannot_work_are_refused_by_name() {
    let reparo = neural::catalogue::SYSTEMS.iter().find(|s| s.name == "reparo").unwrap();
    let table = [("deadline_ms".to_owned(), toml::Value::Integer(i64::MAX))].into_iter().collect();
    let error = format!("{:#}", (reparo.describe)(&table).unwrap_err());
    assert!(error.contains("deadline_ms"), "{error}");
}

fn session() -> Session {
    let playout: Playout = "150ms".parse().unwrap();
    let mut schedule =
        Schedule { capture_start: Timestamp::ZERO, frames: FRAMES, fps: 30, playout, end: Timestamp::ZERO };
    schedule.end = schedule.capture_time(FRAMES) + Duration::from_secs(5);
    let options = Options { gop: GOP, chunk_size: 64, ..Options::default() };
    let recovery_lead = std::time::Duration::ZERO;
    Session {
        options,
        recovery: &NONE,
        recovery_lead,
        size: (SIDE as u16, SIDE as u16),
        depth: true,
        schedule,
    }
}

fn transport(role: Role) -> Transport {
    let at = Addresses::simulated();
    let Addresses { local, peer } = if role == Role::Offerer { at } else { at.swapped() };
    Transport::new(&Config::fixed(TransportKind::Datagram, local, peer), role).unwrap()
}

/// Everything that the sender transmits, with the time; encoded once.
fn sent() -> &'static [(Timestamp, Vec<u8>)] {
    static SENT: OnceLock<Vec<(Timestamp, Vec<u8>)>> = OnceLock::new();
    SENT.get_or_init(|| {
        let session = session();
        let lane = |stream| {
            let open = move || -> anyhow::Result<Pictures> {
                let mut next = 0;
                Ok(Box::new(move || -> anyhow::Result<_> {
                    next += 1;
                    Ok(Some(picture(next - 1, stream)))
                }))
            };
            EncodeLane::live(stream, &DCVCRT, config(), Box::new(open))
        };
        let mut worker = EncodeWorker::new(vec![lane(Stream::Rgb), lane(Stream::Depth)], Duration::ZERO);
        let mut sender = Sender::new(session.clone(), transport(Role::Offerer));
        let (mut sent, mut now, mut frame) = (Vec::new(), Timestamp::ZERO, 0);
        sender.handle(now, Input::Start);
        while !sender.is_finished() {
            let capture = (frame < FRAMES).then(|| session.schedule.capture_time(frame));
            let timeout = sender.poll_timeout();
            match capture.filter(|c| timeout.is_none_or(|t| *c <= t)) {
                Some(capture) => {
                    now = capture;
                    sender.handle(now, Input::Capture(frame));
                    frame += 1;
                }
                None => {
                    now = now.max(timeout.expect("something is awaited"));
                    sender.handle(now, Input::Timeout);
                }
            }
            while let Some(output) = sender.poll_output() {
                match output {
                    Output::Transmit(datagram) => sent.push((now, datagram)),
                    Output::Job(job) => {
                        let done = worker.run(job).unwrap();
                        sender.handle(now, Input::JobDone(done));
                    }
                    _ => {}
                }
            }
        }
        sent
    })
}

fn chunk_of(datagram: &[u8]) -> Option<Desc> {
    match parse(datagram) {
        Ok(Message::Chunk(desc, _)) => Some(desc),
        _ => None,
    }
}

/// Statuses and pictures of the colour stream without the chunks that `lost` names; the stores are run again and compared.
fn receive(lost: impl Fn(&Desc) -> bool) -> Vec<(Status, Option<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let side = SIDE as u32;
    let receiving = Receiving { settings: settings(), ..Receiving::plain(&DCVCRT, (side, side, 30)) };
    let mut worker = DecodeWorker::new(folder.path(), &receiving, Duration::ZERO, &Stream::ALL).unwrap();
    let mut receiver = Receiver::new(session(), transport(Role::Answerer));
    let mut events: Vec<Event> = Vec::new();
    let mut packets = sent().iter().filter(|(_, d)| !chunk_of(d).is_some_and(|c| lost(&c))).peekable();
    let mut now = Timestamp::ZERO;
    receiver.handle(now, Input::Start);
    while !receiver.is_finished() {
        let timeout = receiver.poll_timeout();
        match packets.peek() {
            Some((at, datagram)) if timeout.is_none_or(|t| *at + Duration::from_millis(20) <= t) => {
                now = *at + Duration::from_millis(20);
                receiver.handle(now, Input::Datagram(datagram));
                packets.next();
            }
            _ => {
                now = now.max(timeout.expect("something is awaited"));
                receiver.handle(now, Input::Timeout);
            }
        }
        while let Some(output) = receiver.poll_output() {
            match output {
                Output::Event(event) => events.push(event),
                Output::Job(job) => {
                    let done = worker.run(job).unwrap();
                    receiver.handle(now, Input::JobDone(done));
                }
                _ => {}
            }
        }
    }
    drop(worker);
    let mut colour = Vec::new();
    for stream in Stream::ALL {
        let mut reader = UnitsReader::open(&folder.path().join(file_name(stream))).unwrap();
        assert_eq!(reader.header().files.len(), 2, "both files of weights are named");
        let mut stage = Stage::open(reader.header(), stream).unwrap();
        let mut again = BTreeMap::new();
        while let Some(entry) = reader.read().unwrap() {
            assert_eq!(entry.qp, if entry.key { 31 } else { 63 });
            let frame = entry.frame;
            let shown = stage.run(entry).unwrap().shown;
            again.insert(frame, shown.map(|p| format!("{:032x}", p.content_hash())));
        }
        for event in &events {
            if let EventKind::Slot { status, shown, picture, stream: of, .. } = &event.kind
                && *of == stream
            {
                let drawn = shown.and_then(|frame| again[&frame].clone());
                assert_eq!(drawn, *picture, "{stream:?}: {event:?}");
                if stream == Stream::Rgb {
                    colour.push((*status, picture.clone()));
                }
            }
        }
    }
    assert_eq!(colour.len(), FRAMES as usize);
    colour
}

fn letters(slots: &[(Status, Option<String>)]) -> String {
    let letter = |status| match status {
        Status::Rendered => 'R',
        Status::Concealed => 'c',
        Status::Frozen | Status::DroppedSender => 'f',
    };
    slots.iter().map(|(status, _)| letter(*status)).collect()
}

#[test]
fn a_call_without_and_with_losses() {
    let colour = |d: &Desc, frame: u32| d.stream == Stream::Rgb && d.frame == frame;
    let clean = receive(|_| false);
    assert_eq!(letters(&clean), "RRRRRRRRRRRR");
    let first = |frame| sent().iter().filter_map(|(_, d)| chunk_of(d)).find(|d| colour(d, frame)).unwrap();
    // Half as many parity chunks as data chunks, rounded up.
    let (n, k) = (first(5).n, first(5).k);
    assert!(n == k + k.div_ceil(2) && k > 2, "{n} {k}");
    let repaired = receive(|d| colour(d, 5) && d.index < n - k);
    assert_eq!(repaired, clean, "parity gives the key frame back");
    let beyond = receive(|d| colour(d, 5) && d.index <= n - k);
    assert_eq!(letters(&beyond), "RRRRRfffffRR", "a lost key frame takes its group of pictures");
    assert_eq!(beyond[10], clean[10]);

    let last = first(2).n - 1;
    assert!(last > 0);
    let holes = receive(|d| colour(d, 2) && d.index == last);
    assert_eq!(letters(&holes), "RRcccRRRRRRR");
    assert!(holes[2].1 != clean[2].1 && holes[2].1.is_some() && holes[5] == clean[5]);

    let lost = receive(|d| colour(d, 2));
    assert_eq!(letters(&lost), "RRfccRRRRRRR");
    assert_eq!(lost[2].1, clean[1].1, "the screen keeps what it has");
    assert!(lost[3].1 != clean[3].1 && lost[5] == clean[5]);
}
