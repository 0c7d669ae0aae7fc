"""The package as its site shows it: constructors are functions, doctests code, names and papers links."""

import inspect
import logging
import re
import textwrap

import griffe

from keras_resnets.cli import import_quietly

import_quietly()

import keras_resnets
from keras_resnets import zoo
from keras_resnets.architecture.variants import VARIANTS

_NAMES = "|".join(keras_resnets.__all__)
_KINDS = {kind.value: kind for kind in griffe.ParameterKind}


class _Errors(logging.Handler):
    """What is said of a docstring ends the build, which takes no note of it otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


logging.getLogger("mkdocs.plugins").addHandler(_Errors(logging.WARNING))


class Docstrings(griffe.Extension):
    """Called by the site's generator, which reads the package and does not run it."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        if obj.docstring:
            obj.docstring.value = shown(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        for row in VARIANTS.values():
            if row.constructor:
                pkg["zoo"].set_member(row.constructor, _function(getattr(zoo, row.constructor), pkg["zoo"]))


def shown(text: str) -> str:
    """A docstring of this package as Google's style has it, and with links."""
    text = re.sub(r"^(?:Example:\n\n)?((?:>>> .*\n?)(?:.+\n?)*)", _examples, text, flags=re.MULTILINE)
    text = re.sub(rf"(?<![`\[])`({_NAMES})`(?!`)", r"[`\1`][keras_resnets.\1]", text)
    return re.sub(r"(?<!\[)arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _examples(found: re.Match) -> str:
    return f"Examples:\n{textwrap.indent(found[1], '    ')}"


def _function(build, module: griffe.Module) -> griffe.Function:
    """A constructor, which no one can read off the line that makes it."""
    parameters = griffe.Parameters(
        *(
            griffe.Parameter(p.name, kind=_KINDS[p.kind.description], default=repr(p.default))
            for p in inspect.signature(build).parameters.values()
        )
    )
    function = griffe.Function(build.__name__, parameters=parameters, parent=module)
    likewise = {"parser": module.docstring.parser, "parser_options": module.docstring.parser_options}
    function.docstring = griffe.Docstring(shown(inspect.getdoc(build)), parent=function, **likewise)
    return function
