"""The pages are true: links lead somewhere, Python runs, and commands, options, files and tests exist.

A Python block runs after those before it on its page, as a reader would do it, in a folder of its own with
``examples`` in it. Comments that begin with an arrow, a line each, are all that the block prints. A comment
above a block says what is different about it: ``<!-- real: why -->`` needs real weights or minutes,
``<!-- not run: why -->`` cannot run.
"""

import contextlib
import doctest
import io
import itertools
import re
import shlex
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import click
import keras
import pytest
from markdown_it import MarkdownIt

import keras_resnets
from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.cli import cli
from keras_resnets.weights import sources

from .test_floors import FILES, HOUSE, imported_rooms, room

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [
    ROOT / "README.md",
    *DOCS,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "examples/README.md",
]
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="pages export, and engines start from TensorFlow's graph"
)
MARK = re.compile(r"<!-- (real|not run): .+ -->")


@cache
def tokens(page):
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))


def inline(page, kind):
    """The tokens of a kind within the text of a page."""
    return [child for token in tokens(page) for child in token.children or () if child.type == kind]


def fences(page, *languages):
    """The blocks of code in one of these languages, each with what stands above it."""
    found = tokens(page)
    pairs = itertools.pairwise([None, *found])
    return [(above, block) for above, block in pairs if block.type == "fence" and block.info in languages]


def on_pages(found, pages=PAGES):
    """The pages on which something is found: on no other is there anything to test."""
    found_on = [page for page in pages if found(page)]
    return pytest.mark.parametrize("page", found_on, ids=lambda page: str(page.relative_to(ROOT)))


# --- links ----------------------------------------------------------------------------------------


def links(page):
    addresses = [token.attrs["href"] for token in inline(page, "link_open")]
    addresses += [token.attrs["src"] for token in inline(page, "image")]
    return [unquote(address) for address in addresses if not re.match(r"[a-z]+:", address)]


@cache
def anchors(page):
    """What the headings of a page are called in addresses; those of a page that it includes, too."""
    found = tokens(page)
    titles = [text.content for opened, text in itertools.pairwise(found) if opened.type == "heading_open"]
    own = {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}
    included = re.findall(r'^--8<-- "([\w./-]+)', page.read_text(encoding="utf-8"), re.MULTILINE)
    return own.union(*(anchors(ROOT / name) for name in included))


@on_pages(links)
def test_links_lead_somewhere(page):
    for address in links(page):
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), address
        assert not anchor or anchor in anchors(target), address


def files(page):
    """Files of the repository that a page names: the site cannot link to those outside of its folder."""
    places = "benchmarks|docs|examples|keras_resnets|notebooks|tests"
    spans = [token.content for token in inline(page, "code_inline")]
    return [span for span in spans if re.fullmatch(rf"({places})/[\w./-]*", span)]


@on_pages(files, [page for page in PAGES if page.name != "CHANGELOG.md"])  # which names what there was
def test_files_exist(page):
    for name in files(page):
        assert (ROOT / name).exists(), name


# --- Python ---------------------------------------------------------------------------------------


class Block(NamedTuple):
    code: str
    line: int
    mark: str | None


def blocks(page):
    return [
        Block(block.content, block.map[0] + 1, (found := MARK.match(above.content)) and found[1])
        for above, block in fences(page, "python")
    ]


def run(page, marks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names = {"__name__": page.stem}
    for block in blocks(page):
        if block.mark not in marks:
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Empty lines in front: an error has the line of the page.
            exec(compile("\n" * block.line + block.code, page, "exec"), names)
        expected = "".join(re.findall(r"^# → (.*\n)", block.code, re.MULTILINE))
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        said = printed.getvalue()
        if expected and not doctest.OutputChecker().check_output(expected, said, flags):
            pytest.fail(
                f"{page}, the block of line {block.line}, prints\n{said}and not\n{expected}", pytrace=False
            )


def has(*marks):
    return lambda page: any(block.mark in marks for block in blocks(page))


@on_tensorflow
@on_pages(has(None), [ROOT / "README.md", *DOCS])
def test_python_runs(page, tmp_path, monkeypatch):
    def refuse(file):
        pytest.fail(f"{page} fetches {file.address}: a block is not marked as real", pytrace=False)

    monkeypatch.setattr(sources, "_fetch", refuse)
    run(page, (None,), tmp_path, monkeypatch)


@pytest.mark.real
@on_tensorflow
@on_pages(has("real"), [ROOT / "README.md", *DOCS])
def test_python_with_real_weights_runs(page, tmp_path, monkeypatch):
    try:
        run(page, (None, "real"), tmp_path, monkeypatch)
    except sources.SourceError as error:
        pytest.skip(str(error))


# --- commands -------------------------------------------------------------------------------------


def commands(page, program):
    """Lines of the shell, and whether each is whole; within a text arguments may be left out."""
    lines = [(line, True) for _, block in fences(page, "", "sh") for line in block.content.splitlines()]
    spans = [(token.content, False) for token in inline(page, "code_inline")]
    return [(line, whole) for line, whole in lines + spans if line.split()[:1] == [program]]


@on_pages(lambda page: commands(page, "keras-resnets"))
def test_commands_exist(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for line, whole in commands(page, "keras-resnets"):
        words = shlex.split(line, comments=True)[1:]
        try:
            if words:
                name, command, arguments = cli.resolve_command(click.Context(cli), words)
                command.make_context(name, arguments)
        except click.UsageError as error:
            if whole or not isinstance(error, click.MissingParameter):
                pytest.fail(f"{page}: {line}: {error.format_message()}", pytrace=False)


@on_pages(lambda page: commands(page, "make"))
def test_targets_exist(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line, _ in commands(page, "make"):
        assert line.split()[1] in targets, line


# --- the other promises of the pages --------------------------------------------------------------


def test_every_promise_is_held_by_tests():
    lines = (ROOT / "docs/reliability.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and line != "| promise | held by |"]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert len(named) == row.count("`tests/") > 0, row
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_reference_has_every_public_name_once():
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS)
    named = re.findall(r"^::: keras_resnets\.(\w+)$", text, re.MULTILINE)
    assert named.count("zoo") == 1  # all constructors but the one that is explained
    constructors = {row.constructor for row in VARIANTS.values() if row.constructor} - {"ResNet50"}
    assert sorted({*named, *constructors} - {"zoo"}) == keras_resnets.__all__
    assert len(named) == len(set(named))


def test_arrows_of_the_diagram_are_imports():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(\w+) +→ (.+)$", text, re.MULTILINE)
    drawn = {(here, other) for here, others in lines for other in others.split(", ")}
    there = {(room(path.relative_to(HOUSE).parts), other) for path in FILES for other in imported_rooms(path)}
    assert drawn and drawn <= there
