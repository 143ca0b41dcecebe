"""Vectors of a fixed number of lanes for Numba: the alphabet of all compiled kernels.

A vector is an LLVM vector type, which every processor has in its own width; lane by lane nothing
depends on it, so that the same kernel gives the same bits with AVX2 and with AVX-512. Nothing here
is fast-math, sums across lanes have one fixed order, and exp, log and tanh are our own. With one
lane each vector is a plain number, and loads and stores are checked: the builds that tests run,
one of them compiled, the other one plain Python.
"""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = {"float64": 8, "float32": 16}
FAST, CHECKED, INTERPRETED = ("fast", "checked", "interpreted")


class VectorType(types.Type):
    """So many lanes of float64 or float32, or of truth values."""

    def __init__(self, lanes: int, element: Any) -> None:
        self.lanes, self.element = lanes, element
        super().__init__(name=f"Vector{lanes}x{element}")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """How LLVM holds one."""

    def __init__(self, manager: Any, of: VectorType) -> None:
        super().__init__(manager, of, ir.VectorType(_element(of.element), of.lanes))


def _element(element: Any) -> Any:
    known = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
    return known.get(element, ir.IntType(1))


def lanes_of(dtype: str, build: str) -> int:
    """How many lanes a vector of this type has."""
    return LANES[dtype] if build == FAST else 1


@cache
def vectors(dtype: str, build: str, lanes: int) -> SimpleNamespace:
    """All operations on vectors of this type, by name."""
    if build == FAST:
        return _vectors(dtype, lanes)
    if build == CHECKED:
        return _numbers(dtype, njit(nogil=True, error_model="numpy", boundscheck=True))
    return _numbers(dtype, as_it_is())


def as_it_is(*_: Any, **__: Any) -> Any:
    """In the place of njit: a decorator that compiles nothing."""
    return lambda function: function


def _numbers(dtype: str, checked: Any) -> SimpleNamespace:
    """The operations on one lane, as plain Python."""
    of = np.dtype(dtype).type
    sources: dict[str, Any] = {
        "load": lambda a, i: a[i],
        "load_fixed": lambda a, i: a[i],
        "fixed": lambda a, i: a[i],
        "spread": lambda a, i: a[i],
        "splat": lambda s: of(s),  # noqa: PLW0108 - Numba compiles functions alone
        "lane_0": lambda a: a,
        "first": lambda a: a,
        "total": lambda a: a,
        "largest": lambda a: a,
        "add": lambda a, b: of(a + b),
        "subtract": lambda a, b: of(a - b),
        "multiply": lambda a, b: of(a * b),
        "divide": lambda a, b: of(a / b),
        "negative": lambda a: -a,
        "fma": lambda a, b, c: of(a * b + c),
        "maximum": lambda a, b: b if a <= b else a,
        "minimum": lambda a, b: b if a >= b else a,
        "absolute": lambda a: -a if a < 0 else a,
        "sqrt": lambda a: of(math.sqrt(a)),
        "less": lambda a, b: a < b,
        "less_equal": lambda a, b: a <= b,
        "equal": lambda a, b: a == b,
        "not_equal": lambda a, b: a != b,
        "logical_and": lambda a, b: a and b,
        "logical_or": lambda a, b: a or b,
        "logical_not": lambda a: a == 0,
        "where": lambda c, a, b: a if c else b,
        "exp": lambda a: of(math.exp(a)) if a < 709.7 else of(np.inf),
        "expm1": lambda a: of(math.expm1(a)) if a < 709.7 else of(np.inf),
        "log": lambda a: of(np.log(a)),
        "log1p": lambda a: of(np.log1p(a)),
        "tanh": lambda a: of(math.tanh(a)),
        "erf": lambda a: of(math.erf(a)),
        "sin": lambda a: of(math.sin(a)),
        "cos": lambda a: of(math.cos(a)),
        "arctan": lambda a: of(math.atan(a)),
        "power": lambda a, b: of(a**b),
    }
    found = {name: checked(source) for name, source in sources.items()}

    @checked
    def store(a, i, value):  # type: ignore[no-untyped-def]
        a[i] = value

    @checked
    def flush_tiny():  # type: ignore[no-untyped-def]
        return 0

    @checked
    def keep_tiny(before):  # type: ignore[no-untyped-def]
        pass

    return SimpleNamespace(store=store, flush_tiny=flush_tiny, keep_tiny=keep_tiny, **found)


