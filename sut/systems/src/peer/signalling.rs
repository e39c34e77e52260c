//! The signalling server and its client: JSON texts over WebSocket (RFC 6455), in rooms of two.
//!
//! ```text
//! sender   ▶ {"type":"join","role":"offer"}                  receiver ▶ {"type":"join","role":"answer"}
//! sender   ▶ {"type":"offer","sdp":S,"role":"offer"}         kept for receivers that come later, and passed on
//! receiver ▶ {"type":"answer","sdp":S,"role":"answer"}       passed on
//! sender   ▶ {"type":"bye"}                                  passed on
//! ```
//!
//! The server does what the original's does but for its faults: a place is cleared only by the socket that holds it (the
//! original's clears it by role, which throws out a newcomer), a room lives as long as anybody is in it, and nobody hears
//! himself. It never pings: the original sender does not read its socket between the answer and the end.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// Longest message: session descriptions have a few kB, 64 kB must pass.
const LONGEST: usize = 1 << 20;
/// Most connections at once.
const MOST: usize = 256;
/// How often a connection looks whether it has something to send.
const TICK: Duration = Duration::from_millis(10);

/// Which of the two a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// ReVo's sender.
    Offer,
    /// ReVo's receiver.
    Answer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Offer => "offer",
            Role::Answer => "answer",
        }
    }
}

/// What the server reads of a message; the rest is passed on unread.
#[derive(Deserialize)]
struct Heard {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    role: Option<Role>,
}

/// Who is in a room.
#[derive(Default)]
struct Room {
    places: [Option<Place>; 2],
    /// The last offer, with the socket it came from.
    offer: Option<(u64, String)>,
    /// Open connections.
    inside: usize,
}

struct Place {
    socket: u64,
    out: Sender<String>,
}

impl Room {
    /// Takes a message of `socket`. False: it makes no sense, and the connection ends.
    fn hear(&mut self, socket: u64, out: &Sender<String>, text: &str) -> bool {
        let Ok(heard) = serde_json::from_str::<Heard>(text) else { return false };
        match (heard.kind.as_str(), heard.role) {
            ("join", None) => return false,
            ("join", Some(role)) => {
                self.places[role as usize] = Some(Place { socket, out: out.clone() });
                if let (Role::Answer, Some((_, offer))) = (role, &self.offer) {
                    let _ = out.send(offer.clone());
                }
            }
            ("offer", _) => {
                self.offer = Some((socket, text.to_owned()));
                self.pass_on(socket, Role::Answer, text);
            }
            ("answer", _) => self.pass_on(socket, Role::Offer, text),
            ("bye", _) => {
                let holds =
                    |role: Role| self.places[role as usize].as_ref().is_some_and(|p| p.socket == socket);
                if holds(Role::Offer) {
                    self.pass_on(socket, Role::Answer, text);
                } else if holds(Role::Answer) {
                    self.pass_on(socket, Role::Offer, text);
                }
            }
            _ => {}
        }
        true
    }

    fn pass_on(&self, from: u64, to: Role, text: &str) {
        if let Some(place) = self.places[to as usize].as_ref().filter(|p| p.socket != from) {
            let _ = place.out.send(text.to_owned()); // a connection that is ending
        }
    }

    fn leave(&mut self, socket: u64) {
        self.inside -= 1;
        for place in &mut self.places {
            if place.as_ref().is_some_and(|p| p.socket == socket) {
                *place = None;
            }
        }
        if self.offer.as_ref().is_some_and(|(from, _)| *from == socket) {
            self.offer = None;
        }
    }
}

type Rooms = Arc<Mutex<BTreeMap<String, Room>>>;

/// A signalling server.
pub struct Server {
    listener: TcpListener,
    rooms: Rooms,
}

impl Server {
    /// Binds.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("failed to listen on {address}"))?;
        Ok(Server { listener, rooms: Rooms::default() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves for ever; `said` gets one line per connection that ends.
    pub fn run(self, said: impl Fn(String) + Send + Clone + 'static) {
        let mut number = 0;
        for stream in self.listener.incoming() {
            let Ok(stream) = stream else { continue };
            number += 1;
            let (rooms, socket, said) = (self.rooms.clone(), number, said.clone());
            let started = std::thread::Builder::new().name("signalling".into()).spawn(move || {
                if let Err(error) = serve(stream, socket, &rooms) {
                    said(format!("connection {socket}: {error:#}"));
                }
            });
            // A machine without threads left: the connection is dropped, the next may do better.
            drop(started);
        }
    }
}

fn lock(rooms: &Rooms) -> std::sync::MutexGuard<'_, BTreeMap<String, Room>> {
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, socket: u64, rooms: &Rooms) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?; // for the handshake
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut name = None;
    #[allow(clippy::result_large_err)] // the library's type
    let room = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let refuse = |status: StatusCode| {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = status;
            Err(refusal)
        };
        match request.uri().path().strip_prefix("/ws/") {
            Some(room) if (1..=128).contains(&room.len()) && !room.contains('/') => {
                name = Some(room.to_owned());
                Ok(response)
            }
            _ => refuse(StatusCode::NOT_FOUND),
        }
    };
    let mut connection = tungstenite::accept_hdr_with_config(stream, room, Some(limits()))
        .map_err(|error| anyhow::anyhow!("no WebSocket handshake: {error}"))?;
    let name = name.context("no room")?;
    {
        let mut rooms = lock(rooms);
        ensure!(rooms.values().map(|r| r.inside).sum::<usize>() < MOST, "too many connections");
        rooms.entry(name.clone()).or_default().inside += 1;
    }
    let (out, outgoing) = channel();
    let ended = converse(&mut connection, &outgoing, |text| {
        lock(rooms).get_mut(&name).is_some_and(|room| room.hear(socket, &out, text))
    });
    let mut rooms = lock(rooms);
    if let Some(room) = rooms.get_mut(&name) {
        room.leave(socket);
        if room.inside == 0 {
            rooms.remove(&name);
        }
    }
    ended
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST))
}

