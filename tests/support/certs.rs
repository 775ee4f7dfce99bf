//! Certificates of the test's own: an authority that no machine knows, and what it signs, as files of PEM.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::TempDir;

/// An authority. Its files and those of all that it has signed go when it does.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
    dir: TempDir,
    signed: AtomicU32,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let dir = TempDir::new();
        let file = dir.join("authority.pem");
        write(&file, &issuer.pem());
        Self { issuer, file, dir, signed: AtomicU32::new(0) }
    }

    /// Its own certificate, which a client is told to trust.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A server's certificate for these names and addresses.
    pub(crate) fn sign(&self, names: &[&str]) -> Certificate {
        self.sign_until(names, 2100)
    }

    /// The same, but one that has run out long ago.
    pub(crate) fn sign_expired(&self, names: &[&str]) -> Certificate {
        self.sign_until(names, 2001)
    }

    fn sign_until(&self, names: &[&str], year: i32) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names and addresses");
        params.distinguished_name.push(DnType::CommonName, "Server of a test");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let n = self.signed.fetch_add(1, Ordering::Relaxed);
        let files = ["crt", "key"].map(|kind| self.dir.join(&format!("server-{n}.{kind}")));
        write(&files[0], &certificate.pem());
        write(&files[1], &key.serialize_pem());
        let [certificate, key] = files;
        Certificate { certificate, key }
    }
}

/// A server's certificate and its key.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file of the test");
}
