use super::*;
use crate::shaper::kernel_plan;
use link::{DropCause, Prandom};
use std::path::Path;

fn spec(text: &str) -> LinkSpec {
    let mut spec: LinkSpec = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    spec.load(Path::new("")).expect("shipped traces load");
    spec
}

const TRACED: &str = r#"
    model = "netem"
    loss = { model = "trace" }
    delay = { base = "trace", reorder = true }
    trace = { shipped = "wifi-lossy", format = "revo", offset = "20s" }
"#;

/// A frame of UDP over IPv4 with its number in it.
fn frame(n: u64, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0u8; ETHERNET + bytes];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(bytes as u16).to_be_bytes());
    frame[23] = 17;
    let mut word = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for byte in &mut frame[42..] {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        *byte = word as u8;
    }
    frame[42..50].copy_from_slice(&n.to_be_bytes());
    frame
}

struct Staged {
    spec: LinkSpec,
    plan: Plan,
    applied: Vec<Applied>,
    entered: Vec<Seen>,
    left: Vec<Seen>,
    /// What the kernel decided and under which row.
    truth: Vec<(Fate, u64)>,
    end: u64,
}

const EPOCH: u64 = 1_000_000_000;

/// Plays the kernel: rows come into force late, packets reach the qdisc a moment after they are stamped.
fn stage(text: &str, packets: u64, gap: u64, late: u64) -> Staged {
    let spec = spec(text);
    let seed = 5;
    let plan = kernel_plan(&spec, seed).expect("the kernel can say it");
    let schedule = spec.schedule().expect("a link").filter(|_| plan.traced.any());
    let mut random = Prandom::new(11);
    let mut staged = Staged {
        spec: spec.clone(),
        plan,
        applied: vec![Applied { played: Some(0), before: 0, after: 0 }],
        entered: Vec::new(),
        left: Vec::new(),
        truth: Vec::new(),
        end: EPOCH + packets * gap + 200_000_000,
    };
    let channel = |applied: &[Applied]| {
        let run = Run {
            direction: Direction::Forward,
            spec: &spec,
            plan: &plan,
            applied,
            epoch: EPOCH,
            begin: EPOCH,
            end: 0,
        };
        Channels::new(&run).expect("a link").link(applied[applied.len() - 1].played).expect("a link")
    };
    let mut link = channel(&staged.applied);
    // How late the next row is, and how long its change takes.
    let draw = |random: &mut Prandom| {
        (u64::from(random.draw()) % late.max(1), 20_000 + u64::from(random.draw()) % 80_000)
    };
    let mut next = draw(&mut random);
    let mut played = 0;
    let mut outs = Vec::new();
    for n in 0..packets {
        let stamped = EPOCH + n * gap + u64::from(random.draw()) % (gap / 2);
        let reaches = stamped + u64::from(random.draw()) % 40_000;
        while let Some(row) = schedule.as_ref().and_then(|s| s.row(played + 1)) {
            let (late, takes) = next;
            let before = EPOCH + row.start.as_nanos() + late;
            if before + takes / 2 > reaches {
                break;
            }
            played += 1;
            staged.applied.push(Applied { played: Some(played), before, after: before + takes });
            link = channel(&staged.applied);
            next = draw(&mut random);
        }
        let bytes = frame(n, 1200);
        staged.entered.push(Seen::new(stamped, &bytes));
        let fate = link.enqueue(Timestamp(reaches - EPOCH), n, 1200);
        staged.truth.push((fate, played));
        if let Fate::Delivered { at, corrupted, copy, .. } = fate {
            let mut sent = bytes.clone();
            if corrupted {
                sent[600 + (n % 500) as usize] ^= 4;
            }
            outs.push((EPOCH + at.as_nanos(), sent));
            outs.extend(copy.map(|at| (EPOCH + at.as_nanos(), bytes)));
        }
    }
    outs.sort_by_key(|(at, _)| *at);
    staged.left = outs.iter().map(|(at, bytes)| Seen::new(*at, bytes)).collect();
    staged
}

fn replayed(staged: &Staged) -> Replayed {
    let run = Run {
        direction: Direction::Forward,
        spec: &staged.spec,
        plan: &staged.plan,
        applied: &staged.applied,
        epoch: EPOCH,
        begin: EPOCH,
        end: staged.end,
    };
    replay(&run, &staged.entered, &staged.left).expect("a link")
}

#[test]
fn rows_that_come_late_are_found() {
    let staged = stage(TRACED, 30_000, 1_000_000, 900_000);
    let result = replayed(&staged);
    assert_eq!(result.unexplained, 0);
    assert_eq!(result.entries.len(), 30_000);
    let first_row = staged.spec.schedule().expect("a link").expect("a trace").row(0).expect("a row").row;
    let (mut lost, mut other_row) = (0, 0);
    for (entry, (fate, played)) in result.entries.iter().zip(&staged.truth) {
        let record = &entry.record;
        assert_eq!(record.fate, fate.outcome(), "packet {}", record.n);
        if fate.cause().is_some() {
            lost += 1;
            assert_eq!((record.cause, record.actual_ns), (Some(DropCause::Trace), None));
        }
        // A packet near a border may be put on its other side where both are possible.
        other_row += u64::from(record.row != Some(first_row + *played as u32));
    }
    assert!((300..3000).contains(&lost), "{lost}");
    assert!(other_row < 300, "{other_row} packets in another row");
}

