//! The signalling server, case by case: what the original's does (14 cases put to it), and where this one differs on purpose.

use std::net::TcpStream;
use std::time::Duration;
use systems::peer::signalling::Server;
use tungstenite::{Error, Message, WebSocket};

type Socket = WebSocket<TcpStream>;

fn server() -> String {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}/ws/", server.address().unwrap());
    std::thread::spawn(move || server.run(|_| {}));
    url
}

fn connect(url: &str) -> Socket {
    let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    tungstenite::client(url, stream).unwrap().0
}

fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).unwrap();
    // What is said on two sockets has an order only if the server has heard the first.
    std::thread::sleep(Duration::from_millis(40));
}

/// The next text, or nothing within 300 ms, or the end of the connection.
fn hear(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                return Some("closed".into());
            }
            Ok(_) => {}
            Err(Error::Io(_)) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

const OFFER: &str = r#"{"type": "offer", "sdp": "O", "role": "offer"}"#;
const ANSWER: &str = r#"{"type": "answer", "sdp": "A", "role": "answer"}"#;
const BYE: &str = r#"{"type":"bye"}"#;

fn join(socket: &mut Socket, role: &str) {
    say(socket, &format!(r#"{{"type":"join","role":"{role}"}}"#));
}

#[test]
fn an_offer_is_kept_for_who_comes_later_and_passed_on_unchanged() {
    let url = server() + "demo";
    let mut sender = connect(&url);
    join(&mut sender, "offer");
    say(&mut sender, OFFER);
    let mut receiver = connect(&url);
    join(&mut receiver, "answer");
    assert_eq!(hear(&mut receiver).as_deref(), Some(OFFER));
    say(&mut receiver, ANSWER);
    assert_eq!(hear(&mut sender).as_deref(), Some(ANSWER));
    // Another receiver takes the place; the first one's end does not cost it the place, as it does in the original.
    let mut second = connect(&url);
    join(&mut second, "answer");
    assert_eq!(hear(&mut second).as_deref(), Some(OFFER));
    receiver.close(None).unwrap();
    let _ = hear(&mut receiver);
    std::thread::sleep(Duration::from_millis(100));
    say(&mut sender, BYE);
    assert_eq!(hear(&mut second).as_deref(), Some(BYE));
    assert_eq!(hear(&mut sender), None, "bye goes to the other one alone");
    // With the sender goes its offer.
    sender.close(None).unwrap();
    let _ = hear(&mut sender);
    std::thread::sleep(Duration::from_millis(100));
    let mut third = connect(&url);
    join(&mut third, "answer");
    assert_eq!(hear(&mut third), None);
}

#[test]
fn an_offer_needs_no_join_and_rooms_are_apart() {
    let server = server();
    let mut sender = connect(&(server.clone() + "a"));
    say(&mut sender, r#"{"type":"offer","sdp":"O"}"#);
    let mut elsewhere = connect(&(server.clone() + "b"));
    join(&mut elsewhere, "answer");
    assert_eq!(hear(&mut elsewhere), None);
    let mut receiver = connect(&(server + "a"));
    join(&mut receiver, "answer");
    assert_eq!(hear(&mut receiver).as_deref(), Some(r#"{"type":"offer","sdp":"O"}"#));
}

#[test]
fn a_sender_that_left_before_anybody_came_does_no_harm() {
    let url = server() + "demo";
    let mut waiting = connect(&url);
    let mut sender = connect(&url);
    join(&mut sender, "offer");
    sender.close(None).unwrap();
    let _ = hear(&mut sender);
    std::thread::sleep(Duration::from_millis(100));
    join(&mut waiting, "answer"); // the original's server has lost the room and closes
    assert_eq!(hear(&mut waiting), None);
    let mut again = connect(&url);
    join(&mut again, "offer");
    say(&mut again, OFFER);
    assert_eq!(hear(&mut waiting).as_deref(), Some(OFFER));
}

#[test]
fn what_makes_no_sense_ends_the_connection_and_what_is_unknown_is_passed_over() {
    let url = server() + "demo";
    let mut peer = connect(&url);
    say(&mut peer, r#"{"type":"candidate"}"#);
    say(&mut peer, BYE);
    join(&mut peer, "offer");
    say(&mut peer, r#"{"type":"answer","sdp":"X"}"#);
    assert_eq!(hear(&mut peer), None, "the original's server sends an offerer's answer to itself");
    for nonsense in ["no JSON", r#"{"type":"join"}"#, r#"{"type":"join","role":"both"}"#] {
        let mut other = connect(&url);
        say(&mut other, nonsense);
        assert_eq!(hear(&mut other).as_deref(), Some("closed"), "{nonsense}");
    }
    let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    let elsewhere = tungstenite::client(format!("ws://{host}/other"), TcpStream::connect(host).unwrap());
    assert!(elsewhere.is_err());
}

#[test]
fn long_descriptions_pass_and_pings_are_answered() {
    let url = server() + "demo";
    let (mut sender, mut receiver) = (connect(&url), connect(&url));
    join(&mut receiver, "answer");
    let long = format!(r#"{{"type":"offer","sdp":"{}"}}"#, "x".repeat(100_000));
    say(&mut sender, &long);
    assert_eq!(hear(&mut receiver).map(|t| t.len()), Some(long.len()));
    receiver.send(Message::Ping(vec![1, 2].into())).unwrap();
    match receiver.read() {
        Ok(Message::Pong(body)) => assert_eq!(body.as_ref(), [1, 2]),
        other => panic!("{other:?}"),
    }
}
