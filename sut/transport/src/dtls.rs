//! Encryption: `rtc`'s DTLS 1.2 endpoint with one peer, whose certificate must have the fingerprint of its description.

use crate::clock::Clock;
use crate::handshake::LastFlight;
use bytes::BytesMut;
use link::Timestamp;
use rtc::crypto::{HashAlgorithm, RTCCryptoProvider};
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, VerifyPeerCertificateFn};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::shared::error::Error;
use rtc::shared::{TransportContext, TransportProtocol};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// What came out of the peer's records.
pub(crate) enum Event {
    /// The handshake is done.
    Open,
    /// Somebody's data: a packet of SCTP.
    Data(Vec<u8>),
    /// The peer said good-bye.
    Closed,
}

pub(crate) struct Dtls {
    endpoint: Endpoint,
    client: bool,
    config: Option<Arc<rtc::dtls::config::HandshakeConfig>>,
    clock: Clock,
    flight: LastFlight,
    out: VecDeque<Vec<u8>>,
}

impl Dtls {
    /// `client`: begins the handshake when [`start`](Self::start)ed.
    pub(crate) fn new(
        clock: Clock,
        client: bool,
        certificate: Certificate,
        fingerprint: String,
        crypto: &Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, Error> {
        let hasher = crypto.clone();
        let verify: VerifyPeerCertificateFn = Arc::new(move |certificates, _| {
            let own = certificates.first().ok_or(Error::ErrNonCertificate)?;
            if fingerprint_of(&hasher, own)? == fingerprint {
                Ok(())
            } else {
                Err(Error::ErrNoMatchingCertificateFingerprint)
            }
        });
        let config = ConfigBuilder::default()
            .with_crypto_provider(crypto.clone())
            .with_certificates(vec![certificate])
            // Nothing here uses SRTP, but aiortc closes a connection on which none was agreed.
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            // The suite that every WebRTC peer must have (RFC 8827, 6.5), so that a record's overhead is
            // known: `crate::DATA_CHANNEL_OVERHEAD`.
            .with_cipher_suites(vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Certificates are self-signed; the fingerprint is what counts (RFC 8827, 6.5).
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(verify))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(client, None)?;
        let config = Arc::new(config);
        let anywhere = TransportContext::default().local_addr;
        let server = (!client).then(|| config.clone());
        Ok(Dtls {
            endpoint: Endpoint::new(anywhere, TransportProtocol::UDP, server),
            client,
            config: Some(config),
            clock,
            flight: LastFlight::default(),
            out: VecDeque::new(),
        })
    }

    /// True if it began the handshake.
    pub(crate) fn is_client(&self) -> bool {
        self.client
    }

    /// There is a path.
    pub(crate) fn start(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.client
            && let Some(config) = self.config.take()
        {
            self.endpoint.connect(self.clock.instant(now), peer(), config, None)?;
            self.settle(now);
        }
        Ok(())
    }

    pub(crate) fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) -> Result<Vec<Event>, Error> {
        // A timer that is due goes first: some handlers cancel it when a packet arrives.
        self.handle_timeout(now);
        self.flight.note_received(packet);
        let read = self.endpoint.read(self.clock.instant(now), peer(), None, BytesMut::from(packet));
        self.settle(now);
        let events = read?.into_iter().filter_map(|event| match event {
            EndpointEvent::HandshakeComplete => Some(Event::Open),
            EndpointEvent::ApplicationData(data) => Some(Event::Data(data.to_vec())),
            EndpointEvent::PeerClosed => Some(Event::Closed),
            _ => None,
        });
        Ok(events.collect())
    }

    /// Encrypts and sends.
    pub(crate) fn write(&mut self, now: Timestamp, data: &[u8]) {
        // A connection that has ended takes nothing; its end has been reported.
        let _ = self.endpoint.write(self.clock.instant(now), peer(), data);
        self.settle(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        let due = self.endpoint.poll_timeout(&peer()).is_some_and(|at| self.clock.timestamp(at) <= now);
        if due {
            // A failed timer belongs to a handshake that cannot succeed any more; ICE ends the connection.
            let _ = self.endpoint.handle_timeout(peer(), self.clock.instant(now));
            self.settle(now);
        }
        self.out.extend(self.flight.due(now).iter().cloned());
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let endpoint = self.endpoint.poll_timeout(&peer()).map(|at| self.clock.timestamp(at));
        [endpoint, self.flight.poll_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// Says good-bye.
    pub(crate) fn close(&mut self, now: Timestamp) {
        let _ = self.endpoint.close(self.clock.instant(now));
        self.settle(now);
        self.flight = LastFlight::default();
    }

    fn settle(&mut self, now: Timestamp) {
        let already = self.out.len();
        while let Some(out) = self.endpoint.poll_transmit() {
            self.out.push_back(out.message.to_vec());
        }
        self.flight.note_sent(now, self.out.range(already..));
    }
}

/// The endpoint tells peers apart by address; here there is one, wherever it is.
fn peer() -> SocketAddr {
    TransportContext::default().peer_addr
}

/// As `a=fingerprint` has it: upper-case hexadecimal with colons.
pub(crate) fn fingerprint_of(
    crypto: &Arc<dyn RTCCryptoProvider>,
    certificate: &[u8],
) -> Result<String, Error> {
    let hash = crypto
        .crypto()
        .hash(HashAlgorithm::Sha256, certificate)
        .map_err(|error| Error::Crypto(error.to_string()))?;
    Ok(hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}
