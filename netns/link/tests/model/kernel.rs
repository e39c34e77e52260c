//! `model = "netem"` against a slow, independent restatement of the kernel's decisions.

use crate::specs::link;
use link::*;
use proptest::prelude::*;

/// L'Ecuyer's LFSR113 from its definition instead of its fast algorithm ("Tables of maximally-equidistributed combined LFSR
/// generators", Math. of Comp. 68, 1999): four bit sequences x(n) = x(n-k) xor x(n-k+q), read in strides of s bits, 32 at a time.
struct Bits {
    sequences: [(Vec<bool>, usize, usize, usize); 4],
    t: usize,
}

impl Bits {
    fn new(seed: u64) -> Self {
        let i = ((seed >> 32) as u32) ^ ((seed << 10) as u32) ^ (seed as u32);
        let sequence = |minimum: u32, k: usize, q: usize, s: usize| {
            let word = if i < minimum { i + minimum } else { i };
            ((0..k).map(|bit| word >> (31 - bit) & 1 == 1).collect(), k, q, s)
        };
        Bits {
            sequences: [
                sequence(2, 31, 6, 18),
                sequence(8, 29, 2, 2),
                sequence(16, 28, 13, 7),
                sequence(128, 25, 3, 13),
            ],
            t: 0,
        }
    }

    fn draw(&mut self) -> u32 {
        self.t += 1;
        let mut out = 0;
        for (x, k, q, s) in &mut self.sequences {
            let first = self.t * *s;
            while x.len() < first + 32 {
                let n = x.len();
                x.push(x[n - *k] ^ x[n - *k + *q]);
            }
            out ^= x[first..first + 32].iter().fold(0u32, |word, bit| word << 1 | u32::from(*bit));
        }
        out
    }
}

proptest! {
    #[test]
    fn generator_is_lfsr113(seed in prop_oneof![Just(0u64), Just(u64::MAX), 0u64..300, any::<u64>()]) {
        let (mut fast, mut slow) = (Prandom::new(seed), Bits::new(seed));
        for _ in 0..200 {
            prop_assert_eq!(fast.draw(), slow.draw());
        }
    }
}

/// What happens to a packet: out times of the packet and its copy (damage in the second place), or nothing.
type Out = Vec<(i64, bool)>;

/// The whole qdisc, decision by decision, in the words of its manual page. Percentages in, as tc computes them.
struct Qdisc {
    bits: Bits,
    loss: [f64; 4],
    random: Option<f64>,
    duplicate: f64,
    corrupt: f64,
    delay_ns: i64,
    jitter_ns: i64,
    state_is_bad: bool,
}

fn share(percent: f64) -> u64 {
    (percent / 100.0 * 4_294_967_295.0).round_ties_even() as u64
}

impl Qdisc {
    fn chance(&mut self, percent: f64) -> bool {
        let share = share(percent);
        share > 0 && u64::from(self.bits.draw()) <= share
    }

    fn lost(&mut self) -> bool {
        if let Some(percent) = self.random {
            return self.chance(percent);
        }
        let [p, r, bad, good] = self.loss;
        let judged_bad = self.state_is_bad;
        let first = u64::from(self.bits.draw());
        if judged_bad {
            if first < share(r) {
                self.state_is_bad = false;
            }
            u64::from(self.bits.draw()) > 0xFFFF_FFFF - share(bad)
        } else {
            if first < share(p) {
                self.state_is_bad = true;
            }
            u64::from(self.bits.draw()) < share(good)
        }
    }

    fn through(&mut self, now: i64, out: &mut Out) {
        let damaged = self.chance(self.corrupt);
        let mut delay = self.delay_ns;
        if self.jitter_ns > 0 {
            delay += i64::from(self.bits.draw()) % (2 * self.jitter_ns) - self.jitter_ns;
        }
        out.push((now + delay, damaged));
    }

