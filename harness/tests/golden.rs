//! Goldens catch what they are there for: each test makes one deliberate change and reads what is said.

mod made_up;

use contract::units::{UnitsHeader, UnitsReader, UnitsWriter};
use contract::{Event, EventKind, Role, Side, Status, Stream};
use freezeframe::golden::{self, Case, Findings, Moved, Product, Walk};
use link::Timestamp;
use media::Rgb;
use std::collections::BTreeMap;
use std::path::Path;

const FRAME_NS: u64 = 33_333_333;

/// Ten frames of three packets, 20 ms on the way, each shown 60 ms after its capture; frames 4 and 5 freeze.
fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for frame in 0..10u32 {
        let t = u64::from(frame) * FRAME_NS;
        let mut at = |offset_ms: u64, side: Side, kind: EventKind| {
            events.push(Event { t_ns: Timestamp(t + offset_ms * 1_000_000), side, kind });
        };
        for index in 0..3 {
            let role = if index == 2 { Role::Parity } else { Role::Data };
            let bytes = 1000 + frame + index;
            at(
                1 + u64::from(index),
                Side::Sender,
                EventKind::Sent { frame, stream: Stream::Rgb, role, index, bytes },
            );
            if !(frame == 4 && index < 2) {
                let kind =
                    EventKind::Received { frame, stream: Stream::Rgb, role, index, bytes, duplicate: false };
                at(21 + u64::from(index), Side::Receiver, kind);
            }
        }
        let (status, shown) = match frame {
            4 | 5 => (Status::Frozen, 3),
            _ => (Status::Rendered, frame),
        };
        let picture = Some(format!("{:032x}", u128::from(shown) * 0x1234_5678_9abc_def0_0011_2233 + 1));
        at(
            60,
            Side::Receiver,
            EventKind::Slot { frame, stream: Stream::Rgb, status, shown: Some(shown), picture },
        );
    }
    events.sort_by_key(|e| e.t_ns);
    events
}

/// A picture with texture everywhere.
fn picture(shift: usize) -> Rgb {
    let (width, height) = (96, 64);
    let mut rgb = Rgb::black(width, height);
    for (i, sample) in rgb.data.iter_mut().enumerate() {
        let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
        let wave = ((x + shift) as f64 * 0.35).sin() + (y as f64 * 0.21 + c as f64).cos();
        *sample = (128.0 + 50.0 * wave) as u8;
    }
    rgb
}

fn product(events: &[Event]) -> Product {
    let mut product = Product::default();
    product.texts.insert("ladder.txt".to_owned(), golden::ladder(events));
    product.texts.insert("timeline.txt".to_owned(), golden::timeline(events));
    product.numbers.insert("streams.rgb.frozen".to_owned(), 2.0);
    product.numbers.insert("streams.rgb.quality.psnr.all.mean".to_owned(), 38.125);
    product.numbers.insert("streams.rgb.quality.ssim_full.all.mean".to_owned(), 0.97);
    product.pictures.insert("rgb-0007.png".to_owned(), picture(0));
    product
}

/// A folder of goldens in which `product` has been reviewed.
fn reviewed(product: &Product) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("some-loss/some-system");
    std::fs::create_dir_all(&folder).unwrap();
    let case = "description = 'a test'\nscenario = 'some-loss'\nsystem = 'some-system'\nsize = [96, 64]\nframes = 10\nseed = 1\n";
    std::fs::write(folder.join("case.toml"), case).unwrap();
    let first = walk(dir.path(), product, true);
    assert_eq!(first.written.len(), 4, "everything is new");
    dir
}

fn walk(dir: &Path, product: &Product, review: bool) -> Findings {
    golden::walk(&mut Walk {
        dir,
        filter: None,
        out: &dir.join("out"),
        review,
        produce: &mut |_: &Case| Ok(product.clone()),
        fixed: &BTreeMap::new(),
        progress: &mut |_| {},
    })
    .unwrap()
}

/// What a check says about `changed` where `product(&events())` was reviewed.
fn moved(changed: &Product) -> Vec<Moved> {
    let dir = reviewed(&product(&events()));
    walk(dir.path(), changed, false).moved
}

