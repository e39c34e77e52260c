//! Session descriptions of a peer that has data channels and nothing else (RFC 8866, RFC 8841, RFC 8839), in the shape
//! that aiortc writes, and read from whoever writes them.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Offer or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Opens a session.
    Offer,
    /// Accepts one.
    Answer,
}

/// A description as it travels: JSON, as browsers and aiortc have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Which.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its text, with CRLF line ends.
    pub sdp: String,
}

/// `a=setup`: who begins the DTLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The one that says so.
    Active,
    /// The other.
    Passive,
    /// Whatever the answer says.
    ActPass,
}

impl Setup {
    fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        }
    }
}

/// What a description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the media section; an answer repeats the offer's.
    pub mid: String,
    /// Who begins the handshake.
    pub setup: Setup,
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the certificate: upper-case hexadecimal with colons.
    pub fingerprint: String,
    /// Addresses that can be tried, best first.
    pub candidates: Vec<SocketAddr>,
    /// Longest message that it takes, 0: any.
    pub max_message: u64,
}

/// Why a description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Something is missing.
    #[error("the session description has no {0}")]
    Missing(&'static str),
    /// Something makes no sense.
    #[error("the session description has the line {0:?}, which makes no sense")]
    Line(String),
}

/// Ports of both ends are 5000 everywhere; another would need SCTP to be told.
const SCTP_PORT: &str = "5000";

impl Description {
    /// Writes it; `session` is any number of its own.
    ///
    /// # Panics
    /// Never: without candidates, the address is the unspecified one.
    #[must_use]
    pub fn write(&self, session: u64) -> String {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 9));
        let first = self.candidates.first().copied().unwrap_or(unspecified);
        let family = if first.is_ipv4() { "IP4" } else { "IP6" };
        let mut lines = vec![
            "v=0".to_owned(),
            format!("o=- {session} {session} IN IP4 0.0.0.0"),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            format!("a=group:BUNDLE {}", self.mid),
            "a=msid-semantic:WMS *".to_owned(),
            format!("m=application {} UDP/DTLS/SCTP webrtc-datachannel", first.port()),
            format!("c=IN {family} {}", first.ip()),
            format!("a=mid:{}", self.mid),
            format!("a=sctp-port:{SCTP_PORT}"),
            format!("a=max-message-size:{}", self.max_message),
        ];
        for (i, candidate) in self.candidates.iter().enumerate() {
            let (address, port) = (candidate.ip(), candidate.port());
            lines.push(format!(
                "a=candidate:{} 1 udp {} {address} {port} typ host",
                foundation(address),
                priority(i)
            ));
        }
        lines.push("a=end-of-candidates".to_owned());
        lines.push(format!("a=ice-ufrag:{}", self.ufrag));
        lines.push(format!("a=ice-pwd:{}", self.pwd));
        lines.push(format!("a=fingerprint:sha-256 {}", self.fingerprint));
        lines.push(format!("a=setup:{}", self.setup.name()));
        lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect()
    }

    /// Reads one; lines that do not concern data channels are skipped.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse(text: &str) -> Result<Description, SdpError> {
        let (mut mid, mut setup, mut ufrag, mut pwd, mut fingerprint) = (None, None, None, None, None);
        let (mut candidates, mut max_message, mut application) = (Vec::new(), None, false);
        for line in text.lines().map(str::trim_end) {
            let bad = || SdpError::Line(line.to_owned());
            if let Some(media) = line.strip_prefix("m=") {
                application |= media.starts_with("application ");
            }
            let Some((name, value)) = line.strip_prefix("a=").map(|a| a.split_once(':').unwrap_or((a, "")))
            else {
                continue;
            };
            match name {
                "mid" => mid = Some(value.to_owned()),
                "ice-ufrag" => ufrag = Some(value.to_owned()),
                "ice-pwd" => pwd = Some(value.to_owned()),
                "fingerprint" => {
                    // Several may be given for one certificate; every peer must have this one (RFC 8122, 5).
                    if let Some(("sha-256", hash)) = value.split_once(' ').map(|(n, h)| (n.trim(), h.trim()))
                    {
                        fingerprint = Some(hash.to_ascii_uppercase());
                    }
                }
                "setup" => {
                    setup = Some(match value {
                        "active" => Setup::Active,
                        "passive" => Setup::Passive,
                        "actpass" => Setup::ActPass,
                        _ => return Err(bad()),
                    });
                }
                "sctp-port" if value != SCTP_PORT => return Err(bad()),
                "max-message-size" => max_message = Some(value.parse().map_err(|_| bad())?),
                "candidate" => candidates.extend(candidate(value).ok_or_else(bad)?),
                _ => {}
            }
        }
        if !application {
            return Err(SdpError::Missing("m=application section"));
        }
        candidates.sort_by_key(|&(priority, _)| std::cmp::Reverse(priority));
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for (_, address) in candidates {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(Description {
            mid: mid.ok_or(SdpError::Missing("a=mid"))?,
            setup: setup.ok_or(SdpError::Missing("a=setup"))?,
            ufrag: ufrag.ok_or(SdpError::Missing("a=ice-ufrag"))?,
            pwd: pwd.ok_or(SdpError::Missing("a=ice-pwd"))?,
            fingerprint: fingerprint.ok_or(SdpError::Missing("a=fingerprint:sha-256"))?,
            candidates: addresses,
            // RFC 8841, 6.1: what holds if nothing is said.
            max_message: max_message.unwrap_or(65_536),
        })
    }
}

