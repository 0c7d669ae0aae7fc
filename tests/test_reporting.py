"""The page that fine-tuning writes: its numbers by hand, and what users call their classes and files."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from keras_resnets import Bundle, measures, preset_of
from keras_resnets.images.labels import numbered
from keras_resnets.reporting import figures, missing, report, write_report

from .conftest import randomise, tiny, write_picture

NASTY = '<b>&"x'
HISTORY = tuple(
    {"epoch": i, "loss": 40 / i**3, "accuracy": 0.1 * i, "val_loss": 2 / i, "val_accuracy": 0.08 * i}
    for i in range(1, 6)
)


@pytest.fixture(scope="module")
def three():
    """A network of three classes, and all that fine-tuning notes."""
    notes = {
        "seed": 7,
        "recipe": {"name": "head", "keep": "best", "steps": (0.5, 0.75), "ema": 0.0, "unfrozen": None},
        "metrics": {"epoch": 4, "findings": ["the class <i>bird</i> has 2 pictures only"]},
    }
    return bundle_of(NASTY, "bird", "cat", notes=notes, history=HISTORY)


def bundle_of(*names, **more):
    model = randomise(tiny(classes=len(names)))
    return Bundle(model, preset_of(model), numbered(names), **more)


def scored(answers, classes, score=0.8):
    """Probabilities with these best answers."""
    rest = (1 - score) / (classes - 1)
    return np.where(np.eye(classes)[answers], score, rest).astype("float32")


class Page(HTMLParser):
    """What a browser sees: the text, the tags and where they point to."""

    def __init__(self, path):
        super().__init__()
        self.text, self.tags, self.addresses, self.cells = "", [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "srcset", "href")]

    def handle_data(self, data):
        self.text += data
        if self.tags and self.tags[-1] == "td" and data.strip():
            self.cells.append(data)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), p. 857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1),
    ],
)
def test_wilson_as_published(right, total, low, high):
    np.testing.assert_allclose(measures.wilson(right, total), (low, high), atol=5e-5)


@pytest.mark.parametrize(("right", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_share(right, total):
    with pytest.raises(ValueError, match=f"Received: {right} of {total}"):
        measures.wilson(right, total)


def test_calibration_by_hand():
    best = np.array([0.3, 0.35, 0.75, 0.75, 0.8, 1.0], "float32")
    right = np.array([False, True, True, False, True, True])
    found = measures.calibration(best, right)
    # An upper edge belongs to its bin: 0.3 to the third, 0.8 to the eighth, 1 to the last.
    assert found.pictures.tolist() == [0, 0, 1, 1, 0, 0, 0, 3, 0, 1]
    np.testing.assert_allclose(found.accuracy[[2, 3, 7, 9]], [0, 1, 2 / 3, 1])
    np.testing.assert_allclose(found.score[[2, 3, 7, 9]], [0.3, 0.35, 2.3 / 3, 1], rtol=1e-6)
    assert np.isnan(found.accuracy[0]) and np.isnan(found.score[0])
    assert found.error == pytest.approx((0.3 + 0.65 + 0.3 + 0) / 6)


def test_precision_recall_and_f1_by_hand():
    targets = np.array([0, 0, 0, 0, 1, 1, 2])
    answers = np.array([0, 0, 1, 1, 1, 1, 0])
    matrix = measures.confusion(answers, targets, 4)
    assert matrix.tolist() == [[2, 2, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    rows = measures.by_class(matrix, "abcd")
    assert rows[0] == ("a", 4, 2 / 3, 0.5, 4 / 7) and rows[1] == ("b", 2, 0.5, 1.0, 2 / 3)
    assert rows[2][:2] == ("c", 1) and np.isnan(rows[2].precision) and rows[2][3:] == (0, 0)  # never answered
    assert rows[3][:2] == ("d", 0) and np.isnan(rows[3][2:]).all()  # no picture


def test_most_confused_by_hand():
    matrix = np.diag([9, 9, 9, 9])
    matrix[1, 3], matrix[2, 3], matrix[3, 0] = 2, 1, 1
    assert measures.most_confused(matrix, 2).tolist() == [1, 3]
    assert measures.most_confused(matrix, 9).tolist() == [0, 1, 2, 3]


def test_mistakes_begin_with_the_surest():
    scores = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.0, 1.0]])
    assert measures.mistakes(scores, np.array([1, 0, 0, 1])).tolist() == [1, 2, 0]


# --- the page -------------------------------------------------------------------------------------


def test_a_page_of_three_classes(three, tmp_path):
    targets = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    answers = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 0])
    sources = [write_picture(tmp_path / f"<u>{i}.png", seed=i) for i in range(9)]
    sources.append(tmp_path / "away.png")
    path = write_report(
        tmp_path / "new/out", three, scored(answers, 3), targets, sources, ["x.png: <p>empty"]
    )
    assert path == tmp_path / "new/out/report.html"
    page = Page(path)

    # In whole, and in this order.
    said = [
        "resnet50 on 3 classes",
        "80.0 % of 10 validation pictures are answered right (95 % interval: 49.0 % to 94.3 %)",
        "would be right for 50.0 % at best",
        "The interval reaches down to",
        "expect a little less",
        "the class <i>bird</i> has 2 pictures only",
        "1 picture could not be read and was left out: x.png: <p>empty",
        "How it learned",
        "What it confuses",
        "lowest recall comes first",
        "2 of 10 pictures are answered wrong",
        f"{NASTY}, answered bird 0.80",
        "<u>2.png",
        "away.png: no such file",
        f"cat, answered {NASTY} 0.80",
        "differ by 0.00 on average",
        "steps0.5, 0.75",
    ]
    places = [page.text.find(sentence) for sentence in said]
    assert -1 not in places and places == sorted(places), dict(zip(said, places, strict=True))
    rows = [page.cells[i : i + 5] for i in range(0, len(page.cells), 5)]
    assert rows == [
        [NASTY, "3", "0.67", "0.67", "0.67"],
        ["cat", "5", "1.00", "0.80", "0.89"],
        ["bird", "2", "0.67", "1.00", "0.80"],
    ]

    # Nothing from outside, nothing that a name smuggled in.
    assert not {"script", "link", "u", "i"} & set(page.tags)
    assert page.tags.count("b") == 4  # true class and answer of two mistakes
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import", path.read_text(encoding="utf-8"))
    assert len(page.addresses) == 3 * 2 + 2  # figures by day and by night, one picture and its heat
    for address in page.addresses:
        Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).verify()


def test_the_figures_are_files_too(three, tmp_path):
    sources = [None, None, write_picture(tmp_path / "a.png")]
    path = write_report(tmp_path, three, scored([0, 1, 0], 3), np.array([0, 1, 2]), sources)
    names = ["calibration.png", "confusion.png", "learning.png", "mistakes.png"]
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == names
    for file in files:
        with Image.open(file) as image:
            image.load()
            assert image.format == "PNG" and len(np.unique(np.asarray(image.convert("L")))) > 10
        inside = base64.b64encode(file.read_bytes()).decode() in path.read_text(encoding="utf-8")
        assert inside == (file.name != "mistakes.png")  # the page lays its pictures out itself


@pytest.mark.parametrize("answers", [[0, 1], [0, 0]], ids=["all right", "vanished since"])
def test_without_a_mistake_to_show_there_is_no_sheet(answers, tmp_path):
    write_report(tmp_path, bundle_of("a", "b"), scored(answers, 2), np.array([0, 1]), ["away.png"] * 2)
    assert not (tmp_path / "figures/mistakes.png").exists()


def test_the_sheet_of_mistakes(chance):
    pictures = chance.integers(0, 256, (3, 2, 20, 30, 3), dtype="uint8")
    said = [("cat", "of $1$", 0.876), ("W" * 30, "M" * 30, 1.0), ("a", "b", 0.5)]
    rows = [
        {"true": true, "answer": answer, "score": score, "picture": picture, "heat": heat}
        for (true, answer, score), (picture, heat) in zip(said, pictures, strict=True)
    ]
    figure = figures.mistakes(rows, figures.LIGHT)
    figure.draw_without_rendering()
    places = [axes for axes in figure.axes if axes.images]
    for axes, shown in zip(places, pictures, strict=True):
        np.testing.assert_array_equal([image.get_array() for image in axes.images], shown)
    titles = [axes.get_title(loc="left") for axes in places]
    assert titles[0] == "true class: cat\nanswer: of $1$, 0.88"
    assert titles[1] == f"true class: {'W' * 19}…\nanswer: {'M' * 19}…, 1.00"
    left, right = (axes.get_tightbbox() for axes in places[:2])
    assert left.x1 < right.x0 and right.x1 <= figure.bbox.x1  # the longest name is not cut


@pytest.mark.parametrize("most", [9, 99_999])
def test_a_count_fits_its_cell(most):
    names = [f"class {i}" for i in range(figures.CELLS)]
    matrix = np.full((len(names), len(names)), most)
    figure = figures.confusion(matrix, names, np.arange(len(names)), figures.LIGHT)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert len(axes.texts) == matrix.size and axes.texts[0].get_text() == f"{most:,}"
    cell = axes.get_window_extent().width / len(names)
    assert 0 < max(text.get_window_extent().width for text in axes.texts) < cell


@pytest.mark.parametrize("accuracies", [(0.991, 0.994), (1.0, 1.0), (0.2, 1.0), (0.1, 0.1)])
def test_ticks_of_accuracy_differ_and_end_at_100(accuracies):
    history = [{"epoch": i, "accuracy": value, "val_accuracy": value} for i, value in enumerate(accuracies)]
    figure = figures.learning(history, 1, figures.LIGHT)
    figure.draw_without_rendering()
    axes = figure.axes[1]
    assert not axes.lines[-1].get_clip_on()  # the dot of the kept epoch is whole at the edge, too
    low, high = axes.get_ylim()
    values = [value for value in axes.get_yticks() if low <= value <= high]
    labels = axes.yaxis.get_major_formatter().format_ticks(values)
    assert 2 < len(labels) == len(set(labels)) and max(values) < 1.001
    assert [float(label.removesuffix(" %")) for label in labels] == pytest.approx(np.multiply(values, 100))


def test_names_of_files_that_are_not_utf_8(tmp_path):
    given = bundle_of("a", "b"), scored([1], 2), np.array([0]), ["h\udce4.png"], ["\udce4.png: empty"]
    page = Page(write_report(tmp_path, *given))
    assert "h?.png: no such file" in page.text and "?.png: empty" in page.text


def test_without_mistakes_without_notes(tmp_path):
    path = write_report(tmp_path, bundle_of("a", "b"), scored([0, 1], 2), np.array([0, 1]), [None] * 2)
    page = Page(path)
    assert "There are none: all 2 pictures are answered right" in page.text
    assert "Nothing about the data stood out. Every picture could be read." in page.text
    assert "No history of epochs was kept" in page.text and "expect a little less" not in page.text
    assert not (tmp_path / "figures/learning.png").exists()


def test_one_epoch_and_a_loss_that_was_not_finite(tmp_path):
    for history in (HISTORY[:1], ({**HISTORY[0], "val_loss": np.nan}, HISTORY[1])):
        bundle = bundle_of("a", "b", history=history, notes={"metrics": {"epoch": 1}})
        write_report(tmp_path, bundle, scored([0, 1], 2), np.array([0, 1]), [None] * 2)
        assert (tmp_path / "figures/learning.png").stat().st_size > 1000


def test_thirty_classes_with_letters_that_no_font_has(tmp_path, chance):
    names = [*(f"class {i}" for i in range(28)), "of $ and _ and \\frac{", "\U0001f408 " + "long " * 20]
    targets = np.arange(90) % 30
    answers = np.where(np.arange(90) < 40, (targets + 1) % 30, targets)
    pictures = list(chance.integers(0, 255, (90, 20, 30, 3), dtype="uint8"))
    page = Page(write_report(tmp_path, bundle_of(*names), scored(answers, 30, 0.5), targets, pictures))
    assert "Of 30 classes these are the 20 that take part in most mistakes" in page.text
    assert "the 10 other classes" in page.text
    assert "40 of 90 pictures are answered wrong; these 12 with the highest score" in page.text
    assert "picture 1 " in page.text and page.tags.count("figure") == 12 + 2  # no learning curve
    assert names[28] in page.text and names[29].strip() in page.text


def test_large_pictures_are_no_larger_than_they_are_shown(tmp_path, chance):
    model = randomise(tiny(classes=2, input_shape=(400, 350, 3)))
    picture = chance.integers(0, 255, (500, 500, 3), dtype="uint8")
    bundle = Bundle(model, preset_of(model), numbered(["a", "b"]))
    page = Page(write_report(tmp_path, bundle, scored([1], 2), np.array([0]), [picture]))
    files = [io.BytesIO(base64.b64decode(address.split(",")[1])) for address in page.addresses]
    assert [Image.open(file).size for file in files].count((280, 320)) == 2  # it and its heat


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "targets", "sources", "message"),
    [
        (np.ones((2, 4)), [0, 1], [None] * 2, r"scores must be \(N, 3\)"),
        (np.ones((0, 3)), [], [], "N at least 1"),
        (np.ones((2, 3)), [0, 1], [None], r"Received: \(2, 3\), \(2,\) and 1"),
        (np.full((2, 3), np.nan), [0, 1], [None] * 2, "Received: 6 that are not"),
        (np.ones((2, 3)), [0, 3], [None] * 2, r"targets must be in 0..2. Received: 0..3"),
    ],
)
def test_what_does_not_go_together_is_refused(three, tmp_path, scores, targets, sources, message):
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "out", three, scores, np.array(targets, int), sources)
    assert not (tmp_path / "out").exists()


def test_what_is_not_installed_is_named(three, tmp_path, monkeypatch):
    assert missing() == []
    monkeypatch.setattr(report, "MODULES", ("jinja2", "no_such_module"))
    assert missing() == ["no_such_module"]
    with pytest.raises(
        ModuleNotFoundError, match=r"needs no_such_module: pip install 'keras-resnets\[report\]'"
    ):
        write_report(tmp_path, three, scored([0], 3), np.array([0]), [None])
