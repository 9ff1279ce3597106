"""Certificates of one cluster: an authority, one for whoever listens on loopback, one for each client that needs one."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)


class Authority:
    """Signs for a day. ``root`` gets the files: ``ca.crt``, and ``NAME.crt`` and ``NAME.key`` of all that are made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "baray-tests")])
        self._now = dt.datetime.now(dt.UTC)  # noqa: TID251 - TLS goes by the machine's clock
        self._certificate = (
            self._begin(self._name, self._key.public_key(), _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        (root / "ca.crt").write_bytes(self.bundle)

    @property
    def bundle(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, name: str) -> None:
        """For 127.0.0.1 and localhost, and good for a client as well."""
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        self._issue(name, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), _DAY, names)

    def client(self, name: str, user: str, group: str = "", *, expired: bool = False) -> None:
        """A certificate that is a user's login."""
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        self._issue(name, x509.Name(subject), -_DAY / 24 if expired else _DAY, [])

    def signing_key(self, name: str) -> None:
        """An RSA key pair without a certificate: the API server signs service accounts' tokens with it."""
        key = rsa.generate_private_key(65537, 2048)
        self._write_key(name, key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.root / f"{name}.pub").write_bytes(public)

    def _issue(self, name: str, subject: x509.Name, valid: dt.timedelta, names: list[x509.GeneralName]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])
        made = self._begin(subject, key.public_key(), valid).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = made.sign(self._key, hashes.SHA256())
        (self.root / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._write_key(name, key)

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: dt.timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - 2 * _DAY)
            .not_valid_after(self._now + valid)
        )

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        path = self.root / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