# Numbers below the smallest normal one take a processor a hundred times as long, and a momentum
# that dies away stays there for ever. x86's MXCSR: denormals are zero (bit 6), flush to zero (15).
FLUSH = 0x8040
HAS_MXCSR = binding.get_process_triple().startswith(("x86_64", "i386", "i686"))


def _control_word(builder: Any) -> Any:
    """How this thread rounds; 0 where there is nothing of the kind to be read."""
    word = ir.IntType(32)
    if not HAS_MXCSR:
        return ir.Constant(word, 0)
    place = cgutils.alloca_once(builder, word)
    _on_control_word(builder, "stmxcsr", place)
    return builder.load(place, typ=word)


def _set_control_word(builder: Any, value: Any) -> None:
    if HAS_MXCSR:
        place = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(value, place)
        _on_control_word(builder, "ldmxcsr", place)


def _on_control_word(builder: Any, instruction: str, place: Any) -> None:
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    name = f"llvm.x86.sse.{instruction}"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.call(function, [builder.bitcast(place, pointer)])


def _vectors(dtype: str, lanes: int) -> SimpleNamespace:  # noqa: PLR0915 - an alphabet
    element = types.float64 if dtype == "float64" else types.float32
    vector, truth = VectorType(lanes, element), VectorType(lanes, types.boolean)
    number = _element(element)
    llvm, llvm_truth = ir.VectorType(number, lanes), ir.VectorType(ir.IntType(1), lanes)
    size = np.dtype(dtype).itemsize
    integer = ir.VectorType(ir.IntType(8 * size), lanes)
    suffix = f"v{lanes}f{8 * size}"
    index = ir.IntType(32)

    def constant(value: float) -> Any:
        return ir.Constant(llvm, [value] * lanes)

    def address(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
        data = context.make_array(array_type)(context, builder, array).data
        place = builder.gep(data, [i], source_etype=number)
        return builder.bitcast(place, llvm.as_pointer())

    def lane_wise(arguments: Any, result: Any, build: Any) -> Any:
        """An intrinsic of these vector arguments, from how its instruction is built."""
        names = [f"a{k}" for k in range(len(arguments))]

        def typed(context: Any, given: Any) -> Any:
            if tuple(given) != tuple(arguments):
                return None
            return result(*given), lambda c, builder, s, args: build(builder, *args)

        scope = {"typed": typed}
        text = f"def of(context, {', '.join(names)}): return typed(context, [{', '.join(names)}])"
        exec(text, scope)  # an intrinsic's arity is that of its Python function  # noqa: S102
        return intrinsic(scope["of"])

    def call(name: str, arity: int) -> Any:
        def build(builder: Any, *args: Any) -> Any:
            kind = ir.FunctionType(llvm, [llvm] * arity)
            function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.{suffix}")
            return builder.call(function, args)

        return build

    def halves(builder: Any, a: Any, combine: Any) -> Any:
        """All lanes as one number, by halves: an order that no processor changes."""
        width = lanes
        while width > 1:
            width //= 2
            places = [*range(width, 2 * width), *([0] * (lanes - width))]
            undefined = ir.Constant(llvm, ir.Undefined)
            mask = ir.Constant(ir.VectorType(index, lanes), places)
            a = combine(builder, a, builder.shuffle_vector(a, undefined, mask))
        return builder.extract_element(a, ir.Constant(index, 0))

    def spread_lane(k: int) -> Any:
        """Builds one lane in the place of all."""
        mask = ir.Constant(ir.VectorType(index, lanes), [k] * lanes)
        undefined = ir.Constant(llvm, ir.Undefined)
        return lambda builder, a: builder.shuffle_vector(a, undefined, mask)

    def larger(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_unordered(">", a, b), a, b)

    @intrinsic
    def load(typing, array, i):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = context.cast(builder, args[1], signature.args[1], types.intp)
            place = address(context, builder, signature.args[0], args[0], where)
            return builder.load(place, typ=llvm, align=size)

        return vector(array, i), build

    def splatted(builder: Any, one: Any) -> Any:
        undefined, first = ir.Constant(llvm, ir.Undefined), ir.Constant(index, 0)
        v = builder.insert_element(undefined, one, first)
        zeros = ir.Constant(ir.VectorType(index, lanes), [0] * lanes)
        return builder.shuffle_vector(v, undefined, zeros)

    def fixed_load(builder: Any, place: Any, kind: Any, align: int) -> Any:
        """A load of what no kernel ever writes, so that LLVM may do it once for many."""
        found = builder.load(place, typ=kind, align=align)
        found.set_metadata("invariant.load", builder.module.add_metadata([]))
        return found

    @intrinsic
    def load_fixed(typing, array, i):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = context.cast(builder, args[1], signature.args[1], types.intp)
            place = address(context, builder, signature.args[0], args[0], where)
            return fixed_load(builder, place, llvm, size)

        return vector(array, i), build

    @intrinsic
    def fixed(typing, table, i):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = context.cast(builder, args[1], signature.args[1], types.intp)
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            kind = ir.IntType(64)
            return fixed_load(builder, builder.gep(data, [where], source_etype=kind), kind, 8)

        return types.int64(table, i), build

    @intrinsic
    def spread(typing, array, i):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = context.cast(builder, args[1], signature.args[1], types.intp)
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            place = builder.gep(data, [where], source_etype=number)
            return splatted(builder, builder.load(place, typ=number, align=size))

        return vector(array, i), build

    @intrinsic
    def store(typing, array, i, value):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            where = context.cast(builder, args[1], signature.args[1], types.intp)
            place = address(context, builder, signature.args[0], args[0], where)
            builder.store(args[2], place, align=size)
            return context.get_dummy_value()

        return types.void(array, i, value), build

    @intrinsic
    def splat(typing, value):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return splatted(builder, context.cast(builder, args[0], signature.args[0], element))

        return vector(value), build

    @intrinsic
    def flush_tiny(typing):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            before = _control_word(builder)
            _set_control_word(builder, builder.or_(before, ir.Constant(index, FLUSH)))
            return before

        return types.uint32(), build

    @intrinsic
    def keep_tiny(typing, before):  # type: ignore[no-untyped-def]
        def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
            _set_control_word(builder, args[0])
            return context.get_dummy_value()

        return types.void(before), build

    two, three = (vector, vector), (vector, vector, vector)
    ops = SimpleNamespace(dtype=dtype, flush_tiny=flush_tiny, keep_tiny=keep_tiny)
    ops.load, ops.store, ops.splat = load, store, splat
    ops.load_fixed, ops.fixed, ops.spread = load_fixed, fixed, spread
    instructions = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
    for name, instruction in instructions.items():
        build = lambda builder, a, b, of=instruction: getattr(builder, of)(a, b)  # noqa: E731
        setattr(ops, name, lane_wise(two, vector, build))
    for name, sign in {"less": "<", "less_equal": "<=", "equal": "=="}.items():
        build = lambda builder, a, b, of=sign: builder.fcmp_ordered(of, a, b)  # noqa: E731
        setattr(ops, name, lane_wise(two, truth, build))
    ops.not_equal = lane_wise(two, truth, lambda b, x, y: b.fcmp_unordered("!=", x, y))
    both = (truth, truth)
    ops.logical_and = lane_wise(both, truth, lambda b, x, y: b.and_(x, y))
    ops.logical_or = lane_wise(both, truth, lambda b, x, y: b.or_(x, y))
    every = ir.Constant(llvm_truth, [1] * lanes)
    ops.logical_not = lane_wise((truth,), truth, lambda b, x: b.xor(x, every))
    ops.where = lane_wise((truth, vector, vector), vector, lambda b, c, x, y: b.select(c, x, y))
    ops.negative = lane_wise((vector,), vector, lambda b, x: b.fneg(x))
    ops.fma = lane_wise(three, vector, call("llvm.fma", 3))
    ops.sqrt = lane_wise((vector,), vector, call("llvm.sqrt", 1))
    ops.absolute = lane_wise((vector,), vector, call("llvm.fabs", 1))
    ops.maximum = lane_wise(two, vector, larger)
    ops.minimum = lane_wise(
        two, vector, lambda b, x, y: b.select(b.fcmp_unordered("<", x, y), x, y)
    )
    ops.total = lane_wise(
        (vector,), element, lambda b, x: halves(b, x, lambda c, p, q: c.fadd(p, q))
    )
    for k in range(lanes):
        setattr(ops, f"lane_{k}", lane_wise((vector,), vector, spread_lane(k)))
    ops.largest = lane_wise((vector,), element, lambda b, x: halves(b, x, larger))
    ops.first = lane_wise(
        (vector,), element, lambda b, x: b.extract_element(x, ir.Constant(index, 0))
    )

    bias, shift, mantissa = (1023, 52, 2**52 - 1) if size == 8 else (127, 23, 2**23 - 1)

    def many(value: int) -> Any:
        return ir.Constant(integer, [value] * lanes)

    def two_to(builder: Any, shifted: Any) -> Any:
        """2^k where k stands in the lowest bits of a number, as `exp` leaves it."""
        bits = builder.shl(builder.add(builder.bitcast(shifted, integer), many(bias)), many(shift))
        return builder.bitcast(bits, llvm)

    def exponent(builder: Any, x: Any) -> Any:
        """e of x = m * 2^e with m in [sqrt(1/2), sqrt(2)), x > 0 and normal."""
        half = 0x3FE6A09E00000000 if size == 8 else 0x3F3504F3
        bits = builder.sub(builder.bitcast(x, integer), many(half))
        return builder.sitofp(builder.ashr(bits, many(shift)), llvm)

    def significand(builder: Any, x: Any) -> Any:
        half = 0x3FE6A09E00000000 if size == 8 else 0x3F3504F3
        bits = builder.sub(builder.bitcast(x, integer), many(half))
        bits = builder.add(builder.and_(bits, many(mantissa)), many(half))
        return builder.bitcast(bits, llvm)

    ops.two_to = lane_wise((vector,), vector, two_to)
    ops.exponent = lane_wise((vector,), vector, exponent)
    ops.significand = lane_wise((vector,), vector, significand)

    def one_by_one(name: str, arity: int) -> Any:
        """The C library's function, lane after lane: slow, and the same everywhere it is."""

        def build(builder: Any, *args: Any) -> Any:
            kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * arity)
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            out = ir.Constant(llvm, ir.Undefined)
            for lane in range(lanes):
                place = ir.Constant(index, lane)
                values = [builder.extract_element(each, place) for each in args]
                if size == 4:
                    values = [builder.fpext(each, ir.DoubleType()) for each in values]
                one = builder.call(function, values)
                one = builder.fptrunc(one, number) if size == 4 else one
                out = builder.insert_element(out, one, place)
            return out

        return lane_wise((vector,) * arity, vector, build)

    for name, c_name in {"erf": "erf", "sin": "sin", "cos": "cos", "arctan": "atan"}.items():
        setattr(ops, name, one_by_one(c_name, 1))
    ops.power = one_by_one("pow", 2)
    _add_exponentials(ops)
    return ops


