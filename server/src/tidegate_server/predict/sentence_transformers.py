"""Understands modules.json and the files that it names: how sentence-transformers makes a vector of a text. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate_server.predict.embeddings import (
    POOLING_MODES,
    EmbeddingReader,
    PoolingMode,
    sentence_output,
    token_output,
)
from tidegate_server.predict.package_files import unusable
from tidegate_server.protocol.signature import Signature

MODULES_FILE = "modules.json"
POOLING_FOLDER = "1_Pooling"
POOLING_FILE = f"{POOLING_FOLDER}/config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
_OLD_MODES: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Recipe:
    """What happens between a text and its vector."""

    modes: tuple[PoolingMode, ...]
    normalize: bool
    prompt: str = ""
    """Goes before every text."""


def read_recipe(read: Callable[[str], Any]) -> Recipe | None:
    """`read` gives the JSON of a file, None where there is none. None where there is no modules.json.

    Raises ModelRefused for files that break their own rules, and for steps that aren't computed here: a vector without
    one of them would be another vector.
    """
    modules = read(MODULES_FILE)
    if modules is None:
        return None
    kinds = _module_kinds(modules)
    unknown = next((kind for kind in kinds if kind not in _KNOWN_MODULES), None)
    if unknown is not None:
        words = f"has the step {unknown!r}, which this server doesn't compute; export the whole model, with the output "
        raise unusable(MODULES_FILE, f"it {words}sentence_embedding, and leave the file out")
    pooling = read(POOLING_FILE) if "Pooling" in kinds else None
    return Recipe(_modes(pooling), "Normalize" in kinds, _prompt(read(PROMPTS_FILE)))


def embedding_reader(recipe: Recipe | None, signature: Signature) -> EmbeddingReader | None:
    """What makes vectors of this graph's outputs; None where nothing says how."""
    whole, tokens = sentence_output(signature), token_output(signature)
    normalize = recipe is not None and recipe.normalize
    if whole is not None:
        return EmbeddingReader(whole.name, (), normalize)
    if recipe is None or tokens is None or not recipe.modes:
        return None
    return EmbeddingReader(tokens.name, recipe.modes, normalize)


def _module_kinds(modules: Any) -> list[str]:
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise unusable(MODULES_FILE, "it must be a list of modules; save the model anew or remove the file")
    return [str(module.get("type")).rpartition(".")[2] for module in modules]


def _modes(pooling: Any) -> tuple[PoolingMode, ...]:
    if pooling is None:
        return ()
    if not isinstance(pooling, dict):
        raise unusable(POOLING_FILE, "it must be an object; save the model anew or remove the file")
    given = pooling.get("pooling_mode")
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else _old_modes(pooling)
    unknown = next((name for name in names if name not in POOLING_MODES), None)
    if unknown is not None or not names:
        sentence = f"pooling_mode is {unknown!r}; this server knows {', '.join(POOLING_MODES)}"
        raise unusable(POOLING_FILE, sentence)
    if pooling.get("include_prompt") is False:
        raise unusable(
            POOLING_FILE, "include_prompt is false, which this server doesn't compute; export the pooling too"
        )
    return tuple(mode for mode in POOLING_MODES if mode in names)


def _old_modes(pooling: dict[str, Any]) -> list[PoolingMode]:
    return [mode for field, mode in _OLD_MODES.items() if pooling.get(field) is True]


def _prompt(document: Any) -> str:
    if not isinstance(document, dict):
        return ""
    prompts, name = document.get("prompts"), document.get("default_prompt_name")
    prompt = prompts.get(name, "") if isinstance(prompts, dict) and isinstance(name, str) else ""
    return prompt if isinstance(prompt, str) else ""