#[test]
fn statuses_say_what_was_shown_and_not_which_pixels() {
    let kept = events();
    let with = |change: &dyn Fn(&mut EventKind)| {
        let mut events = events();
        events.iter_mut().for_each(|e| change(&mut e.kind));
        events
    };
    let other_pixels = with(&|kind| {
        if let EventKind::Slot { picture, .. } = kind {
            *picture = Some("00ff00ff00ff00ff".to_owned());
        }
    });
    assert_ne!(golden::timeline(&kept), golden::timeline(&other_pixels));
    assert_eq!(golden::statuses(&kept), golden::statuses(&other_pixels));
    let other_frame = with(&|kind| {
        if let EventKind::Slot { frame: 7, shown, .. } = kind {
            *shown = Some(6);
        }
    });
    assert_ne!(golden::statuses(&kept), golden::statuses(&other_frame));
    assert!(golden::statuses(&kept).ends_with("freeze rgb slots 4..=5 (2)\n"));
}

#[test]
fn a_scenario_file_is_found_beside_the_case() {
    let dir = tempfile::tempdir().unwrap();
    let write = |scenario: &str| {
        let case = format!(
            "description = 'a test'\nscenario = '{scenario}'\nsystem = 's'\nsize = [96, 64]\nframes = 1\nseed = 1\n"
        );
        std::fs::write(dir.path().join("case.toml"), case).unwrap();
        Case::read(dir.path()).unwrap().scenario
    };
    assert_eq!(write("ge-high"), "ge-high");
    assert_eq!(write("../loss.toml"), dir.path().join("../loss.toml").display().to_string());
}

#[test]
fn nothing_is_said_when_nothing_moved() {
    let dir = reviewed(&product(&events()));
    let again = walk(dir.path(), &product(&events()), false);
    assert!(again.moved.is_empty(), "{:?}", again.moved);
    assert_eq!(again.compared.len(), 4);
}

#[test]
fn a_check_writes_no_golden_and_a_review_is_accepted_by_the_next_check() {
    let dir = reviewed(&product(&events()));
    let mut changed = product(&events());
    changed.numbers.insert("streams.rgb.frozen".to_owned(), 3.0);
    assert_eq!(walk(dir.path(), &changed, false).moved.len(), 1);
    assert_eq!(walk(dir.path(), &changed, false).moved.len(), 1, "the check must not have accepted it");
    assert_eq!(walk(dir.path(), &changed, true).written.len(), 1);
    assert!(walk(dir.path(), &changed, false).moved.is_empty());
}

#[test]
fn one_frame_shown_one_slot_later() {
    let mut changed = events();
    for event in &mut changed {
        if let EventKind::Slot { frame: 7, .. } = event.kind {
            event.t_ns = Timestamp(event.t_ns.as_nanos() + FRAME_NS);
        }
    }
    changed.sort_by_key(|e| e.t_ns);
    let moved = moved(&product(&changed));
    assert_eq!(moved.len(), 1);
    assert!(moved[0].file.ends_with("timeline.txt"));
    assert_eq!(moved[0].summary, "the same slots show the same pictures, at other times");
}

#[test]
fn one_more_frozen_slot() {
    let mut changed = events();
    for event in &mut changed {
        if let EventKind::Slot { frame: 6, status, shown, .. } = &mut event.kind {
            (*status, *shown) = (Status::Frozen, Some(3));
        }
    }
    let moved = moved(&product(&changed));
    assert!(moved[0].summary.contains("lines gone"), "{}", moved[0].summary);
    assert!(moved[0].explanation.contains("+freeze rgb slots 4..=6 (3)"), "{}", moved[0].explanation);
}

#[test]
fn one_packet_one_byte_longer_and_one_a_nanosecond_later() {
    let mut changed = events();
    let EventKind::Sent { bytes, .. } = &mut changed[0].kind else { panic!("a packet comes first") };
    *bytes += 1;
    let longer = moved(&product(&changed));
    assert!(longer[0].summary.contains("of other sizes"), "{}", longer[0].summary);
    assert!(longer[0].explanation.contains("first difference at line 2"), "{}", longer[0].explanation);

    let mut changed = events();
    changed[0].t_ns = Timestamp(changed[0].t_ns.as_nanos() + 1);
    let later = moved(&product(&changed));
    assert_eq!(later[0].summary, "the same packets with the same sizes, at other times");
}

