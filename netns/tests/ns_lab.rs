//! A lab on this machine's kernel: built, used, removed. Every test here is called `ns_...`, runs alone
//! (`.config/nextest.toml`) and says why when it is skipped.

use link::{
    Bitrate, ByteCount, DelayBase, DelaySpec, Direction, FateRecord, LinkSpec, LossSpec, Outcome,
    Probability, Span,
};
use netns::differential::replay;
use netns::traffic::{self, Flow};
use netns::{End, Lab, LabConfig, LabError, Shaper};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testing::skip;

/// A lab, or `None` with the reason printed where this machine does not permit one.
fn lab(config: &LabConfig) -> Option<Lab> {
    match Lab::new(config) {
        Ok(lab) => Some(lab),
        Err(LabError::NotPermitted { reason }) => {
            skip!("namespaces", "{reason}");
            None
        }
        Err(e) => panic!("{e}: {:?}", std::error::Error::source(&e)),
    }
}

fn config(forward: LinkSpec, reverse: LinkSpec) -> LabConfig {
    let mut config = LabConfig::new(forward, reverse, 42);
    config.shaper = Shaper::User;
    config.emulator = Some(PathBuf::from(env!("CARGO_BIN_EXE_freezeframe-emulator")));
    config
}

/// What it locks is its own: below 16 MB, most of it rows of the kernel's packets. The harness, which can be an emulator as well, locks 114 MB.
#[test]
fn ns_the_emulator_is_a_small_program() {
    let Some(lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let pid = lab.emulator_pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process has a status");
    let kb = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
    };
    println!("locked {} kB, resident {} kB", kb("VmLck:"), kb("VmRSS:"));
    assert!(kb("VmRSS:") < 16_384, "{status}");
    lab.stop().expect("it stops");
}

