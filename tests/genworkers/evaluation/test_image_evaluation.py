"""The whole evaluation on a corpus of plain shapes with judges that know nothing, and the table of its figures."""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels, unpremultiply
from genworkers.evaluation.composition import TESTS
from genworkers.evaluation.exam import Exam, Sizes, make_exam
from genworkers.evaluation.house_nets import Judges, batch_of, load_judges
from genworkers.evaluation.image import draw_all, evaluate, main
from genworkers.evaluation.image_table import legend, table, write_card
from genworkers.nets.baselines import DcganGenerator
from genworkers.nets.judges import (
    CaptionScorer,
    CaptionScorerConfig,
    FeatureEncoder,
    FeatureEncoderConfig,
    SceneDetector,
    SceneDetectorConfig,
)
from genworkers.training.judge_data import COLOUR_CLASSES, STYLES
from genworkers.training.sticker_data import is_held_out

WIDTHS = (8, 8, 8, 8)
STYLES_OF_NET = {"flat": "fluent-flat", "bold": "twemoji"}
LETTERS = "bcdfghjklmnp"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty concepts, each a square of its own colour and size, in every style."""
    stickers = tmp_path_factory.mktemp("corpus") / "stickers"
    stickers.mkdir()
    names = [f"{first}a{second}o" for first in LETTERS for second in LETTERS[:5]]
    keys = [f"{number:04x}" for number in range(len(names))]
    rows = [{"key": key, "name": name, "keywords": [name[:2]]} for key, name in zip(keys, names, strict=True)]
    (stickers / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    kinds = [{"codepoints": key, "group": "things", "subgroup": f"sort {key[-1]}"} for key in keys]
    (stickers / "emojibase_en.jsonl").write_text("\n".join(map(json.dumps, kinds)), encoding="utf-8")
    random = np.random.default_rng(0)
    for style in STYLES:
        with tarfile.open(stickers / f"px128-{style}.tar", "w") as tar:
            for key in keys:
                picture = np.zeros((128, 128, 4), np.uint8)
                rim = int(random.integers(8, 40))
                picture[rim:-rim, rim:-rim] = (*random.integers(0, 255, 3), 255)
                buffer = io.BytesIO()
                Image.fromarray(picture, mode="RGBA").save(buffer, format="PNG")
                member = tarfile.TarInfo(f"{key}.webp")
                member.size = buffer.tell()
                tar.addfile(member, io.BytesIO(buffer.getvalue()))
    return stickers.parent


@pytest.fixture(scope="module")
def exam(corpus: Path) -> Exam:
    return make_exam(corpus, corpus / "cache", STYLES_OF_NET, Sizes(num_seen=40, num_held_out=8, num_questions=4))


@pytest.fixture(scope="module")
def judges_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    nets = {
        "encoder": FeatureEncoder(FeatureEncoderConfig(1, 16, len(STYLES), widths=WIDTHS, num_features=4)),
        "scorer": CaptionScorer(CaptionScorerConfig(widths=WIDTHS, width=8, num_buckets=64)),
        "detector": SceneDetector(SceneDetectorConfig(50, 12, 12, widths=WIDTHS, map_width=8, look_width=4)),
    }
    for name, net in nets.items():
        save_file(net.state_dict(), folder / f"{name}.safetensors")
        facts = {"config": asdict(net.config), "colours": COLOUR_CLASSES}  # type: ignore[call-overload]
        (folder / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def judges(judges_folder: Path) -> Judges:
    return load_judges(judges_folder)


def real_pictures(exam: Exam) -> torch.Tensor:
    """What a perfect net would draw."""
    scenes = [exam.question_pictures[name] for name in ("seen", "held_out")]
    return torch.cat([exam.real(exam.seen), exam.real(exam.held_out), *scenes])


@pytest.mark.slow
def test_an_exam_is_the_same_each_time_and_keeps_its_parts_apart(exam: Exam, corpus: Path) -> None:
    again = make_exam(corpus, corpus / "cache", STYLES_OF_NET, Sizes(num_seen=40, num_held_out=8, num_questions=4))
    assert again.tasks == exam.tasks
    assert len({task.seed for task in exam.tasks}) == len(exam.tasks)
    assert {task.style for task in exam.tasks} == {"flat", "bold"}
    asked, others = ({exam.table.keys[row] for row in rows.tolist()} for rows in (exam.seen, exam.others))
    assert not asked & others
    assert not any(is_held_out(key) for key in asked | others)
    assert all(is_held_out(exam.table.keys[row]) for row in exam.held_out.tolist())
    assert {is_held_out(one.scene.things[0].key) for one in exam.questions["held_out"]} == {True}
    assert {is_held_out(one.scene.things[0].key) for one in exam.questions["seen"]} == {False}


@pytest.mark.slow
def test_real_pictures_reach_exactly_what_stands_beside_them(exam: Exam, judges: Judges, tmp_path: Path) -> None:
    figures = evaluate(real_pictures(exam), exam, judges)
    assert figures["distances"]["frechet_ratio"] == pytest.approx(1.0)
    assert figures["overlap"]["ours"] == figures["overlap"]["real"]
    for part in ("seen", "held_out"):
        assert figures["retrieval"][part]["ours"] == figures["retrieval"][part]["real"]
        for test in TESTS:
            assert figures["composition"][part][test]["ours"] == figures["composition"][part][test]["real"]
    assert figures["memorisation"]["seen"]["near_frac"] == 1.0
    assert figures["memorisation"]["held_out"]["near_frac"] <= 0.2

    text = table({"Real": figures})
    assert "| ... over real against real ↓ | 1.00 | 1 |" in text
    assert all(line.count("|") == 4 for line in text.splitlines())
    assert f"{len(exam.seen)} names of trained concepts" in legend(figures)

    folder = tmp_path / "net"
    facts = checkpoints.CheckpointFacts(name="net", kind="image", family="mosaic", title="Net", config={})
    checkpoints.save(folder, facts, weights={}, other_parts={}, card="# Net\n")
    for _ in range(2):
        write_card(folder, {"Net": figures, "Other": figures}, tmp_path / "sheet.webp")
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# Net\n")
    assert card.count("## Evaluation") == 1
    assert "| measure | Net | Other | real |" in card
    assert "(../sheet.webp)" in card
    manifest = json.loads((folder / checkpoints.MANIFEST).read_text(encoding="utf-8"))
    assert manifest["training"]["measured"]["evaluation"]["num"]["seen"] == len(exam.seen)


@pytest.mark.slow
def test_drawing_goes_on_where_it_stopped(exam: Exam, tmp_path: Path) -> None:
    drawn: list[tuple[str, int, str]] = []

    def sample(prompts: Sequence[str], seeds: Sequence[int], style: str) -> list[Pixels]:
        if len(drawn) > 20:
            raise KeyboardInterrupt
        drawn.extend((prompt, seed, style) for prompt, seed in zip(prompts, seeds, strict=True))
        return [np.full((128, 128, 4), seed % 200, np.uint8) for seed in seeds]

    kept = tmp_path / "pictures.npy"
    with pytest.raises(KeyboardInterrupt):
        draw_all(exam, sample, kept)
    first = len(drawn)
    drawn.clear()
    for _ in range(10):
        try:
            batch = draw_all(exam, sample, kept)
            break
        except KeyboardInterrupt:
            first += len(drawn)
            drawn.clear()
    assert batch.shape == (len(exam.tasks), 3, 64, 64)
    assert first + len(drawn) == len(exam.tasks)


@pytest.mark.slow
def test_the_command_measures_a_baseline_and_keeps_what_it_drew(
    corpus: Path,
    judges_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save({"average": DcganGenerator(2).state_dict()}, tmp_path / "resume.pt")
    words = f"--net DCGAN=dcgan:{tmp_path}/resume.pt --styles flat=fluent-flat bold=twemoji --corpus {corpus}"
    words += f" --cache {corpus}/cache --judges {judges_folder} --out {tmp_path} --sheet {tmp_path}/sheet.png"
    words += " --num-seen 30 --num-held-out 4 --num-questions 2"
    monkeypatch.setattr("sys.argv", ["image", *words.split()])
    main()
    printed = capsys.readouterr().out
    assert "| measure | DCGAN | real |" in printed
    (kept,) = tmp_path.glob("DCGAN-*.npy")
    assert np.load(kept).shape[1:] == (3, 64, 64)
    assert json.loads(kept.with_suffix(".json").read_text())["num"]["composition_seen"] == 10
    assert (tmp_path / "sheet.png").exists()
    main()
    assert "drawn" not in capsys.readouterr().out


def test_a_batch_is_laid_on_white_and_made_64_px() -> None:
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[:, 64:] = (255, 0, 0, 255)
    batch = batch_of([picture])
    assert batch.shape == (1, 3, 64, 64)
    assert batch[0, :, 32, 8].tolist() == [1.0, 1.0, 1.0]
    assert batch[0, :, 32, 56].tolist() == [1.0, 0.0, 0.0]


def test_a_real_sticker_is_the_same_as_pixels_and_as_a_row_of_the_table() -> None:
    premultiplied = np.random.default_rng(0).integers(0, 255, (64, 64, 4)).astype(np.float32) / 255.0
    premultiplied[..., :3] *= premultiplied[..., 3:]
    expected = premultiplied[..., :3] + 1.0 - premultiplied[..., 3:]
    assert batch_of([unpremultiply(premultiplied)])[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=0.01)


def test_judges_that_are_not_there_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m genworkers.training.train_judges"):
        load_judges(tmp_path)