/// SSIM over all windows of `size` x `size` with a Gaussian of sigma 1.5, straight from the definition.
fn ssim_by_definition(a: &Rgb, b: &Rgb, size: usize) -> f64 {
    let middle = (size / 2) as f64;
    let bell: Vec<f64> =
        (0..size).map(|i| (-(i as f64 - middle).powi(2) / (2.0 * 1.5 * 1.5)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    let (mut total, mut windows) = (0.0, 0.0);
    for c in 0..3 {
        for top in 0..=a.height - size {
            for left in 0..=a.width - size {
                let [mut ma, mut mb, mut aa, mut bb, mut ab] = [0.0; 5];
                for (y, wy) in bell.iter().enumerate() {
                    for (x, wx) in bell.iter().enumerate() {
                        let at = ((top + y) * a.width + left + x) * 3 + c;
                        let (w, p, q) = (
                            wy * wx / (sum * sum),
                            f64::from(a.data[at]) / 255.0,
                            f64::from(b.data[at]) / 255.0,
                        );
                        ma += w * p;
                        mb += w * q;
                        aa += w * p * p;
                        bb += w * q * q;
                        ab += w * p * q;
                    }
                }
                let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
                let luminance = (2.0 * ma * mb + c1) / (ma * ma + mb * mb + c1);
                let structure = (2.0 * (ab - ma * mb) + c2) / (aa - ma * ma + bb - mb * mb + c2);
                total += luminance * structure;
                windows += 1.0;
            }
        }
    }
    total / windows
}

#[test]
fn an_ssim_window_of_nine() {
    let (captured, mut shown) = (picture(0), picture(0));
    for (i, sample) in shown.data.iter_mut().enumerate() {
        *sample = sample.wrapping_add(((i * 2_654_435_761) >> 7) as u8 % 25);
    }
    let eleven = metrics::ssim_full(&captured, &shown).unwrap();
    assert!(
        (ssim_by_definition(&captured, &shown, 11) - eleven).abs() < 1e-5,
        "only the window may differ below"
    );
    let with = |ssim: f64| {
        let mut product = product(&events());
        product.numbers.insert("streams.rgb.quality.ssim_full.all.mean".to_owned(), ssim);
        product
    };
    let dir = reviewed(&with(eleven));
    assert!(walk(dir.path(), &with(ssim_by_definition(&captured, &shown, 11)), false).moved.is_empty());
    let moved = walk(dir.path(), &with(ssim_by_definition(&captured, &shown, 9)), false).moved;
    assert_eq!(moved.len(), 1);
    assert!(moved[0].explanation.contains("times its tolerance of 0.0005"), "{}", moved[0].explanation);
}

#[test]
fn a_tolerance_set_by_hand_stays_and_holds() {
    let dir = reviewed(&product(&events()));
    let file = dir.path().join("some-loss/some-system/scores.toml");
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("value = 38.125, tolerance = 0.02", "value = 38.125, tolerance = 1.5");
    std::fs::write(&file, text).unwrap();
    let with = |psnr: f64| {
        let mut product = product(&events());
        product.numbers.insert("streams.rgb.quality.psnr.all.mean".to_owned(), psnr);
        product
    };
    assert!(walk(dir.path(), &with(39.6), false).moved.is_empty());
    assert_eq!(walk(dir.path(), &with(39.7), true).moved.len(), 1);
    assert!(std::fs::read_to_string(&file).unwrap().contains("value = 39.7, tolerance = 1.5"));
}

#[test]
fn a_value_that_is_gone_new_or_no_number_has_moved() {
    let mut changed = product(&events());
    changed.numbers.remove("streams.rgb.frozen");
    changed.numbers.insert("streams.depth.frozen".to_owned(), 0.0);
    changed.numbers.insert("streams.rgb.quality.psnr.all.mean".to_owned(), f64::NAN);
    let moved = moved(&changed);
    assert_eq!(moved[0].summary, "3 of 3 values moved");
}

#[test]
fn a_damaged_block_of_a_picture_is_shown() {
    let mut changed = product(&events());
    let rgb = changed.pictures.get_mut("rgb-0007.png").unwrap();
    for row in 16..32 {
        rgb.data[(row * 96 + 32) * 3..][..48].fill(0);
    }
    let dir = reviewed(&product(&events()));
    let moved = walk(dir.path(), &changed, false).moved;
    assert!(moved[0].summary.starts_with("the picture moved: PSNR"), "{}", moved[0].summary);
    assert!(
        moved[0].explanation.contains("within columns 32..=47 and rows 16..=31"),
        "{}",
        moved[0].explanation
    );
    let strip = media::still::read_rgb(&dir.path().join("out/some-loss/some-system/rgb-0007.png")).unwrap();
    assert_eq!((strip.width, strip.height), (3 * 96, 64));
    let map = |x: usize, y: usize| &strip.data[(y * 288 + 192 + x) * 3..][..3];
    assert_ne!(map(40, 24), [0, 0, 0], "the difference is marked");
    assert_eq!(map(4, 4), [0, 0, 0], "the rest is not");
}

/// The stored streams of this repository, copied, with one byte of the unit of `frame` changed.
fn stored_stream(codec: &str, damage: Option<(u32, usize)>) -> tempfile::TempDir {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/streams").join(codec);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(codec);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(kept.join("pictures.txt"), folder.join("pictures.txt")).unwrap();
    let mut reader = UnitsReader::open(&kept.join("stream.units")).unwrap();
    let header: UnitsHeader = reader.header().clone();
    let mut writer = UnitsWriter::create(&folder.join("stream.units"), &header).unwrap();
    while let Some(mut entry) = reader.read().unwrap() {
        if let Some((damaged, at)) = damage
            && damaged == entry.frame
            && let Some(unit) = &mut entry.unit
        {
            let at = unit.len() - at;
            unit[at] ^= 0x40;
        }
        writer.append(&entry).unwrap();
    }
    writer.finish().unwrap();
    dir
}

#[test]
fn one_wrong_byte_of_a_stored_stream() {
    for codec in ["h264", "h265", "vp8", "vp9"] {
        let whole = stored_stream(codec, None);
        assert!(walk(whole.path(), &Product::default(), false).moved.is_empty(), "{codec}");
        let damaged = stored_stream(codec, Some((6, 20)));
        let moved = walk(damaged.path(), &Product::default(), false).moved;
        assert_eq!(moved.len(), 1, "{codec}");
        assert!(
            moved[0].summary.starts_with("the stored stream decodes to other pixels"),
            "{}",
            moved[0].summary
        );
        assert!(
            moved[0].explanation.contains("first difference at line 8"),
            "{codec}: {}",
            moved[0].explanation
        );
    }
}

#[test]
fn one_wrong_parity_byte_in_the_kept_repair_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let look = |fixed: &BTreeMap<String, String>, review: bool| {
        golden::walk(&mut Walk {
            dir: dir.path(),
            filter: None,
            out: dir.path(),
            review,
            produce: &mut |_: &Case| panic!("no case here"),
            fixed,
            progress: &mut |_| {},
        })
        .unwrap()
        .moved
    };
    let right = golden::repair_texts().unwrap();
    assert_eq!(look(&right, true).len(), right.len());
    assert!(look(&right, false).is_empty());
    for (name, text) in &right {
        let mut wrong = right.clone();
        let last = text.trim_end().len() - 1;
        let digit = if text.as_bytes()[last] == b'0' { "1" } else { "0" };
        wrong.get_mut(name).unwrap().replace_range(last..=last, digit);
        let moved = look(&wrong, false);
        assert_eq!(moved.len(), 1, "{name}");
        assert_eq!(moved[0].summary, "1 lines gone, 1 lines new");
    }
}

#[test]
fn one_wrong_parity_byte_on_its_way_to_the_screen() {
    use sut_core::fec::Zfec;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/streams/h264");
    // The key frame in the middle, as ReVo protects it: three source symbols, two repair symbols, the second
    // source symbol lost.
    let recovered = |wrong: u8| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("h264");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(kept.join("pictures.txt"), folder.join("pictures.txt")).unwrap();
        let mut reader = UnitsReader::open(&kept.join("stream.units")).unwrap();
        let mut writer = UnitsWriter::create(&folder.join("stream.units"), reader.header()).unwrap();
        while let Some(mut entry) = reader.read().unwrap() {
            if entry.frame == 6 {
                let mut unit = entry.unit.take().unwrap();
                let (k, len) = (3, unit.len());
                let size = len.div_ceil(k);
                unit.resize(k * size, 0);
                let code = Zfec::new(k, 5).unwrap();
                let mut parity = code.parity(&unit.chunks(size).collect::<Vec<_>>());
                parity[0][size / 2] ^= wrong;
                let shards = [(0, &unit[..size]), (2, &unit[2 * size..]), (3, &parity[0][..])];
                unit = code.decode(&shards).unwrap().concat();
                unit.truncate(len);
                entry.unit = Some(unit);
            }
            writer.append(&entry).unwrap();
        }
        writer.finish().unwrap();
        walk(dir.path(), &Product::default(), false).moved
    };
    assert!(recovered(0).is_empty(), "recovery itself changes nothing");
    let moved = recovered(1);
    assert_eq!(moved.len(), 1);
    assert!(moved[0].explanation.contains("first difference at line 8"), "{}", moved[0].explanation);
}

