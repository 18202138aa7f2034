"""The Hugging Face Hub: the commit that a branch or a tag means now."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from tidegate.errors import CallFailed
from tidegate.registries.answers import REFUSED, SECONDS, parsed
from tidegate.registries.reference import HubRepository
from tidegate.webhooks.client import WebhookClient

HUB = "https://huggingface.co"
MOST_BYTES = 4 * 2**20
"""Of a description, which lists all files."""


def commit_of(client: WebhookClient, wanted: HubRepository, env: Mapping[str, str]) -> str:
    """40 hexadecimal digits. Raises CallFailed."""
    endpoint = (env.get("HF_ENDPOINT") or HUB).rstrip("/")
    headers = {"Authorization": f"Bearer {env['HF_TOKEN']}"} if env.get("HF_TOKEN") else {}
    url = f"{endpoint}/api/models/{quote(wanted.repository)}/revision/{quote(wanted.revision, safe='')}"
    try:
        found = parsed(client.get(url, headers, seconds=SECONDS, most=MOST_BYTES), "the Hub")
    except CallFailed as error:
        if error.status not in (*REFUSED, 404):
            raise
        message = f"there is no {wanted.repository} at revision {wanted.revision}, or HF_TOKEN mustn't read it"
        raise CallFailed(message, final=True, status=error.status) from None
    commit = str(found.get("sha", ""))
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise CallFailed("the Hub's answer names no commit")
    return commit
