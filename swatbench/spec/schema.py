"""The JSON schema of a suite file, from which editors complete keys and show what they mean.

A suite file names it in its first line: `# yaml-language-server: $schema=suite.schema.json`.
"""

import json
from typing import Any

from pydantic import TypeAdapter

from swatbench.spec.suite import ProfileSuite, Suite

_EITHER: TypeAdapter[Suite | ProfileSuite] = TypeAdapter(Suite | ProfileSuite)


def suite_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a suite file, with the docstring of every field as its description."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_EITHER.json_schema()}


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(suite_schema(), indent=2, ensure_ascii=False) + "\n"