    fn packet(&mut self, now: i64) -> Out {
        let mut out = Out::new();
        let twice = self.chance(self.duplicate);
        let lost = self.lost();
        if twice && !lost {
            // The copy enters the qdisc anew, with duplication off.
            if !self.lost() {
                self.through(now, &mut out);
            }
        }
        if twice || !lost {
            self.through(now, &mut out);
        }
        out
    }
}

fn percent() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(100.0), (0u32..=1000).prop_map(|tenths| f64::from(tenths) / 10.0)]
}

proptest! {
    #[test]
    fn fates_are_those_of_the_qdisc(
        seed: u64,
        random in proptest::option::of(percent()),
        loss in [percent(), percent(), percent(), percent()],
        duplicate in percent(),
        corrupt in percent(),
        jitter_us in prop_oneof![Just(0i64), 1i64..20_000],
    ) {
        let model = match random {
            Some(p) => format!("model = \"random\", probability = \"{p}%\""),
            None => format!(
                "model = \"gilbert_elliott\", good_to_bad = \"{}%\", bad_to_good = \"{}%\", loss_bad = \"{}%\", \
                 loss_good = \"{}%\", step = \"packet\", loss_by = \"old\"", loss[0], loss[1], loss[2], loss[3]),
        };
        let mut link = link(&format!(
            "model = \"netem\"\nloss = {{ {model} }}\nduplicate = \"{duplicate}%\"\ncorrupt = \"{corrupt}%\"\n\
             delay = {{ base = \"20ms\", jitter = \"{jitter_us}us\", reorder = true }}"), seed);
        let mut qdisc = Qdisc {
            bits: Bits::new(seed), loss, random, duplicate, corrupt,
            delay_ns: 20_000_000, jitter_ns: jitter_us * 1000, state_is_bad: false,
        };
        let mut expected = Vec::new();
        for n in 0..300u64 {
            let now = n * 700_000;
            link.enqueue(Timestamp(now), n, 1200);
            // The kernel's queue is in order of time, equal times in order of entering.
            expected.extend(qdisc.packet(now as i64).into_iter().map(|(at, damaged)| (at as u64, n, damaged)));
        }
        expected.sort_by_key(|(at, ..)| *at);
        let mut got = Vec::new();
        while let Some(d) = link.deliver(Timestamp::MAX) {
            got.push((d.at.0, d.id, d.corrupted));
        }
        prop_assert_eq!(got, expected);
    }
}

/// Measured with a real qdisc (kernel 6.12, iproute2 6.15): `netem loss gemodel 6.8% 85.2% 50% 4% seed 42` lost 1452 of 20000 packets.
#[test]
fn a_real_kernel_lost_as_many() {
    let mut link = link(
        "model = \"netem\"\n[loss]\nmodel = \"gilbert_elliott\"\ngood_to_bad = \"6.8%\"\nbad_to_good = \"85.2%\"\n\
         loss_bad = \"50%\"\nloss_good = \"4%\"\nstep = \"packet\"\nloss_by = \"old\"",
        42,
    );
    let lost = (0..20_000).filter(|n| link.enqueue(Timestamp(*n), *n, 1200).at().is_none()).count();
    assert_eq!(lost, 1452);
}

#[test]
fn what_netem_cannot_do_is_refused_with_a_remedy() {
    let refused = |text: &str| {
        let spec: LinkSpec = toml::from_str(&format!("model = \"netem\"\n{text}")).unwrap();
        Link::new(&spec, 1).unwrap_err().to_string()
    };
    assert!(refused("delay = { base = \"20ms\", jitter = \"5ms\" }").contains("reorder = true"));
    assert!(refused("order = \"queue_first\"").contains("loss_first"));
    assert!(refused("loss = { model = \"pattern\", pattern = \"..x\" }").contains("native"));
    let ge = "model = \"gilbert_elliott\", good_to_bad = \"1%\", bad_to_good = \"1%\", loss_good = \"0%\", loss_bad = \"1%\"";
    assert!(
        refused(&format!("loss = {{ {ge}, step = \"frame\", loss_by = \"old\" }}"))
            .contains("step = \"packet\"")
    );
}