def _add_exponentials(ops: SimpleNamespace) -> None:  # noqa: PLR0915 - series
    """exp and its kin: Cody & Waite's reduction, Taylor's and the atanh series, within 2 ulp."""
    splat, add, subtract = ops.splat, ops.add, ops.subtract
    multiply, divide, fma = ops.multiply, ops.divide, ops.fma
    maximum, minimum, where, less = ops.maximum, ops.minimum, ops.where, ops.less
    two_to, absolute = ops.two_to, ops.absolute
    exponent, significand, equal = ops.exponent, ops.significand, ops.equal
    compiled = njit(nogil=True, error_model="numpy", forceinline=True)
    double = ops.dtype == "float64"
    # Where 2^k is a normal number; beyond, results are 0 and infinite.
    low, high = (-708.7, 709.4) if double else (-87.6, 88.3)
    log2e = 1 / math.log(2)
    round_by = 1.5 * 2.0**52 if double else 1.5 * 2.0**23  # pushes all bits below 1 out
    ln2_high, ln2_low = (
        (6.93147180369123816490e-01, 1.90821492927058770002e-10)
        if double
        else (0.693359375, -2.12194440e-4)
    )
    c = [1 / math.factorial(k) for k in range(14)]
    _, _, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = c

    @compiled
    def series(r):  # type: ignore[no-untyped-def]
        """(exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, by Estrin's scheme."""
        r2 = multiply(r, r)
        p0 = fma(splat(c3), r, splat(c2))
        p1 = fma(splat(c5), r, splat(c4))
        p2 = fma(splat(c7), r, splat(c6))
        if double:
            r4 = multiply(r2, r2)
            p3 = fma(splat(c9), r, splat(c8))
            p4 = fma(splat(c11), r, splat(c10))
            p5 = fma(splat(c13), r, splat(c12))
            q0, q1, q2 = fma(p1, r2, p0), fma(p3, r2, p2), fma(p5, r2, p4)
            return fma(fma(q2, r4, q1), r4, q0)
        return fma(fma(p2, r2, p1), r2, p0)

    @compiled
    def exp(x):  # type: ignore[no-untyped-def]
        shifted = fma(x, splat(log2e), splat(round_by))
        k = subtract(shifted, splat(round_by))
        r = fma(k, splat(-ln2_low), fma(k, splat(-ln2_high), x))
        tail = fma(series(r), multiply(r, r), r)
        power = two_to(shifted)
        found = where(less(x, splat(low)), splat(0.0), fma(tail, power, power))
        return where(less(splat(high), x), splat(np.inf), found)

    @compiled
    def expm1(x):  # type: ignore[no-untyped-def]
        near = fma(series(x), multiply(x, x), x)
        return where(less(absolute(x), splat(0.34)), near, subtract(exp(x), splat(1.0)))

    @compiled
    def tanh(x):  # type: ignore[no-untyped-def]
        e = expm1(multiply(minimum(maximum(x, splat(-20.0)), splat(20.0)), splat(2.0)))
        return divide(e, add(e, splat(2.0)))

    odd = [2 / (2 * k + 1) for k in range(12)]
    o1, o2, o3, o4, o5, o6, o7, o8, o9, o10, o11 = odd[1:]

    @compiled
    def log_of(s, k):  # type: ignore[no-untyped-def]
        """k * ln 2 + 2 * atanh(s), |s| < 0.1716: log(m) with s = (m - 1) / (m + 1)."""
        s2 = multiply(s, s)
        p = fma(splat(o7), s2, splat(o6))
        if double:
            top = fma(fma(splat(o11), s2, splat(o10)), s2, splat(o9))
            p = fma(fma(fma(top, s2, splat(o8)), s2, splat(o7)), s2, splat(o6))
        p = fma(fma(fma(p, s2, splat(o5)), s2, splat(o4)), s2, splat(o3))
        p = fma(fma(p, s2, splat(o2)), s2, splat(o1))
        tail = multiply(multiply(s, s2), p)
        low_part = fma(k, splat(ln2_low), tail)
        return fma(k, splat(ln2_high), fma(splat(2.0), s, low_part))

    @compiled
    def log(x):  # type: ignore[no-untyped-def]
        m = significand(x)
        s = divide(subtract(m, splat(1.0)), add(m, splat(1.0)))
        found = log_of(s, exponent(x))
        found = where(less(x, splat(0.0)), splat(np.nan), found)
        return where(equal(x, splat(0.0)), splat(-np.inf), found)

    @compiled
    def log1p(x):  # type: ignore[no-untyped-def]
        near = log_of(divide(x, add(x, splat(2.0))), splat(0.0))
        return where(less(absolute(x), splat(0.3)), near, log(add(x, splat(1.0))))

    ops.exp, ops.expm1, ops.log, ops.log1p, ops.tanh = exp, expm1, log, log1p, tanh
