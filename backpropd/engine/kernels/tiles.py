"""Writes the products of small matrices: tiles of a few rows and vectors that stay in registers."""

from __future__ import annotations

# Rows and vectors of a tile, the widest first: each width takes what the wider ones left over.
SHAPES = {4: (4, 1), 1: (8, 1)}
ARGUMENTS = "depth, A, a, a_row, a_col, B, b, b_row, I, i, i_row, C, c, c_row"


def products() -> str:
    """`product`: C = I + A @ B for B and C in whole vectors; A by its two strides."""
    tiles = [_tile(rows, wide) for wide, heights in SHAPES.items() for rows in heights]
    lines = [
        "@compiled",
        f"def product(rows, width, {ARGUMENTS}):",
        '    """C (rows, width) = I + A (rows, depth) @ B (depth, width), from these places."""',
        "    column = 0",
    ]
    for wide, heights in SHAPES.items():
        lines.append(f"    while column + {wide} * LANES <= width:")
        lines.append("        row = 0")
        for rows in heights:
            lines.append(f"        while row + {rows} <= rows:")
            lines.append(
                f"            tile_{rows}_{wide}(depth, A, a + row * a_row, a_row, a_col, "
                "B, b + column, b_row, I, i + row * i_row + column, i_row, "
                "C, c + row * c_row + column, c_row)"
            )
            lines.append(f"            row += {rows}")
        lines.append(f"        column += {wide} * LANES")
    return "\n\n".join([*tiles, "\n".join(lines)]) + "\n"


def _tile(rows: int, wide: int) -> str:
    lines = ["@compiled", f"def tile_{rows}_{wide}({ARGUMENTS}):"]
    places = [(r, v) for r in range(rows) for v in range(wide)]
    lines += [f"    x{r}_{v} = load(I, i + {r} * i_row + {v} * LANES)" for r, v in places]
    lines.append("    for k in range(depth):")
    lines += [f"        y{v} = load(B, b + k * b_row + {v} * LANES)" for v in range(wide)]
    for r in range(rows):
        lines.append(f"        s = spread(A, a + {r} * a_row + k * a_col)")
        lines += [f"        x{r}_{v} = fma(s, y{v}, x{r}_{v})" for v in range(wide)]
    lines += [f"    store(C, c + {r} * c_row + {v} * LANES, x{r}_{v})" for r, v in places]
    return "\n".join(lines)
