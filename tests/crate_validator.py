"""RO-Crate's reference validator, without network: the terms that our crates use stand here instead of its contexts.

    python tests/crate_validator.py results/small/crate.zip

prints what is wrong, as JSON. The validator (roc-validator on PyPI) wants other versions than the lock's: this is run
by the Python of an environment of its own, which `make test` sets up, and imports nothing of crosstune.

The terms are those of RO-Crate 1.1 (https://w3id.org/ro/crate/1.1/context) and of Workflow Run Crate
(https://w3id.org/ro/terms/workflow-run/context). A term that neither list has is a problem, as a misspelt one is.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

from requests import Request, Response
from requests_cache import CachedSession
from rocrate_validator import models, services
from urllib3 import HTTPResponse

CRATE, RUN = "https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"
SCHEMA = """
    ComputerLanguage CreateAction CreativeWork Dataset Person SoftwareSourceCode about actionStatus additionalType agent
    alternateName contentSize datePublished description encodingFormat endTime exampleOfWork hasPart identifier
    instrument license mainEntity mentions name object programmingLanguage result startTime url valueRequired version
"""
BIOSCHEMAS = "https://bioschemas.org/"
TERMS = {name: f"http://schema.org/{name}" for name in SCHEMA.split()} | {
    "File": "http://schema.org/MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": f"{BIOSCHEMAS}ComputationalWorkflow",
    "FormalParameter": f"{BIOSCHEMAS}FormalParameter",
    "input": f"{BIOSCHEMAS}ComputationalWorkflow#input",
    "output": f"{BIOSCHEMAS}ComputationalWorkflow#output",
}
RUN_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}


def problems(crate: Path, folder: Path) -> list[str]:
    """What a Workflow Run Crate 0.5 must have and the archive has not. `folder`: for what the validator leaves."""
    cache = folder / "contexts"
    remember({CRATE: TERMS, RUN: RUN_TERMS}, cache)
    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier="workflow-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED,
        offline=True,
        cache_path=cache,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


def remember(contexts: dict[str, dict[str, str]], cache: Path) -> None:
    """Put JSON-LD contexts into the validator's cache of what it has asked the network for."""
    session = CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1)
    for url, terms in contexts.items():
        content = json.dumps({"@context": terms}).encode()
        response = Response()
        response.request = Request("GET", url).prepare()
        response.url, response.status_code, response.reason = url, 200, "OK"
        response.headers["Content-Type"] = "application/ld+json"
        response.raw = HTTPResponse(io.BytesIO(content), headers=response.headers, status=200, preload_content=False)
        session.cache.save_response(response, session.cache.create_key(response.request))
    session.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(problems(Path(sys.argv[1]), Path(folder))))
