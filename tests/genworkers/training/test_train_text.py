"""Text training: the schedule always cools down, a stopped run goes on, the average is what it says."""

import json
import lzma
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from genworkers.nets.decoder import DecoderConfig
from genworkers.training.optim import WeightAverage, split_parameters, wsd_factor
from genworkers.training.text_batches import IGNORED_TARGET, Corpus, pack, to_batch
from genworkers.training.text_data import Story
from genworkers.training.text_run import TABLES, Recipe, Run, nats_of_targets, train
from tests.genworkers.tiny_decoder import SENTENCES, tiny_codec

CODEC = tiny_codec()
CONFIG = DecoderConfig(
    CODEC.vocab_size, 48, width=32, num_layers=1, num_heads=2, num_kv_heads=2, head_width=16, mlp_width=64
)
RECIPE = Recipe(minutes=0.03, batch_tokens=256, is_bf16=False, is_compiled=False)


def corpus() -> Corpus:
    stories = [Story(str(n), "child", (f"story {n}",), SENTENCES[n % 2]) for n in range(8)]
    return Corpus.build(CODEC, stories, CONFIG.context_tokens)


def test_schedule_warms_up_stays_and_cools_down() -> None:
    def factor(progress: float) -> float:
        return wsd_factor(progress, warmup_frac=0.1, cooldown_frac=0.4, floor=0.05)

    assert [factor(at) for at in (0, 0.05, 0.1, 0.6)] == pytest.approx([0, 0.5, 1, 1])
    assert factor(0.8) == pytest.approx(0.525)
    assert factor(1.0) == factor(7.0) == pytest.approx(0.05)


def test_only_the_answer_is_learnt() -> None:
    batch = to_batch([[([1, 2, 3, 4, 5], 2)], [([1, 2, 9], 2)]], pad_id=0)
    ignored = IGNORED_TARGET
    assert batch.inputs.tolist() == [[1, 2, 3, 4], [1, 2, 0, 0]]
    assert batch.targets.tolist() == [[ignored, 3, 4, 5], [ignored, 9, ignored, ignored]]


def test_parameters_are_sorted_by_their_optimiser(tmp_path: Path) -> None:
    net = Run(tmp_path, CONFIG, RECIPE).net
    matrices, tables, scales = split_parameters(net, embeddings=TABLES)
    assert [tuple(one.shape) for one in tables] == [(CODEC.vocab_size, 32)]
    assert all(one.ndim == 2 for one in matrices)
    assert len(matrices) == 4
    assert all(one.ndim == 1 for one in scales)


def test_average_follows_and_swaps_there_and_back() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    average = WeightAverage(net)
    nn.init.ones_(net.weight)
    average.update(net, decay=0.75)
    average.swap(net)
    assert net.weight.item() == 0.25
    average.swap(net)
    assert (net.weight.item(), average.tensors["weight"].item()) == (1.0, 0.25)


def test_a_run_learns_ends_in_time_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG, RECIPE)
    first = run.train_step(next(corpus().epoch(0, 256)), corpus())
    train(run, corpus(), corpus(), eval_every_s=1e9, save_every_s=1e9)
    assert run.progress_frac >= 1
    last = run.train_step(next(corpus().epoch(0, 256)), corpus())
    assert last < first - 1
    assert {path.name for path in tmp_path.iterdir()} >= {"state.pt", "average.safetensors", "run.json", "log.jsonl"}

    again = Run(tmp_path, CONFIG, RECIPE)
    again.resume()
    assert (again.step, again.progress_frac) == (run.step - 1, run.progress_frac)
    again.train_step(next(corpus().epoch(0, 256)), corpus())
    for ours, theirs in zip(run.net.parameters(), again.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-2)


def test_a_run_can_start_from_the_average_of_another(tmp_path: Path) -> None:
    first = Run(tmp_path / "first", CONFIG, RECIPE)
    first.train_step(next(corpus().epoch(0, 256)), corpus())
    first.save()
    second = Run(tmp_path / "second", CONFIG, RECIPE)
    second.start_from(tmp_path / "first" / "average.safetensors")
    for name, value in second.net.named_parameters():
        assert torch.equal(value, first.average.tensors[name])
        assert torch.equal(value, second.average.tensors[name])


def test_packed_rows_teach_the_same_as_single_ones(tmp_path: Path) -> None:
    examples = [corpus().example(index, None) for index in range(8)]
    packed, single = pack(examples, 4 * CONFIG.context_tokens), [[one] for one in examples]
    assert len(packed) < 8
    gradients = []
    for rows in (packed, single):
        net = Run(tmp_path, CONFIG, RECIPE).net
        batch = to_batch(rows, CODEC.end_id)
        nats = nats_of_targets(
            net, batch.inputs, batch.targets, batch.chosen, False, None, batch.documents, batch.positions
        )
        torch.autograd.backward(nats)
        gradients.append([parameter.grad for parameter in net.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_a_packed_run_learns(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG, replace(RECIPE, is_packed=True))
    run.elapsed_s = 0.5
    batches = list(corpus().epoch(0, 256, is_packed=True))
    assert len(batches[0][0]) > 1
    losses = [run.train_step(batches[0], corpus()) for _ in range(30)]
    assert losses[-1] < losses[0] - 1


@pytest.mark.slow
def test_the_gpu_preset_runs_as_one_command_from_an_empty_folder(tmp_path: Path) -> None:
    tale = "Once upon a time, there was a brave little boat named Bo. " + "The boat sailed to a small island. " * 6
    rows = [
        {
            "category": "child",
            "prompt": f"Tell the tale called `Bo {number}`.",
            "response": f"{tale}It was day {number}.",
        }
        for number in range(40)
    ]
    (tmp_path / "text").mkdir()
    for name, lines in (("instruct-stories", rows), ("storybooks", [])):
        with lzma.open(tmp_path / "text" / f"{name}.jsonl.xz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in lines)
    command = [sys.executable, "-m", "genworkers.training.train_text", "--preset", "h200-25min", "--device", "cpu"]
    command += [
        "--run",
        str(tmp_path / "run"),
        "--corpus",
        str(tmp_path),
        "--minutes",
        "0.05",
        "--fp32",
        "--no-compile",
    ]
    command += ["--width", "128", "--layers", "1", "--context", "192", "--batch-tokens", "768", "--vocab-size", "300"]
    subprocess.run(command, check=True)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["held_out_loss"] < 5.7
    assert (tmp_path / "run" / "average.safetensors").exists()
