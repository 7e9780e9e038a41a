"""A small server that speaks the Hugging Face hub's protocol, and a second one that stores its large files.

The two have different addresses, as the hub and its storage have. Every request is kept, and faults can be ordered.
The protocol is that which huggingface_hub 2.4 asks for (hf_api.py, file_download.py). `/api/KIND/ID/revision/REF` gives
the commit of a branch, `/api/KIND/ID/tree/COMMIT` a listing with hashes, in pages, and `/ID/resolve/COMMIT/FILE` (data
sets: `/datasets/ID/…`) a file or a redirect to its storage, with X-Repo-Commit, ETag and X-Linked-… headers. No header
of Xet's storage is sent.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 2  # entries of a page of the tree


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


@dataclass
class Repository:
    """A repository whose branches are commits by name; large files are those with one of LARGE's endings.

    `endless`: every page of its listing says that there is another.
    """

    kind: str
    id: str
    commits: Mapping[str, Mapping[str, bytes]]
    branches: Mapping[str, str] = field(default_factory=dict)
    licence: str = "cc0-1.0"
    gated: bool = False
    endless: bool = False

    LARGE = (".parquet", ".safetensors", ".bin")

    @property
    def path(self) -> str:
        return self.id if self.kind == "models" else f"{self.kind}/{self.id}"

    def entry(self, name: str, content: bytes) -> dict:
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_sha1(content)}
        if name.endswith(self.LARGE):
            pointer = b"version https://git-lfs.github.com/spec/v1"
            entry["oid"] = git_sha1(pointer)
            entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer)}
        return entry


@dataclass
class Request:
    host: str
    method: str
    path: str
    headers: dict


class HubServer:
    """`faults[path]` is a list of what the next GET requests of that path meet; `HEAD path` those of HEAD requests.

    A fault is a status; truncate (half the body), wrong (a byte), weak (entity tag), endless (no length, thirty times
    the body), large (with its length), slow (in pieces); or an address to be redirected to. Paths are those of
    `self.url`, and `/blob/SHA256` of the storage. `files` are served at any path as they are.
    """

    def __init__(self, *repositories: Repository, token: str = "hf_secret"):
        self.repositories, self.token = list(repositories), token
        self.requests: list[Request] = []
        self.faults: dict[str, list] = {}
        self.headers_of_faults: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.versions: dict[str, str] = {}
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(name)) for name in ("hub", "storage")]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ports = [server.server_address[1] for server in self._servers]
        self.url, self.storage = f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}"

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, *repositories: Repository) -> None:
        self.repositories += repositories

    def paths(self, method: str = "GET") -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    def _handler(self, host: str) -> type:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                hub.requests.append(Request(host, self.command, self.path, dict(self.headers)))
                path = unquote(urlsplit(self.path).path)
                faults = hub.faults.get(path if self.command == "GET" else f"HEAD {path}", [])
                self.fault = faults.pop(0) if faults else None
                if isinstance(self.fault, int):
                    self.answer(self.fault, b"", **hub.headers_of_faults)
                elif self.fault and "://" in self.fault:
                    self.answer(302, b"", Location=self.fault)
                elif path in hub.files:
                    self.file(hub.files[path])
                elif host == "storage":
                    self.stored(path)
                elif found := re.fullmatch(r"/api/(models|datasets)/(.+)/(revision|tree)/(.+)", path):
                    getattr(self, found[3])(hub._repository(found[1], found[2]), found[4])
                elif found := re.fullmatch(r"/(?:(datasets)/)?(.+)/resolve/([^/]+)/(.+)", path):
                    self.resolve(hub._repository(found[1] or "models", found[2]), found[3], found[4])
                else:
                    self.answer(404, b"")

            # ---- the hub ----

            def revision(self, repository, reference):
                if self.known(repository, reference):
                    commit = repository.branches.get(reference, reference)
                    card = {"license": repository.licence}
                    self.json({"id": repository.id, "sha": commit, "cardData": card, "gated": repository.gated})

            def tree(self, repository, reference):
                if self.known(repository, reference):
                    query = parse_qs(urlsplit(self.path).query)
                    assert query["recursive"] == ["true"], query
                    files = repository.commits[repository.branches.get(reference, reference)]
                    entries = [{"type": "directory", "path": "somewhere", "oid": "0" * 40, "size": 0}]
                    entries += [repository.entry(name, content) for name, content in files.items()]
                    first = int(query.get("cursor", ["0"])[0])
                    following = f"{hub.url}{urlsplit(self.path).path}?recursive=true&cursor={first + PAGE}"
                    endless = repository.endless
                    more = {"Link": f'<{following}>; rel="next"'} if endless or first + PAGE < len(entries) else {}
                    self.json(entries[:PAGE] if endless else entries[first : first + PAGE], **more)

            def resolve(self, repository, reference, name):
                if not self.known(repository, reference):
                    return
                content = repository.commits[repository.branches.get(reference, reference)].get(name)
                if repository.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    self.refuse(401, "GatedRepo", f"Access to {repository.id} is restricted.")
                elif content is None:
                    self.refuse(404, "EntryNotFound", "Entry not found")
                elif name.endswith(repository.LARGE):
                    where = f"{hub.storage}/blob/{sha256(content)}?X-Signature=signed"
                    linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
                    self.answer(302, b"", Location=where, **linked, **{"X-Repo-Commit": reference})
                else:
                    self.file(content, tag=f'"{git_sha1(content)}"', **{"X-Repo-Commit": reference})

            def known(self, repository, reference):
                if repository is None:
                    # The hub does not tell a stranger whether a repository is private or missing.
                    status = 404 if "Authorization" in self.headers else 401
                    self.refuse(status, "RepoNotFound", "Repository not found")
                elif repository.branches.get(reference, reference) not in repository.commits:
                    self.refuse(404, "RevisionNotFound", f"Invalid rev id: {reference}")
                else:
                    return True
                return False

            def refuse(self, status, code, message):
                self.answer(status, b"", **{"X-Error-Code": code, "X-Error-Message": message})

            # ---- files ----

            def stored(self, path):
                contents = [
                    content
                    for repository in hub.repositories
                    for files in repository.commits.values()
                    for content in files.values()
                    if f"/blob/{sha256(content)}" == path
                ]
                self.file(contents[0]) if contents else self.answer(404, b"")

            def file(self, content, tag="", **headers):
                tag = tag or f'"{hub.versions.get(unquote(urlsplit(self.path).path), sha256(content)[:16])}"'
                tag = f"W/{tag}" if self.fault == "weak" else tag
                if self.fault == "endless":
                    self.send_response(200)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    with suppress(OSError):  # until the client has enough, or so much that it never will
                        for _ in range(30):
                            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
                    self.close_connection = True
                    return
                if self.fault == "wrong":
                    content = bytes([content[0] ^ 1]) + content[1:]
                if self.fault == "large":
                    content *= 30
                span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if span and self.headers.get("If-Range", tag) == tag:
                    first = int(span[1])
                    if first >= len(content):
                        self.answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
                        return
                    where = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
                    self.answer(206, content[first:], ETag=tag, **where, **headers)
                else:
                    self.answer(200, content, ETag=tag, **headers)

            def json(self, value, **headers):
                self.answer(200, json.dumps(value).encode(), **headers)

            def answer(self, status, body, **headers):
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if self.fault == "truncate":
                    self.wfile.write(body[: len(body) // 2])
                    self.close_connection = True
                elif self.fault == "slow":
                    for first in range(0, len(body), 1 + len(body) // 5):
                        self.wfile.write(body[first : first + 1 + len(body) // 5])
                        self.wfile.flush()
                        time.sleep(0.3)
                else:
                    with suppress(ConnectionError):  # of a client that has had enough
                        self.wfile.write(body)

        return Handler

    def _repository(self, kind: str, name: str) -> Repository | None:
        return next((found for found in self.repositories if (found.kind, found.id) == (kind, name)), None)
