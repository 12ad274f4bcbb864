"""One HTTP POST with limits. No redirects are followed: who vouches is named by the profile, not by an answer."""

import http.client
import urllib.error
import urllib.request

from audit_pipeline.errors import InputError, StorageError

TIMEOUT_S = 10.0
MOST_BYTES = 1 << 20  # a cosignature has a hundred bytes, a timestamp some thousands


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def post(url: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    """(status, body) of the answer, whatever the status.

    Raises:
        InputError: not an http or https URL.
        StorageError: no answer in time, or one that is cut or too long.
    """
    if not url.startswith(("https://", "http://")):
        raise InputError(f"{url}: expected a URL that begins with https:// or http://")
    request = urllib.request.Request(url, body, {"Content-Type": content_type})  # noqa: S310 - of the two schemes
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S) as answer:
            status, content = answer.status, answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as err:
        with err:
            status, content = err.code, err.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as err:
        raise StorageError(f"{url}: does not answer ({err}); it is asked again by the next run") from err
    if len(content) > MOST_BYTES:
        raise StorageError(f"{url}: answered with more than {MOST_BYTES} bytes; is this the right URL?")
    return status, content
