//! The parts that figures are made of: looks, axes, texts.

use freezeframe::figure::axis::{label, log_ticks, range_of, ticks};
use freezeframe::figure::style::{Colour, Look, Looks, Named, PALETTE, SHIPPED};
use freezeframe::figure::text::{cut, width, wrap};

fn named<'a>(plain: &'a str, label: &'a str) -> Named<'a> {
    Named { plain, label, usual: plain == label }
}

#[test]
fn shipped_systems_look_the_same_beside_anybody() {
    let all: Vec<&str> = SHIPPED.iter().map(|(n, ..)| *n).collect();
    let together = Looks::new(all.iter().map(|n| named(n, n)));
    for name in all {
        let alone = Looks::new([named(name, name)]);
        let crowd = Looks::new([
            named("aaa", "aaa"),
            named("zzz", "zzz"),
            named(name, name),
            named(name, "revo-h264 qp=3"),
        ]);
        assert_eq!(together.of(name), alone.of(name));
        assert_eq!(crowd.of(name), alone.of(name));
        // With a word that tells it from a variant, too.
        let told = [Named { plain: name, label: "x/datagram", usual: true }, named(name, "x/datachannel")];
        assert_eq!(Looks::new(told).of("x/datagram"), alone.of(name));
    }
}

#[test]
fn every_shipped_system_has_a_look_of_its_own() {
    let mut looks: Vec<String> = SHIPPED.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let mut systems: Vec<String> = contract::Manifest::shipped().iter().map(|m| m.name.to_string()).collect();
    looks.sort_unstable();
    systems.sort_unstable();
    assert_eq!(looks, systems);
}

#[test]
fn forty_systems_and_their_variants_all_look_different() {
    let names: Vec<String> = (0..40).map(|i| format!("system-{i}")).collect();
    let variants: Vec<String> = (0..20).map(|i| format!("system-1 qp={i}")).collect();
    let all = || names.iter().map(|n| named(n, n)).chain(variants.iter().map(|v| named("system-1", v)));
    let looks = Looks::new(all());
    let mut different: Vec<Look> = all().map(|n| looks.of(n.label)).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 60);
    // Ten systems: ten colours.
    let ten = Looks::new(names[..10].iter().map(|n| named(n, n)));
    let mut colours: Vec<Colour> = names[..10].iter().map(|n| ten.of(n).colour).collect();
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 10);
    // A system and three variants: one colour, four dashes, four marks.
    let four = Looks::new(
        std::iter::once(named("system-1", "system-1"))
            .chain(variants[..3].iter().map(|v| named("system-1", v))),
    );
    let of: Vec<Look> = std::iter::once("system-1")
        .chain(variants[..3].iter().map(String::as_str))
        .map(|n| four.of(n))
        .collect();
    for (i, a) in of.iter().enumerate() {
        for b in &of[i + 1..] {
            assert!(a.colour == b.colour && a.dash != b.dash && a.marker != b.marker, "{a:?} {b:?}");
        }
    }
}

/// Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB; the distance is CIE76 in CIELAB, of which 2.3 is just noticeable.
#[test]
fn colours_stay_apart_for_colour_blind_people() {
    type Matrix = [[f64; 3]; 3];
    const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    const PROTANOPIA: Matrix = [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ];
    const DEUTERANOPIA: Matrix = [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ];
    fn lab(c: Colour, m: &Matrix) -> [f64; 3] {
        let linear = [c.0, c.1, c.2].map(|v| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        let seen = m.map(|row| row.iter().zip(linear).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0));
        let xyz = [
            (0.4124 * seen[0] + 0.3576 * seen[1] + 0.1805 * seen[2]) / 0.9505,
            0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2],
            (0.0193 * seen[0] + 0.1192 * seen[1] + 0.9505 * seen[2]) / 1.089,
        ];
        let f = xyz.map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])]
    }
    for matrix in [NORMAL, PROTANOPIA, DEUTERANOPIA] {
        for (i, (a, _)) in PALETTE.iter().enumerate() {
            for (b, _) in &PALETTE[i + 1..] {
                let (a, b) = (lab(*a, &matrix), lab(*b, &matrix));
                let distance = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
                assert!(distance > 12.0, "{distance:.1} between {a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn ticks_are_round_and_inside() {
    assert_eq!(ticks((17.3, 41.2), 5), [20.0, 25.0, 30.0, 35.0, 40.0]);
    assert_eq!(ticks((0.0, 1.0), 5).len(), 6);
}

#[test]
fn there_are_three_ticks_where_there_is_room_for_two() {
    assert_eq!(ticks((12.0, 38.0), 2), [15.0, 20.0, 25.0, 30.0, 35.0]);
    let of_log: Vec<f64> =
        log_ticks((-0.4, 1.4)).into_iter().map(|e| (10f64.powf(e) * 1e6).round() / 1e6).collect();
    assert_eq!(of_log, [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
}

#[test]
fn labels_are_short() {
    for (value, text) in [(0.95, "0.95"), (30.0, "30"), (1250.0, "1250"), (-0.0001, "0"), (0.125, "0.125")] {
        assert_eq!(label(value), text);
    }
}

#[test]
fn a_range_has_air_and_never_collapses() {
    assert_eq!(range_of([30.0, 40.0].into_iter()), Some((28.0, 42.0)));
    let (lo, hi) = range_of([5.0, 5.0].into_iter()).unwrap();
    assert!(lo < 5.0 && hi > 5.0);
    assert_eq!(range_of([f64::NAN].into_iter()), None);
}

/// Helvetica's widths of 1000: W 944, i 222, space 278.
#[test]
fn widths_are_those_of_helvetica() {
    for (text, thousandths) in [("W", 944.0), ("i", 222.0), (" ", 278.0), ("0123456789", 5560.0)] {
        assert!((width(text, 1000.0) - thousandths).abs() < 1.5 * text.len() as f64, "{text}");
    }
}

#[test]
fn lines_fit() {
    let lines = wrap("stalls above 200 ms, % of the time", 7.0, 60.0);
    assert!(lines.len() > 1 && lines.iter().all(|l| width(l, 7.0) <= 60.0), "{lines:?}");
    assert_eq!(lines.join(" "), "stalls above 200 ms, % of the time");
    assert_eq!(cut("abcdefghij", 10.0, 30.0), "abc…");
    assert_eq!(wrap("", 7.0, 10.0), [""]);
}
