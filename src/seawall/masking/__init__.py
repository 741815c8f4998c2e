"""Secrets out of texts and values, before anything is written or shown.

In a text, secrets are found by their shape (URL passwords, ``key=value`` pairs and headers with a
telling name, tokens with a known prefix, private keys, card numbers); in a mapping, by the name of
the key too. What was found becomes ``***``; masking twice changes nothing more.
"""

from seawall.masking.masker import Masker, default_masker
from seawall.masking.named import MASK

__all__ = ["MASK", "Masker", "default_masker"]
