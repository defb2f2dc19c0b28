"""The checker as the pages see it: ask, and get verified answers as they come.

The process is started at the first ask and again after it ended. Asks are bounded; an answer that nobody waits for any
more is cancelled.
"""

import asyncio
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

HEADER = ">IIB"  # length of what follows, id of the ask, kind
ANSWER, ERROR, END = 0, 1, 2
MAX_ASKS = 24
_ENDS_S = 3.0


class CheckerError(Exception):
    """An ask has no answer; `status` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Checker:
    """The other end of `python -m collector.web.checker`. Belongs to one event loop."""

    def __init__(self, store: Path, vkey: str, *words: str) -> None:
        self._command = (sys.executable, "-m", "collector.web.checker", str(store), vkey, *words)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asks: dict[int, asyncio.Queue[tuple[int, bytes]]] = {}
        self._last = 0
        self._starting = asyncio.Lock()

    async def ask(self, ask: str, **args: Any) -> AsyncIterator[bytes]:  # noqa: ANN401  JSON
        """The answers to an ask, each one JSON object.

        Raises:
            CheckerError: what was asked for is not there, or the store cannot be verified.
        """
        if len(self._asks) >= MAX_ASKS:
            raise CheckerError(503, "too many views are being verified at once: try again in a moment")
        process = await self._running()
        assert process.stdin is not None
        self._last = number = self._last % 0xFFFFFFFF + 1
        answers = self._asks[number] = asyncio.Queue()
        process.stdin.write(msgspec.json.encode({"id": number, "ask": ask, "args": args}) + b"\n")
        ended = False
        try:
            while True:
                kind, data = await answers.get()
                ended = kind != ANSWER
                if kind == END:
                    return
                if kind == ERROR:
                    said = msgspec.json.decode(data)
                    raise CheckerError(said["status"], said["text"])
                yield data
        finally:
            self._asks.pop(number, None)
            if not ended and process.returncode is None:
                process.stdin.write(msgspec.json.encode({"id": number, "cancel": True}) + b"\n")

    async def one(self, ask: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
        """The one answer to an ask; raises as `ask`."""
        found: dict[str, Any] = {}
        async for answer in self.ask(ask, **args):
            found = msgspec.json.decode(answer)
        return found

    async def start(self) -> None:
        """Start the process, so that its patrol begins."""
        await self._running()

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _ENDS_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                pipe = asyncio.subprocess.PIPE
                self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
                self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        size = struct.calcsize(HEADER)
        try:
            while True:
                length, number, kind = struct.unpack(HEADER, await process.stdout.readexactly(size))
                data = await process.stdout.readexactly(length)
                if number in self._asks:
                    self._asks[number].put_nowait((kind, data))
        except asyncio.IncompleteReadError:  # it ended: nobody waits in vain
            await process.wait()
            ended = msgspec.json.encode({"status": 503, "text": "the process that verifies has ended: try again"})
            for answers in self._asks.values():
                answers.put_nowait((ERROR, ended))
