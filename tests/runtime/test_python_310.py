"""JetPack 6 has Python 3.10: nothing newer is in the runtime, on whatever Python this test runs."""

import ast
from pathlib import Path

import pytest

import edge_ad_runtime

PACKAGE = Path(edge_ad_runtime.__file__).parent
FILES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.with_name("edge_ad_line").rglob("*.py")])
ASKS = "if sys.version_info >= (3, 11):\n    import tomllib\n"  # and takes another one before
# What is easily taken for older than 3.11. mypy, for 3.10, knows the whole standard library.
NEWER = {
    *("UTC", "file_digest", "tomllib", "StrEnum", "TaskGroup", "add_note"),
    *("ExceptionGroup", "BaseExceptionGroup"),
    *("Self", "Never", "LiteralString", "NotRequired", "assert_never", "reveal_type"),
    *("batched", "override"),  # 3.12
}


def names_of(source):
    """Every name that a source refers to, once it has been parsed as Python 3.10."""
    for node in ast.walk(ast.parse(source, feature_version=(3, 10))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_every_file_is_python_310(path):
    text = path.read_text(encoding="utf-8")
    newer = NEWER.intersection(names_of(text)) - ({"tomllib"} if ASKS in text else set())
    assert not newer, f"{path.name} uses {sorted(newer)}, which Python 3.10 has not"


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import UTC",
        "import tomllib",
        "from tomllib import loads",
        "hashlib.file_digest(file, 'sha256')",
        "def copy(self) -> Self: ...",
    ],
)
def test_what_is_newer_is_seen(source):
    assert NEWER.intersection(names_of(source))


@pytest.mark.parametrize("source", ["type Name = str", "try: ...\nexcept* OSError: ..."])
def test_newer_syntax_is_seen(source):
    with pytest.raises(SyntaxError):
        ast.parse(source, feature_version=(3, 10))
