"""Tables in files: odd ones are read rightly, and wrong ones are told of by line."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from emgmm._outputs import write_labels, write_rows
from emgmm._tables import TableError, read_table, table_of

ROWS = np.array([[1.5, -2.0, 3e-7], [4.0, 5.25, 6e10], [0.1, 8.0, 9.0]])


@pytest.fixture
def file(tmp_path):
    """A function that writes a file, and gives its path."""

    def write(content):
        path = tmp_path / "data.csv"
        encoded = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(encoded)
        return str(path)

    return write


def text(rows, delimiter=",", header=None, end="\n"):
    lines = [] if header is None else [header]
    lines += [delimiter.join(map(repr, row)) for row in rows.tolist()]
    return end.join(lines) + end


# Files that are read ---------------------------------------------------------------


@pytest.mark.parametrize("header", [None, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n  \n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", ", ", "   ", " ; "])
def test_delimiters_and_headers_are_found(file, delimiter, end, header):
    names = ["a", "b c", "d"] if delimiter.strip() else ["a", "b", "d"]
    content = text(ROWS, delimiter, header and delimiter.join(names), end)
    table = read_table(file(content))
    assert_array_equal(table.X, ROWS)
    assert table.named is bool(header)
    assert table.names == (names if header else ["0", "1", "2"])
    assert table.weights is None and table.left_out == []


@pytest.mark.parametrize(
    "header, delimiter, names",
    [
        ('\ufeff"a","b, c","d ""e"""', ",", ["a", "b, c", 'd "e"']),
        ('"a" "b, c" d;e', " ", ["a", "b, c", "d;e"]),
        ("time (s; UTC),x y,\u00e4", ",", ["time (s; UTC)", "x y", "\u00e4"]),
    ],
)
def test_odd_names(file, header, delimiter, names):
    table = read_table(file(text(ROWS, delimiter, header)))
    assert table.names == names
    assert_array_equal(table.X, ROWS)


def test_spaces_before_and_after_lines_and_quoted_numbers(file):
    content = 'a,b\n "1.5" , "2"\n3,4 \n"5",6\n'
    assert_array_equal(read_table(file(content)).X, [[1.5, 2], [3, 4], [5, 6]])
    content = "   a    b\n   1  2.5 \n  10 20.0\n"
    assert_array_equal(read_table(file(content)).X, [[1, 2.5], [10, 20]])


@pytest.mark.parametrize("header", ["", "x\n", "old faithful\n", '"a, b; c"\n'])
def test_one_column(file, header):
    table = read_table(file(header + "3.5\n1e3\n-2\n"))
    assert_array_equal(table.X, [[3.5], [1000], [-2]])
    assert table.names == [header.strip().strip('"') or "0"]


def test_columns_of_text_and_without_names_are_left_out(file):
    content = ",x,kind,y\n1,0.5,good,NA3\n2,1.5,bad,4\n".replace("NA3", "3")
    table = read_table(file(content))
    assert table.names == ["x", "y"]
    assert_array_equal(table.X, [[0.5, 3], [1.5, 4]])
    assert table.left_out == ["column 0 (it has no name)", "kind"]


def test_rows_without_names_may_end_with_text(file):
    table = read_table(file("5.1,3.5,setosa\n4.9,3.0,setosa\n"))
    assert not table.named and table.names == ["0", "1"]
    assert_array_equal(table.X, [[5.1, 3.5], [4.9, 3]])


def test_columns_are_chosen_by_name_in_the_order_given(file):
    path = file(text(ROWS, header="a,b,c"))
    table = read_table(path, ["c", "a"], "b")
    assert_array_equal(table.X, ROWS[:, [2, 0]])
    assert_array_equal(table.weights, ROWS[:, 1])
    assert table.names == ["c", "a"]
    table = read_table(path, None, "b")
    assert_array_equal(table.X, ROWS[:, [0, 2]])
    assert table.X.flags.c_contiguous


def test_columns_without_names_are_chosen_by_number(file, tmp_path):
    np.save(tmp_path / "data.npy", ROWS)
    for path in [file(text(ROWS)), str(tmp_path / "data.npy")]:
        table = read_table(path, ["2", "0"], "1")
        assert_array_equal(table.X, ROWS[:, [2, 0]])
        assert_array_equal(table.weights, ROWS[:, 1])