/// A netem that is changed at every row of a trace: a fresh qdisc per row, its loss and delay read from the file here, seeded as
/// the exported script seeds it.
#[test]
fn traced_fates_are_those_of_a_qdisc_changed_row_by_row() {
    let text = include_str!("../../../../traces/wifi-lossy.log");
    let rows: Vec<(u64, f64, f64)> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| {
            let columns: Vec<&str> = l.split_whitespace().collect();
            let number = |i: usize| columns[i].trim_end_matches("ms").parse::<f64>().unwrap();
            ((number(0) * 1e9).round() as u64, number(2), (number(3) * 1e4).round() / 1e4)
        })
        .collect();
    let seed = 77;
    let mut link = link(
        "model = \"netem\"\nloss = { model = \"trace\" }\ndelay = { base = \"trace\", reorder = true }\n\
         trace = { shipped = \"wifi-lossy\", format = \"revo\", offset = \"1s\" }",
        seed,
    );
    let offset = 1_000_000_000;
    let end = rows[rows.len() - 1].0 + 15_000_000 - offset;
    let (mut current, mut qdisc, mut lost, mut laps) = (None, None, 0, 0);
    let first = rows.iter().rposition(|r| r.0 <= offset).unwrap() as u64;
    for n in 0..40_000u64 {
        let now = n * 2_000_000;
        let (lap, t) = (now / end, now % end + offset);
        laps = laps.max(lap);
        let row = rows.iter().rposition(|r| r.0 <= t).unwrap() as u64;
        let played = lap * (rows.len() as u64 - first) + row - first;
        if current != Some(played) {
            current = Some(played);
            let (_, rtt, loss) = rows[row as usize];
            qdisc = Some(Qdisc {
                bits: Bits::new(row_seed(seed, played)),
                loss: [0.0; 4],
                random: Some((loss * 1e4).round() / 1e2),
                duplicate: 0.0,
                corrupt: 0.0,
                delay_ns: (rtt * 1e6).round() as i64 / 2,
                jitter_ns: 0,
                state_is_bad: false,
            });
        }
        let expected = qdisc.as_mut().unwrap().packet(now as i64).first().map(|(at, _)| *at as u64);
        let fate = link.enqueue(Timestamp(now), n, 1200);
        assert_eq!(fate.at().map(Timestamp::as_nanos), expected, "packet {n}");
        assert_eq!(fate.channel().row, Some(row as u32));
        if let Some(cause) = fate.cause() {
            assert_eq!(cause, DropCause::Trace);
            lost += 1;
        }
    }
    assert_eq!((laps, row_seed(seed, 0)), (1, seed));
    assert!((500..2000).contains(&lost), "{lost} of 40000 lost, about 2.3 % expected");
}

#[test]
fn a_change_of_netem_would_reset_its_chain() {
    let ge = "model = \"gilbert_elliott\", good_to_bad = \"1%\", bad_to_good = \"1%\", loss_good = \"0%\", \
              loss_bad = \"1%\", step = \"packet\", loss_by = \"old\"";
    let spec: LinkSpec = toml::from_str(&format!(
        "model = \"netem\"\nloss = {{ {ge} }}\ndelay = {{ base = \"trace\", reorder = true }}\n\
         trace = {{ shipped = \"wifi-lossy\", format = \"revo\" }}"
    ))
    .unwrap();
    assert!(spec.validate().unwrap_err().to_string().contains("anew"));
    let overtaking: LinkSpec = toml::from_str(
        "model = \"netem\"\ndelay = { base = \"trace\" }\ntrace = { shipped = \"wifi-lossy\", format = \"revo\" }",
    )
    .unwrap();
    assert!(overtaking.validate().unwrap_err().to_string().contains("reorder = true"));
}
