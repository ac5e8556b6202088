"""Tables in files: unusual ones are read correctly, errors name the line."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from emgmm._cli.outputs import write_labels, write_rows
from emgmm._cli.tables import TableError, read_table, table_of

ROWS = np.array([[1.5, -2.0, 3e-7], [4.0, 5.25, 6e10], [0.1, 8.0, 9.0]])


@pytest.fixture
def file(tmp_path):
    """A function that writes a file and returns its path."""

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


def test_columns_are_chosen_by_name_in_any_order(file):
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
        ("a,b\n", "a header but no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 field, but other lines have 2"),
        ("a,b\n\n1,2\n\n3,4,5\n", "line 5 has 3 fields, but other lines have 2"),
        ("a,b,c\n1,2\n3,4\n", "line 2 has 2 fields, but other lines have 3"),
        ("a,b\n1,2\n-,3\n", "line 3, column 'a' has '-': write 0 if"),
        ("-,2\n1,3\n", "line 1, column '0' has '-': write 0 if"),
        ("a,b\n1,2\nNA,x\n", "line 3, column 'b' has 'x', which is not a number"),
        ("a,b\n1,2\nNA,inf\n", "line 3, column 'b' has 'inf'"),
        ("a,b\n1,2\n-inf,3\n", "line 3, column 'a' has '-inf'"),
        ("a,b\n1,2\n1e999,3\n", "line 3, column 'a' has '1e999'"),
        ("a,b\n1,2\n3,4x\n", "line 3, column 'b' has '4x', which is not a number"),
        ("a,b\n1,2\n3,1_0\n", "line 3, column 'b' has '1_0', which is not a number"),
        ("a,a\n1,2\n", "more than one column named 'a'"),
        ("x,y\np,q\nr,s\n", "no column of numbers"),
        ('a,b\n1,2\n"3,4\n5,6"\n', "line 3 has a quotation mark"),
        (b"a,b\n1,2\n\xff,3\n", "in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "in UTF-8"),
        (b"\0\0\0\0\0\0\0\0", "is not text"),
    ],
)
def test_errors_name_the_line_and_the_column(file, content, match):
    with pytest.raises(TableError, match=match) as caught:
        read_table(file(content))
    assert len(str(caught.value)) < 400


def test_errors_far_down_name_their_line(file):
    lines = ["a,b", *(f"{i},{i}" for i in range(60_000))]
    lines[50_123] = "oops,1"
    with pytest.raises(TableError, match="line 50124, column 'a' has 'oops'"):
        read_table(file("\n".join(lines)))
    assert_array_equal(read_table(file("\n".join(lines)), ["b"]).X[50_122], 1)


@pytest.mark.parametrize(
    "columns, weights, match",
    [
        (["a", "d"], None, "no column 'd': choose from 'a', 'b', 'c'"),
        (["a"], "w", "no column 'w'"),
        (["a", ""], None, "no column ''"),
        (["a", "c"], None, "column 'c' does not contain numbers"),
        (["a"], "c", "column 'c' does not contain numbers"),
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
    with pytest.raises(TableError, match="cannot be read as an NPY file"):
        read_table(str(path))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + bytes([len(header), 0]) + header + bytes(99)
    )
    with pytest.raises(TableError, match="cannot be read as an NPY file"):
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


# Decimal commas --------------------------------------------------------------------


def with_commas(content):
    return content.replace(".", ",")


@pytest.mark.parametrize("header", [None, True])
@pytest.mark.parametrize("decimal", [None, ","])
@pytest.mark.parametrize("delimiter", [";", "\t", " ; "])
def test_decimal_commas_are_recognised(file, delimiter, decimal, header):
    content = text(ROWS, delimiter, header and delimiter.join(["a", "b.c", "d"]))
    head, _, rest = content.partition("\n") if header else ("", "", content)
    path = file(f"{head}\n{with_commas(rest)}")
    table = read_table(path, decimal=decimal)
    assert_array_equal(table.X, ROWS)
    assert table.source.decimal == "," and table.named is bool(header)


def test_decimal_commas_in_quotation_marks_between_commas(file):
    for decimal in (None, ","):
        table = read_table(file('a,b\n"1,5","2,25"\n3,"4,5"\n'), decimal=decimal)
        assert_array_equal(table.X, [[1.5, 2.25], [3, 4.5]])
    table = read_table(file('"1,5" "2,25"\n3 "4,5"\n'), decimal=",")
    assert_array_equal(table.X, [[1.5, 2.25], [3, 4.5]])


@pytest.mark.parametrize("header", ["", "a b\n"])
def test_spaces_and_decimal_commas_are_read_where_that_is_said(file, header):
    path = file(header + "1,5 2,5\n3,5 4\n")
    assert_array_equal(read_table(path, decimal=",").X, [[1.5, 2.5], [3.5, 4]])
    with pytest.raises(TableError, match="add --decimal ,"):
        read_table(path)


def test_one_column_of_decimal_commas(file):
    for header in ("", "x\n"):
        table = read_table(file(header + "1,5\n2,25\n"), decimal=",")
        assert_array_equal(table.X, [[1.5], [2.25]])
        assert table.named is bool(header)
    assert_array_equal(read_table(file("1,5\n2,25\n")).X, [[1, 5], [2, 25]])


def test_commas_between_words_and_numbers_split_them(file):
    path = file("1,5 2,5\n2,5 3,5\n")
    assert_array_equal(read_table(path, decimal=".").X, [[1, 5], [2, 5]])
    table = read_table(file("1, 2 km, 3\n4, 5 km, 6\n"))
    assert_array_equal(table.X, [[1, 3], [4, 6]])
    assert table.left_out == ["1"]


@pytest.mark.parametrize("mark", ["", "NA", ".", "?"])
def test_missing_values_and_exponents_beside_decimal_commas(file, mark):
    path = file(f"a;b;w\n1,5;{mark};1\n-,25e1;+2,5E-3;2,5\n")
    table = read_table(path, None, "w")
    assert_array_equal(table.X, [[1.5, np.nan], [-2.5, 0.0025]])
    assert_array_equal(table.weights, [1, 2.5])


@pytest.mark.parametrize(
    "content, decimal, match",
    [
        ("a;b\n1,234;5,678\n", None, "line 2, column 'a' has '1,234'.*--decimal ,"),
        ("a;b\n1,5;2.5\n", None, "line 2, column 'a' has '1,5'.*--decimal ,"),
        ("a;b\n1,5;2.5\n", ",", r"line 2, column 'b' has '2\.5'.*--decimal \."),
        ("a;b\n1,5;2\n1.234,5;3\n", None, r"line 3, column 'a' has '1\.234,5'"),
        ("a;b\n1,5;2\n3,5;1.234\n", None, "line 2, column 'a' has '1,5'"),
        ("a;b\n1,5;2\n3,5;1.234\n", ",", r"line 3, column 'b' has '1\.234'"),
        ("a;b\n1,5;2\n", ".", "line 2, column 'a' has '1,5'"),
    ],
)
def test_what_two_marks_could_mean_is_an_error(file, content, decimal, match):
    with pytest.raises(TableError, match=match):
        read_table(file(content), decimal=decimal)


def test_numbers_below_one_and_of_other_lengths_have_no_thousands(file):
    path = file("a;b\n1,234;5,678\n0,125;2,345\n")
    assert_array_equal(read_table(path).X, [[1.234, 5.678], [0.125, 2.345]])


def test_a_decimal_comma_far_down_is_read_or_shown_by_its_line(file):
    lines = ["a;b", *(f"{i};{i}" for i in range(5000))]
    lines[4000] = "1,5;2"
    with pytest.raises(TableError, match="line 4001, column 'a' has '1,5'.*--decimal"):
        read_table(file("\n".join(lines)))
    assert read_table(file("\n".join(lines)), decimal=",").X[3999, 0] == 1.5


# Encodings -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8", "utf-16-le"])
def test_other_encodings_are_read_and_written(file, tmp_path, encoding):
    path = file("L\u00e4nge;Ma\u00df\n1,5;2\n3;4,5\n".encode(encoding))
    table = read_table(path, encoding=encoding)
    assert table.names == ["L\u00e4nge", "Ma\u00df"]
    assert_array_equal(table.X, [[1.5, 2], [3, 4.5]])
    out = written(tmp_path, write_rows, table, table.X)
    expected = "row;L\u00e4nge;Ma\u00df\n0;1,5;2\n1;3;4,5\n"
    assert out.read_bytes() == expected.encode(encoding)


@pytest.mark.parametrize("encoding, wrong", [("cp1252", None), ("utf-8", "utf-16")])
def test_a_wrong_encoding_is_an_error_that_says_what_to_give(file, encoding, wrong):
    path = file("L\u00e4nge;Ma\u00df\n1,5;2\n".encode(encoding))
    with pytest.raises(TableError, match=f"in {wrong or 'UTF-8'} .*--encoding"):
        read_table(path, encoding=wrong)


# Columns by index ------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns, weights, indices",
    [
        (["0"], None, [0]),
        (["2", "a"], None, [2, 0]),
        (["0-1"], "2", [0, 1]),
        (["2", "0-1"], None, [2, 0, 1]),
        (["c"], "0", [2]),
    ],
)
def test_columns_with_names_are_chosen_by_index(
    file, tmp_path, columns, weights, indices
):
    table = read_table(file(text(ROWS, header="a,b,c")), columns, weights)
    assert_array_equal(table.X, ROWS[:, indices])
    assert table.names == [["a", "b", "c"][i] for i in indices]
    assert table.used == indices
    if weights is not None:
        assert_array_equal(table.weights, ROWS[:, int(weights)])


def test_names_come_before_indices(file):
    path = file(text(ROWS, header="x,0,0-1"))
    assert_array_equal(read_table(path, ["0"]).X, ROWS[:, [1]])
    assert_array_equal(read_table(path, ["0-1"]).X, ROWS[:, [2]])
    assert_array_equal(read_table(path, ["2"]).X, ROWS[:, [2]])


def test_a_column_without_a_name_is_chosen_by_its_index(file):
    table = read_table(file(text(ROWS, header=",b,c")), ["0", "b"])
    assert_array_equal(table.X, ROWS[:, :2])
    assert table.names == ["column 0", "b"]


def test_a_name_that_is_close_is_suggested(file):
    path = file(text(ROWS, header="Sepal length,Sepal width,Species"))
    with pytest.raises(TableError, match="'sepal_width' .did you mean 'Sepal width'"):
        read_table(path, ["sepal_width"])
    with pytest.raises(TableError, match="no column 'x': choose from"):
        read_table(path, ["x"])


@pytest.mark.parametrize("columns", [["3"], ["1-3"], ["2-1"], ["-1"], ["1-"], ["1.0"]])
def test_indices_that_no_column_has(file, columns):
    with pytest.raises(
        TableError, match="no column .*'a', 'b', 'c', or the numbers 0 to 2"
    ):
        read_table(file(text(ROWS, header="a,b,c")), columns)


# Large ones ------------------------------------------------------------------------


@pytest.mark.parametrize("quote", ["", '"'])
def test_20_000_columns_are_read(file, quote):
    X = np.random.default_rng(0).standard_normal((3, 20_000))
    names = [f"{quote}c{i}{quote}" for i in range(20_000)]
    path = file(text(X, header=",".join(names)))
    table = read_table(path)
    assert_array_equal(table.X, X)
    assert table.names[-1] == "c19999"
    with pytest.raises(TableError, match="no column 'x'") as caught:
        read_table(path, ["x"])
    assert len(str(caught.value)) < 400


def test_a_field_may_be_long(file):
    name = "b" * 200_000
    for quoted in (name, f'"{name}"'):
        assert read_table(file(f"a,{quoted}\n1,2\n")).names == ["a", name]


def test_a_line_without_an_end_is_refused_before_all_of_it_is_read(file, monkeypatch):
    monkeypatch.setattr("emgmm._cli.csv.LONGEST", 1000)
    assert read_table(file(f"a{' ' * 500}\n1\n")).X.shape == (1, 1)
    for content in ("1," * 600, "a,b\n" + "1," * 600):
        with pytest.raises(TableError, match="line . has more than 1000 characters"):
            read_table(file(content))


# What is written -------------------------------------------------------------------


def written(tmp_path, write, *args):
    path = tmp_path / "written.csv"
    with open(path, "wb") as binary:
        write(binary, *args)
    return path


def rows_of(path, delimiter=","):
    with open(path, newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened, delimiter=delimiter))


def test_labels_and_probabilities_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    probabilities, X = rng.dirichlet([0.01, 1, 5], 25_000), rng.normal(size=(25_000, 2))
    labels = probabilities.argmax(axis=1)
    source = table_of(X).source
    path = written(tmp_path, write_labels, source, labels, probabilities)
    header, *rows = rows_of(path)
    assert header == ["row", "0", "1", "label", "p0", "p1", "p2"]
    values = np.array(rows, dtype=float)
    assert_array_equal(values[:, 0], np.arange(25_000))
    assert_array_equal(values[:, 1:3], X)
    assert_array_equal(values[:, 3], labels)
    assert_array_equal(values[:, 4:], probabilities)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_come_back_bit_for_bit(tmp_path, dtype):
    X = np.random.default_rng(0).standard_normal((12_000, 3)).astype(dtype)
    filled = X.copy()
    X[::3, 1] = X[5:11_000, 0] = np.nan
    path = written(tmp_path, write_rows, table_of(X), filled)
    assert_array_equal(read_table(str(path), ["1-3"]).X, filled)


CELLS = [["id", "x", "note, with comma"], ["007", "1.50", "a"], ["8", "NA", 'say "b"']]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("decimal", [".", ","])
def test_rows_are_written_as_the_file_has_them(file, tmp_path, delimiter, decimal):
    cells = [[c.replace(".", decimal) for c in row] for row in CELLS]
    with open(path := file(""), "w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, delimiter=delimiter).writerows(cells)
    table = read_table(path, ["x"], decimal=decimal)
    filled = np.array([[1.5], [0.25]])
    same = delimiter.strip(" ") or {".": ",", ",": ";"}[decimal]
    rows = rows_of(written(tmp_path, write_rows, table, filled), same)
    cells[2][1] = f"0{decimal}25"
    numbered = [["row", *cells[0]], ["0", *cells[1]], ["1", *cells[2]]]
    assert rows == numbered
    labels = np.array([1, 0]), np.array([[0.25, 0.75], [1.0, 0.0]])
    rows = rows_of(written(tmp_path, write_labels, table.source, *labels), same)
    numbered[2][2] = "NA"
    extra = [["label", "p0", "p1"], ["1", "0.25", "0.75"], ["0", "1.0", "0.0"]]
    assert rows == [
        a + [c.replace(".", decimal) for c in b]
        for a, b in zip(numbered, extra, strict=True)
    ]


def test_what_a_spreadsheet_would_run_is_not_written(file, tmp_path):
    path = file("=1+1,-x,+,@a,-2\n-1.5,=A1,+,+49 30,-\n1e3,-y,-,b,c\n")
    table = read_table(path, ["0"])
    labels = np.zeros(2, dtype=int), np.ones((2, 1))
    header, *rows = rows_of(written(tmp_path, write_labels, table.source, *labels))
    assert header[1:6] == ["'=1+1", "'-x", "+", "'@a", "-2"]
    assert rows[0][1:6] == ["-1.5", "'=A1", "+", "'+49 30", "-"]
    assert rows[1][1:6] == ["1e3", "'-y", "-", "b", "c"]
    cells = rows_of(written(tmp_path, write_rows, table, table.X))
    assert [row[1:] for row in cells] == [row[1:6] for row in [header, *rows]]


def test_names_of_ours_do_not_meet_the_files(file, tmp_path):
    path = file("row,label,p0\n1,2,3\n4,5,6\n")
    labels = np.zeros(2, dtype=int), np.ones((2, 1))
    out = written(tmp_path, write_labels, read_table(path).source, *labels)
    names = ["emgmm_row", "row", "label", "p0", "emgmm_label", "emgmm_p0"]
    assert read_table(str(out)).names == names


def test_a_file_that_changes_is_noticed(file, tmp_path):
    path = file("a,b\n1,2\n3,4\n")
    table = read_table(path)
    for content in ("a,b\n1,2\n", "a,b\n1,2\n3,4\n5,6\n"):
        file(content)
        with pytest.raises(TableError, match="changed while it was being read"):
            written(tmp_path, write_rows, table, table.X)