def test_values_are_those_that_python_reads(file):
    X = np.random.default_rng(0).standard_normal((500, 4)) * 10.0 ** np.arange(
        -9, 10, 5
    )
    assert_array_equal(read_table(file(text(X, header="a,b,c,d"))).X, X)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i4", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_kind_of_number(tmp_path, dtype, order):
    array = np.asarray(np.arange(12).reshape(6, 2) % 3, dtype=dtype, order=order)
    np.save(tmp_path / "data.anything", array)
    table = read_table(str(tmp_path / "data.anything.npy"))
    assert table.X.dtype == (np.float32 if dtype == "f4" else np.float64)
    assert_array_equal(table.X, array.astype(float))
    np.save(tmp_path / "line.npy", array[:, 0])
    assert read_table(str(tmp_path / "line.npy")).X.shape == (6, 1)


# Files that are not ----------------------------------------------------------------


@pytest.mark.parametrize(
    "content, match",
    [
        ("", "is empty"),
        ("\n \n\n", "is empty"),
        ("a,b\n", "a header, but no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 field, and others have 2"),
        ("a,b\n\n1,2\n\n3,4,5\n", "line 5 has 3 fields, and others have 2"),
        ("a,b,c\n1,2\n3,4\n", "line 2 has 2 fields, and others have 3"),
        ("a,b\n1,2\n-,3\n", "line 3, column 'a' has '-': write 0 if"),
        ("-,2\n1,3\n", "line 1, column '0' has '-': write 0 if"),
        ("a,b\n1,2\nNA,x\n", "line 3, column 'b' has 'x', which is no number"),
        ("a,b\n1,2\nNA,inf\n", "line 3, column 'b' has 'inf'"),
        ("a,b\n1,2\n-inf,3\n", "line 3, column 'a' has '-inf'"),
        ("a,b\n1,2\n1e999,3\n", "line 3, column 'a' has '1e999'"),
        ("a,b\n1,2\n3,4x\n", "line 3, column 'b' has '4x', which is no number"),
        ("a,b\n1,2\n3,1_0\n", "line 3, column 'b' has '1_0', which is no number"),
        ("a;b\n1;2\n1,5;2,5\n", "line 3, column 'a' .* decimals with a point"),
        ("a;b\n1,5;2,5\n3,5;4,5\n", "line 2, column 'a' .* decimals with a point"),
        ("a,a\n1,2\n", "more than one column named 'a'"),
        ("x,y\np,q\nr,s\n", "no column of numbers"),
        ('a,b\n1,2\n"3,4\n5,6"\n', "line 3 has a quotation mark"),
        (b"a,b\n1,2\n\xff,3\n", "in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "in UTF-8"),
        (b"\0\0\0\0\0\0\0\0", "no text"),
        ("a," + "b" * 200_000 + "\n1,2\n", "no CSV file"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_column(file, content, match):
    with pytest.raises(TableError, match=match) as caught:
        read_table(file(content))
    assert len(str(caught.value)) < 400


def test_a_field_that_is_wrong_far_down_is_told_by_its_line(file):
    lines = ["a,b", *(f"{i},{i}" for i in range(60_000))]
    lines[50_123] = "oops,1"
    with pytest.raises(TableError, match="line 50124, column 'a' has 'oops'"):
        read_table(file("\n".join(lines)))
    assert_array_equal(read_table(file("\n".join(lines)), ["b"]).X[50_122], 1)


@pytest.mark.parametrize(
    "columns, weights, match",
    [
        (["a", "d"], None, "no column 'd': it has 'a', 'b', 'c'"),
        (["a"], "w", "no column 'w'"),
        (["a", ""], None, "no column ''"),
        (["a", "c"], None, "column 'c' does not hold numbers"),
        (["a"], "c", "column 'c' does not hold numbers"),
        (["a", "a"], None, "'a' is named twice"),
        (["a", "b"], "b", "'b' is named twice"),
        ([], None, "no column of numbers"),
    ],
)
def test_columns_that_cannot_be_had(file, columns, weights, match):
    path = file("a,b,c\n1,2,good\n3,4,bad\n")
    with pytest.raises(TableError, match=match):
        read_table(path, columns, weights)


@pytest.mark.parametrize(
    "array, match",
    [
        (np.ones((2, 2, 2)), "shape"),
        (np.empty((0, 2)), "shape|empty|mmap"),
        (np.array(["a", "b"]), "<U1"),
        (np.array([1j, 2]), "complex"),
        (np.array([[1.0, np.nan], [np.inf, 3.0]]), "row 1, column '0' has 'inf'"),
    ],
)
def test_arrays_that_are_no_table(tmp_path, array, match):
    np.save(tmp_path / "data.npy", array)
    with pytest.raises(TableError, match=match):
        read_table(str(tmp_path / "data.npy"))


def test_damaged_arrays_and_pickles_are_refused(tmp_path):
    path = tmp_path / "data.npy"
    np.save(path, np.array([[{}, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(TableError, match="cannot be read as NPY"):
        read_table(str(path))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + bytes([len(header), 0]) + header + bytes(99)
    )
    with pytest.raises(TableError, match="cannot be read as NPY"):
        read_table(str(path))


def test_what_is_wrong_in_a_column_not_asked_for_is_no_error(tmp_path):
    np.save(tmp_path / "data.npy", [[1.0, np.inf], [2.0, 3.0]])
    assert_array_equal(read_table(str(tmp_path / "data.npy"), ["0"]).X, [[1], [2]])


# Values that are missing -----------------------------------------------------------

MARKS = ["", "NA", "na", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "None", "?", "."]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", ", "])
def test_marks_of_missing_values(file, mark, delimiter):
    if delimiter == " " and not mark:
        mark = '""'
    X = ROWS.copy()
    X[0, 1] = X[2, 0] = X[2, 2] = np.nan
    for header in (None, delimiter.join("abc")):
        table = read_table(file(text(X, delimiter, header).replace("nan", mark)))
        assert_array_equal(table.X, X)
        assert table.named is (header is not None)


@pytest.mark.parametrize("mark", [*MARKS, "-nan"])
def test_weights_may_not_be_missing(file, mark):
    path = file(f"a,w\n1,2\n,3\n4,{mark}\n")
    with pytest.raises(TableError, match="line 4, column 'w' has no value .*weights"):
        read_table(path, None, "w")
    assert_array_equal(read_table(path, ["a"]).X, [[1], [np.nan], [4]])


def test_missing_values_and_weights_of_arrays(tmp_path):
    path, X = tmp_path / "data.npy", np.array([[1.0, np.nan], [np.nan, 3.0]])
    for array in (X, X.astype(np.float32)):
        np.save(path, array)
        assert_array_equal(read_table(str(path)).X, X)
    with pytest.raises(TableError, match="row 0, column '1' has no value .*weights"):
        read_table(str(path), ["0"], "1")


def test_pandas_reads_the_same_values(file):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    X[rng.random(X.shape) < 0.3] = np.nan
    frame = pd.DataFrame(X, columns=list("abcd"))
    for mark in ("", "NA", "<NA>"):
        table = read_table(file(frame.to_csv(index=False, na_rep=mark)))
        assert_array_equal(table.X, X)


def test_a_column_without_values_at_first_is_a_column_of_numbers(file):
    lines = ["a,b", *(f"{i}," for i in range(150)), "7,8"]
    table = read_table(file("\n".join(lines)))
    assert table.names == ["a", "b"] and table.left_out == []
    assert np.isnan(table.X[:-1, 1]).all() and table.X[-1, 1] == 8
    with pytest.raises(TableError, match="line 152, column 'b' has 'x'"):
        read_table(file("\n".join([*lines[:-1], "7,x"])))


# What is written -------------------------------------------------------------------


def test_labels_and_probabilities_come_back_bit_for_bit(tmp_path):
    probabilities = np.random.default_rng(0).dirichlet([0.01, 1, 5], 25_000)
    labels = probabilities.argmax(axis=1)
    path = tmp_path / "labels.csv"
    write_labels(str(path), labels, probabilities)
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["label", "p0", "p1", "p2"]
    assert_array_equal([int(row[0]) for row in rows], labels)
    assert_array_equal([list(map(float, row[1:])) for row in rows], probabilities)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_come_back_bit_for_bit(tmp_path, dtype):
    X = np.random.default_rng(0).standard_normal((12_000, 3)).astype(dtype)
    path, names = tmp_path / "rows.csv", ["a, b", 'c "d"', "\u00e4"]
    write_rows(str(path), names, X)
    table = read_table(str(path))
    assert table.names == names
    assert_array_equal(table.X, X)
    write_rows(str(path), None, X)
    assert not read_table(str(path)).named