#[test]
fn damage_and_copies_are_told_apart() {
    let text = r#"
        model = "netem"
        loss = { model = "random", probability = "5%" }
        delay = { base = "10ms", jitter = "3ms", reorder = true }
        duplicate = "4%"
        corrupt = "6%"
    "#;
    let staged = stage(text, 5000, 1_000_000, 0);
    let result = replayed(&staged);
    assert_eq!(result.unexplained, 0);
    let count = |outcome| result.entries.iter().filter(|e| e.record.fate == outcome).count();
    assert!(
        count(Outcome::Corrupted) > 200 && count(Outcome::Duplicated) > 100 && count(Outcome::Dropped) > 150
    );
    for (entry, (fate, _)) in result.entries.iter().zip(&staged.truth) {
        assert_eq!(entry.record.fate, fate.outcome());
        if let (Some(out), Some(actual)) = (entry.record.out_ns, entry.record.actual_ns) {
            // The kernel decided when the packet had reached it, up to 40 us after its stamp; or the copy came first.
            let copy = entry.record.copy_ns.is_some();
            assert!(copy || actual.as_nanos().abs_diff(out.as_nanos()) <= 40_000);
        }
    }
}

#[test]
fn what_contradicts_the_draws_is_said() {
    let text =
        "model = \"netem\"\nloss = { model = \"random\", probability = \"10%\" }\ndelay = { base = \"5ms\" }";
    let mut staged = stage(text, 2000, 1_000_000, 0);
    staged.left.remove(700);
    let gone = replayed(&staged);
    assert_eq!(gone.unexplained, 1);
    let records: Vec<&FateRecord> = gone.entries.iter().map(|e| &e.record).collect();
    let odd: Vec<&&FateRecord> =
        records.iter().filter(|r| r.fate == Outcome::Dropped && r.cause.is_none()).collect();
    assert_eq!(odd.len(), 1);
    assert_eq!((odd[0].out_ns, odd[0].actual_ns), (None, None));
    // Another seed's draws contradict about one packet in six.
    staged.plan.seed += 1;
    assert!(replayed(&staged).unexplained > 200);
}

#[test]
fn a_full_queue_is_told_from_chance() {
    let text = r#"
        model = "netem"
        order = "delay_first"
        overhead = "14B"
        loss = { model = "random", probability = "5%" }
        delay = { base = "5ms" }
        bottleneck = { rate = "4Mbit", burst = "1600B", debt = true, queue = "10p" }
    "#;
    let mut staged = stage(text, 3000, 1_000_000, 0);
    // The queue, by hand: 1214 bytes at 4 Mbit/s take 2.428 ms; whoever finds ten in the qdisc is dropped.
    // The bucket holds 1600 bytes, which take 3.2 ms, at first; a packet goes while it is not in debt.
    let (mut inside, mut full_at, mut left, mut full) = (Vec::<u64>::new(), 0, Vec::new(), 0);
    for (i, (fate, _)) in staged.truth.iter().enumerate() {
        let Some(at) = fate.at() else { continue };
        let (entered, at) = (staged.entered[i].at, EPOCH + at.as_nanos());
        inside.retain(|leaves| *leaves > entered);
        if inside.len() >= 10 {
            full += 1;
            continue;
        }
        let leaves = at.max(full_at.max(3_200_000) - 3_200_000);
        full_at = full_at.max(leaves) + 2_428_000;
        inside.push(leaves);
        left.push(Seen::new(leaves, &frame(i as u64, 1200)));
    }
    staged.left = left;
    let result = replayed(&staged);
    assert_eq!(result.unexplained, 0);
    let of = |cause| result.entries.iter().filter(|e| e.record.cause == Some(cause)).count();
    assert_eq!(of(DropCause::Queue), full);
    assert!(full > 1000 && of(DropCause::Random) > 100, "{full}");
    let worst = result
        .entries
        .iter()
        .filter_map(|e| Some(e.record.actual_ns?.as_nanos().abs_diff(e.record.out_ns?.as_nanos())));
    assert!(worst.max().is_some_and(|ns| ns < 100_000), "the model's times are the queue's");
}

#[test]
fn what_came_before_the_channel_is_not_recorded() {
    let mut staged =
        stage("model = \"netem\"\nloss = { model = \"random\", probability = \"10%\" }", 1000, 1_000_000, 0);
    // Three packets before the beginning pass unharmed.
    for n in 0..3 {
        let bytes = frame(1_000_000 + n, 300);
        staged.entered.insert(n as usize, Seen::new(EPOCH - 30_000_000 + n * 1_000_000, &bytes));
        staged.left.insert(n as usize, Seen::new(EPOCH - 10_000_000 + n * 1_000_000, &bytes));
    }
    staged.applied = vec![
        Applied { played: None, before: 0, after: 0 },
        Applied { played: Some(0), before: EPOCH - 2_000, after: EPOCH - 1_000 },
    ];
    let result = replayed(&staged);
    assert_eq!((result.unexplained, result.entries.len()), (0, 1000));
    assert_eq!(result.entries[0].record.n, 0);
}
