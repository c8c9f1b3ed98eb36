"""The math modes of products."""

from __future__ import annotations

MODES = ("fp32", "tf32", "bf16")
HALF_MODES = {"float16": "fp16", "bfloat16": "bf16"}  # halves are multiplied as they are, whatever the math mode
