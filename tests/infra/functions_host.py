"""Stands in for the Functions host: hands a package to Microsoft's worker library, and prints JSON.

    python functions_host.py PACKAGE WORKER_LIBRARY [REQUESTS]

Run by the Python 3.13 of a host, without its own packages: what can be imported is what the package
holds. It says how long the import took (of the processor too: that does not hang on what else the
machine does), which functions are found, what `health/ready` answers, and what each of the requests
does: a JSON list of function, method, url, params, headers and body.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

READY: dict[str, Any] = {
    "function": "health_ready",
    "method": "GET",
    "url": "https://app.test/api/health/ready",
    "headers": {},
    "params": {},
    "body": "",
}


async def main(package: Path, requests: list[dict[str, Any]]) -> dict[str, object]:
    """Index the app, ask whether it is ready, invoke what is asked for."""
    started, worked = time.perf_counter(), time.process_time()
    importlib.import_module("function_app")
    imported, computed = time.perf_counter() - started, time.process_time() - worked
    del sys.modules["function_app"]
    worker = importlib.import_module("azure_functions_runtime")
    protocol = importlib.import_module("protocol")
    message, request = protocol.Message, protocol.request
    await worker.worker_init_request(
        request(worker_init_request=message(capabilities={}, function_app_directory=str(package)))
    )
    answer = await worker.functions_metadata_request(request())
    functions = {each.name: each.function_id for each in answer.function_metadata_results}

    async def invoke(wanted: dict[str, Any]) -> Any:
        data = protocol.http_data(
            wanted["method"],
            wanted["url"],
            headers=wanted["headers"],
            params=wanted["params"],
            body=wanted["body"].encode(),
        )
        called = protocol.invocation(functions[wanted["function"]], "req", data)
        answer = await worker.invocation_request(called)
        exception = getattr(answer.result, "exception", None)
        if exception is not None:
            raise SystemExit(f"{wanted['function']}: {exception.message}")
        return answer.return_value.http

    ready = await invoke(READY)
    answers = []
    for each in requests:
        http = await invoke(each)
        text = http.body.bytes.decode()
        answers.append(
            {"function": each["function"], "status": int(http.status_code), "body": text}
        )
    runtime = importlib.import_module("functions.runtime")
    await runtime.close()
    return {
        "import_seconds": round(imported, 3),
        "import_cpu_seconds": round(computed, 3),
        "functions": sorted(functions),
        "status": int(ready.status_code),
        "ready": json.loads(ready.body.bytes),
        "answers": answers,
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }


if __name__ == "__main__":
    folder, library, *asked = map(Path, sys.argv[1:])
    wanted = json.loads(asked[0].read_text()) if asked else []
    sys.path[:0] = [str(folder), str(folder / ".python_packages" / "lib" / "site-packages")]
    # Last, so that everything the package has comes from the package.
    sys.path.append(str(library))
    sys.stdout.write(json.dumps(asyncio.run(main(folder, wanted))))
