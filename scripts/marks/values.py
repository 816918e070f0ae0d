"""What a mark of the paper is: where it stands, what computes it, what holds it, and what must not pass."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A mistake that one could make, as a change of one text.

    Attributes:
        what: The mistake in words.
        file: Path of the file from the root of the repository.
        old: What stands there, exactly once.
        new: What the mistake writes instead.
    """

    what: str
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark of the paper's figures or of its method.

    Attributes:
        name: A word or two, by which a mark is chosen.
        mark: What the figure shows, in its letters.
        where: Where in the paper, or that only the released code says so.
        code: Dotted names of what computes it.
        tests: Ids of the tests that hold it; each must fail under some of the mutations.
        mutations: Mistakes, each of which some of these tests must catch.
        also: Ids of slower tests that hold it too.
    """

    name: str
    mark: str
    where: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    mutations: tuple[Mutation, ...]
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Marks of one part of the method.

    Attributes:
        title: Heading of the page's section.
        marks: In the order in which an image meets them.
    """

    title: str
    marks: tuple[Mark, ...]


OVERVIEW = "figure 2, overview"
MIXING = "figures 3 and 4, mixing"
RELEASED = "released code"
PARITY = "tests/models/test_parity.py::test_outputs_equal_the_original_s"
SIZES = ("tests/swat/test_released_sizes.py::test_sizes_of_every_released_model",)
COUNTS = "tests/models/test_published_counts.py::test_counts_are_the_released_ones"


def within(file: str, *names: str) -> tuple[str, ...]:
    """Ids of tests of one file."""
    return tuple(f"{file}::{name}" for name in names)


def structure(*names: str) -> tuple[str, ...]:
    """Ids of tests of the structure of whole models."""
    return within("tests/swat/test_structure.py", *names)


def mistakes(file: str, *rows: tuple[str, str, str]) -> tuple[Mutation, ...]:
    """Mutations of one file, each as the mistake in words, the old text and the new."""
    return tuple(Mutation(what=what, file=file, old=old, new=new) for what, old, new in rows)
