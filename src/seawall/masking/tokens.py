"""Secrets that give themselves away: tokens with their issuer's mark at the start.

Sources are the issuers' documentation and the public rules of secret scanners. A mark alone is not
enough: what follows must be as long, and of the characters, that the issuer uses, so that ordinary
names with such a beginning are left alone.
"""

import re

_SHORTEST = 15  # characters of a word that may hold a token

_A, _W, _HEX, _B64 = "[A-Za-z0-9]", r"[\w-]", "[0-9a-f]", r"[\w+/=-]"
_MIXED = r"(?=[\w-]{0,60}[A-Z0-9])"  # prose with hyphens has neither digits nor capitals
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# Mark (its first character is literal), then what must follow.
_MARKS: tuple[tuple[str, str], ...] = (
    # Code and packages
    ("gh", rf"[pousr]_{_A}{{20,}}"),
    ("github_pat_", r"\w{20,}"),
    ("gl", rf"(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|agent|imt|oas)-{_MIXED}[\w.-]{{16,}}"),
    ("GR1348941", rf"{_W}{{16,}}"),
    ("npm_", rf"{_A}{{30,}}"),
    ("pypi-", rf"{_W}{{30,}}"),
    ("rubygems_", rf"{_HEX}{{40,}}"),
    ("dckr_", rf"[po]at_{_W}{{20,}}"),
    ("cio", rf"{_A}{{32}}(?!{_A})"),
    ("AKCp", rf"{_A}{{60,}}"),
    ("CCIPAT_", rf"{_W}{{20,}}"),
    ("ATATT3", rf"{_B64}{{40,}}"),
    ("ATCTT3", rf"{_B64}{{40,}}"),
    ("ATBB", rf"{_A}{{24,}}"),
    ("sntry", rf"[su]_{_B64}{{30,}}"),
    ("pul-", rf"{_HEX}{{40}}"),
    ("snyk_", r"\w{2,4}\.[\w.-]{30,}"),
    # Clouds
    ("A", r"(?:KI|SI|RO|ID|BI|CC)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("ABSK", rf"{_B64}{{40,}}"),
    ("FwoGZXIvYXdz", r"[\w/+=%-]{20,}"),
    ("IQoJb3JpZ2lu", r"[\w/+=%-]{20,}"),
    ("AIza", rf"{_W}{{30,}}"),
    ("ya29.", rf"{_W}{{20,}}"),
    ("GOCSPX-", rf"{_W}{{20,}}"),
    ("1//0", rf"{_W}{{20,}}"),
    ("LTAI", rf"{_A}{{16,24}}(?!{_A})"),
    ("AKID", rf"{_A}{{32,}}"),
    ("AQVN", rf"{_W}{{35,}}"),
    ("do", rf"[por]_v1_{_HEX}{{32,}}"),
    ("HRKU-", rf"{_W}{{30,}}"),
    ("fm", rf"[12][ra]?_{_B64}{{40,}}"),
    ("fo1_", rf"{_W}{{40,}}"),
    ("nfp_", rf"{_A}{{30,}}"),
    ("vercel_blob_rw_", r"\w{20,}"),
    ("rnd_", rf"{_A}{{24,}}"),
    ("tskey-", rf"{_W}{{16,}}"),
    ("hv", r"[sbr]\.[\w-]{20,}"),
    ("AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    ("dp.", rf"(?:pt|st|sa|ct|scim|audit)\.(?:\w+\.)?{_A}{{30,}}"),
    ("ops_eyJ", rf"{_B64}{{20,}}"),
    # Databases and data
    ("dapi", rf"{_HEX}{{32}}"),
    ("pscale_", r"(?:tkn|pw|oauth)_[\w.-]{30,}"),
    ("sbp_", rf"{_HEX}{{40}}"),
    ("sb_secret_", rf"{_W}{{20,}}"),
    ("napi_", rf"{_A}{{40,}}"),
    ("pat", rf"{_A}{{14}}\.{_HEX}{{60,}}"),
    ("CFPAT-", rf"{_W}{{30,}}"),
    ("glsa_", r"\w{30,}"),
    ("glc_", rf"{_B64}{{30,}}"),
    ("NRAK-", r"[A-Z0-9]{20,}"),
    ("PMAK-", rf"{_HEX}{{20,}}-{_HEX}{{30,}}"),
    # Models
    ("sk-", rf"{_MIXED}{_W}{{20,}}"),
    ("hf_", rf"{_A}{{30,}}"),
    ("xai-", rf"{_A}{{40,}}"),
    ("gsk_", rf"{_A}{{40,}}"),
    ("r8_", rf"{_A}{{30,}}"),
    ("pplx-", rf"{_A}{{30,}}"),
    ("nvapi-", rf"{_W}{{40,}}"),
    ("tvly-", rf"{_MIXED}{_W}{{20,}}"),
    # Payments, shops, messages
    ("sk_", rf"(?:live|test)_{_A}{{10,}}"),
    ("rk_", rf"(?:live|test)_{_A}{{10,}}"),
    ("whsec_", rf"{_B64}{{16,}}"),
    ("shp", r"(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("sq0", rf"(?:atp|csp|idp)-{_W}{{20,}}"),
    ("EAAA", rf"{_W}{{50,}}"),
    ("EAA", rf"{_A}{{50,}}"),
    ("EZ", rf"[AT]K{_A}{{54}}"),
    ("xox", rf"(?:[abceposrd]-|e\.xox[bp]-){_W}{{10,}}"),
    ("xapp-", rf"{_W}{{10,}}"),
    *((first, rf"{_W}{{23,27}}\.{_W}{{6}}\.{_W}{{27,40}}") for first in "MNO"),  # Discord
    ("SG.", rf"{_W}{{16,}}\.{_W}{{16,}}"),
    ("SK", rf"{_HEX}{{32}}(?!{_A})"),
    ("key-", rf"{_HEX}{{32}}(?!{_A})"),
    ("xkeysib-", rf"{_HEX}{{64}}-{_A}{{16}}"),
    ("re_", rf"{_A}{{8}}_{_A}{{20,}}"),
    ("phx_", rf"{_A}{{40,}}"),
    # Offices
    ("lin_api_", rf"{_A}{{30,}}"),
    ("ntn_", rf"{_A}{{40,}}"),
    ("secret_", rf"{_A}{{40,}}"),
    ("figd_", rf"{_W}{{30,}}"),
    ("pat-", rf"[a-z]{{2}}\d-{_UUID}"),
    ("sl.", rf"{_W}{{60,}}"),
    # JSON web tokens
    ("eyJ", r"[\w-]{8,}(?:\.[\w-]+){1,4}"),
)


def _by_first(marks: tuple[tuple[str, str], ...]) -> str:
    """All marks, sorted by their first character: few are then tried at a place."""
    rests: dict[str, list[str]] = {}
    for mark, rest in marks:
        rests.setdefault(mark[0], []).append(re.escape(mark[1:]) + rest)
    return "|".join(f"{first}(?:{'|'.join(each)})" for first, each in rests.items())


_MARKED = re.compile(rf"(?<![A-Za-z0-9_])(?:{_by_first(_MARKS)})")

# Marked in the middle: Azure, Telegram, Mailchimp, Terraform.
_INNER = (
    ("Q~", re.compile(r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,40}")),
    (":AA", re.compile(rf"(?<![A-Za-z0-9_])(?:bot)?\d{{8,10}}:AA{_W}{{30,}}")),
    ("-us", re.compile(rf"(?<![A-Za-z0-9_]){_HEX}{{32}}-us\d{{1,2}}(?![\w-])")),
    (".atlasv1.", re.compile(rf"(?<![A-Za-z0-9_]){_A}{{14}}\.atlasv1\.{_W}{{50,}}")),
)


def mask_tokens(text: str, mask: str) -> str:
    """The text without tokens; no token holds white space, and short words are none."""
    long = " ".join([word for word in text.split() if len(word) >= _SHORTEST])
    if not long:
        return text
    if _MARKED.search(long) is not None:
        text = _MARKED.sub(mask, text)
    for hint, pattern in _INNER:
        if hint in long:
            text = pattern.sub(mask, text)
    return text
