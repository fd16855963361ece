"""Run the steps of a check: those without prerequisites at once, the others as soon as possible, within a limit."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from sidecar.core.errors import NoToken, SidecarError
from sidecar.core.finding import Checked, Finding, Step

AT_ONCE = 16
"""Steps under way."""


async def run(steps: Sequence[Step], limit: float) -> AsyncIterator[Checked]:
    """Yield each step's finding, in their order; a step that has not ended `limit` seconds from now has failed.

    Each step comes after its prerequisites.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    places = asyncio.Semaphore(AT_ONCE)
    tasks: dict[int, asyncio.Task[Checked]] = {}

    async def take(step: Step) -> Checked:
        needed = [await asyncio.shield(tasks[id(one)]) for one in step.needs]
        missing = next((one for one in needed if one.outcome != "ok"), None)
        if missing is not None:
            return Checked(
                step.about, step.name, "skipped", 0.0, f"needs {missing.about}: {missing.step}", ""
            )
        async with places:
            began = loop.time()
            found = await _within(step, end, limit)
            return Checked(
                step.about, step.name, found.outcome, loop.time() - began, found.detail, found.hint
            )

    for step in steps:
        tasks[id(step)] = loop.create_task(take(step))
    try:
        for step in steps:
            yield await tasks[id(step)]
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _within(step: Step, end: float, limit: float) -> Finding:
    try:
        async with asyncio.timeout_at(end):
            return await step.work()
    except TimeoutError:
        return Finding(f"not done after {limit:g} s", "failed", "raise --timeout, or find out what is slow")
    except NoToken as error:
        return Finding(error.for_operators, "failed", error.hint)
    except SidecarError as error:
        return Finding(str(error), "failed")
