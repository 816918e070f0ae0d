r"""Text → LaTeX, in nothing but what a plain pdfLaTeX has.

Text may hold any character: what LaTeX knows is written as it knows it, letters lose marks that it lacks, and
anything else shows as its number, such as `[U+4E2D]`.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

_PLAIN = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    # After the end of a row LaTeX would take these for an argument.
    "[": "{[}",
    "*": "{*}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textquoteleft{}",
}
_SIGNS = {
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{MINUS SIGN}": "$-$",
    "\N{FRACTION SLASH}": "/",
    "\N{LEFT SINGLE QUOTATION MARK}": r"\textquoteleft{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": r"\textquotedblleft{}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": r"\textquotedblright{}",
    "°": r"$^\circ$",
}


def _table(text: str) -> dict[str, str]:
    """Words in turn a character and what it becomes."""
    found = text.split()
    return dict(zip(found[::2], found[1::2], strict=True))


_LETTERS = _table(
    r"""
    ß \ss{} æ \ae{} Æ \AE{} œ \oe{} Œ \OE{} ø \o{} Ø \O{} ł \l{} Ł \L{} ı \i{} đ d Đ D ð d Ð D þ th Þ Th
    … \ldots{} § \S{} ¶ \P{} © \textcopyright{} £ \pounds{} € EUR ¡ \textexclamdown{} ¿ \textquestiondown{}
    ο o Α A Β B Ε E Ζ Z Η H Ι I Κ K Μ M Ν N Ο O Ρ P Τ T Χ X
    """
)
_MATHS = _table(
    """
    × times ÷ div ± pm · cdot ⋅ cdot • bullet ∙ bullet → rightarrow ← leftarrow ↔ leftrightarrow ↑ uparrow
    ↓ downarrow ⇒ Rightarrow ⇔ Leftrightarrow ≤ leq ≥ geq ≠ neq ≈ approx ≡ equiv ∼ sim ≪ ll ≫ gg « ll » gg
    ∝ propto ∞ infty √ surd ∑ sum ∏ prod ∫ int ∂ partial ∇ nabla ∈ in ∅ emptyset ∩ cap ∪ cup ⊂ subset
    ∧ wedge ∨ vee ¬ neg ⊕ oplus ⊗ otimes ∘ circ † dagger ‡ ddagger µ mu
    α alpha β beta γ gamma δ delta ε epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi
    ρ rho σ sigma ς varsigma τ tau υ upsilon φ phi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi
    Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega
    """
)
KNOWN: Mapping[str, str] = {
    **_PLAIN,
    **_SIGNS,
    **_LETTERS,
    **{char: f"$\\{name}$" for char, name in _MATHS.items()},
}
"""Character → what stands for it."""

_ACCENTS = _table(
    "\u0300 ` \u0301 ' \u0302 ^ \u0303 ~ \u0304 = \u0306 u \u0307 . \u0308 \" \u030a r \u030b H \u030c v"
)
"""Combining mark → LaTeX's accent of one letter or sign."""
_SHIFTED = {"<super>": "^", "<sub>": "_"}
_NUMBERED = "{[}U+"


def escape_tex(text: str) -> str:
    r"""Text for LaTeX, on one line.

    Example:
        >>> escape_tex("50 % of $x_1$, 3 × 10⁵ µs, naïve")
        '50 \\% of \\$x\\_1\\$, 3 $\\times$ 10$^{5}$ $\\mu$s, na\\"{i}ve'
    """
    # Two hyphens would become a dash.
    pieces = re.split(r"(?<=-)(?=-)", unicodedata.normalize("NFC", text))
    return "{}".join("".join(map(_written, piece)) for piece in pieces)


@cache
def _written(char: str) -> str:
    if char in KNOWN or " " <= char <= "~":
        return KNOWN.get(char, char)
    kind, apart = unicodedata.category(char), unicodedata.normalize("NFKD", char)
    if kind in ("Cc", "Zs", "Zl", "Zp"):
        return " "
    if kind in ("Cf", "Mn", "Me"):
        return ""
    if apart == char or any(_written(part).startswith(_NUMBERED) for part in apart):
        return f"{_NUMBERED}{ord(char):04X}]"
    shift = _SHIFTED.get(unicodedata.decomposition(char).partition(" ")[0])
    if shift and apart.isascii() and apart.isalnum():
        return f"${shift}{{{apart}}}$"
    return _accented(apart)


def _accented(apart: str) -> str:
    """A letter and its marks, or several letters in a row."""
    out: list[str] = []
    for char in apart:
        if char in _ACCENTS and out and out[-1].strip():
            accent = _ACCENTS[char]
            out[-1] = f"\\{accent}{{{out[-1]}}}"
        else:
            out.append(_written(char))
    return "".join(out)