/// Kept files whose `case.toml` is gone, or does not ask for them, are no golden: that is reported.
#[test]
fn kept_files_that_nothing_makes_have_moved() {
    let product = product(&events());
    let dir = reviewed(&product);
    let folder = dir.path().join("some-loss/some-system");
    std::fs::copy(folder.join("rgb-0007.png"), folder.join("rgb-0009.png")).unwrap();
    std::fs::write(folder.join("statuses.txt"), "of an earlier review").unwrap();
    let names = |findings: Findings| -> Vec<String> {
        let name = |m: &Moved| m.file.file_name().unwrap().to_string_lossy().into_owned();
        findings.moved.iter().map(name).collect()
    };
    let extra = ["rgb-0009.png", "statuses.txt"];
    let found = walk(dir.path(), &product, false);
    assert!(found.moved[0].explanation.contains("case.toml does not ask for it"), "{:?}", found.moved);
    assert_eq!(names(found), extra);
    extra.iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
    std::fs::remove_file(folder.join("case.toml")).unwrap();
    let found = walk(dir.path(), &product, false);
    assert!(found.moved[0].explanation.contains("restore case.toml"), "{:?}", found.moved);
    assert_eq!(names(found), ["ladder.txt", "rgb-0007.png", "scores.toml", "timeline.txt"]);
    assert!(folder.join("ladder.txt").is_file(), "nothing is deleted");
}

