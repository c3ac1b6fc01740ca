"""Generate lmkd_py/pb from proto/ (`make proto`). Uses the compiler inside grpcio-tools, so no system protoc is needed.

The generated modules lie in a package but import nothing of each other: every file of proto/ stands alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ("config.proto", "control.proto", "trace.proto")


def generate(into: Path) -> None:
    """Write one _pb2.py and one .pyi a schema into `into`; SystemExit when the compiler refuses."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={into}", f"--pyi_out={into}", *SCHEMAS]
    code = protoc.main(arguments)
    if code != 0:
        raise SystemExit(code)
    for stub in into.glob("*_pb2.pyi"):
        # The compiler writes bare generic types, which strict mypy refuses.
        stub.write_text("# mypy: ignore-errors\n" + stub.read_text())


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "lmkd_py" / "pb")