/// One that was left over from another build gives its place to the program that started it.
#[test]
fn an_emulator_of_another_build_hands_over() {
    let arguments = ["--freezeframe-emulator", "a-lab", "sources of another build", "/bin/echo"];
    let output = Command::new(env!("CARGO_BIN_EXE_freezeframe-emulator")).args(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--freezeframe-emulator a-lab\n");
    let alone = Command::new(env!("CARGO_BIN_EXE_freezeframe-emulator")).output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
}

fn delay(ms: u64) -> LinkSpec {
    LinkSpec {
        delay: DelaySpec { base: DelayBase::Constant(Span::from_millis(ms)), ..DelaySpec::default() },
        ..LinkSpec::default()
    }
}

fn flow(packets: u64, interval_us: u64) -> Flow {
    Flow {
        packets,
        payload: 1172,
        interval: Duration::from_micros(interval_us),
        patience: Duration::from_millis(500),
    }
}

fn percent(text: &str) -> Probability {
    text.parse().expect("a percentage")
}

fn names_of(lab_names: &[String]) -> Vec<&String> {
    lab_names.iter().filter(|n| Path::new("/var/run/netns").join(n).exists()).collect()
}

#[test]
fn ns_labs_come_and_go_within_100_ms() {
    let limit = Duration::from_millis(100);
    let (mut creation, mut removal) = (Vec::new(), Vec::new());
    // What it costs shows when the machine has a moment: nine labs, more only if it was never idle enough.
    while creation.len() < 9 || (creation.len() < 60 && (*creation.iter().min().expect("some") > limit)) {
        let start = Instant::now();
        let Some(lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
        creation.push(start.elapsed());
        let names = [End::Sender, End::Receiver].map(|e| lab.namespace(e));
        assert_eq!(names_of(&names).len(), 2);
        let start = Instant::now();
        lab.stop().expect("a lab that nobody disturbed stops");
        removal.push(start.elapsed());
        assert!(names_of(&names).is_empty());
    }
    for (what, mut times) in [("creation", creation), ("removal", removal)] {
        times.sort_unstable();
        println!("{what}: fastest {:?}, median {:?} of {}", times[0], times[times.len() / 2], times.len());
        // In the real-time class the neighbours do not matter; without that permission the best of them tells the cost.
        let judged = if netns::privilege() == Some(netns::Privilege::Root) { times.len() / 2 } else { 0 };
        assert!(times[judged] < limit, "{what}: {times:?}");
    }
}

#[test]
fn ns_datagrams_pass_both_ways_byte_for_byte() {
    let Some(mut lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let flow = flow(500, 200);
    for from in [End::Sender, End::Receiver] {
        let arrivals = traffic::run(&lab, from, &flow).expect("the flow runs");
        assert!(arrivals.iter().all(|a| a.intact));
        assert_eq!(arrivals.iter().map(|a| a.n).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    }
    let health = lab.health().expect("the emulator answers");
    for counts in [health.forward, health.reverse] {
        assert_eq!(
            (counts.packets_in, counts.packets_out, counts.dropped, counts.lost_here),
            (500, 500, 0, 0)
        );
        assert_eq!(counts.bytes_in, 500 * u64::from(flow.ip_bytes()));
        assert_eq!(counts.unshaped, 0, "no ARP, no IPv6: nothing but the flow is on the wire");
    }
}

#[test]
fn ns_two_labs_at_once_keep_apart() {
    let Some(first) = lab(&config(delay(3), LinkSpec::default())) else { return };
    let second = lab(&config(
        LinkSpec { loss: LossSpec::Random { probability: percent("100%") }, ..LinkSpec::default() },
        delay(1),
    ))
    .expect("the first lab was permitted");
    assert_ne!(first.address(End::Sender), second.address(End::Sender));
    let flow = flow(200, 500);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| traffic::run(&first, End::Sender, &flow).expect("the flow runs"));
        let other = scope.spawn(|| traffic::run(&second, End::Sender, &flow).expect("the flow runs"));
        assert_eq!(one.join().expect("no panic").len(), 200);
        assert_eq!(other.join().expect("no panic").len(), 0, "everything is lost in the second lab");
    });
    drop(first);
    assert_eq!(
        traffic::run(&second, End::Receiver, &flow).expect("the flow runs").len(),
        200,
        "the second outlives the first"
    );
}

#[test]
fn ns_a_delay_is_never_short_and_seldom_long() {
    let Some(lab) = lab(&config(delay(20), delay(20))) else { return };
    let arrivals = traffic::run(&lab, End::Sender, &flow(1000, 1000)).expect("the flow runs");
    let health = lab.stop().expect("the emulator answers");
    assert_eq!(arrivals.len(), 1000);
    let mut over: Vec<i64> =
        arrivals.iter().map(|a| a.received_ns.cast_signed() - a.sent_ns.cast_signed() - 20_000_000).collect();
    over.sort_unstable();
    println!(
        "delay beyond 20 ms: p50 {} ns, p99 {} ns; in the emulator {:?}",
        over[500], over[990], health.lateness
    );
    // Two realtime readings and their difference to the monotonic clock: microseconds.
    assert!(over[0] > -50_000, "a packet came {} ns too early", -over[0]);
    assert!(over[500] < 2_000_000, "half of the packets came more than {} ns late", over[500]);
    assert_eq!(health.lateness.packets, 1000);
    assert_eq!(health.valid, health.lateness.p99_ns <= 5_000_000 && health.lateness.max_ns <= 33_333_333);
}

#[test]
fn ns_a_late_run_is_invalid() {
    let mut strict = config(delay(2), LinkSpec::default());
    strict.bound.max_ns = 1;
    let Some(lab) = lab(&strict) else { return };
    traffic::run(&lab, End::Sender, &flow(20, 500)).expect("the flow runs");
    let health = lab.stop().expect("the emulator answers");
    assert!(
        !health.valid
            && health.why_invalid.len() == 1
            && health.why_invalid[0].starts_with("maximum lateness"),
        "{health:?}"
    );
}

#[test]
fn ns_live_fates_equal_virtual_ones() {
    // Every stage at once, and draws that depend on time, in both directions.
    let busy: LinkSpec = toml::from_str(
        r#"
        loss = { model = "gilbert_elliott", good_to_bad = "6.8%", bad_to_good = "85.2%", loss_good = "4%", loss_bad = "50%", step = "frame", loss_by = "new" }
        bottleneck = { rate = "8Mbit", queue = "12000B" }
        delay = { base = "7ms", jitter = "2ms", reorder = true }
        duplicate = "6%"
        corrupt = "5%"
        "#,
    )
    .expect("a link specification");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fates = folder.path().join("fates.jsonl");
    let mut config = config(busy.clone(), busy.clone());
    config.fates = Some(fates.clone());
    let Some(mut lab) = lab(&config) else { return };
    lab.start().expect("the emulator answers");
    let flow = flow(3000, 1500);
    let (forward, reverse) = (
        traffic::run(&lab, End::Sender, &flow).expect("the flow runs"),
        traffic::run(&lab, End::Receiver, &flow).expect("the flow runs"),
    );
    let health = lab.stop().expect("the emulator answers");
    let text = std::fs::read_to_string(&fates).expect("a ledger");
    let records: Vec<FateRecord> = text.lines().map(|l| serde_json::from_str(l).expect("a record")).collect();
    assert_eq!(records.len(), 6000);
    for (direction, arrivals, counts) in
        [(Direction::Forward, &forward, health.forward), (Direction::Reverse, &reverse, health.reverse)]
    {
        assert_eq!(replay(&busy, 42, direction, &records).expect("a valid specification"), Vec::<u64>::new());
        let own: Vec<&FateRecord> = records.iter().filter(|r| r.direction == direction).collect();
        let of = |outcome| own.iter().filter(|r| r.fate == outcome).count() as u64;
        assert_eq!(of(Outcome::Dropped), counts.dropped);
        println!(
            "{direction:?}: {} delivered, {} dropped, {} duplicated, {} corrupted",
            of(Outcome::Delivered),
            of(Outcome::Dropped),
            of(Outcome::Duplicated),
            of(Outcome::Corrupted)
        );
        assert!(of(Outcome::Dropped) > 100 && of(Outcome::Duplicated) > 30 && of(Outcome::Corrupted) > 20);
        // Damaged datagrams are discarded by the receiver's checksum; a copy of a damaged one is as damaged or not as its record says.
        let whole = own.iter().filter(|r| matches!(r.fate, Outcome::Delivered | Outcome::Duplicated)).count();
        let mut seen: Vec<u64> = arrivals.iter().map(|a| a.n).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(arrivals.iter().all(|a| a.intact));
        assert!(seen.len() >= whole, "{} datagrams arrived, {whole} should have", seen.len());
        assert!(arrivals.len() > seen.len(), "copies arrived");
        let odd = own.iter().find(|r| r.actual_ns.is_some() != r.out_ns.is_some() || r.actual_ns < r.out_ns);
        assert!(odd.is_none(), "{odd:?}");
        let head = own[0].head.as_deref().expect("the packet's first bytes");
        assert!(head.starts_with("45") && head.len() == 192, "{head}");
    }
}

#[test]
fn ns_a_start_loses_nothing_that_came_before_it() {
    let Some(mut lab) = lab(&config(delay(60_000), LinkSpec::default())) else { return };
    let socket = |lab: &Lab, end| {
        let address = (lab.address(end), 4100);
        lab.inside(end, || UdpSocket::bind(address)).expect("enter").expect("bind")
    };
    let (sender, receiver) = (socket(&lab, End::Sender), socket(&lab, End::Receiver));
    receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket option");
    sender.send_to(b"handshake", (lab.address(End::Receiver), 4100)).expect("send");
    while lab.health().expect("the emulator answers").forward.waiting == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    lab.start().expect("the emulator answers");
    let mut buffer = [0; 64];
    assert_eq!(receiver.recv(&mut buffer).expect("the handshake arrives"), 9);
    let forward = lab.health().expect("the emulator answers").forward;
    assert_eq!((forward.packets_in, forward.waiting), (0, 0), "the run has not seen a packet yet");
}

#[test]
fn ns_seeded_channels_match_packet_by_packet() {
    let output = run_tool(&["differential", "--packets", "20000", "--seeds", "42,7"]);
    let Some(output) = output else { return };
    assert_eq!(output.matches("all fates identical").count(), 8, "{output}");
}

#[test]
fn ns_every_protocol_between_the_ends_is_shaped_and_counted() {
    // TCP has the path's delay: a connection takes a round trip of 2 * 40 ms.
    let Some(lab) = lab(&config(delay(40), delay(40))) else { return };
    let to = (lab.address(End::Receiver), 5000);
    let listener = lab.inside(End::Receiver, || TcpListener::bind(to)).expect("enter").expect("bind");
    let connecting = std::time::Instant::now();
    let mut client = lab.inside(End::Sender, || TcpStream::connect(to)).expect("enter").expect("connect");
    assert!(connecting.elapsed() >= Duration::from_millis(80), "{:?}", connecting.elapsed());
    client.write_all(b"signalling").expect("write");
    drop(client);
    let mut heard = String::new();
    listener.accept().expect("accept").0.read_to_string(&mut heard).expect("read");
    assert_eq!(heard, "signalling");
    let health = lab.stop().expect("the emulator answers");
    // SYN, ACK, data, FIN forward; SYN-ACK and ACKs back.
    assert!(health.forward.others.tcp > 3 && health.reverse.others.tcp > 1, "{health:?}");
    assert!(health.forward.packets_in > 3 && health.forward.unshaped == 0, "{health:?}");
}

#[test]
fn ns_nothing_crosses_a_path_that_loses_everything() {
    let everything_lost =
        LinkSpec { loss: LossSpec::Random { probability: percent("100%") }, ..LinkSpec::default() };
    let Some(lab) = lab(&config(everything_lost.clone(), everything_lost)) else { return };
    let to = (lab.address(End::Receiver), 5000);
    let _listener = lab.inside(End::Receiver, || TcpListener::bind(to)).expect("enter").expect("bind");
    let connected = lab
        .inside(End::Sender, || TcpStream::connect_timeout(&to.into(), Duration::from_millis(300)))
        .expect("enter");
    assert!(connected.is_err(), "TCP crossed a path that loses everything");
    // A group that the receiver has joined, and everybody.
    let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
    let here = lab.address(End::Receiver);
    let joined = lab
        .inside(End::Receiver, || {
            let socket = UdpSocket::bind(("0.0.0.0", 5353))?;
            socket.join_multicast_v4(&group, &here)?;
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            Ok::<_, std::io::Error>(socket)
        })
        .expect("enter")
        .expect("a group's socket");
    let from = lab.address(End::Sender);
    let sender = lab.inside(End::Sender, || UdpSocket::bind((from, 0))).expect("enter").expect("bind");
    sender.set_broadcast(true).expect("a socket option");
    let everybody = std::net::Ipv4Addr::from(u32::from(here) | 3);
    for to in [group, everybody] {
        sender.send_to(b"media", (to, 5353)).expect("send");
    }
    assert!(joined.recv(&mut [0; 16]).is_err(), "a group crossed the path");
    assert_eq!(traffic::run(&lab, End::Sender, &flow(50, 100)).expect("the flow runs").len(), 0);
    let health = lab.stop().expect("the emulator answers");
    assert_eq!(health.forward.others.multicast, 2, "{health:?}");
    assert!(health.forward.others.tcp > 0 && health.forward.unshaped >= 2, "{health:?}");
    // Whatever entered the model was lost in it.
    assert_eq!(health.forward.packets_in, health.forward.dropped);
}

#[test]
fn ns_commands_run_inside_and_end_with_the_lab() {
    let Some(lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let mut cat = Command::new("cat");
    cat.arg("/proc/self/net/fib_trie").stdout(Stdio::piped());
    let output = lab.command(End::Receiver, cat).output().expect("cat runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&lab.address(End::Receiver).to_string()));
    // A grandchild that nobody holds a handle of.
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 60 & sleep 60"]);
    let mut endpoint = lab.command(End::Sender, shell).spawn().expect("sh runs");
    drop(lab);
    let status = endpoint.try_wait().expect("our child").expect("it ended with the lab");
    assert!(!status.success());
}

#[test]
fn ns_a_panic_removes_the_lab() {
    let Some(lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let names = [End::Sender, End::Receiver].map(|e| lab.namespace(e));
    let emulator = lab.emulator_pid().expect("it runs");
    let panic = std::thread::spawn(move || {
        let _lab = lab;
        panic!("on purpose");
    });
    assert!(panic.join().is_err());
    assert!(names_of(&names).is_empty());
    assert!(!Path::new(&format!("/proc/{emulator}")).exists());
}

#[test]
fn ns_a_killed_emulator_is_an_error_not_a_result() {
    let Some(mut lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let names = [End::Sender, End::Receiver].map(|e| lab.namespace(e));
    let pid = lab.emulator_pid().expect("it runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::Signal::SIGKILL)
        .expect("our child");
    let error = lab.health().expect_err("nobody can answer");
    assert!(error.to_string().contains("signal: 9"), "{error}");
    drop(lab);
    assert!(names_of(&names).is_empty());
}

#[test]
fn ns_nothing_is_left_after_kill_9() {
    let Some(output) = run_tool(&["fault", "--kills", "20", "--seed", "3"]) else { return };
    assert!(output.contains("20 kills") && output.contains("nothing left behind"), "{output}");
}

#[test]
fn ns_a_user_without_rights_gets_a_lab_too() {
    use std::os::unix::process::CommandExt;
    // On a busy machine the flow's sender is late and catches up in bursts, for which the small receive buffers of such a user
    // may have no room. That must be counted; then the same once more with more time between two packets.
    for interval_us in ["300", "1000", "3000"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netns-lab"));
        command.args(["differential", "--packets", "1000", "--seeds", "1", "--interval-us", interval_us]);
        if nix::unistd::geteuid().is_root() {
            // nobody
            command.uid(65_534).gid(65_534);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(e) => {
                let tool = env!("CARGO_BIN_EXE_netns-lab");
                return skip!("userns", "another user cannot run {tool}: {e}");
            }
        };
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() == Some(77) {
            return skip!("userns", "{err}");
        }
        let channels: Vec<&str> = out.lines().filter(|l| l.contains(" lost in virtual time")).collect();
        assert_eq!(channels.len(), 4, "{out}{err}");
        let differing: Vec<_> = channels.iter().filter(|l| !l.contains("all fates identical")).collect();
        if differing.is_empty() {
            return;
        }
        for line in differing {
            println!("{line}");
            let unexplained =
                line.contains("; 0 packets were lost") && line.contains(", 0 were still on their way");
            assert!(!unexplained, "{line}");
        }
    }
    panic!("every attempt was disturbed: this machine is too busy");
}

/// The emulator is stopped until its socket overflows, and the receiver does not read: no packet may be lost without a place.
#[test]
fn ns_every_packet_that_is_lost_outside_the_model_has_a_place() {
    const SENT: u64 = 80_000;
    let Some(mut lab) = lab(&config(LinkSpec::default(), LinkSpec::default())) else { return };
    let socket = |lab: &Lab, end| {
        let address = (lab.address(end), 4200);
        lab.inside(end, || UdpSocket::bind(address)).expect("enter").expect("bind")
    };
    let (sender, receiver) = (socket(&lab, End::Sender), socket(&lab, End::Receiver));
    sender.connect((lab.address(End::Receiver), 4200)).expect("connect");
    lab.start().expect("the emulator answers");
    let emulator = nix::unistd::Pid::from_raw(lab.emulator_pid().expect("it runs").cast_signed());
    nix::sys::signal::kill(emulator, nix::sys::signal::Signal::SIGSTOP).expect("our child");
    let payload = [7; 1172];
    for _ in 0..SENT {
        assert_eq!(sender.send(&payload).expect("the veth takes it"), payload.len());
    }
    nix::sys::signal::kill(emulator, nix::sys::signal::Signal::SIGCONT).expect("our child");
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut before = 0;
    let forward = loop {
        let forward = lab.health().expect("the emulator answers").forward;
        let entered = forward.packets_in + forward.lost.inbound + forward.lost.emulator;
        // What waits in the emulator's socket is not told from what was lost before it until it has been read.
        let read = forward.packets_in > 0 && forward.packets_in == before;
        if (read && entered == SENT && forward.waiting == 0) || Instant::now() > give_up {
            break forward;
        }
        before = forward.packets_in;
        std::thread::sleep(Duration::from_millis(300));
    };
    println!("{forward:?}");
    assert_eq!(forward.packets_in + forward.lost.inbound + forward.lost.emulator, SENT);
    assert!(forward.lost.emulator > 0, "its buffer was to overflow");
    receiver.set_nonblocking(true).expect("a socket option");
    let mut buffer = [0; 2048];
    let arrived = std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).count() as u64;
    assert_eq!(arrived + forward.lost.endpoint + forward.lost.outbound, forward.packets_out);
    assert!(forward.lost.endpoint > 0, "nobody read");
    assert_eq!(forward.packets_in, forward.packets_out + forward.lost.refused);
    let health = lab.stop().expect("the emulator answers");
    assert_eq!(health.forward.lost_here, SENT - arrived);
    let said = health.why_invalid.iter().find(|w| w.contains("forward path were lost outside the model"));
    let said = said.unwrap_or_else(|| panic!("{:?}", health.why_invalid));
    assert!(
        said.contains("in the emulator's socket") && said.contains("in the receiving program's"),
        "{said}"
    );
    assert!(!health.valid);
}

#[test]
fn ns_the_kernel_shapes_what_it_can_say() {
    // 4 Mbit/s with a queue of 15 000 bytes and a bucket of two frames, counted as tbf counts.
    let rate = Bitrate::from_kbps(4000);
    let limited: LinkSpec = toml::from_str(
        "overhead = \"14B\"\nbottleneck = { rate = \"4Mbit\", burst = \"3028B\", queue = \"15000B\" }",
    )
    .expect("a link specification");
    let mut config = config(limited, LinkSpec::default());
    config.shaper = Shaper::Kernel;
    let lab = match Lab::new(&config) {
        Err(LabError::NotPermitted { reason }) => return skip!("namespaces", "{reason}"),
        Err(LabError::Shaper(why)) => return skip!("kernel-shaper", "{why}"),
        other => other.expect("a lab"),
    };
    assert!(lab.shaper().kernel);
    let flow = Flow { interval: Duration::from_micros(1500), ..flow(2000, 0) };
    let arrivals = traffic::run(&lab, End::Sender, &flow).expect("the flow runs");
    let health = lab.stop().expect("the emulator answers");
    println!("{:?}", health.forward);
    assert_eq!(health.forward.packets_out, arrivals.len() as u64);
    assert_eq!(health.forward.packets_in, 2000);
    assert_eq!(health.forward.dropped, 2000 - arrivals.len() as u64);
    let span_ns = arrivals[arrivals.len() - 1].received_ns - arrivals[10].received_ns;
    let bits = (arrivals.len() - 11) as u64 * u64::from(flow.ip_bytes() + 14) * 8;
    let measured = bits as f64 / (span_ns as f64 / 1e9);
    println!("{measured:.0} bit/s through tbf");
    assert!((measured / rate.as_bps() as f64 - 1.0).abs() < 0.01, "{measured}");
    let longest = arrivals.iter().map(|a| a.received_ns - a.sent_ns).max().expect("arrivals");
    let full =
        Bitrate::from_kbps(4000).serialisation_time(ByteCount(15_000).0).expect("a rate").as_nanos() as u64;
    assert!(longest < full + 20_000_000, "{longest} ns in a queue of {full} ns");
}

/// Traced rates on any kernel; traced loss and delay where it has netem (`just netem-vm` otherwise).
#[test]
fn ns_the_kernel_follows_a_trace_and_its_ledger_explains_every_fate() {
    let Some(output) = run_tool(&["steps", "--packets", "3000"]) else { return };
    println!("{output}");
    assert!(output.contains("steps: as specified"), "{output}");
    for (check, why) in output.lines().filter_map(|line| line.split_once(": skipped: ")) {
        if check == "rates" {
            return skip!("kernel-shaper", "{why}");
        }
        skip!("kernel-netem", "{check}: {why}");
    }
    assert!(output.contains("rates: 0 of 3000 fates unexplained"), "{output}");
}

#[test]
fn ns_a_ledger_of_the_kernels_path_joins_both_directions() {
    // A queue of ten packets forward, a slow bucket back: what this kernel's htb and tbf do is in the ledger.
    let forward: LinkSpec = toml::from_str(
        "overhead = \"14B\"\nbottleneck = { rate = \"4Mbit\", burst = \"3000B\", debt = true, queue = \"10p\" }",
    )
    .expect("a link specification");
    let reverse: LinkSpec = toml::from_str(
        "overhead = \"14B\"\nbottleneck = { rate = \"16Mbit\", burst = \"3028B\", queue = \"60kB\" }",
    )
    .expect("a link specification");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fates = folder.path().join("fates.jsonl");
    let mut config = config(forward, reverse);
    config.shaper = Shaper::Kernel;
    config.fates = Some(fates.clone());
    let mut lab = match Lab::new(&config) {
        Err(LabError::NotPermitted { reason }) => return skip!("namespaces", "{reason}"),
        Err(LabError::Shaper(why)) => return skip!("kernel-shaper", "{why}"),
        other => other.expect("a lab"),
    };
    lab.start_at(monotonic_ns() + 50_000_000, Duration::from_millis(100)).expect("the emulator answers");
    // Before the channel begins: no queue drops these, and no ledger has them.
    let early = traffic::run(&lab, End::Sender, &flow(40, 100)).expect("the flow runs");
    assert_eq!(early.len(), 40);
    std::thread::sleep(Duration::from_millis(250));
    let flow = flow(1000, 1000);
    let there = traffic::run(&lab, End::Sender, &flow).expect("the flow runs");
    let back = traffic::run(&lab, End::Receiver, &flow).expect("the flow runs");
    let health = lab.stop().expect("the emulator answers");
    let text = std::fs::read_to_string(&fates).expect("a ledger");
    let records: Vec<FateRecord> = text.lines().map(|l| serde_json::from_str(l).expect("a record")).collect();
    for (direction, arrivals, counts) in
        [(Direction::Forward, &there, health.forward), (Direction::Reverse, &back, health.reverse)]
    {
        let own: Vec<&FateRecord> = records.iter().filter(|r| r.direction == direction).collect();
        assert_eq!((own.len(), counts.packets_in, counts.unexplained, counts.lost_here), (1000, 1000, 0, 0));
        let out = own.iter().filter(|r| r.actual_ns.is_some()).count();
        assert_eq!((out, counts.packets_out), (arrivals.len(), arrivals.len() as u64));
        let full = own.iter().filter(|r| r.cause == Some(link::DropCause::Queue)).count();
        assert_eq!(full, 1000 - out);
        assert_eq!(full as u64, counts.dropped);
        // The queue forward carries two packets of five; the one back all.
        assert!(if direction == Direction::Forward { full > 300 } else { full == 0 }, "{full}");
        assert!(own.iter().all(|r| r.n < 1000 && r.in_ns.as_nanos() >= 100_000_000));
        assert!(own[0].head.as_deref().is_some_and(|h| h.starts_with("45") && h.len() == 192));
    }
    println!("lateness {:?}", health.lateness);
}

fn monotonic_ns() -> u64 {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(clock).map_or(0, |t| Duration::from(t).as_nanos() as u64)
}

#[test]
fn ns_auto_says_why_it_chose() {
    let spec = netns::differential::channels().remove(0).1;
    let mut config = config(spec, LinkSpec::default());
    config.shaper = Shaper::Auto;
    let Some(lab) = lab(&config) else { return };
    let probe = netns::shaper::probe().expect("a lab was permitted");
    println!("{} ({probe:?})", lab.shaper());
    assert_eq!(lab.shaper().kernel, probe.netem && probe.seed && probe.bridge);
    if !probe.netem {
        assert!(lab.shaper().reason.contains("netem"), "{}", lab.shaper());
    }
}

/// Runs the crate's own tool; `None`, with the reason printed, where it says that this machine does not permit the check.
fn run_tool(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_netns-lab")).args(arguments).output().expect("the tool starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    if output.status.code() == Some(77) {
        skip!("namespaces", "{err}");
        return None;
    }
    assert!(output.status.success(), "{out}{err}");
    Some(out)
}
