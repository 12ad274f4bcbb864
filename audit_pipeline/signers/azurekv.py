"""A software key kept as a secret of Azure Key Vault, whose own keys cannot be Ed25519: the PKCS#8 text of a key file.

Whoever may read the secret has the key, which is less than a key service gives; `verify` says so.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline.errors import InputError, StorageError
from audit_pipeline.lake.keys import open_key


def load_secret_key(where: str, passphrase: bytes | None, client: Any = None) -> Ed25519PrivateKey:
    """The key of `<vault>/<secret>`; a vault is a name, or a URL of a private endpoint. `client` is for tests.

    Raises:
        InputError: the library is not installed, or the secret is not a key that this passphrase opens.
        StorageError: the vault does not answer, or refuses.
    """
    uri, (vault, _, secret) = f"azurekv:{where}", where.rpartition("/")
    if not vault or not secret:
        raise InputError(f"{uri}: expected azurekv:<vault>/<secret>")
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ImportError as err:
        raise InputError(
            f"{uri}: needs a library that is not here; `pip install 'rlhf-audit-pipeline[azure]'`"
        ) from err
    url = vault if "://" in vault else f"https://{vault}.vault.azure.net"
    try:
        pem = (client or SecretClient(url, DefaultAzureCredential())).get_secret(secret).value or ""
    except AzureError as err:
        raise StorageError(
            f"{uri}: {' '.join(str(err).split())[:300]}; see that these credentials may get the secret, and run again"
        ) from err
    return open_key(pem.encode(), uri, passphrase)