/// A golden that cannot be compared is named, and the others are compared all the same.
#[test]
fn a_damaged_golden_does_not_hide_the_others() {
    let product = product(&events());
    let dir = reviewed(&product);
    let [first, second] = ["a/one", "b/two"].map(|name| dir.path().join(name));
    for folder in [&first, &second] {
        std::fs::create_dir_all(folder).unwrap();
        for file in std::fs::read_dir(dir.path().join("some-loss/some-system")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    let check = |what: &str| {
        let found = walk(dir.path(), &product, false);
        assert!(found.moved.is_empty(), "{:?}", found.moved);
        assert_eq!(found.failed.len(), 1, "{what}");
        assert_eq!(found.failed[0].0, first);
        let said = contract::said(&*found.failed[0].1);
        assert!(said.contains("golden a/one") && said.contains(what), "{said}");
        // Four of each of the two others.
        let of = |folder: &Path| found.compared.iter().filter(|f| f.starts_with(folder)).count();
        assert_eq!((of(&second), of(&dir.path().join("some-loss"))), (4, 4));
    };
    let scores = std::fs::read_to_string(first.join("scores.toml")).unwrap();
    for bad in ["nan", "inf", "-0.5"] {
        let changed = scores.replacen("tolerance = 0.02", &format!("tolerance = {bad}"), 1);
        assert_ne!(scores, changed);
        std::fs::write(first.join("scores.toml"), changed).unwrap();
        check("write a number from 0 on");
    }
    std::fs::write(first.join("scores.toml"), &scores).unwrap();
    let case = std::fs::read_to_string(first.join("case.toml")).unwrap();
    for (line, what) in [
        ("tolerances = { psnr = nan }", "tolerances: \"psnr\" is NaN"),
        ("tolerances = { psnrr = 0.1 }", "\"psnrr\" fits no value"),
        ("picture_psnr_db = nan", "picture_psnr_db is NaN"),
        ("frames = 11", "duplicate key"),
    ] {
        std::fs::write(first.join("case.toml"), format!("{case}{line}\n")).unwrap();
        check(what);
    }
    std::fs::write(first.join("case.toml"), case).unwrap();
    let picture = std::fs::read(first.join("rgb-0007.png")).unwrap();
    std::fs::write(first.join("rgb-0007.png"), &picture[..picture.len() / 2]).unwrap();
    check("restore it");
}

/// The numbers of a run that is not valid stand for nothing, here as in a report.
#[test]
fn a_run_that_is_not_valid_is_no_golden() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = made_up::run(&made_up::MadeUp { frames: 30, ..made_up::MadeUp::default() });
    made_up::write(dir.path(), &run);
    std::fs::write(dir.path().join("events.jsonl"), "").unwrap();
    let folder = reviewed(&product(&events()));
    let case = Case::read(&folder.path().join("some-loss/some-system")).unwrap();
    assert!(!Product::of_run(dir.path(), &case).unwrap().numbers.is_empty());
    run.scores.health.valid = false;
    run.scores.health.problems = vec!["shows a future frame".to_owned()];
    made_up::write(dir.path(), &run);
    let said = contract::said(&*Product::of_run(dir.path(), &case).unwrap_err());
    assert!(said.contains("not valid (shows a future frame)"), "{said}");
}

/// The goldens that are kept at the size people evaluate at, one per system, notice a loss of 0.2 dB.
#[test]
fn a_loss_of_two_tenths_of_a_decibel_at_real_size_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/real-size");
    let mut systems: Vec<String> = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()) {
        let case = Case::read(&folder).unwrap();
        assert_eq!((case.size, case.frames), ((512, 512), 60), "{}", folder.display());
        let kept = golden::read_numbers(&folder.join("scores.toml")).unwrap();
        let mut now: golden::Numbers = kept.iter().map(|(name, g)| (name.clone(), g.value)).collect();
        assert!(golden::compare_numbers(&kept, &now).is_none());
        assert!(now["network.forward.realised_loss"] > 0.0, "{} meets no loss", folder.display());
        let psnr = now.get_mut("streams.rgb.quality.psnr.all.mean").unwrap();
        *psnr -= 0.2;
        let said = golden::compare_numbers(&kept, &now).expect("noticed").explanation;
        assert!(said.contains("streams.rgb.quality.psnr.all.mean"), "{said}");
        systems.push(case.system);
    }
    systems.sort();
    assert_eq!(
        systems,
        ["reparo", "revo-h264", "revo-h265", "vp8-flexfec", "vp8-ulpfec", "vp9-ringmaster", "vp9-tambur"]
    );
}

/// A golden under loss that meets none would guard nothing.
#[test]
fn every_golden_under_loss_meets_some() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let mut looked_at = 0;
    for scenario in std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for folder in std::fs::read_dir(scenario).unwrap().map(|e| e.unwrap().path()) {
            let scores = folder.join("scores.toml");
            if scores.is_file() {
                let kept = golden::read_numbers(&scores).unwrap();
                assert!(
                    kept["network.forward.realised_loss"].value > 0.0,
                    "{} meets no loss",
                    scores.display()
                );
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 9, "{looked_at}");
}
