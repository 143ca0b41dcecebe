"""History: what was written is what is read, and sampling loses no extreme."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from backpropd.spec.faults import Invalid
from backpropd.store import history, history_points, leases
from backpropd.store.chunks import pack, unpack
from backpropd.store.database import Database
from backpropd.store.history import Series
from backpropd.store.leases import Lease
from backpropd.store.pyramid import SIZES
from backpropd.store.sampling import extremes, lttb
from backpropd.store.tables import HistoryBucketRow, HistoryChunkRow, MetricSummaryRow
from tests.jobs import claim, mazur_job, submit

FOREVER = 2**31 - 1
AWKWARD = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1]


@pytest.fixture
def lease(database: Database) -> Lease:
    """The right to write a job's history."""
    submit(database, mazur_job())
    return claim(database)[0]


def write(database: Database, lease: Lease, epochs: Any, **columns: Any) -> list[int]:
    with database.write() as session:
        leases.beat(session, lease)
        arrays = {name: np.asarray(values, float) for name, values in columns.items()}
        return history.append(session, lease, np.asarray(epochs, np.int64), arrays)


def read(database: Database, lease: Lease, *metrics: str, **wanted: Any) -> Series:
    default: dict[str, Any] = {"first": 1, "last": FOREVER}
    with database.read() as session:
        if "points" not in wanted:
            return history.rows(session, lease.job_id, metrics=metrics, **default | wanted)
        default["method"] = "minmax"
        return history.sample(session, lease.job_id, metrics=metrics, **default | wanted)


def wave(rows: int) -> Any:
    """A falling curve with noise, and one spike in each direction."""
    rng = np.random.default_rng(rows)
    curve = np.exp(-np.arange(rows) / rows * 5) + rng.normal(0, 0.01, rows)
    curve[rows // 3], curve[rows // 2] = 99.0, -99.0
    return curve


floats = st.floats(width=64) | st.sampled_from(AWKWARD)
on_one_database = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def slow_facts(epochs: Any, values: Any) -> tuple[Any, ...]:
    """Count, smallest, its epoch, largest, its epoch: one row at a time; of equals the first."""
    smallest = largest = (None, None)
    for epoch, value in zip(epochs, values, strict=True):
        if np.isnan(value):
            continue
        if smallest[0] is None or value < smallest[0]:
            smallest = (value, epoch)
        if largest[0] is None or value > largest[0]:
            largest = (value, epoch)
    return (len(values), *smallest, *largest)


@given(
    columns=st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(floats, min_size=n, max_size=n),
            min_size=1,
            max_size=50,
        )
    )
)
def test_a_chunk_keeps_every_bit(columns: list[list[float]]) -> None:
    arrays = [np.array(column) for column in zip(*columns, strict=True)]
    back = unpack(pack(arrays), len(arrays))

    assert [a.tobytes() for a in arrays] == [b.tobytes() for b in back]


def test_what_is_written_in_pieces_is_read_as_a_whole(database: Database, lease: Lease) -> None:
    loss, accuracy = wave(10_000), np.linspace(0, 1, 10_000)
    start = 0
    for size in (1, 255, 2, 4096, 5000, 646):
        part = slice(start, start + size)
        epochs = np.arange(start + 1, start + size + 1)
        write(database, lease, epochs, loss=loss[part], accuracy=accuracy[part])
        start += size
    series = read(database, lease, "accuracy", "loss")

    assert (np.arange(1, 10_001) == series.at).all()
    assert loss.tobytes() == series.columns["loss"].tobytes()
    assert accuracy.tobytes() == series.columns["accuracy"].tobytes()


