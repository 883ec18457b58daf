"""Stands in for the Functions host: hands a package to Microsoft's worker library, and prints JSON.

    python functions_host.py PACKAGE WORKER_LIBRARY

Run by the Python 3.13 of a host, without its own packages: what can be imported is what the package
holds. It says how long the import took (of the processor too: that does not hang on what else the
machine does), which functions are found, and what `health/ready` answers.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path


async def main(package: Path) -> dict[str, object]:
    """Index the app, invoke one function."""
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
    data = protocol.http_data(
        "GET", "https://app.test/api/health/ready", headers={}, params={}, body=b""
    )
    called = protocol.invocation(functions["health_ready"], "req", data)
    ready = (await worker.invocation_request(called)).return_value.http
    runtime = importlib.import_module("functions.runtime")
    await runtime.close()
    return {
        "import_seconds": round(imported, 3),
        "import_cpu_seconds": round(computed, 3),
        "functions": sorted(functions),
        "status": int(ready.status_code),
        "ready": json.loads(ready.body.bytes),
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }


if __name__ == "__main__":
    folder, library = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path[:0] = [str(folder), str(folder / ".python_packages" / "lib" / "site-packages")]
    # Last, so that everything the package has comes from the package.
    sys.path.append(str(library))
    sys.stdout.write(json.dumps(asyncio.run(main(folder))))
