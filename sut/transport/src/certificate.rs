//! A fresh self-signed certificate whose handshake always has the same length.
//!
//! An ECDSA signature is two integers in DER: each takes 33 bytes instead of 32 if its top bit is set,
//! and fewer in one case of 256 (RFC 3279, 2.2.3). The certificate and two handshake messages carry one
//! each, so that a handshake's packets would differ in length from run to run, and behind a bottleneck
//! in time. [`FixedLengthSigner`] signs again until the length is the commonest one; serial number and
//! validity are fixed too. Keys are fresh for each peer: what is fixed is lengths, not secrets.

use rtc::crypto::{CryptoError, PublicKey, SecretVec, SignatureScheme, SigningKey};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use std::sync::Arc;

/// Length in bytes of the DER form of an ECDSA P-256 signature of which one of the two integers has its
/// top bit set: half of all signatures.
pub const SIGNATURE_LEN: usize = 71;

/// After so many attempts a wrong length is taken; the odds are 2^-64.
const ATTEMPTS: usize = 64;

/// An ECDSA P-256 key whose signatures have [`SIGNATURE_LEN`] bytes.
pub struct FixedLengthSigner(Arc<dyn SigningKey>);

impl FixedLengthSigner {
    /// Signs with `key`, which must be a randomised ECDSA P-256 key.
    #[must_use]
    pub fn new(key: Arc<dyn SigningKey>) -> Self {
        FixedLengthSigner(key)
    }
}

impl SigningKey for FixedLengthSigner {
    fn supports(&self, scheme: SignatureScheme) -> bool {
        self.0.supports(scheme)
    }

    fn public_key(&self) -> PublicKey<'_> {
        self.0.public_key()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut signature = self.0.sign(scheme, message)?;
        for _ in 1..ATTEMPTS {
            if signature.len() == SIGNATURE_LEN {
                break;
            }
            signature = self.0.sign(scheme, message)?;
        }
        Ok(signature)
    }

    fn to_pkcs8_der(&self) -> Result<Option<SecretVec>, CryptoError> {
        self.0.to_pkcs8_der()
    }
}

/// A certificate with a fresh key; every one has the same length.
///
/// # Errors
/// What the crypto provider says if it has no randomness or no ECDSA P-256.
pub fn fresh() -> Result<RTCCertificate, rtc::shared::error::Error> {
    let failed = |e: CryptoError| rtc::shared::error::Error::Other(e.to_string());
    let provider = rtc::crypto::default_provider().map_err(failed)?;
    let scheme = SignatureScheme::EcdsaP256Sha256;
    let key = provider.crypto().generate_signing_key(scheme).map_err(failed)?;
    let mut params = CertificateParams::new(vec!["freezeframe".to_owned()])
        .map_err(|e| rtc::shared::error::Error::Other(e.to_string()))?;
    params.serial_number = Some(1u64.into());
    RTCCertificate::generate_from_signing_key(params, scheme, Arc::new(FixedLengthSigner::new(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_differ_but_not_in_length() {
        let certificates: Vec<Vec<u8>> =
            (0..50).map(|_| fresh().unwrap().dtls_certificate.certificate[0].as_ref().to_vec()).collect();
        assert!(certificates.iter().all(|c| c.len() == certificates[0].len()));
        assert!(certificates[1..].iter().all(|c| *c != certificates[0]), "keys must be fresh");
    }
}