@on_one_database
@given(data=st.data())
def test_however_it_is_flushed_the_history_is_the_same(database: Database, data: Any) -> None:
    """
    Rows, buckets and summary are those of the plain arrays, whatever the sizes of the pieces.
    """
    pieces = data.draw(st.lists(st.integers(1, 3000), min_size=1, max_size=6))
    total = sum(pieces)
    curve = wave(total)
    for at in data.draw(st.lists(st.integers(0, total - 1), max_size=20)):
        curve[at] = data.draw(floats)
    submit(database, mazur_job())
    lease = claim(database)[0]
    start = 0
    for size in pieces:
        end = start + size
        write(database, lease, np.arange(start + 1, end + 1), loss=curve[start:end])
        start = end
    series = read(database, lease, "loss")
    with database.read() as session:
        buckets = session.scalars(
            select(HistoryBucketRow).where(HistoryBucketRow.job_id == lease.job_id)
        ).all()
        summary = history.summaries(session, [lease.job_id])[lease.job_id][0]
    epochs = np.arange(1, total + 1)
    places = {(size, b) for size in SIZES for b in range(-(-total // size))}

    assert epochs.tolist() == series.at.tolist()
    assert curve.tobytes() == series.columns["loss"].tobytes()
    assert places == {(row.size, row.bucket) for row in buckets}
    for row in buckets:
        inside = slice(row.bucket * row.size, (row.bucket + 1) * row.size)
        assert slow_facts(epochs[inside], curve[inside]) == facts(row)
    assert slow_facts(epochs, curve) == facts(summary)
    assert np.isnan(curve).sum() == summary.nan_count


def facts(row: HistoryBucketRow | MetricSummaryRow) -> tuple[Any, ...]:
    return (row.count, row.min, row.min_at, row.max, row.max_at)


def test_a_range_is_exactly_that(database: Database, lease: Lease) -> None:
    write(database, lease, np.arange(1, 9001), loss=wave(9000))
    series = read(database, lease, "loss", first=4090, last=4100)

    assert list(range(4090, 4101)) == series.at.tolist()
    assert wave(9000)[4089:4100].tobytes() == series.columns["loss"].tobytes()


def test_awkward_numbers_are_exact(database: Database, lease: Lease) -> None:
    write(database, lease, range(1, 8), loss=AWKWARD)

    assert np.array(AWKWARD).tobytes() == read(database, lease, "loss").columns["loss"].tobytes()


def test_every_third_epoch_and_the_last(database: Database, lease: Lease) -> None:
    write(database, lease, [1, 4, 7], loss=[1, 2, 3])
    write(database, lease, [10, 11], loss=[4, 5])
    with database.read() as session:
        counted = history.count(session, lease.job_id, first=2, last=10)

    assert [1, 4, 7, 10, 11] == read(database, lease, "loss").at.tolist()
    assert counted == 3


def test_rows_written_before_are_compared_and_not_written_again(
    database: Database, lease: Lease
) -> None:
    write(database, lease, range(1, 6), loss=[1, 2, 3, 4, np.nan])

    assert write(database, lease, range(3, 8), loss=[3, 4, np.nan, 6, 7]) == []
    assert write(database, lease, range(1, 3), loss=[1, 2.5]) == [2]
    assert [1, 2, 3, 4, 5, 6, 7] == read(database, lease, "loss").at.tolist()
    assert read(database, lease, "loss").columns["loss"][1] == 2


def test_rows_computed_again_that_were_never_written_differ(
    database: Database, lease: Lease
) -> None:
    """
    Epochs that the history leaps over are before its end, and still not in it.
    """
    write(database, lease, [1, 4, 7], loss=[1, 2, 3])

    assert write(database, lease, [5, 6], loss=[8, 9]) == [5, 6]
    assert [1, 4, 7] == read(database, lease, "loss").at.tolist()


def test_the_summary_says_what_the_curve_says(database: Database, lease: Lease) -> None:
    curve = wave(5000)
    curve[[0, 77]] = np.nan
    for start in range(0, 5000, 700):
        part = curve[start : start + 700]
        write(database, lease, np.arange(start + 1, start + 1 + len(part)), loss=part)
    with database.read() as session:
        row = session.scalars(select(MetricSummaryRow)).one()

    assert (None, curve[-1], 5000, 2) == (row.first, row.last, row.count, row.nan_count)
    assert (-99.0, 2501, 99.0, 1667) == (row.min, row.min_at, row.max, row.max_at)


def test_infinities_are_extremes_in_the_pyramid(database: Database, lease: Lease) -> None:
    curve = np.ones(300)
    curve[[3, 5, 7]] = np.inf, -np.inf, np.nan
    write(database, lease, np.arange(1, 301), loss=curve)
    with database.read() as session:
        row = session.scalars(
            select(HistoryBucketRow).where(
                HistoryBucketRow.size == 256, HistoryBucketRow.bucket == 0
            )
        ).one()

    assert (-np.inf, 6, np.inf, 4) == (row.min, row.min_at, row.max, row.max_at)


def twin_extremes(curve: Any, epochs: Any, first: int, last: int) -> set[int]:
    """The epochs that must stay: first, last, and where the curve is smallest and largest."""
    inside = [i for i, epoch in enumerate(epochs) if first <= epoch <= last]
    values = [(curve[i], -i) for i in inside if not np.isnan(curve[i])]
    low = min(values, key=lambda v: (v[0], -v[1]))
    high = max(values, key=lambda v: (v[0], v[1]))
    return {
        int(epochs[inside[0]]),
        int(epochs[inside[-1]]),
        *(int(epochs[-v[1]]) for v in (low, high)),
    }


@pytest.mark.parametrize("rows", [600, 5_000, 200_000])
@pytest.mark.parametrize("points", [10, 100, 400])
def test_minmax_keeps_ends_and_extremes_and_every_value_exact(
    database: Database, lease: Lease, rows: int, points: int
) -> None:
    loss, other = wave(rows), -wave(rows)[::-1]
    loss[5] = np.nan
    write(database, lease, np.arange(1, rows + 1), loss=loss, other=other)
    for first, last in [(1, FOREVER), (7, rows - 9), (rows // 4, rows // 2 + 3)]:
        inner_last = min(last, rows)
        for metrics in (("loss",), ("loss", "other")):
            series = read(database, lease, *metrics, first=first, last=last, points=points)
            again = read(database, lease, *metrics, first=first, last=last, points=points)
            index = series.at - 1

            assert len(series.at) <= points
            assert series.total == inner_last - first + 1
            assert (np.diff(series.at) > 0).all()
            assert (series.at == again.at).all()
            for metric, curve in zip(metrics, (loss, other), strict=False):
                assert curve[index].tobytes() == series.columns[metric].tobytes()
                must = twin_extremes(curve, np.arange(1, rows + 1), first, inner_last)
                assert must <= set(series.at.tolist())


@given(
    columns=st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(floats, min_size=n, max_size=n), min_size=9, max_size=80)
    ),
    points=st.integers(8, 40),
)
def test_minmax_loses_no_extreme_of_any_bucket(columns: list[list[float]], points: int) -> None:
    arrays = [np.array(column) for column in zip(*columns, strict=True)]
    rows, buckets = len(columns), (points - 2) // (2 * len(arrays))
    kept = extremes(arrays, points).tolist()
    must = {0, rows - 1}
    for values in arrays:
        for bucket in range(buckets):
            inside = [row for row in range(rows) if row * min(buckets, rows) // rows == bucket]
            must |= {*slow_facts(inside, values[inside])[2::2]}

    assert sorted(must - {None}) == kept
    assert len(kept) <= points


@pytest.mark.parametrize("stride", [1, 7])
@pytest.mark.parametrize("points", [4, 5, 6, 7, 20, 150])
def test_the_pyramid_keeps_the_extremes_of_every_bucket(
    database: Database, lease: Lease, points: int, stride: int
) -> None:
    """
    Long ranges that begin and end anywhere: as if every row were looked at, and never too many.
    """
    rows = 70_000
    epochs, curve = 1 + stride * np.arange(rows), wave(rows)
    curve[::1001], curve[::997], curve[::5003] = np.nan, -0.0, np.inf
    write(database, lease, epochs, loss=curve)
    ranges = [(1, rows * stride), (257, 60_001), (4000, 4000 + 256 * 160), (30_000, 69_999)]
    for first, last in ranges:
        series = read(database, lease, "loss", first=first, last=last, points=points)
        inside = (epochs >= first) & (epochs <= last)
        span = min(last, int(epochs[-1])) - first + 1
        must = slow_pyramid(epochs[inside], curve[inside], points, span)

        assert must == series.at.tolist()
        assert len(must) <= points
        where = (series.at - 1) // stride
        assert curve[where].tobytes() == series.columns["loss"].tobytes()


def slow_pyramid(epochs: Any, values: Any, points: int, span: int) -> list[int]:
    """Ends and extremes of buckets as wide as the points allow, on the grid of the pyramid."""
    buckets = (points - 2) // 2 - 1
    width = -(-span // max(1, buckets))
    size = max(size for size in SIZES if size <= width)
    width = -(-width // size) * size
    must = {int(epochs[0]), int(epochs[-1])}
    groups = (epochs - 1) // width if buckets else epochs * 0
    for group in range(int(groups[-1]) + 1):
        found = slow_facts(epochs[groups == group], values[groups == group])
        must |= {int(epoch) for epoch in found[2::2] if epoch is not None}
    return sorted(must)


def test_what_a_column_of_sql_can_hold_is_exact(database: Database, lease: Lease) -> None:
    """
    Extremes that come from the pyramid are the written numbers, to the last bit.
    """
    curve = np.full(40_000, 0.25)
    curve[[5000, 10_000, 15_000, 20_000, 25_000]] = 5e-324, 1.7976931348623157e308, -0.0, 0.1, 0.3
    write(database, lease, np.arange(1, 40_001), loss=curve)
    series = read(database, lease, "loss", points=40)

    assert {5001, 10_001, 15_001, 20_001, 25_001} <= set(series.at.tolist())
    assert curve[series.at - 1].tobytes() == series.columns["loss"].tobytes()


def test_the_pyramid_and_the_rows_choose_alike(database: Database, lease: Lease) -> None:
    """
    Without its chunks' middle, a long curve still gives its extremes: they come from the pyramid.
    """
    curve = wave(100_000)
    write(database, lease, np.arange(1, 100_001), loss=curve)
    whole = read(database, lease, "loss", points=50)
    with database.write() as session:
        session.execute(
            delete(HistoryChunkRow).where(HistoryChunkRow.first > 1, HistoryChunkRow.last < 98_000)
        )
        chunks = session.scalar(select(func.count()).select_from(HistoryChunkRow))
        sparse = history_points._minmax_from_pyramid(  # the count of rows is not what it was
            session,
            lease.job_id,
            metrics=["loss"],
            first=1,
            last=100_000,
            points=50,
            end=100_000,
        )

    assert chunks is not None
    assert chunks < 25
    assert (whole.at == sparse.at).all()
    assert {33_334, 50_001} <= set(sparse.at.tolist())


def test_mean_is_the_mean_of_each_bucket(database: Database, lease: Lease) -> None:
    curve = wave(1000)
    write(database, lease, np.arange(1, 1001), loss=curve)
    series = read(database, lease, "loss", points=10, method="mean")

    assert list(range(1, 1001, 100)) == series.at.tolist()
    assert curve.reshape(10, 100).mean(axis=1) == pytest.approx(series.columns["loss"])


def test_a_mean_leaves_out_what_is_no_number(database: Database, lease: Lease) -> None:
    curve = np.arange(40.0)
    curve[[1, 2]] = np.nan
    curve[10:20] = np.nan
    curve[[20, 30, 31]] = np.inf, np.inf, -np.inf
    write(database, lease, range(1, 41), loss=curve)
    series = read(database, lease, "loss", points=4, method="mean")

    assert [1, 11, 21, 31] == series.at.tolist()
    np.testing.assert_array_equal([42 / 8, np.nan, np.inf, np.nan], series.columns["loss"])


def slow_lttb(x: Any, y: Any, points: int) -> list[int]:
    """Steinarsson's algorithm, one triangle at a time."""
    n = len(x)
    edges = [int(edge) for edge in np.linspace(1, n - 1, points - 1)]
    kept = [0]
    for bucket in range(points - 2):
        after = edges[bucket + 2] if bucket < points - 3 else n
        nxt = range(edges[bucket + 1], after)
        mx, my = sum(x[i] for i in nxt) / len(nxt), sum(y[i] for i in nxt) / len(nxt)
        ax, ay = x[kept[-1]], y[kept[-1]]
        inside = range(edges[bucket], edges[bucket + 1])
        kept.append(
            max(inside, key=lambda i: abs((ax - mx) * (y[i] - ay) - (ax - x[i]) * (my - ay)))
        )
    return [*kept, n - 1]


def test_lttb_is_steinarssons() -> None:
    x, y = np.arange(500.0), wave(500)

    assert slow_lttb(x, y, 40) == lttb(x, y, 40).tolist()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(3, 300), points=st.integers(3, 100))
def test_lttb_keeps_the_ends_and_no_more_than_asked(rows: int, points: int) -> None:
    kept = lttb(np.arange(float(rows)), wave(rows), points)

    assert (kept[0], kept[-1]) == (0, rows - 1)
    assert len(kept) == min(points, rows)
    assert (np.diff(kept) > 0).all()


def test_lttb_passes_over_what_is_no_number_and_stops_at_infinities() -> None:
    x, y = np.arange(100.0), 1000 + wave(100)
    y[10:90:2] = np.nan
    y[[33, 61]] = np.inf, 1.7e308
    kept = lttb(x, y, 20)

    assert not np.isnan(y[kept]).any()
    assert {33, 61} <= set(kept.tolist())


def test_lttb_of_nothing_but_nan_keeps_its_count() -> None:
    kept = lttb(np.arange(50.0), np.full(50, np.nan), 10)

    assert len(kept) == 10
    assert (np.diff(kept) > 0).all()


@pytest.mark.parametrize("points", [6, 7, 11, 100])
def test_lttb_of_two_metrics_keeps_to_the_points(
    database: Database, lease: Lease, points: int
) -> None:
    loss, other = wave(500), np.roll(wave(500), 100)
    write(database, lease, range(1, 501), loss=loss, other=other)
    series = read(database, lease, "loss", "other", points=points, method="lttb")

    assert len(series.at) <= points
    assert (1, 500) == (series.at[0], series.at[-1])
    assert loss[series.at - 1].tobytes() == series.columns["loss"].tobytes()
    assert other[series.at - 1].tobytes() == series.columns["other"].tobytes()


def test_an_unknown_metric_is_named_with_the_closest_one(database: Database, lease: Lease) -> None:
    write(database, lease, [1], loss=[1.0], val_loss=[2.0])
    with database.read() as session:
        known = history.metrics_of(session, lease.job_id)

    with pytest.raises(Invalid, match="Did you mean 'val_loss'"):
        history.check_metrics(known, ["loss", "val_los"])


def test_too_few_points_are_refused(database: Database, lease: Lease) -> None:
    write(database, lease, range(1, 100), loss=wave(99), other=wave(99))

    with pytest.raises(Invalid, match="at least 6 points"):
        read(database, lease, "loss", "other", points=5)


def test_a_job_without_history_has_an_empty_one(database: Database, lease: Lease) -> None:
    assert len(read(database, lease, "loss").at) == 0
    assert len(read(database, lease, "loss", points=10).at) == 0
