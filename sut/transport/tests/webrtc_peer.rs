//! A peer of the asynchronous `webrtc` crate opens ReVo's channels to our answerer, over loopback and in
//! real time, bounded to 20 seconds.

use bytes::BytesMut;
use link::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use transport::{Config, DEPTH, Overhead, RGB, Transport, TransportKind};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCSessionDescription, SettingEngineBuilder,
};

const MESSAGES: usize = 200;

struct Quiet;
impl PeerConnectionEventHandler for Quiet {}

#[tokio::test]
async fn a_webrtc_offerer_and_our_answerer_exchange_messages() {
    tokio::time::timeout(Duration::from_secs(20), exchange()).await.expect("not done after 20 s");
}

async fn exchange() {
    let offerer = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_setting_engine(SettingEngineBuilder::new().with_include_loopback_candidate(true).build())
        .with_handler(Arc::new(Quiet))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    let mut channels = Vec::new();
    for label in ["rgb_payload", "depth_payload"] {
        let init = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
        channels.push(offerer.create_data_channel(label, Some(init)).await.unwrap());
    }
    let offer = offerer.create_offer(None).await.unwrap();
    offerer.set_local_description(offer).await.unwrap();
    let (offer, peer) = with_candidate(&offerer).await;

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    let config = Config { kind: TransportKind::Datachannel, local, peer, overhead: Overhead::default() };
    let mut ours = Transport::new_answerer(&config).unwrap();
    let start = Instant::now();
    let now = || Timestamp(start.elapsed().as_nanos() as u64);
    ours.handle_start(now());
    ours.handle_signal(now(), &serde_json::to_vec(&offer).unwrap());
    let answer = ours.poll_signal().expect("an answer");
    offerer.set_remote_description(serde_json::from_slice(&answer).unwrap()).await.unwrap();

    let theirs = tokio::spawn(talk(channels));
    let mut buffer = vec![0; 2000];
    let (mut received, mut sent) = (vec![], 0);
    while received.len() < 2 * MESSAGES || sent < MESSAGES || !theirs.is_finished() {
        if ours.is_open() && sent < MESSAGES && ours.buffered_amount(DEPTH) < 4000 {
            assert!(ours.send(now(), DEPTH, format!("answer {sent}").as_bytes()).is_accepted());
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
    assert_eq!(theirs.await.unwrap(), MESSAGES, "messages that the webrtc peer got");
    for (channel, name) in [(RGB, "rgb"), (DEPTH, "depth")] {
        let mut got: Vec<&[u8]> =
            received.iter().filter(|m| m.channel == channel).map(|m| &m.bytes[..]).collect();
        let mut expected: Vec<Vec<u8>> = (0..MESSAGES).map(|i| format!("{name} {i}").into_bytes()).collect();
        got.sort();
        expected.sort();
        assert_eq!(got, expected);
    }
    offerer.close().await.unwrap();
}

/// The description once it has a candidate, and the candidate's address.
async fn with_candidate(peer: &impl PeerConnection) -> (RTCSessionDescription, SocketAddr) {
    loop {
        let description = peer.local_description().await.unwrap();
        if let Some(line) = description.sdp.lines().find(|l| l.starts_with("a=candidate:")) {
            let fields: Vec<&str> = line.split(' ').collect();
            let address = format!("{}:{}", fields[4], fields[5]).parse().unwrap();
            return (description, address);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The webrtc peer: sends on both channels, then counts what it gets. Returns how many messages it got.
async fn talk(channels: Vec<Arc<dyn DataChannel>>) -> usize {
    for (channel, name) in channels.iter().zip(["rgb", "depth"]) {
        while !matches!(channel.poll().await.expect("open"), DataChannelEvent::OnOpen) {}
        for i in 0..MESSAGES {
            channel.send(BytesMut::from(format!("{name} {i}").as_bytes())).await.unwrap();
        }
    }
    let mut got = 0;
    while got < MESSAGES {
        if let DataChannelEvent::OnMessage(message) = channels[1].poll().await.expect("a message") {
            assert!(message.data.starts_with(b"answer "));
            got += 1;
        }
    }
    got
}
