//! A certificate authority for a control plane, its certificates and its kubeconfigs, and certificates for tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

/// Returns a self-signed certificate of a server with these names, and its key, in PEM format.
pub fn self_signed(names: &[&str]) -> Result<(String, String)> {
    let pair = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    Ok((pair.cert.pem(), pair.signing_key.serialize_pem()))
}

/// The authority, and the folder for its files.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key, as files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "headwind test bed");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), folder: folder.to_owned() })
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Issues a certificate for servers and clients.
    pub(crate) fn issue(&self, name: &str, organisation: Option<&str>, hosts: &[&str]) -> Result<Pair> {
        let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(organisation) = organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = name.replace(':', "-");
        let pair = Pair { certificate: self.folder.join(format!("{file}.crt")), key: self.folder.join(format!("{file}.key")) };
        fs::write(&pair.certificate, certificate.pem())?;
        fs::write(&pair.key, key.serialize_pem())?;
        Ok(pair)
    }

    /// Returns the key that signs service account tokens: the private one and the public one.
    pub(crate) fn signing_key(&self) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let (private, public) = (self.folder.join("tokens.key"), self.folder.join("tokens.pub"));
        fs::write(&private, key.serialize_pem())?;
        fs::write(&public, key.public_key_pem())?;
        Ok((private, public))
    }

    /// Writes a kubeconfig for a user with this name.
    pub(crate) fn kubeconfig(&self, server: &str, name: &str, organisation: Option<&str>) -> Result<PathBuf> {
        let pair = self.issue(name, organisation, &[])?;
        let path = self.folder.join(format!("{}.kubeconfig", name.replace(':', "-")));
        let cluster = json!({"server": server, "certificate-authority": self.certificate()});
        write_kubeconfig(&path, &cluster, &json!({"client-certificate": pair.certificate, "client-key": pair.key}))?;
        Ok(path)
    }
}

/// Writes a kubeconfig with one cluster and one user.
pub(crate) fn write_kubeconfig(path: &Path, cluster: &serde_json::Value, user: &serde_json::Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
    });
    fs::write(path, serde_json::to_vec_pretty(&config)?).with_context(|| format!("writing {}", path.display()))
}
