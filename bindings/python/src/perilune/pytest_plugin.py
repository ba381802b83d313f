# SPDX-License-Identifier: MIT
"""Fixtures for tests of bundles.

perilune_start   a factory of `perilune.testing.Bundle`s, which end with the test
perilune_shared  the same for all tests of a module
perilune_bundle  the bundle that the setting `perilune_bundle` names, or --perilune-bundle: started for each test
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import Bundle

_reported = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("perilune")
    group.addoption("--perilune-bundle", metavar="DIR", help="the bundle of the fixture perilune_bundle")
    parser.addini("perilune_bundle", "the bundle of the fixture perilune_bundle, relative to the root folder")


@contextlib.contextmanager
def _factory() -> Iterator[Callable[..., Bundle]]:
    from .testing import Bundle  # not before a test asks for it

    with contextlib.ExitStack() as stack:

        def start(*arguments: Any, **options: Any) -> Bundle:
            return stack.enter_context(Bundle(*arguments, **options))

        yield start


@pytest.fixture
def perilune_start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bundle]]:
    """perilune_start("examples/blog") or perilune_start(files={…}) starts a bundle that ends with the test."""
    with _factory() as start:
        bundles = request.node.stash.setdefault(_reported, [])

        def started(*arguments: Any, **options: Any) -> Bundle:
            bundle = start(*arguments, **options)
            bundles.append(bundle)
            return bundle

        yield started


@pytest.fixture(scope="module")
def perilune_shared() -> Iterator[Callable[..., Bundle]]:
    """As perilune_start, for bundles that all tests of a module share."""
    with _factory() as start:
        yield start


@pytest.fixture
def perilune_bundle(perilune_start: Callable[..., Bundle], pytestconfig: pytest.Config) -> Bundle:
    """The bundle that the setting `perilune_bundle` names, or --perilune-bundle."""
    named = pytestconfig.getoption("--perilune-bundle") or pytestconfig.getini("perilune_bundle")
    if not named:
        pytest.fail("perilune_bundle: say which one by the setting perilune_bundle, or --perilune-bundle", pytrace=False)
    return perilune_start(pytestconfig.rootpath / named)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that fails shows the log of its bundles."""
    report = yield
    if report.failed:
        for bundle in item.stash.get(_reported, []):
            text = "\n".join(f"{record.levelname} {record.getMessage()}" for record in bundle.log)
            report.sections.append((f"log of {bundle.directory}", text))
    return report
