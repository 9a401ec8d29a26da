"""How refusals are told."""

from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from resolvers.errors import BadRequestError, MutationError, errors_of, input_errors, unknown


def test_a_path_begins_at_the_input() -> None:
    (error,) = errors_of(InputError("Too long.", "labels", "host"))

    assert (error.code, error.message, error.path) == (
        ErrorCode.INVALID_INPUT,
        "Too long.",
        ["input", "labels", "host"],
    )


def test_what_is_at_no_place_has_no_path() -> None:
    (error,) = input_errors([Problem(ErrorCode.NOT_FOUND, "There is no such alert.")])

    assert error.path is None


def test_a_version_conflict_tells_the_version() -> None:
    problem = Problem(ErrorCode.VERSION_CONFLICT, "It changed.", ("expectedVersion",), 41)

    assert MutationError.of(problem).current_version == 41
    assert MutationError.of(Problem(ErrorCode.CONFLICT, "No.")).current_version is None


def test_a_field_that_reads_names_the_arguments_at_fault() -> None:
    error = BadRequestError.of(
        RefusedError(
            [
                Problem(ErrorCode.INVALID_INPUT, "Too long.", ("filter", "search")),
                Problem(ErrorCode.INVALID_INPUT, "No."),
            ]
        )
    )

    assert error.code == "BAD_REQUEST"
    assert error.message == "filter.search: Too long.; No."


def test_what_is_unknown_is_not_found() -> None:
    assert unknown("view", "id").problems == (Problem(ErrorCode.NOT_FOUND, "There is no such view.", ("id",)),)
