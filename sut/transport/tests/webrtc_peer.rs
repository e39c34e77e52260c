//! A peer of the asynchronous `webrtc` crate and one of ours open ReVo's channels to each other, in both roles, over
//! loopback and in real time: ICE, DTLS, SCTP and DCEP against a program that nobody here drives. Bounded to 20 seconds.

use bytes::BytesMut;
use link::Timestamp;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use transport::{Config, DEPTH, RGB, Role, Transport, TransportKind};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCSessionDescription, SettingEngineBuilder,
};

/// Messages per channel and direction.
const MESSAGES: usize = 200;
const CHANNELS: [(u8, &str); 2] = [(RGB, "rgb_payload"), (DEPTH, "depth_payload")];

/// Hands on the channels that the other side opens.
struct Opened(mpsc::UnboundedSender<Arc<dyn DataChannel>>);

impl PeerConnectionEventHandler for Opened {
    fn on_data_channel<'a, 'b>(
        &'a self,
        channel: Arc<dyn DataChannel>,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let _ = self.0.send(channel);
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_webrtc_offerer_and_our_answerer_exchange_messages() {
    within_20_s(exchange(Role::Answerer)).await;
}

#[tokio::test]
async fn our_offerer_and_a_webrtc_answerer_exchange_messages() {
    within_20_s(exchange(Role::Offerer)).await;
}

async fn within_20_s(exchange: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("not done after 20 s");
}

async fn exchange(our_role: Role) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    // A port that was free a moment ago: ours wants to know its peer's address before that peer has told it.
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (opened, arriving) = mpsc::unbounded_channel();
    let theirs = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_setting_engine(SettingEngineBuilder::new().with_include_loopback_candidate(true).build())
        .with_handler(Arc::new(Opened(opened)))
        .with_udp_addrs(vec![peer.to_string()])
        .build()
        .await
        .unwrap();
    let config = Config::fixed(TransportKind::Datachannel, local, peer);
    let mut ours = Transport::new(&config, our_role).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the peer lives on the wall clock")]
    let start = Instant::now();
    let now = || Timestamp(start.elapsed().as_nanos() as u64);
    ours.handle_start(now());
    let mut channels = Vec::new();
    match our_role {
        Role::Offerer => {
            let offer = ours.poll_signal().expect("an offer");
            theirs.set_remote_description(serde_json::from_slice(&offer).unwrap()).await.unwrap();
            let answer = theirs.create_answer(None).await.unwrap();
            theirs.set_local_description(answer).await.unwrap();
            let answer = with_candidate(&theirs, peer).await;
            ours.handle_signal(now(), &serde_json::to_vec(&answer).unwrap());
        }
        Role::Answerer => {
            for (_, label) in CHANNELS {
                let init =
                    RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
                channels.push(theirs.create_data_channel(label, Some(init)).await.unwrap());
            }
            let offer = theirs.create_offer(None).await.unwrap();
            theirs.set_local_description(offer).await.unwrap();
            let offer = with_candidate(&theirs, peer).await;
            ours.handle_signal(now(), &serde_json::to_vec(&offer).unwrap());
            let answer = ours.poll_signal().expect("an answer");
            theirs.set_remote_description(serde_json::from_slice(&answer).unwrap()).await.unwrap();
        }
    }

    let talking = tokio::spawn(talk(channels, arriving));
    let mut buffer = vec![0; 2000];
    let (mut received, mut sent) = (vec![], 0);
    while received.len() < 2 * MESSAGES || sent < 2 * MESSAGES || !talking.is_finished() {
        let (channel, label) = CHANNELS[sent % 2];
        if ours.is_open() && sent < 2 * MESSAGES && ours.buffered_amount(channel) < 4000 {
            assert!(ours.send(now(), channel, format!("{label} {}", sent / 2).as_bytes()).is_accepted());
            sent += 1;
        }
        while let Some(payload) = ours.poll_transmit() {
            socket.send_to(&payload, peer).await.unwrap();
        }
        received.extend(std::iter::from_fn(|| ours.poll_message()));
        let wait = ours.poll_timeout().map_or(Duration::from_millis(5), |at| at - now());
        match tokio::time::timeout(wait.min(Duration::from_millis(5)), socket.recv(&mut buffer)).await {
            Ok(read) => ours.handle_datagram(now(), &buffer[..read.unwrap()]),
            Err(_) if ours.poll_timeout().is_some_and(|at| at <= now()) => ours.handle_timeout(now()),
            Err(_) => {}
        }
    }
    let mut expected = BTreeSet::new();
    for (_, label) in CHANNELS {
        expected.extend((0..MESSAGES).map(|i| format!("{label}: {label} {i}")));
    }
    let got: BTreeSet<String> = talking.await.unwrap().into_iter().collect();
    assert_eq!(got, expected, "what the webrtc peer got");
    let name = |channel| CHANNELS.iter().find(|(c, _)| *c == channel).unwrap().1;
    let text = |m: &transport::Message| {
        format!("{}: {}", name(m.channel), std::str::from_utf8(&m.bytes).expect("text"))
    };
    assert_eq!(received.len(), 2 * MESSAGES);
    assert_eq!(received.iter().map(text).collect::<BTreeSet<_>>(), expected, "what ours got");
    theirs.close().await.unwrap();
}

/// Their description once it has the candidate that ours is told of.
async fn with_candidate(peer: &impl PeerConnection, address: SocketAddr) -> RTCSessionDescription {
    loop {
        let description = peer.local_description().await.unwrap();
        if let Some(line) = description.sdp.lines().find(|l| l.starts_with("a=candidate:")) {
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(format!("{}:{}", fields[4], fields[5]), address.to_string());
            return description;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Their side: sends on both channels and gets as many messages on each. Returns "label: text" of what it got.
async fn talk(
    mut channels: Vec<Arc<dyn DataChannel>>,
    mut arriving: mpsc::UnboundedReceiver<Arc<dyn DataChannel>>,
) -> Vec<String> {
    while channels.len() < CHANNELS.len() {
        channels.push(arriving.recv().await.expect("a channel that ours opened"));
    }
    let mut both = tokio::task::JoinSet::new();
    for channel in channels {
        both.spawn(talk_on(channel));
    }
    both.join_all().await.concat()
}

async fn talk_on(channel: Arc<dyn DataChannel>) -> Vec<String> {
    let label = channel.label().await.unwrap();
    let (mut got, mut sent) = (Vec::new(), false);
    while got.len() < MESSAGES || !sent {
        match channel.poll().await.expect("an open channel") {
            DataChannelEvent::OnOpen => {
                for i in 0..MESSAGES {
                    channel.send(BytesMut::from(format!("{label} {i}").as_bytes())).await.unwrap();
                }
                sent = true;
            }
            DataChannelEvent::OnMessage(message) => {
                got.push(format!("{label}: {}", std::str::from_utf8(&message.data).expect("text")));
            }
            _ => {}
        }
    }
    got
}