/// Passes texts both ways until either side ends; `hear` says whether to go on.
fn converse(
    connection: &mut WebSocket<TcpStream>,
    outgoing: &Receiver<String>,
    mut hear: impl FnMut(&str) -> bool,
) -> Result<()> {
    connection.get_ref().set_read_timeout(Some(TICK))?;
    loop {
        match connection.read() {
            Ok(Message::Text(text)) => {
                if !hear(text.as_str()) {
                    let _ = connection.close(None);
                    let _ = connection.flush();
                    bail!("a message made no sense: {:.80}", text.as_str());
                }
            }
            Ok(_) => {} // pings are answered by the library
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Ok(text) = outgoing.try_recv() {
            if text.is_empty() {
                connection.close(None)?; // the client's own wish; what was said before goes first
                continue;
            }
            match connection.send(Message::text(text)) {
                Ok(()) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a client hears.
#[derive(Debug)]
pub enum News {
    /// A description of the peer: the JSON text.
    Description(String),
    /// The peer has ended.
    Bye,
    /// The connection is over, with the reason if it was no ordinary end.
    Closed(Option<String>),
}

/// A client in a room.
pub struct Client {
    out: Sender<String>,
    role: Role,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Client {
    /// Joins the room of `url` (`ws://HOST:PORT/ws/ROOM`) as `role`; `news` is called from another thread.
    ///
    /// # Errors
    /// No such host, nobody there, or no WebSocket server.
    pub fn join(url: &str, role: Role, news: impl Fn(News) + Send + 'static) -> Result<Self> {
        let address = address(url)?;
        let stream = address
            .to_socket_addrs()
            .with_context(|| format!("{url}: no host of this name"))?
            .find_map(|a| TcpStream::connect_timeout(&a, Duration::from_secs(5)).ok())
            .with_context(|| {
                format!("{url}: nobody listens there; start `sut signalling` on that machine")
            })?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (mut connection, _) = tungstenite::client::client_with_config(url, stream, Some(limits()))
            .map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
        let (out, outgoing) = channel();
        let join = format!(r#"{{"type":"join","role":"{}"}}"#, role.name());
        connection.send(Message::text(join)).with_context(|| format!("failed to join {url}"))?;
        let thread = std::thread::Builder::new().name("signalling".into()).spawn(move || {
            let ended = converse(&mut connection, &outgoing, |text| {
                match serde_json::from_str::<Heard>(text).map(|h| h.kind) {
                    Ok(kind) if kind == "bye" => news(News::Bye),
                    Ok(kind) if kind == "offer" || kind == "answer" => {
                        news(News::Description(text.to_owned()));
                    }
                    _ => {} // of a newer server
                }
                true
            });
            news(News::Closed(ended.err().map(|e| format!("{e:#}"))));
        })?;
        Ok(Client { out, role, thread: Some(thread) })
    }

    /// Sends a description: JSON with `type` and `sdp`, to which the role is added.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn describe(&self, signal: &[u8]) -> Result<()> {
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(signal)?;
        value.insert("role".into(), self.role.name().into());
        // A connection that is over has told so.
        let _ = self.out.send(serde_json::to_string(&value)?);
        Ok(())
    }

    /// Says that the session is over.
    pub fn bye(&self) {
        let _ = self.out.send(r#"{"type":"bye"}"#.into());
    }

    /// Leaves, when everything has been said.
    pub fn leave(mut self) {
        let _ = self.out.send(String::new());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `HOST:PORT` of `ws://HOST:PORT/...`; the port is 80 if none is given (RFC 6455, 3).
fn address(url: &str) -> Result<String> {
    let rest = url.strip_prefix("ws://").with_context(|| {
        format!("{url:?} is no address of a signalling server; write ws://HOST:8080/ws/demo")
    })?;
    let host = rest.split('/').next().unwrap_or_default();
    ensure!(!host.is_empty(), "{url:?} names no host; write ws://HOST:8080/ws/demo");
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { host.to_owned() } else { format!("{host}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host() {
        assert_eq!(address("ws://a:8080/ws/demo").unwrap(), "a:8080");
        assert_eq!(address("ws://[::1]:9/ws/demo").unwrap(), "[::1]:9");
        assert_eq!(address("ws://a/ws/demo").unwrap(), "a:80");
        assert!(address("http://a/").is_err() && address("ws:///ws/demo").is_err());
    }
}
