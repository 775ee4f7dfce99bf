//! Certificates of an authority of the test's own, in memory.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority that signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub(crate) pem: String,
}

/// Certificate and key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = named("Test authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A pair that is good for these names and addresses.
    pub(crate) fn pair(&self, names: &[&str]) -> Pair {
        self.signed(server(names))
    }

    /// One whose time is over.
    pub(crate) fn expired(&self, names: &[&str]) -> Pair {
        let mut params = server(names);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        self.signed(params)
    }

    /// One whose time is yet to come.
    pub(crate) fn early(&self, names: &[&str]) -> Pair {
        let mut params = server(names);
        (params.not_before, params.not_after) = (date_time_ymd(2120, 1, 1), date_time_ymd(2120, 2, 1));
        self.signed(params)
    }

    fn signed(&self, mut params: CertificateParams) -> Pair {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { cert, key: key.serialize_pem() }
    }
}

/// A pair that nobody but itself has signed.
pub(crate) fn self_signed(names: &[&str]) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let cert = server(names).self_signed(&key).expect("a certificate").pem();
    Pair { cert, key: key.serialize_pem() }
}

fn server(names: &[&str]) -> CertificateParams {
    let mut params = named("Test server", names);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("sound names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
