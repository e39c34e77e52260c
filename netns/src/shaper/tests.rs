use super::*;
use link::LinkSpec;
use tc::{Htb, Tbf};

fn spec(text: &str) -> LinkSpec {
    let mut spec: LinkSpec = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    spec.load(std::path::Path::new("")).expect("shipped traces load");
    spec
}

/// A link along a shipped trace of rows.
fn traced(trace: &str, rest: &str) -> String {
    format!("overhead = \"14B\"\n{rest}\ntrace = {{ shipped = \"{trace}\", format = \"revo\" }}")
}

#[test]
fn the_kernel_gets_exactly_what_the_specification_says() {
    let plan = kernel_plan(
        &spec(
            r#"
            model = "netem"
            order = "delay_first"
            overhead = "14B"
            loss = { model = "gilbert_elliott", good_to_bad = "6.8%", bad_to_good = "85.2%", loss_good = "4%", loss_bad = "50%", step = "packet", loss_by = "old" }
            bottleneck = { rate = "320kbit", burst = "1540B", queue = "6000B" }
            delay = { base = "20ms" }
            "#,
        ),
        42,
    )
    .expect("netem and tbf can say this");
    let netem = plan.netem.expect("loss and delay");
    // tc's rounding: share of 2^32 - 1, to the nearest.
    let share = |p: f64| (p * f64::from(u32::MAX)).round() as u32;
    assert_eq!(netem.gemodel, Some([share(0.068), share(0.852), u32::MAX - share(0.5), share(0.04)]));
    assert_eq!((netem.delay_ns, netem.loss, netem.seed), (20_000_000, 0, Some(42)));
    assert_eq!(plan.rate, Some(Rate::Tbf(Tbf { bytes_per_second: 40_000, burst: 1540, limit: 6000 })));
    assert_eq!(kernel_plan(&LinkSpec::default(), 0), Ok(Plan::default()), "nothing to do needs no qdisc");
}

#[test]
fn what_the_kernel_cannot_say_is_refused_with_the_reason() {
    let bottleneck = |rest: &str| format!("overhead = \"14B\"\nbottleneck = {{ rate = \"1Mbit\", {rest} }}");
    let cases = [
        ("loss = { model = \"random\", probability = \"1%\" }".to_owned(), "native"),
        ("model = \"netem\"\nloss = { model = \"pattern\", pattern = \"..x\" }".to_owned(), "no such model"),
        ("model = \"netem\"\ndelay = { base = \"20ms\", jitter = \"2ms\" }".to_owned(), "reorder"),
        (bottleneck("burst = \"1540B\", queue = \"50p\""), "limited in bytes"),
        (bottleneck("burst = \"1000B\", queue = \"6000B\""), "whole frame"),
        (
            "bottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"6000B\" }".to_owned(),
            "Ethernet",
        ),
        (traced("wifi-lossy", "bottleneck = { rate = \"trace\", burst = \"1540B\", queue = \"6000B\" }"), "debt = true"),
        (
            traced("wifi-lossy", "delay = { base = \"20ms\" }\nbottleneck = { rate = \"trace\", debt = true, burst = \"1600B\", queue = \"90p\" }"),
            "the delay comes before the queue",
        ),
        (traced("wifi-lossy", "bottleneck = { rate = \"trace\", debt = true, burst = \"1600B\", queue = \"150ms\" }"), "bytes or packets"),
        (
            traced(
                "wifi-lossy",
                "model = \"netem\"\ndelay = { base = \"trace\", reorder = true }\nbottleneck = { rate = \"trace\", debt = true, burst = \"1600B\", queue = \"90p\" }",
            ),
            "overtake before the queue",
        ),
        (traced("wifi-lossy", "loss = { model = \"trace\" }"), "native"),
        (
            "overhead = \"14B\"\nbottleneck = { rate = \"trace\", debt = true, burst = \"1600B\", queue = \"90p\" }\ntrace = { shipped = \"cellular\", format = \"mahimahi\" }"
                .to_owned(),
            "packet-delivery",
        ),
    ];
    for (text, reason) in cases {
        let refused = kernel_plan(&spec(&text), 1).expect_err(&text);
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}

/// ReVo's script with the kernel's own draws: htb above netem, whose limit counts the delay line, both changed per row.
#[test]
fn a_trace_is_a_plan_per_row() {
    let text =
        "model = \"netem\"\ntrace = { shipped = \"wifi-lossy\", format = \"revo\", replay = \"compat\" }";
    let spec = spec(text);
    let plan = kernel_plan(&spec, 9).expect("htb and netem can say this");
    assert!(plan.netem_below() && plan.has_queue());
    assert_eq!(plan.traced, Traced { rate: true, loss: true, delay: false });
    let schedule = spec.schedule().expect("a link").expect("a trace");
    for played in [0, 1, 250, 3999, 4003] {
        let row = schedule.row(played).expect("repeated for ever");
        let at = plan.at_row(played, &row);
        let netem = at.netem.expect("loss and delay");
        assert_eq!(
            (netem.loss, netem.delay_ns, netem.limit, netem.seed),
            (row.loss.threshold(), 40_000_000, 1000, Some(link::row_seed(9, played)))
        );
        let bytes_per_second = row.rate.as_bps() / 8;
        assert_eq!(at.rate, Some(Rate::Htb(Htb { bytes_per_second, burst: 1600, limit: Limit::Netem })));
    }
    assert_eq!(plan.at_row(0, &schedule.row(0).expect("a row")), plan, "what is hung is the first row");
    let open = plan.open(40_000_000).netem.expect("a delay");
    assert_eq!((open.loss, open.delay_ns), (0, 40_000_000));
    assert!(open.limit > 100_000);
}

#[test]
fn queues_of_htb_hang_where_their_limit_counts() {
    let debt = |order: &str, queue: &str| {
        format!(
            "order = \"{order}\"\noverhead = \"14B\"\ndelay = {{ base = \"5ms\" }}\nbottleneck = {{ rate = \"1Mbit\", debt = true, burst = \"1600B\", queue = \"{queue}\" }}"
        )
    };
    let limit = |text: &str| match kernel_plan(&spec(text), 1).expect(text).rate {
        Some(Rate::Htb(htb)) => htb.limit,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(limit(&debt("delay_first", "50p")), Limit::Netem);
    assert_eq!(limit(&debt("loss_first", "50p")), Limit::Packets(50), "the delay line is not counted");
    assert_eq!(limit(&debt("delay_first", "6000B")), Limit::Bytes(6000));
}