/// RFC 8445, 5.1.2.1: type preference 126 for hosts, then the order of addresses, then component 1.
fn priority(position: usize) -> u32 {
    (126 << 24) + (65_535_u32.saturating_sub(position as u32) << 8) + 255
}

/// Equal for candidates of one address (RFC 8445, 5.1.1.3): 32 hexadecimal digits, as aiortc's.
fn foundation(address: IpAddr) -> String {
    let bits = match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    };
    format!("{bits:032x}")
}

/// A candidate that this peer could send to, with its priority; `None` within if it is of another kind.
#[allow(clippy::option_option)] // no candidate, or one that is skipped
fn candidate(value: &str) -> Option<Option<(u32, SocketAddr)>> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let [_, component, protocol, priority, address, port, "typ", kind, ..] = fields[..] else { return None };
    let (component, priority, port) =
        (component.parse::<u16>().ok()?, priority.parse().ok()?, port.parse().ok()?);
    let usable = component == 1 && protocol.eq_ignore_ascii_case("udp") && kind == "host";
    // A name (mDNS) is skipped: nothing here resolves it.
    Some(address.parse().ok().filter(|_| usable).map(|ip| (priority, SocketAddr::new(ip, port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Description {
        Description {
            mid: "0".into(),
            setup: Setup::Active,
            ufrag: "abcd".into(),
            pwd: "efgh".into(),
            fingerprint: "AA:BB".into(),
            candidates: vec!["192.0.2.1:5000".parse().unwrap(), "[2001:db8::1]:5001".parse().unwrap()],
            max_message: 65_536,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = ours().write(1);
        assert_eq!(Description::parse(&text), Ok(ours()));
        assert!(text.ends_with("\r\n") && text.lines().all(|l| !l.is_empty()));
        // RFC 8445's example of a host candidate's priority: 2130706431 with local preference 65535.
        assert!(text.contains(" 1 udp 2130706431 192.0.2.1 5000 typ host\r\n"), "{text}");
    }

    #[test]
    fn what_others_write_is_read() {
        let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n\
            a=candidate:1 1 udp 100 10.0.0.1 7000 typ host\r\na=candidate:2 1 UDP 200 10.0.0.2 7000 typ host generation 0\r\n\
            a=candidate:3 1 tcp 300 10.0.0.3 9 typ host tcptype active\r\na=candidate:4 1 udp 400 x.local 9 typ host\r\n\
            a=candidate:2 2 udp 199 10.0.0.2 7000 typ host\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
            a=fingerprint:sha-512 CC\r\na=fingerprint:sha-256 aa:bb\r\na=setup:actpass\r\n";
        let read = Description::parse(text).unwrap();
        let candidates: Vec<String> = read.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(candidates, ["10.0.0.2:7000", "10.0.0.1:7000"]);
        assert_eq!(
            (read.fingerprint.as_str(), read.mid.as_str(), read.max_message),
            ("AA:BB", "data", 65_536)
        );
        assert_eq!(read.setup, Setup::ActPass);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(matches!(Description::parse("v=0"), Err(SdpError::Missing("m=application section"))));
        let without = ours().write(1).replace("a=ice-pwd:efgh\r\n", "");
        assert_eq!(Description::parse(&without), Err(SdpError::Missing("a=ice-pwd")));
        let odd = ours().write(1).replace("5000\r\na=max", "5001\r\na=max");
        assert_eq!(Description::parse(&odd), Err(SdpError::Line("a=sctp-port:5001".into())));
    }
}
