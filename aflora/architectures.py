"""What the modules of known architectures are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aflora.config import Role


@dataclass(frozen=True)
class Architecture:
    """Where the roles of one architecture are found.

    Attributes:
        blocks: name of the list of transformer blocks.
        roles: role → regular expression for the path of its modules inside one block. Roles with
            the same expression are one fused module.
        head: names of modules of a classifier that only this architecture has.
    """

    blocks: str
    roles: Mapping[Role, str]
    head: tuple[str, ...] = ()

    def pattern(self, role: Role) -> str:
        """Expression for the end of a module's path; its group is the index of the block."""
        return rf"{self.blocks}\.(\d+)\.(?:{self.roles[role]})"


def _fused(path: str) -> dict[Role, str]:
    """Query, key and value in one module."""
    return {"query": path, "key": path, "value": path}


_BERT: dict[Role, str] = {
    "query": r"(?:cross)?attention\.self\.query",
    "key": r"(?:cross)?attention\.self\.key",
    "value": r"(?:cross)?attention\.self\.value",
    "attention_output": r"(?:cross)?attention\.output\.dense",
    "ffn_in": r"intermediate\.dense",
    "ffn_out": r"output\.dense",
}
_DEBERTA = _BERT | _fused(r"attention\.self\.in_proj")
_DEBERTA_V2 = _BERT | {
    "query": r"attention\.self\.query_proj",
    "key": r"attention\.self\.key_proj",
    "value": r"attention\.self\.value_proj",
}
_DISTILBERT: dict[Role, str] = {
    "query": r"attention\.q_lin",
    "key": r"attention\.k_lin",
    "value": r"attention\.v_lin",
    "attention_output": r"attention\.out_lin",
    "ffn_in": r"ffn\.lin1",
    "ffn_out": r"ffn\.lin2",
}
# Wi holds the gate as well.
_MODERNBERT: dict[Role, str] = {
    **_fused(r"attn\.Wqkv"),
    "attention_output": r"attn\.Wo",
    "ffn_in": r"mlp\.Wi",
    "ffn_out": r"mlp\.Wo",
}
_GPT2: dict[Role, str] = {
    **_fused(r"attn\.c_attn"),
    "attention_output": r"attn\.c_proj",
    "ffn_in": r"mlp\.c_fc",
    "ffn_out": r"mlp\.c_proj",
}
_LLAMA: dict[Role, str] = {
    "query": r"self_attn\.q_proj",
    "key": r"self_attn\.k_proj",
    "value": r"self_attn\.v_proj",
    "attention_output": r"self_attn\.o_proj",
    "ffn_in": r"mlp\.up_proj",
    "ffn_gate": r"mlp\.gate_proj",
    "ffn_out": r"mlp\.down_proj",
}
_PHI: dict[Role, str] = {
    "query": r"self_attn\.q_proj",
    "key": r"self_attn\.k_proj",
    "value": r"self_attn\.v_proj",
    "attention_output": r"self_attn\.dense",
    "ffn_in": r"mlp\.fc1",
    "ffn_out": r"mlp\.fc2",
}
# gate_up_proj is gate and input in one.
_PHI3: dict[Role, str] = {
    **_fused(r"self_attn\.qkv_proj"),
    "attention_output": r"self_attn\.o_proj",
    "ffn_in": r"mlp\.gate_up_proj",
    "ffn_out": r"mlp\.down_proj",
}
# A decoder attends to itself and to the encoder; both are attention.
_BART: dict[Role, str] = {
    "query": r"(?:self|encoder)_attn\.q_proj",
    "key": r"(?:self|encoder)_attn\.k_proj",
    "value": r"(?:self|encoder)_attn\.v_proj",
    "attention_output": r"(?:self|encoder)_attn\.out_proj",
    "ffn_in": r"fc1",
    "ffn_out": r"fc2",
}
# A feed-forward block with a gate has wi_0, which is activated, and wi_1; one without has wi.
_T5: dict[Role, str] = {
    "query": r"layer\.\d+\.(?:SelfAttention|EncDecAttention)\.q",
    "key": r"layer\.\d+\.(?:SelfAttention|EncDecAttention)\.k",
    "value": r"layer\.\d+\.(?:SelfAttention|EncDecAttention)\.v",
    "attention_output": r"layer\.\d+\.(?:SelfAttention|EncDecAttention)\.o",
    "ffn_in": r"layer\.\d+\.DenseReluDense\.(?:wi|wi_1)",
    "ffn_gate": r"layer\.\d+\.DenseReluDense\.wi_0",
    "ffn_out": r"layer\.\d+\.DenseReluDense\.wo",
}

#: model type (``config.model_type``) → where its roles are found. DeBERTa v3 is a deberta-v2.
ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture("layer", _BERT),
    "roberta": Architecture("layer", _BERT),
    "xlm-roberta": Architecture("layer", _BERT),
    "camembert": Architecture("layer", _BERT),
    "electra": Architecture("layer", _BERT),
    "distilbert": Architecture("layer", _DISTILBERT),
    "deberta": Architecture("layer", _DEBERTA),
    "deberta-v2": Architecture("layer", _DEBERTA_V2),
    "modernbert": Architecture("layers", _MODERNBERT, head=("head",)),
    "gpt2": Architecture("h", _GPT2),
    "opt": Architecture("layers", _BART),
    "llama": Architecture("layers", _LLAMA),
    "mistral": Architecture("layers", _LLAMA),
    "qwen2": Architecture("layers", _LLAMA),
    "qwen3": Architecture("layers", _LLAMA),
    "gemma": Architecture("layers", _LLAMA),
    "gemma2": Architecture("layers", _LLAMA),
    "phi": Architecture("layers", _PHI),
    "phi3": Architecture("layers", _PHI3),
    "t5": Architecture("block", _T5),
    "bart": Architecture("layers", _BART),
}
